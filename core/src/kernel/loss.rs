//! Losses that leave one number: the terms and their mean in one pass over the values.
//!
//! On the CPU these are plain tensor operations; on a GPU each is a launch over the values and one over
//! partial sums, instead of a launch and a tensor for every operation.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::form::{Form, runs_on};
use super::gpu::loss as gpu;
use super::op::{Kernel, apply1, apply2};

/// What is summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term {
    /// `|a − b|`
    Absolute,
    /// `(a − b)²`
    Square,
    /// `relu(1 + slope · a)`
    Hinge(f32),
    /// `½ (a² + eᵇ − 1 − b)`: KL divergence from the standard normal of a Gaussian with mean `a` and log
    /// variance `b`.
    Divergence,
}

/// Mean of `|a − b|`, a scalar `[1]`.
pub fn absolute_error<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<1> {
    let factor = 1.0 / a.shape().num_elements() as f32;
    if runs_on(&a, true) == Form::Wgsl {
        apply2(Sum { term: Term::Absolute, factor }, a, b)
    } else {
        (a - b).abs().mean()
    }
}

/// Mean of `(a − b)²`, a scalar `[1]`.
pub fn square_error<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<1> {
    let factor = 1.0 / a.shape().num_elements() as f32;
    if runs_on(&a, true) == Form::Wgsl {
        apply2(Sum { term: Term::Square, factor }, a, b)
    } else {
        (a - b).square().mean()
    }
}

/// Mean of `relu(1 + slope · a)`, a scalar `[1]`: one half of the hinge loss with `slope` ±1.
pub fn hinge<const D: usize>(a: Tensor<D>, slope: f32) -> Tensor<1> {
    let factor = 1.0 / a.shape().num_elements() as f32;
    if runs_on(&a, true) == Form::Wgsl {
        apply1(Sum { term: Term::Hinge(slope), factor }, a)
    } else {
        super::relu(a * slope + 1.0).mean()
    }
}

/// KL divergence from the standard normal in nats, summed over a sample, mean over the batch (axis 0):
/// a scalar `[1]`.
pub fn divergence<const D: usize>(mean: Tensor<D>, logvar: Tensor<D>) -> Tensor<1> {
    let factor = 1.0 / mean.dims()[0] as f32;
    if runs_on(&mean, true) == Form::Wgsl {
        apply2(Sum { term: Term::Divergence, factor }, mean, logvar)
    } else {
        let terms = mean.square() + logvar.clone().exp() - 1.0 - logvar;
        terms.sum() * (0.5 * factor)
    }
}

/// `factor · Σ term`; inputs `a` and, but for the hinge, `b`.
#[derive(Debug)]
struct Sum {
    term: Term,
    factor: f32,
}

impl Kernel for Sum {
    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        (gpu::forward(&inputs[0], inputs.get(1), self.term, self.factor), Vec::new())
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        _: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let Some(Some(a)) = inputs.first() else { unreachable!("backward keeps these inputs") };
        let b = inputs.get(1).and_then(Option::as_ref);
        let wants_b = wanted.get(1).copied().unwrap_or(false);
        let (da, db) = gpu::backward((a, b), &grad, (self.term, self.factor), wants_b);
        vec![Some(da), db]
    }
}
