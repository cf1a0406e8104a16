//! PatchGAN (Isola et al. 2017) with batch norms that are always in training mode, as the
//! reference runs it; and the two sides of its loss.
//!
//! Names are the reference's: `main.0`, `main.2`, … (repae/loss/discriminator). burn's BatchNorm
//! keeps a biased variance and shares its state between clones, so the norm is ours: a forward
//! pass returns the statistics it saw, and [`Discriminator::absorb`] folds them in when the
//! caller decides that the step counts.

use burn::tensor::{Device, Tensor};

use crate::kernel::optimizer::{Gate, gated};
use crate::kernel::{self, Activation, BatchNormConfig, Conv};
use crate::layers::{Conv2d, Init};
use crate::params::{Param, Parameters, Walk};

const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;
const LEAKY_SLOPE: f32 = 0.2;

/// Mean and unbiased variance of one norm's input.
#[derive(Clone, Debug)]
pub struct BatchStats {
    mean: Tensor<1>,
    var: Tensor<1>,
}

/// Batch norm over `[B, C, H, W]`.
#[derive(Clone, Debug)]
struct BatchNorm {
    weight: Param,
    bias: Param,
    running_mean: Param,
    running_var: Param,
    num_batches_tracked: Param,
}

impl BatchNorm {
    fn new(channels: usize, init: &mut Init) -> Self {
        let device = init.device().clone();
        Self {
            weight: init.normal(&[channels], 1.0, 0.02),
            bias: init.filled(&[channels], 0.0),
            running_mean: Param::buffer(vec![0.0; channels], &[channels], &device),
            running_var: Param::buffer(vec![1.0; channels], &[channels], &device),
            num_batches_tracked: Param::buffer(vec![0.0], &[1], &device),
        }
    }

    /// Normalises with the batch's own statistics, applies the leaky ReLU, and returns the statistics.
    fn forward(&self, x: Tensor<4>) -> (Tensor<4>, BatchStats) {
        let [b, c, h, w] = x.dims();
        let count = (b * h * w) as f64;
        let moments = kernel::batch_moments(x.clone()); // [2, C]
        let config = BatchNormConfig { eps: EPS, slope: LEAKY_SLOPE };
        let y = kernel::batch_norm(x, self.weight.get(), self.bias.get(), moments.clone(), config);
        let row = |i: usize| moments.clone().narrow(0, i, 1).reshape([c]);
        (y, BatchStats { mean: row(0), var: row(1) * (count / (count - 1.0).max(1.0)) })
    }

    /// Normalises with the running statistics.
    fn forward_running(&self, x: Tensor<4>) -> Tensor<4> {
        let c = x.dims()[1];
        let mean = self.running_mean.get::<1>().reshape([1, c, 1, 1]);
        let std = (self.running_var.get::<1>() + EPS).sqrt().reshape([1, c, 1, 1]);
        self.affine((x - mean) / std)
    }

    fn affine(&self, x: Tensor<4>) -> Tensor<4> {
        let c = x.dims()[1];
        let shape = [1, c, 1, 1];
        x * self.weight.get::<1>().reshape(shape) + self.bias.get::<1>().reshape(shape)
    }

    fn absorb(&mut self, stats: BatchStats, gate: &Gate) {
        let blend = |old: &Param, new: Tensor<1>| {
            gated(old.flat().clone() * (1.0 - MOMENTUM) + new * MOMENTUM, old.flat().clone(), gate)
        };
        self.running_mean.set(blend(&self.running_mean, stats.mean));
        self.running_var.set(blend(&self.running_var, stats.var));
        self.num_batches_tracked.set(self.num_batches_tracked.flat().clone() + 1.0);
    }
}

impl Parameters for BatchNorm {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        walk.param("bias", &mut self.bias);
        walk.param("running_mean", &mut self.running_mean);
        walk.param("running_var", &mut self.running_var);
        walk.param("num_batches_tracked", &mut self.num_batches_tracked);
    }
}

/// Scores overlapping patches of a picture: positive means real.
#[derive(Clone, Debug)]
pub struct Discriminator {
    first: Conv2d,
    layers: Vec<(Conv2d, BatchNorm)>,
    last: Conv2d,
}

impl Discriminator {
    /// `width` channels after the first convolution, doubled (up to 8 ×) in each of `num_layers`.
    /// Convolutions start normal with std 0.02, norm scales normal around 1.
    pub fn new(width: usize, num_layers: usize, seed: u64, device: &Device) -> Self {
        let init = &mut Init::new(seed, "discriminator", device);
        let conv = |from: usize, to: usize, bias: bool, stride: usize, init: &mut Init| {
            let weight = init.normal(&[to, from, 4, 4], 0.0, 0.02);
            let bias = bias.then(|| init.uniform_fan_in(&[to], from * 16));
            Conv2d::from_parts(weight, bias, Conv::new(stride, 1))
        };
        let first = conv(3, width, true, 2, init);
        let mut from = width;
        let mut layers = Vec::new();
        for n in 1..=num_layers {
            let to = width * (1usize << n.min(3));
            let stride = if n < num_layers { 2 } else { 1 };
            layers.push((conv(from, to, false, stride, init), BatchNorm::new(to, init)));
            from = to;
        }
        Self { first, layers, last: conv(from, 1, true, 1, init) }
    }

    /// Logits in training mode, and the statistics seen.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` in [−1, 1] → `[B, 1, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> (Tensor<4>, Vec<BatchStats>) {
        let mut h = self.first.forward_activated(x, Activation::LeakyRelu(LEAKY_SLOPE));
        let mut seen = Vec::new();
        for (conv, norm) in &self.layers {
            let (normal, stats) = norm.forward(conv.forward(h));
            h = normal;
            seen.push(stats);
        }
        (self.last.forward(h), seen)
    }

    /// Logits with the running statistics.
    pub fn forward_running(&self, x: Tensor<4>) -> Tensor<4> {
        let mut h = self.first.forward_activated(x, Activation::LeakyRelu(LEAKY_SLOPE));
        for (conv, norm) in &self.layers {
            h = kernel::leaky_relu(norm.forward_running(conv.forward(h)), LEAKY_SLOPE);
        }
        self.last.forward(h)
    }

    /// Folds the statistics of one forward pass into the running ones (momentum 0.1), if the gate is
    /// open.
    pub fn absorb(&mut self, stats: Vec<BatchStats>, gate: &Gate) {
        for ((_, norm), stats) in self.layers.iter_mut().zip(stats) {
            norm.absorb(stats, gate);
        }
    }
}

impl Parameters for Discriminator {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("main.0", &mut self.first);
        let num_layers = self.layers.len();
        for (n, (conv, norm)) in self.layers.iter_mut().enumerate() {
            walk.part(&format!("main.{}", 2 + 3 * n), conv);
            walk.part(&format!("main.{}", 3 + 3 * n), norm);
        }
        walk.part(&format!("main.{}", 2 + 3 * num_layers), &mut self.last);
    }
}

/// What the autoencoder is charged: `−mean D(x̂)`, a scalar `[1]`.
pub fn generator_loss(logits_fake: Tensor<4>) -> Tensor<1> {
    logits_fake.mean().neg()
}

/// Hinge loss `½ (mean relu(1 − D(x)) + mean relu(1 + D(x̂)))`, a scalar `[1]`.
pub fn hinge_loss(logits_real: Tensor<4>, logits_fake: Tensor<4>) -> Tensor<1> {
    (kernel::loss::hinge(logits_real, -1.0) + kernel::loss::hinge(logits_fake, 1.0)) * 0.5
}
