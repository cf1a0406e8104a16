//! AdamW, the global gradient norm and the moving average, over flat parameters.
//!
//! PyTorch's AdamW in PyTorch's order: decay, moments, `denom = √v / √(1 − β₂ᵗ) + eps`,
//! `p −= lr / (1 − β₁ᵗ) · m / denom`. The clip factor is `min(1, max_norm / (norm + 1e-6))` with
//! the norm over all gradients together (burn clips each tensor on its own).
//!
//! On the CPU all weights go through in one pass, changed where they lie.

use burn::backend::wgpu::{CubeBackend, CubeTensor, into_contiguous};
use burn::tensor::{Bool, Tensor, TensorData};

use super::cpu::optimizer as cpu;
use super::form::{Form, runs_on};
use super::gpu::optimizer as gpu;
use super::hosted::Hosted;
use super::profile::{self, Operation};

/// What AdamW does in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first and second moment.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

/// A weight on its way through the optimizer. All `[n]`.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The weight.
    pub value: Tensor<1>,
    /// Its gradient.
    pub grad: Tensor<1>,
    /// First moment.
    pub m: Tensor<1>,
    /// Second moment.
    pub v: Tensor<1>,
}

/// Whether a step counts, decided on the device (`[1]`) so that nobody waits for it; `None` means yes.
pub type Gate = Option<Tensor<1, Bool>>;

/// `new` where the gate is open, else `old`.
pub fn gated(new: Tensor<1>, old: Tensor<1>, gate: &Gate) -> Tensor<1> {
    match gate {
        Some(open) => {
            let shape = new.dims();
            old.mask_where(open.clone().expand(shape), new)
        }
        None => new,
    }
}

/// One AdamW step, number `step` (from 1), with gradients scaled by `clip` (a scalar `[1]`); a shut
/// gate leaves value and moments as they are.
pub fn adamw(slots: Vec<Slot>, config: AdamW, step: u64, clip: &Tensor<1>, gate: &Gate) -> Vec<Slot> {
    if gate.is_none() && slots.iter().all(Slot::is_hosted) && Hosted::holds(clip) {
        return adamw_in_place(slots, config, step, clip);
    }
    if runs_on(clip, true) == Form::Wgsl {
        return adamw_wgsl(slots, config, step, clip, gate);
    }
    let one = |slot: Slot| match gate {
        None => adamw_reference(slot, config, step, clip),
        Some(_) => {
            let new = adamw_reference(slot.clone(), config, step, clip);
            Slot {
                value: gated(new.value, slot.value, gate),
                grad: new.grad,
                m: gated(new.m, slot.m, gate),
                v: gated(new.v, slot.v, gate),
            }
        }
    };
    slots.into_iter().map(one).collect()
}

impl Slot {
    fn is_hosted(&self) -> bool {
        [&self.value, &self.grad, &self.m, &self.v].into_iter().all(Hosted::holds)
    }
}

/// [`adamw`] on the CPU: no temporaries. The gradients come back as they were.
fn adamw_in_place(slots: Vec<Slot>, config: AdamW, step: u64, clip: &Tensor<1>) -> Vec<Slot> {
    let AdamW { lr, betas: (beta1, beta2), eps, weight_decay } = config;
    let steps = i32::try_from(step).unwrap_or(i32::MAX);
    let rule = cpu::Rule {
        clip: Hosted::new(clip.clone()).values()[0],
        beta1: beta1 as f32,
        beta2: beta2 as f32,
        eps: eps as f32,
        root: (1.0 - beta2.powi(steps)).sqrt() as f32,
        rate: (lr / (1.0 - beta1.powi(steps))) as f32,
        decay: (1.0 - lr * weight_decay) as f32,
    };
    let mut hosted: Vec<[Hosted; 4]> =
        slots.into_iter().map(|s| [s.value, s.m, s.v, s.grad].map(Hosted::new)).collect();
    let weights = hosted.iter_mut().map(|[value, m, v, grad]| cpu::Weight {
        value: value.values_mut(),
        m: m.values_mut(),
        v: v.values_mut(),
        grad: grad.values(),
    });
    let weights: Vec<_> = weights.collect();
    let count: usize = weights.iter().map(|w| w.grad.len()).sum();
    // Three values are read and written, the gradient is read.
    watched("AdamW", 7 * count, || cpu::adamw(weights, rule));
    let back = |[value, m, v, grad]: [Hosted; 4]| {
        let [value, m, v, grad] = [value, m, v, grad].map(Hosted::into_tensor);
        Slot { value, grad, m, v }
    };
    hosted.into_iter().map(back).collect()
}

/// Runs `work`, which moves `values` numbers, under the eyes of a profile.
fn watched<R>(name: &'static str, values: usize, work: impl FnOnce() -> R) -> R {
    profile::operation(Operation { name, phase: None, flops: 0 }, work, |_| 4 * values as u64)
}

/// [`adamw`] on one weight in plain tensor operations.
pub fn adamw_reference(slot: Slot, config: AdamW, step: u64, clip: &Tensor<1>) -> Slot {
    let AdamW { lr, betas: (beta1, beta2), eps, weight_decay } = config;
    let steps = i32::try_from(step).unwrap_or(i32::MAX);
    let grad = slot.grad * clip.clone();
    let m = slot.m * beta1 + grad.clone() * (1.0 - beta1);
    let v = slot.v * beta2 + grad.clone().square() * (1.0 - beta2);
    let denominator = v.clone().sqrt() / (1.0 - beta2.powi(steps)).sqrt() + eps;
    let decayed = slot.value * (1.0 - lr * weight_decay);
    let value = decayed - m.clone() / denominator * (lr / (1.0 - beta1.powi(steps)));
    Slot { value, grad, m, v }
}

