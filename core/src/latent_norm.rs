//! Normalisation of latents between autoencoder and transformer: a batch norm without weights
//! (REPA-E, section 3.2), eps 1e-4, with the exact inverse.
//!
//! The autoencoder pass uses the *running* statistics (gradient flows through, nothing is
//! updated), the transformer pass the *batch's* own and updates the running ones. Which is meant
//! is said by the method's name. The reference inverts without eps; here inversion is exact.

use burn::tensor::{Device, Tensor};

use crate::kernel::optimizer::{Gate, gated};
use crate::params::{Param, Parameters, Walk};

/// Added to the variance.
pub const EPS: f32 = 1e-4;

/// Running mean and variance of each latent channel.
#[derive(Clone, Debug)]
pub struct LatentNorm {
    running_mean: Param,
    running_var: Param,
    momentum: f32,
}

/// Mean and unbiased variance `[C]` of one batch of latents.
#[derive(Clone, Debug)]
pub struct LatentStats {
    /// Mean of each channel.
    pub mean: Tensor<1>,
    /// Unbiased variance of each channel.
    pub var: Tensor<1>,
}

impl LatentNorm {
    /// Mean 0, variance 1.
    pub fn new(channels: usize, momentum: f32, device: &Device) -> Self {
        Self {
            running_mean: Param::buffer(vec![0.0; channels], &[channels], device),
            running_var: Param::buffer(vec![1.0; channels], &[channels], device),
            momentum,
        }
    }

    /// Starts from known statistics: mean and standard deviation of each channel.
    pub fn set_stats(&mut self, mean: &[f32], std: &[f32]) {
        let device = self.running_mean.flat().device();
        self.running_mean.set(Tensor::from_floats(mean, &device));
        let var: Vec<f32> = std.iter().map(|s| (s * s - EPS).max(0.0)).collect();
        self.running_var.set(Tensor::from_floats(var.as_slice(), &device));
    }

    /// `(z − mean) / √(var + eps)` with the running statistics; differentiable, no update.
    pub fn normalize_running(&self, z: Tensor<4>) -> Tensor<4> {
        (z - self.mean4()) / self.std4()
    }

    /// The same with the batch's own mean and biased variance; returns what to
    /// [`absorb`](Self::absorb).
    pub fn normalize_batch(&self, z: Tensor<4>) -> (Tensor<4>, LatentStats) {
        let [b, c, h, w] = z.dims();
        let count = (b * h * w) as f64;
        let mean = z.clone().mean_dims(&[0, 2, 3]);
        let centred = z - mean.clone();
        let var = centred.clone().square().mean_dims(&[0, 2, 3]);
        let normal = centred / (var.clone() + EPS).sqrt();
        let flat = |t: Tensor<4>| t.reshape([c]).without_autodiff();
        let unbiased = var * (count / (count - 1.0).max(1.0));
        (normal, LatentStats { mean: flat(mean), var: flat(unbiased) })
    }

    /// Folds a batch's statistics into the running ones, `(1 − momentum) old + momentum new`, if
    /// the gate is open.
    pub fn absorb(&mut self, stats: LatentStats, gate: &Gate) {
        let momentum = self.momentum;
        let blend = |old: &Param, new: Tensor<1>| {
            gated(old.flat().clone() * (1.0 - momentum) + new * momentum, old.flat().clone(), gate)
        };
        self.running_mean.set(blend(&self.running_mean, stats.mean));
        self.running_var.set(blend(&self.running_var, stats.var));
    }

    /// The exact inverse of [`normalize_running`](Self::normalize_running).
    pub fn denormalize(&self, z: Tensor<4>) -> Tensor<4> {
        z * self.std4() + self.mean4()
    }

    /// Mean and standard deviation of each channel on the host (reads back).
    pub fn stats(&self) -> (Vec<f32>, Vec<f32>) {
        let std = self.running_var.to_vec().iter().map(|v| (v + EPS).sqrt()).collect();
        (self.running_mean.to_vec(), std)
    }

    fn mean4(&self) -> Tensor<4> {
        self.running_mean.get::<1>().reshape([1, self.running_mean.len(), 1, 1])
    }

    fn std4(&self) -> Tensor<4> {
        (self.running_var.get::<1>() + EPS).sqrt().reshape([1, self.running_var.len(), 1, 1])
    }
}

impl Parameters for LatentNorm {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("running_mean", &mut self.running_mean);
        walk.param("running_var", &mut self.running_var);
    }
}
