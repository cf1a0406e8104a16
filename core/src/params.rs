//! Named parameters: how a model's tensors are loaded, saved, trained and frozen.
//!
//! A model is a plain struct of [`Param`]s and smaller models; [`Parameters::walk`] names them
//! in one fixed order. Everything else (checkpoints, optimizer, averages, counting) stands on
//! that walk. A `Param` holds a plain tensor off the tape: [`tracked`] makes a copy of the model
//! whose weights record gradients, and the model itself is the frozen form.

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};
pub use crate::kernel::host;

/// What a named tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained by gradients.
    Weight,
    /// Kept but not trained: running statistics, fixed tables.
    Buffer,
}

/// One named tensor of a model: flat values and the shape they are used in.
///
/// Flat, so that optimizer and averages need not know ranks; a reshape is free.
#[derive(Clone, Debug)]
pub struct Param {
    value: Tensor<1>,
    shape: Vec<usize>,
    role: Role,
}

impl Param {
    /// A trained parameter with `values` in row-major order.
    pub fn weight(values: Vec<f32>, shape: &[usize], device: &Device) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "values do not fill {shape:?}");
        let count = values.len();
        let value = Tensor::from_data(TensorData::new(values, [count]), device);
        Self { value, shape: shape.to_vec(), role: Role::Weight }
    }

    /// A buffer with `values` in row-major order.
    pub fn buffer(values: Vec<f32>, shape: &[usize], device: &Device) -> Self {
        Self { role: Role::Buffer, ..Self::weight(values, shape, device) }
    }

    /// A weight without a value, to be loaded before use.
    pub fn unset(shape: &[usize], device: &Device) -> Self {
        Self { value: Tensor::empty([0], device), shape: shape.to_vec(), role: Role::Weight }
    }

    /// A constant-filled weight.
    pub fn filled(value: f32, shape: &[usize], device: &Device) -> Self {
        Self::weight(vec![value; shape.iter().product()], shape, device)
    }

    /// The value in its shape, of rank `D`.
    pub fn get<const D: usize>(&self) -> Tensor<D> {
        let Ok(shape) = <[usize; D]>::try_from(self.shape.as_slice()) else {
            panic!("a parameter of shape {:?} was asked for as rank {D}", self.shape);
        };
        self.value.clone().reshape(shape)
    }

    /// The flat value.
    pub fn flat(&self) -> &Tensor<1> {
        &self.value
    }

    /// Takes the flat value out, leaving an empty one: lets an optimizer write in place.
    pub fn take(&mut self) -> Tensor<1> {
        let empty = Tensor::empty([0], &self.value.device());
        std::mem::replace(&mut self.value, empty)
    }

    /// Replaces the flat value.
    pub fn set(&mut self, value: Tensor<1>) {
        debug_assert_eq!(value.dims()[0], self.len());
        self.value = value;
    }

    /// Axis lengths.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the parameter holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Trained or kept.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Makes the parameter trained or kept (the position table, which REPA-E trains).
    pub fn set_role(&mut self, role: Role) {
        self.role = role;
    }

    /// The values on the host. Reads back from the device.
    pub fn to_vec(&self) -> Vec<f32> {
        host(self.value.clone())
    }
}

/// Visits the parameters of a model under dotted names.
pub struct Walk<'a> {
    prefix: String,
    visit: &'a mut dyn FnMut(&str, &mut Param),
}

impl<'a> Walk<'a> {
    /// A walk from the top that calls `visit` with every name and parameter.
    pub fn new(visit: &'a mut dyn FnMut(&str, &mut Param)) -> Self {
        Self { prefix: String::new(), visit }
    }
}

