//! Batch norm on the batch's own statistics, followed by a leaky ReLU: the pair a PatchGAN is made of.
//!
//! `y = leaky(γ (x − mean_c) / sqrt(var_c + eps) + β)`, with mean and biased variance of a channel over
//! pictures and positions (Ioffe & Szegedy 2015). The gradient goes through the statistics.

use burn::tensor::Tensor;

use super::activation::leaky_relu;
use super::cpu::batch_norm::{self as cpu, Shape};
use super::form::{Form, runs_on};
use super::op::{Array, Kernel, View, apply1, apply3};

/// What a batch norm does besides its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormConfig {
    /// Added to the variance.
    pub eps: f32,
    /// Slope of the leaky ReLU below zero; 1 leaves it out.
    pub slope: f32,
}

/// Mean, then biased variance of every channel, without a gradient.
///
/// # Shapes
/// `x [B, C, H, W]` → `[2, C]`.
pub fn batch_moments(x: Tensor<4>) -> Tensor<2> {
    let x = x.without_autodiff();
    if runs_on(&x, false) == Form::Cpu { apply1(Moments, x) } else { batch_moments_reference(x) }
}

/// [`batch_moments`] in plain tensor operations.
pub fn batch_moments_reference(x: Tensor<4>) -> Tensor<2> {
    let c = x.dims()[1];
    let mean = x.clone().mean_dims(&[0, 2, 3]);
    let var = (x - mean.clone()).square().mean_dims(&[0, 2, 3]);
    Tensor::cat(vec![mean.reshape([1, c]), var.reshape([1, c])], 0)
}

/// Batch norm of `x` with `gamma` and `beta`, then the leaky ReLU; `moments` are [`batch_moments`] of `x`.
///
/// # Shapes
/// `x [B, C, H, W]`, `gamma [C]`, `beta [C]`, `moments [2, C]` → `[B, C, H, W]`.
pub fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    moments: Tensor<2>,
    config: BatchNormConfig,
) -> Tensor<4> {
    if runs_on(&x, false) == Form::Cpu {
        apply3(BatchNorm(config), x, Tensor::cat(vec![gamma, beta], 0), moments)
    } else {
        batch_norm_reference(x, gamma, beta, config)
    }
}

/// [`batch_norm`] in plain tensor operations.
pub fn batch_norm_reference(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    config: BatchNormConfig,
) -> Tensor<4> {
    let shape = [1, x.dims()[1], 1, 1];
    let mean = x.clone().mean_dims(&[0, 2, 3]);
    let centred = x - mean;
    let var = centred.clone().square().mean_dims(&[0, 2, 3]);
    let normal = centred / (var + config.eps).sqrt();
    leaky_relu(normal * gamma.reshape(shape) + beta.reshape(shape), config.slope)
}

/// Input `x`.
#[derive(Debug)]
struct Moments;

impl Kernel for Moments {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let x = inputs[0];
        let moments = cpu::moments(x.values, x.shape[1], x.shape[2] * x.shape[3]);
        (Array::new(moments, &[2, x.shape[1]]), Vec::new())
    }

    fn cpu_backward(&self, _: &[View], _: &[View], _: View, _: &[bool]) -> Vec<Option<Array>> {
        // The input is off the tape: `batch_norm` carries the gradient through the statistics.
        vec![None]
    }
}

/// Inputs `x`, `[γ, β]`, `moments`.
#[derive(Debug)]
struct BatchNorm(BatchNormConfig);

impl BatchNorm {
    fn shape(&self, x: View) -> Shape {
        let BatchNormConfig { eps, slope } = self.0;
        Shape { channels: x.shape[1], area: x.shape[2] * x.shape[3], eps, slope }
    }
}

impl Kernel for BatchNorm {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let [x, weights, moments] = [inputs[0], inputs[1], inputs[2]];
        let y = cpu::forward(x.values, weights.values, moments.values, self.shape(x));
        (Array::new(y, x.shape), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, _: &[bool]) -> Vec<Option<Array>> {
        let [x, weights, moments] = [inputs[0], inputs[1], inputs[2]];
        let (dx, dweights) =
            cpu::backward(x.values, weights.values, moments.values, grad.values, self.shape(x));
        vec![Some(Array::new(dx, x.shape)), Some(Array::new(dweights, weights.shape)), None]
    }
}
