//! Latents outside training: what a transformer sees of them, by the model's own configuration.
//!
//! diffusers never does this inside encode or decode; pipelines do, and not all in the same way, so
//! the convention is named.

use burn::tensor::{Tensor, TensorData};

use super::Vae;

/// What a pipeline makes of `latents_mean`/`latents_std` and `scaling_factor`/`shift_factor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatentConvention {
    /// Mean and deviation where the configuration has both, else shift and scale (REPA-E,
    /// Qwen-Image): `(z − mean) / std`, or `(z − shift) · scale`.
    #[default]
    StatsElseScale,
    /// Mean and deviation *and* scale (diffusers' SDXL pipelines): `(z − mean) · scale / std`.
    StatsAndScale,
}

impl Vae {
    /// Latents as a transformer or pipeline wants them.
    ///
    /// # Shapes
    /// `[B, z, h, w]` → `[B, z, h, w]`.
    pub fn normalize_latents(&self, z: Tensor<4>, convention: LatentConvention) -> Tensor<4> {
        let (mean, std) = self.latent_affine(&z, convention);
        (z - mean) / std
    }

    /// The inverse of [`normalize_latents`](Self::normalize_latents): latents to decode.
    pub fn denormalize_latents(&self, z: Tensor<4>, convention: LatentConvention) -> Tensor<4> {
        let (mean, std) = self.latent_affine(&z, convention);
        z * std + mean
    }

    /// What is subtracted and divided by, each `[1, z, 1, 1]`.
    fn latent_affine(&self, z: &Tensor<4>, convention: LatentConvention) -> (Tensor<4>, Tensor<4>) {
        let config = self.config();
        let channels = config.latent_channels;
        let scale = config.scaling_factor;
        let (mean, std) = match (&config.latents_mean, &config.latents_std) {
            (Some(mean), Some(std)) => match convention {
                LatentConvention::StatsElseScale => (mean.clone(), std.clone()),
                LatentConvention::StatsAndScale => {
                    (mean.clone(), std.iter().map(|s| s / scale).collect::<Vec<_>>())
                }
            },
            _ => (vec![config.shift_factor.unwrap_or(0.0); channels], vec![1.0 / scale; channels]),
        };
        let row = |values: Vec<f64>| {
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, channels, 1, 1]), &z.device())
        };
        (row(mean), row(std))
    }
}
