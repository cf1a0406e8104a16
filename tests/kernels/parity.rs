//! How a hand-written operation is held to its reference: values and gradients, on every device.

use burn::tensor::{Device, Tensor, TensorData};
use tandem_core::kernel::form::{Forms, set_forms};
use tandem_core::params::host;

use crate::support::{self, compare};

pub fn values(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 4_194_304.0 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

pub fn leaf<const D: usize>(seed: u32, shape: [usize; D], device: &Device) -> Tensor<D> {
    let data = TensorData::new(values(seed, shape.iter().product()), shape);
    Tensor::from_data(data, device).autodiff().require_grad()
}

/// [`leaf`] on the CPU.
pub fn cpu_leaf<const D: usize>(seed: u32, shape: [usize; D]) -> Tensor<D> {
    leaf(seed, shape, &tandem_core::device::cpu())
}

/// Compares `ours` and `reference` of three leaves: outputs, and gradients of a weighted sum.
pub fn agree<const A: usize, const B: usize, const C: usize, const O: usize>(
    what: &str,
    shapes: ([usize; A], [usize; B], [usize; C]),
    ours: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>,
    reference: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>,
) {
    let run = |f: &dyn Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>, device: &Device| {
        let (a, b, c) = (leaf(1, shapes.0, device), leaf(2, shapes.1, device), leaf(3, shapes.2, device));
        let y = f(a.clone(), b.clone(), c.clone());
        let weights = leaf(4, y.dims(), device).without_autodiff();
        let grads = (y.clone() * weights).sum().backward();
        let grad = |g: Option<Vec<f32>>| g.unwrap_or_default();
        let (da, db, dc) = (a.grad(&grads).map(host), b.grad(&grads).map(host), c.grad(&grads).map(host));
        [host(y), grad(da), grad(db), grad(dc)]
    };
    set_forms(Forms::All);
    let theirs = run(&reference, &tandem_core::device::cpu());
    for (name, device) in support::devices() {
        let mine = run(&ours, &device);
        for ((part, mine), theirs) in ["y", "da", "db", "dc"].iter().zip(mine).zip(&theirs) {
            // A constant has no gradient in a kernel; the reference gives it one.
            if mine.is_empty() && *part != "y" {
                continue;
            }
            let scale = theirs.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            compare(&format!("{name}, {what}: {part}"), &mine, theirs, 2e-5 * scale);
        }
    }
}
