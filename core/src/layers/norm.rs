//! Normalisations with learned scale and shift.

use burn::tensor::Tensor;

use super::{Conv2d, Init};
use crate::kernel::{self, GroupNormConfig};
use crate::params::{Param, Parameters, Walk};

/// Epsilon of every group norm in a published autoencoder.
const GROUP_NORM_EPS: f32 = 1e-6;

/// Group norm over `[B, C, H, W]`.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Param,
    bias: Param,
    groups: usize,
}

impl GroupNorm {
    /// Scale one, shift zero.
    pub fn new(channels: usize, groups: usize, init: &mut Init) -> Self {
        Self { weight: init.filled(&[channels], 1.0), bias: init.filled(&[channels], 0.0), groups }
    }

    /// The norm alone.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.run(x, false)
    }

    /// The norm followed by SiLU, in one pass.
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        self.run(x, true)
    }

    /// The norm, SiLU and then `conv`, as one operation that keeps `x` alone for backward.
    pub fn forward_silu_conv(&self, x: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
        let Some((weights, shape)) = conv.weights() else { return conv.forward(self.forward_silu(x)) };
        kernel::normed_conv2d(x, (self.weight.get(), self.bias.get()), self.config(true), weights, shape)
    }

    fn run(&self, x: Tensor<4>, silu: bool) -> Tensor<4> {
        kernel::group_norm(x, self.weight.get(), self.bias.get(), self.config(silu))
    }

    fn config(&self, silu: bool) -> GroupNormConfig {
        GroupNormConfig { groups: self.groups, eps: GROUP_NORM_EPS, silu }
    }
}

impl Parameters for GroupNorm {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        walk.param("bias", &mut self.bias);
    }
}

/// Layer norm over the last axis.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Param,
    bias: Param,
    eps: f32,
}

impl LayerNorm {
    /// Scale one, shift zero.
    pub fn new(width: usize, eps: f32, init: &mut Init) -> Self {
        Self { weight: init.filled(&[width], 1.0), bias: init.filled(&[width], 0.0), eps }
    }

    /// Made of given scale and shift `[width]`.
    pub fn from_parts(weight: Param, bias: Param, eps: f32) -> Self {
        Self { weight, bias, eps }
    }

    /// `[.., width]` → `[.., width]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernel::layer_norm(x, self.weight.get(), self.bias.get(), self.eps)
    }
}

impl Parameters for LayerNorm {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        walk.param("bias", &mut self.bias);
    }
}