/// The Euclidean norm of all `grads` together, a scalar `[1]` on the device.
pub fn global_norm(grads: &[Tensor<1>]) -> Tensor<1> {
    if grads.iter().all(Hosted::holds)
        && let Some(first) = grads.first()
    {
        let hosted: Vec<_> = grads.iter().cloned().map(Hosted::new).collect();
        let views: Vec<_> = hosted.iter().map(Hosted::values).collect();
        let count = views.iter().map(|values| values.len()).sum();
        let squares = watched("GlobalNorm", count, || cpu::sum_of_squares(&views));
        return Tensor::from_data(TensorData::new(vec![squares.sqrt() as f32], [1]), &first.device());
    }
    if grads.first().is_some_and(|g| runs_on(g, true) == Form::Wgsl) {
        let all: Vec<_> = grads.iter().cloned().map(readable).collect();
        if let Some(norm) = gpu::global_norm(&all) {
            return Tensor::from_primitive::<CubeBackend>(norm);
        }
    }
    global_norm_reference(grads)
}

/// [`global_norm`] in plain tensor operations.
pub fn global_norm_reference(grads: &[Tensor<1>]) -> Tensor<1> {
    let squares: Vec<_> = grads.iter().map(|g| g.clone().square().sum()).collect();
    Tensor::cat(squares, 0).sum().sqrt()
}

/// `min(1, max_norm / (norm + 1e-6))`, a scalar `[1]`.
pub fn clip_factor(norm: Tensor<1>, max_norm: f64) -> Tensor<1> {
    ((norm + 1e-6).recip() * max_norm).clamp_max(1.0)
}

/// `decay · average + (1 − decay) · value` for every pair; a shut gate leaves the averages.
pub fn ema(averages: Vec<Tensor<1>>, values: Vec<Tensor<1>>, decay: f64, gate: &Gate) -> Vec<Tensor<1>> {
    if gate.is_none() && averages.iter().chain(&values).all(Hosted::holds) {
        return ema_in_place(averages, values, decay);
    }
    if averages.first().is_some_and(|a| runs_on(a, true) == Form::Wgsl) {
        let pairs: Vec<_> =
            averages.into_iter().zip(values).map(|(a, v)| (writable(a), readable(v))).collect();
        gpu::ema(&pairs, decay, gate_values(gate).as_ref());
        return pairs.into_iter().map(|(a, _)| Tensor::from_primitive::<CubeBackend>(a)).collect();
    }
    ema_reference(averages, values, decay, gate)
}

/// [`ema`] in plain tensor operations.
pub fn ema_reference(
    averages: Vec<Tensor<1>>,
    values: Vec<Tensor<1>>,
    decay: f64,
    gate: &Gate,
) -> Vec<Tensor<1>> {
    let one = |(average, value): (Tensor<1>, Tensor<1>)| {
        let new = average.clone() * decay + value * (1.0 - decay);
        gated(new, average, gate)
    };
    averages.into_iter().zip(values).map(one).collect()
}

/// [`ema`] on the CPU: no temporaries.
fn ema_in_place(averages: Vec<Tensor<1>>, values: Vec<Tensor<1>>, decay: f64) -> Vec<Tensor<1>> {
    let mut averages: Vec<_> = averages.into_iter().map(Hosted::new).collect();
    let values: Vec<_> = values.into_iter().map(Hosted::new).collect();
    let pairs: Vec<_> = averages
        .iter_mut()
        .zip(&values)
        .map(|(average, value)| (average.values_mut(), value.values()))
        .collect();
    let count: usize = pairs.iter().map(|(_, value)| value.len()).sum();
    watched("EMA", 3 * count, || cpu::ema(pairs, decay as f32));
    averages.into_iter().map(Hosted::into_tensor).collect()
}

/// [`adamw`] in few launches, in place.
fn adamw_wgsl(slots: Vec<Slot>, config: AdamW, step: u64, clip: &Tensor<1>, gate: &Gate) -> Vec<Slot> {
    let slots: Vec<_> = slots
        .into_iter()
        .map(|Slot { value, grad, m, v }| gpu::Slot {
            value: writable(value),
            grad: readable(grad),
            m: writable(m),
            v: writable(v),
        })
        .collect();
    let steps = i32::try_from(step).unwrap_or(i32::MAX);
    gpu::adamw(&slots, config, steps, &readable(clip.clone()), gate_values(gate).as_ref());
    let back = |t: CubeTensor| Tensor::<1>::from_primitive::<CubeBackend>(t);
    slots
        .into_iter()
        .map(|s| Slot { value: back(s.value), grad: back(s.grad), m: back(s.m), v: back(s.v) })
        .collect()
}

/// The gate as a number for shaders: 0 is shut.
fn gate_values(gate: &Gate) -> Option<CubeTensor> {
    gate.as_ref().map(|gate| readable(gate.clone().float()))
}

/// The buffer behind a tensor on a wgpu device, contiguous.
fn readable(tensor: Tensor<1>) -> CubeTensor {
    match tensor.try_into_primitive::<CubeBackend>() {
        Ok(tensor) => into_contiguous(tensor),
        Err(error) => unreachable!("the form was chosen by the device: {error:?}"),
    }
}

/// The same, nobody else's: copied when others hold it too.
fn writable(tensor: Tensor<1>) -> CubeTensor {
    let tensor = readable(tensor);
    if tensor.handle.can_mut() { tensor } else { tensor.copy() }
}