impl Walk<'_> {
    /// Visits one parameter called `name` at this level.
    pub fn param(&mut self, name: &str, param: &mut Param) {
        let full = if self.prefix.is_empty() { name.into() } else { format!("{}.{name}", self.prefix) };
        (self.visit)(&full, param);
    }

    /// Walks a part of the model called `name`.
    pub fn part(&mut self, name: &str, part: &mut (impl Parameters + ?Sized)) {
        let prefix = if self.prefix.is_empty() { name.into() } else { format!("{}.{name}", self.prefix) };
        part.walk(&mut Walk { prefix, visit: self.visit });
    }

    /// Walks `name.0`, `name.1`, …
    pub fn parts<P: Parameters>(&mut self, name: &str, parts: &mut [P]) {
        for (index, part) in parts.iter_mut().enumerate() {
            self.part(&format!("{name}.{index}"), part);
        }
    }
}

/// A model whose tensors have names.
pub trait Parameters {
    /// Visits every parameter, always in the same order.
    fn walk(&mut self, walk: &mut Walk);
}

impl<P: Parameters> Parameters for Option<P> {
    fn walk(&mut self, walk: &mut Walk) {
        if let Some(part) = self {
            part.walk(walk);
        }
    }
}

/// Calls `visit` with every name and parameter of `model`.
pub fn visit(model: &mut (impl Parameters + ?Sized), mut visit: impl FnMut(&str, &mut Param)) {
    model.walk(&mut Walk::new(&mut visit));
}

/// Names and parameters in order; the tensors are shared, not copied.
pub fn named<P: Parameters + Clone>(model: &P) -> Vec<(String, Param)> {
    let mut all = Vec::new();
    visit(&mut model.clone(), |name, param| all.push((name.to_string(), param.clone())));
    all
}

/// A copy of the model whose weights record gradients.
pub fn tracked<P: Parameters + Clone>(model: &P) -> P {
    let mut copy = model.clone();
    visit(&mut copy, |_, param| {
        if param.role == Role::Weight {
            param.value = param.value.clone().without_autodiff().autodiff().require_grad();
        }
    });
    copy
}

/// Number of values in trained parameters.
pub fn num_weights<P: Parameters + Clone>(model: &P) -> usize {
    named(model).iter().filter(|(_, p)| p.role == Role::Weight).map(|(_, p)| p.len()).sum()
}

/// A place to read named tensors from.
pub trait TensorSource {
    /// Shape and f32 values of `name`, or `None` when there is no such tensor.
    ///
    /// # Errors
    /// When the tensor is there but cannot be read as floats.
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>>;
}

/// Loads every parameter of `model` from `source`, under the names that `rename` gives.
/// A shape counts as equal when it differs only by axes of length one at its end
/// (`[C, C, 1, 1]` for `[C, C]`).
///
/// # Errors
/// [`Error::MissingTensor`] or [`Error::Shape`] for the first parameter that does not fit.
pub fn load(
    model: &mut impl Parameters,
    source: &dyn TensorSource,
    rename: impl Fn(&str) -> String,
    device: &Device,
) -> Result<()> {
    let mut outcome = Ok(());
    visit(model, |name, param| {
        if outcome.is_ok() {
            outcome = load_one(param, source, &rename(name), device);
        }
    });
    outcome
}

fn load_one(param: &mut Param, source: &dyn TensorSource, name: &str, device: &Device) -> Result<()> {
    let Some((shape, values)) = source.tensor(name)? else {
        return Err(Error::MissingTensor { name: name.into(), hint: String::new() });
    };
    if trimmed(&shape) != trimmed(&param.shape) {
        return Err(Error::Shape { name: name.into(), expected: param.shape.clone(), found: shape });
    }
    param.value = Tensor::from_data(TensorData::new(values, [param.len()]), device);
    Ok(())
}

/// A shape without axes of length one at its end.
pub fn trimmed(shape: &[usize]) -> &[usize] {
    let end = shape.iter().rposition(|&n| n != 1).map_or(0, |i| i + 1);
    &shape[..end]
}

impl TensorSource for std::collections::BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        Ok(self.get(name).cloned())
    }
}
