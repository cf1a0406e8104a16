//! The distance of one LPIPS layer: unit-normalise both feature maps over channels, square the
//! difference, weigh the channels, average over space (Zhang et al. 2018, eq. 1).
//!
//! Normalisation is `x / (√Σx² + 1e-10)`. The square root has no gradient at zero: there the
//! gradient of the norm is taken as 0 (PyTorch gives NaN).

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::cpu::perceptual as cpu;
use super::form::{Form, runs_on};
use super::gpu::perceptual as gpu;
use super::op::{Array, Kernel, View, apply3};

/// Distance between feature maps of the same images; the gradient goes to `b` alone.
///
/// # Shapes
/// `a [B, C, H, W]` (constant), `b [B, C, H, W]`, `weight [C]` (constant) → `[B]`.
pub fn layer_distance(a: Tensor<4>, b: Tensor<4>, weight: Tensor<1>) -> Tensor<1> {
    if runs_on(&b, true) != Form::Reference {
        // Constants come without a tape, so that no gradient of theirs is asked for.
        apply3(LayerDistance, a, b, weight)
    } else {
        layer_distance_reference(a, b, weight)
    }
}

/// Inputs `a`, `b`, `weight`; differentiable in `b` alone. On a GPU saves the norms of both at each position.
#[derive(Debug)]
struct LayerDistance;

impl Kernel for LayerDistance {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let [a, b, weight] = [inputs[0], inputs[1], inputs[2]];
        let d = cpu::forward(a.values, b.values, weight.values, b.shape[2] * b.shape[3]);
        (Array::new(d, &b.shape[..1]), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, _: &[bool]) -> Vec<Option<Array>> {
        let [a, b, weight] = [inputs[0], inputs[1], inputs[2]];
        let positions = b.shape[2] * b.shape[3];
        let db = cpu::backward(a.values, b.values, weight.values, grad.values, positions);
        vec![None, Some(Array::new(db, b.shape)), None]
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let (distance, norms) = gpu::forward(&inputs[0], &inputs[1], &inputs[2]);
        (distance, vec![norms])
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        _: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let [Some(a), Some(b), Some(weight)] = inputs else { unreachable!("backward keeps these inputs") };
        vec![None, Some(gpu::backward((a, b, weight), &saved[0], &grad)), None]
    }
}

/// [`layer_distance`] in plain tensor operations.
pub fn layer_distance_reference(a: Tensor<4>, b: Tensor<4>, weight: Tensor<1>) -> Tensor<1> {
    let [batch, c, h, w] = b.dims();
    let difference = unit(b) - unit(a);
    let weighted = difference.square() * weight.reshape([1, c, 1, 1]);
    weighted.sum_dim(1).reshape([batch, h * w]).mean_dim(1).reshape([batch])
}

fn unit(x: Tensor<4>) -> Tensor<4> {
    let squares = x.clone().square().sum_dim(1);
    // A position where all features are zero must give gradient 0: lift it off the root's pole.
    let dead = squares.clone().lower_equal_scalar(0.0);
    let norm = squares.mask_fill(dead.clone(), 1.0).sqrt().mask_fill(dead, 0.0);
    x / (norm + 1e-10)
}
