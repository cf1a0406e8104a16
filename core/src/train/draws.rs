//! All randomness of a training step, drawn on the host from (seed, step) alone: a resumed run
//! is the same run, on any device.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;

pub use crate::sample::noise::{Stream, normal, rng};
use crate::sit::{Path, Weighting};

/// The draws of one step.
#[derive(Clone, Debug)]
pub struct Draws {
    /// Standard normal, `[B, z, h, w]`: which latent of the posterior.
    pub posterior_noise: Tensor<4>,
    /// Standard normal, `[B, z, h, w]`: the noise end of the path.
    pub noise: Tensor<4>,
    /// Times in [0, 1], `[B]`.
    pub time: Vec<f32>,
    /// Whose label is dropped.
    pub drop_label: Vec<bool>,
}

impl Draws {
    /// The draws of `step` for latents of shape `[B, z, h, w]`.
    pub fn new(
        seed: u64,
        step: u64,
        shape: [usize; 4],
        (path, weighting): (Path, Weighting),
        label_dropout: f32,
        device: &Device,
    ) -> Self {
        let rng = &mut rng(seed, Stream::Step(step));
        let count = shape.iter().product();
        let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, shape), device);
        let posterior_noise = tensor(normal(rng, count));
        let noise = tensor(normal(rng, count));
        let time = (0..shape[0])
            .map(|_| match weighting {
                Weighting::Uniform => path.time(rng.random(), weighting),
                Weighting::Lognormal => path.time(rng.sample(StandardNormal), weighting),
            })
            .collect();
        let drop_label = (0..shape[0]).map(|_| rng.random::<f32>() < label_dropout).collect();
        Self { posterior_noise, noise, time, drop_label }
    }

    /// The draws of parts of `size` pictures, the last perhaps smaller.
    pub fn parts(self, size: usize) -> Vec<Self> {
        let count = self.time.len();
        if size >= count {
            return vec![self];
        }
        let part = |first: usize| {
            let range = first..count.min(first + size);
            Self {
                posterior_noise: self.posterior_noise.clone().narrow(0, first, range.len()),
                noise: self.noise.clone().narrow(0, first, range.len()),
                time: self.time[range.clone()].to_vec(),
                drop_label: self.drop_label[range].to_vec(),
            }
        };
        (0..count).step_by(size).map(part).collect()
    }

    /// `labels` with the dropped ones replaced by `null`.
    pub fn dropped(&self, labels: &[usize], null: usize) -> Vec<usize> {
        labels.iter().zip(&self.drop_label).map(|(&y, &drop)| if drop { null } else { y }).collect()
    }
}
