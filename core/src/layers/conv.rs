//! A 2-D convolution with named weights.

use burn::tensor::Tensor;

use super::Init;
use crate::kernel::{self, Activation, Conv};
use crate::params::{Param, Parameters, Walk};

/// A convolution, weight `[out, in, k, k]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Param,
    bias: Option<Param>,
    conv: Conv,
}

impl Conv2d {
    /// PyTorch's default start, square kernel of `size`.
    pub fn new(from: usize, to: usize, size: usize, conv: Conv, init: &mut Init) -> Self {
        let fan_in = from * size * size;
        Self {
            weight: init.uniform_fan_in(&[to, from, size, size], fan_in),
            bias: Some(init.uniform_fan_in(&[to], fan_in)),
            conv,
        }
    }

    /// 3×3 that keeps the size.
    pub fn same3(from: usize, to: usize, init: &mut Init) -> Self {
        Self::new(from, to, 3, Conv::new(1, 1), init)
    }

    /// 1×1.
    pub fn point(from: usize, to: usize, init: &mut Init) -> Self {
        Self::new(from, to, 1, Conv::new(1, 0), init)
    }

    /// Made of given weights; `bias` may be absent.
    pub fn from_parts(weight: Param, bias: Option<Param>, conv: Conv) -> Self {
        Self { weight, bias, conv }
    }

    /// `[B, in, H, W]` → `[B, out, H', W']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        kernel::conv2d(x, self.weight.get(), self.bias.as_ref().map(Param::get), self.conv)
    }

    /// Weight and bias, and how they are applied, for an operation that takes in what comes before; nothing
    /// where there is no bias.
    pub fn weights(&self) -> Option<((Tensor<4>, Tensor<1>), Conv)> {
        self.bias.as_ref().map(|bias| ((self.weight.get(), bias.get()), self.conv))
    }

    /// [`forward`](Self::forward), then an activation.
    pub fn forward_activated(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        match &self.bias {
            Some(bias) => kernel::conv2d_activated(x, self.weight.get(), bias.get(), self.conv, activation),
            None => kernel::activated::activate(self.forward(x), activation),
        }
    }

    /// The convolution of `x` enlarged twice by repeating pixels: `[B, in, H, W]` → `[B, out, 2H, 2W]`.
    pub fn forward_upsampled(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.bias {
            Some(bias) if self.weight.shape()[2..] == [3, 3] && self.conv == Conv::new(1, 1) => {
                kernel::upsampled_conv2d(x, self.weight.get(), bias.get())
            }
            _ => self.forward(kernel::resample::nearest_x2(x)),
        }
    }
}

impl Parameters for Conv2d {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        if let Some(bias) = &mut self.bias {
            walk.param("bias", bias);
        }
    }
}
