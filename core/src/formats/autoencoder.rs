//! An autoencoder out of a file of tensors: found, checked against its configuration, loaded; and its
//! tensors as files hold them.

use std::borrow::Cow;

use burn::tensor::Device;

use super::geometry;
use super::naming::{self, Found, Naming};
use crate::error::{Error, Result};
use crate::files::write::Outgoing;
use crate::files::{Dtype, TensorFile};
use crate::params::{self, Param};
use crate::vae::qwen::{ActingSlices, join_slices};
use crate::vae::{Vae, VaeConfig};

/// Loads the autoencoder in `file`. Its geometry is `config`'s, which the tensors must bear out, or
/// what they imply.
///
/// # Errors
/// No autoencoder in the file; a disagreement, which names both sides; a tensor that is missing, of
/// another shape, or one that no layer takes.
pub fn load(file: &TensorFile, config: Option<&VaeConfig>, device: &Device) -> Result<(Vae, Naming)> {
    let bad = |reason: String| Error::file(file.origin(), reason);
    let found = naming::find(file).ok_or_else(|| bad("holds no autoencoder that is known here".into()))?;
    let config = match config {
        Some(config) => {
            if let Some(difference) = geometry::disagreement(config, &found) {
                return Err(bad(difference));
            }
            config.clone()
        }
        None => geometry::infer(&found).map_err(bad)?,
    };
    let mut vae = Vae::unset(&config, device)?;
    let defects = Defects::of(&vae, &found);
    if let Some(first) = defects.first() {
        return Err(bad(first));
    }
    let rename = |name: &str| found.naming.stored(name);
    match found.naming {
        Naming::Qwen => params::load(&mut vae, &ActingSlices(&found.tensors), rename, device)?,
        _ => params::load(&mut vae, &found.tensors, rename, device)?,
    }
    Ok((vae, found.naming))
}

/// What is missing, too much or of another shape in a file.
#[derive(Clone, Debug, Default)]
pub struct Defects {
    /// Names in the file that a parameter has no tensor for.
    pub missing: Vec<String>,
    /// Names in the file that no parameter takes.
    pub unknown: Vec<String>,
    /// Name, the model's shape, the file's.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Defects {
    /// Compares a model with the tensors found.
    pub fn of(vae: &Vae, found: &Found) -> Self {
        let mut defects = Self::default();
        let mut left: std::collections::HashSet<&str> = found.by_name.keys().map(String::as_str).collect();
        for outlet in outlets(vae) {
            let stored = || found.naming.stored(&outlet.name);
            let Some(info) = found.by_name.get(&outlet.name) else {
                defects.missing.push(stored());
                continue;
            };
            left.remove(outlet.name.as_str());
            if params::trimmed(&info.shape) != params::trimmed(&outlet.shape) {
                defects.shapes.push((stored(), outlet.shape.clone(), info.shape.clone()));
            }
        }
        defects.unknown = left.into_iter().map(|name| found.naming.stored(name)).collect();
        defects.unknown.sort();
        defects
    }

    /// The first defect in one line, if there is any.
    pub fn first(&self) -> Option<String> {
        let more = |all: usize| if all > 1 { format!(" (and {} more)", all - 1) } else { String::new() };
        if let Some((name, expected, found)) = self.shapes.first() {
            let more = more(self.shapes.len());
            return Some(format!("{name}: expected shape {expected:?}, found {found:?}{more}"));
        }
        if let Some(name) = self.missing.first() {
            return Some(format!("tensor {name} is missing{}", more(self.missing.len())));
        }
        let name = self.unknown.first()?;
        Some(format!("tensor {name} belongs to no layer of the model{}", more(self.unknown.len())))
    }
}

/// A tensor of the model as files hold it: full kernels for Qwen-Image.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// diffusers' name.
    pub name: String,
    /// The shape in a file.
    pub shape: Vec<usize>,
    param: Param,
    past: Option<Param>,
}

impl Outlet {
    /// The values; reads back from the device.
    pub fn values(&self) -> Vec<f32> {
        let acting = self.param.to_vec();
        match &self.past {
            Some(past) => join_slices(&acting, &past.to_vec(), self.shape.iter().rev().take(2).product()),
            None => acting,
        }
    }

    /// The values as little-endian bytes of `dtype`.
    ///
    /// # Errors
    /// A dtype that is not written here.
    pub fn bytes(&self, dtype: Dtype) -> Result<Vec<u8>> {
        let values = self.values();
        crate::files::bytes_from_f32(dtype, &values).map(Cow::into_owned).ok_or_else(|| {
            Error::Config(format!("weights cannot be written as {dtype:?}; use f32, f16 or bf16"))
        })
    }

    /// Its place in a file, under `name`.
    pub fn outgoing(&self, name: String, dtype: Dtype) -> Outgoing {
        Outgoing { name, dtype, shape: self.shape.clone() }
    }
}

/// All tensors of a model as files hold them, in the model's order.
pub fn outlets(vae: &Vae) -> Vec<Outlet> {
    let mut all: Vec<Outlet> = Vec::new();
    for (name, param) in params::named(vae) {
        // An earlier-slices buffer follows the weight it belongs to.
        if name.ends_with("_past")
            && let Some(weight) = all.last_mut()
        {
            let &[out, from, frames, h, w] = param.shape() else { continue };
            weight.shape = vec![out, from, frames + 1, h, w];
            weight.past = Some(param);
            continue;
        }
        all.push(Outlet { shape: param.shape().to_vec(), name, param, past: None });
    }
    all
}
