//! The autoencoder: AutoencoderKL with its posterior, and what trains it (perceptual distance,
//! discriminator, loss). Parameter names are diffusers'.
//!
//! Latents are never normalised in here, whatever the configuration says: that is
//! [`latent_norm`](crate::latent_norm)'s business while training and the caller's afterwards.

mod blocks;
mod config;
mod decoder;
pub mod discriminator;
mod encoder;
pub mod loss;
pub mod perceptual;
mod posterior;

use burn::tensor::{Device, Tensor};

pub use config::VaeConfig;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use posterior::Posterior;

use crate::error::Result;
use crate::layers::{Conv2d, Init};
use crate::params::{Parameters, Walk};

/// AutoencoderKL (Rombach et al. 2022; diffusers `AutoencoderKL`).
#[derive(Clone, Debug)]
pub struct Vae {
    config: VaeConfig,
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
}

impl Vae {
    /// Fresh weights from `seed`, as PyTorch would draw them in kind.
    ///
    /// # Errors
    /// When the configuration does not fit together.
    pub fn new(config: &VaeConfig, seed: u64, device: &Device) -> Result<Self> {
        config.check()?;
        let init = &mut Init::new(seed, "vae", device);
        let z = config.latent_channels;
        Ok(Self {
            encoder: Encoder::new(config, init),
            decoder: Decoder::new(config, init),
            quant_conv: config.use_quant_conv.then(|| Conv2d::point(2 * z, 2 * z, init)),
            post_quant_conv: config.use_post_quant_conv.then(|| Conv2d::point(z, z, init)),
            config: config.clone(),
        })
    }

    /// Geometry and statistics.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// The posterior of pictures `[B, 3, H, W]` in [−1, 1]; H and W multiples of the downsampling.
    pub fn encode(&self, x: Tensor<4>) -> Posterior {
        let h = self.encoder.forward(x);
        let moments = match &self.quant_conv {
            Some(conv) => conv.forward(h),
            None => h,
        };
        Posterior::from_moments(moments)
    }

    /// Pictures `[B, 3, H, W]` of latents `[B, z, h, w]`, about [−1, 1], not clamped.
    pub fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        let z = match &self.post_quant_conv {
            Some(conv) => conv.forward(z),
            None => z,
        };
        self.decoder.forward(z)
    }
}

impl Parameters for Vae {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("encoder", &mut self.encoder);
        walk.part("decoder", &mut self.decoder);
        if let Some(conv) = &mut self.quant_conv {
            walk.part("quant_conv", conv);
        }
        if let Some(conv) = &mut self.post_quant_conv {
            walk.part("post_quant_conv", conv);
        }
    }
}
