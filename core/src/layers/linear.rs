//! A linear map with named weights.

use burn::tensor::Tensor;

use super::Init;
use crate::kernel::{self, Activation};
use crate::params::{Param, Parameters, Walk};

/// `y = x Wᵀ + b`, weight `[out, in]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Param,
    bias: Param,
}

impl Linear {
    /// PyTorch's default start.
    pub fn new(from: usize, to: usize, init: &mut Init) -> Self {
        Self { weight: init.uniform_fan_in(&[to, from], from), bias: init.uniform_fan_in(&[to], from) }
    }

    /// Glorot weights, zero bias (SiT's basic start).
    pub fn xavier(from: usize, to: usize, init: &mut Init) -> Self {
        Self { weight: init.xavier(&[to, from]), bias: init.filled(&[to], 0.0) }
    }

    /// Normal weights of `std`, zero bias.
    pub fn normal(from: usize, to: usize, std: f32, init: &mut Init) -> Self {
        Self { weight: init.normal(&[to, from], 0.0, std), bias: init.filled(&[to], 0.0) }
    }

    /// All zeros (adaLN-zero).
    pub fn zero(from: usize, to: usize, init: &mut Init) -> Self {
        Self { weight: init.filled(&[to, from], 0.0), bias: init.filled(&[to], 0.0) }
    }

    /// Made of a given weight `[out, in]` and bias `[out]`.
    pub fn from_parts(weight: Param, bias: Param) -> Self {
        Self { weight, bias }
    }

    /// `[.., in]` → `[.., out]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernel::linear(x, self.weight.get(), Some(self.bias.get()))
    }

    /// [`forward`](Self::forward), then an activation.
    pub fn forward_activated<const D: usize>(&self, x: Tensor<D>, activation: Activation) -> Tensor<D> {
        kernel::linear_activated(x, self.weight.get(), self.bias.get(), activation)
    }

    /// The weight `[out, in]` and bias `[out]`, for maps that are applied together.
    pub fn weights(&self) -> (Tensor<2>, Tensor<1>) {
        (self.weight.get(), self.bias.get())
    }
}

impl Parameters for Linear {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        walk.param("bias", &mut self.bias);
    }
}
