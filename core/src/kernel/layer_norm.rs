//! LayerNorm over the last axis: with its own scale and shift, or modulated per sample
//! (adaLN, Peebles & Xie 2023): `y = norm(x) (1 + scale_b) + shift_b`. One pass forward and one
//! backward; composed, the norm alone makes seven.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::cpu::layer_norm::{self as cpu, Shape};
use super::form::{Form, runs_on};
use super::gpu::launch::len;
use super::gpu::layer_norm as gpu;
use super::op::{Array, Kernel, View, apply3};

/// Layer norm with learned `gamma` and `beta`.
///
/// # Shapes
/// `x [.., D]`, `gamma [D]`, `beta [D]` → `[.., D]`.
pub fn layer_norm<const R: usize>(x: Tensor<R>, gamma: Tensor<1>, beta: Tensor<1>, eps: f32) -> Tensor<R> {
    if runs_on(&x, true) != Form::Reference {
        apply3(LayerNorm { eps, base: 0.0 }, x, gamma, beta)
    } else {
        layer_norm_reference(x, gamma, beta, eps)
    }
}

/// [`layer_norm`] in plain tensor operations.
pub fn layer_norm_reference<const R: usize>(
    x: Tensor<R>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f32,
) -> Tensor<R> {
    normalized(x, eps) * gamma.unsqueeze::<R>() + beta.unsqueeze::<R>()
}

/// Layer norm without weights, then one scale and shift for each sample.
///
/// # Shapes
/// `x [B, N, D]`, `shift [B, D]`, `scale [B, D]` → `[B, N, D]`.
pub fn modulated_layer_norm(x: Tensor<3>, shift: Tensor<2>, scale: Tensor<2>, eps: f32) -> Tensor<3> {
    if runs_on(&x, true) != Form::Reference {
        apply3(LayerNorm { eps, base: 1.0 }, x, scale, shift)
    } else {
        modulated_layer_norm_reference(x, shift, scale, eps)
    }
}

/// [`modulated_layer_norm`] in plain tensor operations.
pub fn modulated_layer_norm_reference(
    x: Tensor<3>,
    shift: Tensor<2>,
    scale: Tensor<2>,
    eps: f32,
) -> Tensor<3> {
    normalized(x, eps) * (scale + 1.0).unsqueeze_dim::<3>(1) + shift.unsqueeze_dim::<3>(1)
}

/// Inputs `x`, `scale` (to which `base` is added) and `shift`; saves mean and 1/σ of each row.
#[derive(Debug)]
struct LayerNorm {
    eps: f32,
    base: f32,
}

impl LayerNorm {
    fn shape(&self, x: View, scale: View) -> Shape {
        let width = x.shape.last().copied().unwrap_or(1);
        let span = x.values.len() / scale.values.len();
        Shape { width, span, eps: self.eps, base: self.base }
    }

    fn rows(&self, x: &CubeTensor, scale: &CubeTensor) -> gpu::Rows {
        gpu::Rows { plus: self.base, shared: len(x) / len(scale).max(1), eps: self.eps }
    }
}

impl Kernel for LayerNorm {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let (x, scale, shift) = (inputs[0], inputs[1], inputs[2]);
        let (y, stats) = cpu::forward(x.values, scale.values, shift.values, self.shape(x, scale));
        let count = stats.len();
        (Array::new(y, x.shape), vec![Array::new(stats, &[count])])
    }

    fn cpu_backward(&self, inputs: &[View], saved: &[View], grad: View, _: &[bool]) -> Vec<Option<Array>> {
        let (x, scale) = (inputs[0], inputs[1]);
        let (dx, dscale, dshift) =
            cpu::backward(x.values, scale.values, saved[0].values, grad.values, self.shape(x, scale));
        [(dx, x.shape), (dscale, scale.shape), (dshift, scale.shape)]
            .map(|(values, shape)| Some(Array::new(values, shape)))
            .into()
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let (x, scale, shift) = (&inputs[0], &inputs[1], &inputs[2]);
        let (y, stats) = gpu::forward(x, shift, scale, self.rows(x, scale));
        (y, vec![stats])
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let [Some(x), Some(scale), _] = inputs else { unreachable!("backward keeps these inputs") };
        let rows = self.rows(x, scale);
        let dx = wanted[0].then(|| gpu::grad_input(x, scale, &saved[0], &grad, rows));
        if !wanted[1] && !wanted[2] {
            return vec![dx, None, None];
        }
        let shape: Vec<usize> = scale.meta.shape().iter().copied().collect();
        let (dshift, dscale) = gpu::grad_weights(x, &shape, &saved[0], &grad, rows);
        vec![dx, Some(dscale), Some(dshift)]
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps(&self, index: usize) -> bool {
        index < 2
    }
}

fn normalized<const R: usize>(x: Tensor<R>, eps: f32) -> Tensor<R> {
    let mean = x.clone().mean_dim(R - 1);
    let centred = x - mean;
    let var = centred.clone().square().mean_dim(R - 1);
    centred / (var + eps).sqrt()
}
