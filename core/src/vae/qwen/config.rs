//! The configuration of an AutoencoderKLQwenImage, with diffusers' defaults for absent keys.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Geometry and latent statistics, as in `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QwenConfig {
    /// Feature channels at the finest level.
    pub base_dim: usize,
    /// Channels of the latent.
    pub z_dim: usize,
    /// Channels per level over `base_dim`, from the finest.
    pub dim_mult: Vec<usize>,
    /// Residual blocks per encoder level; the decoder has one more.
    pub num_res_blocks: usize,
    /// Scales with attention: always none in a published model.
    pub attn_scales: Vec<f64>,
    /// Which ways down also halve time (the key is spelt like this).
    pub temperal_downsample: Vec<bool>,
    /// Always 0.
    pub dropout: f64,
    /// Picture channels in and out; absent in older files.
    pub input_channels: usize,
    /// Mean of each latent channel.
    pub latents_mean: Vec<f64>,
    /// Standard deviation of each latent channel.
    pub latents_std: Vec<f64>,
}

impl Default for QwenConfig {
    fn default() -> Self {
        Self {
            base_dim: 96,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: Vec::new(),
            temperal_downsample: vec![false, true, true],
            dropout: 0.0,
            input_channels: 3,
            latents_mean: vec![
                -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517,
                -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
            ],
            latents_std: vec![
                2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652,
                1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
            ],
        }
    }
}

impl QwenConfig {
    /// Feature channels per level, from the finest.
    pub fn widths(&self) -> Vec<usize> {
        self.dim_mult.iter().map(|multiple| multiple.saturating_mul(self.base_dim)).collect()
    }

    /// Checks what [`VaeConfig`](crate::vae::VaeConfig) does not.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first key that does not fit.
    pub fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::Config(format!("Qwen-Image autoencoder configuration: {what}")));
        let levels = self.dim_mult.len();
        if levels == 0 || self.temperal_downsample.len() + 1 != levels {
            return bad(format!(
                "temperal_downsample has {} entries for {levels} levels of dim_mult",
                self.temperal_downsample.len()
            ));
        }
        if !self.attn_scales.is_empty() {
            return bad("attn_scales is not empty, which no published model has".into());
        }
        if self.widths().iter().any(|width| !width.is_multiple_of(2)) {
            return bad(format!("base_dim {} gives odd widths", self.base_dim));
        }
        Ok(())
    }
}
