//! Normalisations with learned scale and shift.

use burn::tensor::Tensor;

use super::Init;
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

    fn run(&self, x: Tensor<4>, silu: bool) -> Tensor<4> {
        let config = GroupNormConfig { groups: self.groups, eps: GROUP_NORM_EPS, silu };
        kernel::group_norm(x, self.weight.get(), self.bias.get(), config)
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
