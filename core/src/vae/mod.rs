//! The autoencoder: AutoencoderKL or Qwen-Image's (for still pictures) behind one [`Vae`], its
//! posterior, and what trains it (perceptual distance, discriminator, loss). Parameter names are
//! diffusers'.
//!
//! Latents are never normalised by [`Vae::encode`] or [`Vae::decode`], whatever the configuration
//! says: that is [`latent_norm`](crate::latent_norm)'s business while training, and
//! [`Vae::normalize_latents`]' afterwards.

mod blocks;
mod config;
mod decoder;
pub mod discriminator;
mod encoder;
mod kl;
mod latents;
pub mod loss;
pub mod perceptual;
mod posterior;
pub mod qwen;
mod tiling;

use burn::tensor::{Device, Tensor};

pub use config::VaeConfig;
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use kl::AutoencoderKl;
pub use latents::LatentConvention;
pub use posterior::Posterior;
pub use qwen::{QwenConfig, QwenImage};
pub use tiling::Tiling;

use crate::error::Result;
use crate::kernel::threads;
use crate::layers::Init;
use crate::params::{Parameters, Walk};

/// An autoencoder of any supported architecture.
#[derive(Clone, Debug)]
pub struct Vae {
    config: VaeConfig,
    net: Net,
    slicing: bool,
    tiling: Option<Tiling>,
}

#[derive(Clone, Debug)]
enum Net {
    Kl(Box<AutoencoderKl>),
    Qwen(Box<QwenImage>),
}

impl Vae {
    /// Fresh weights from `seed`, as PyTorch would draw them in kind.
    ///
    /// # Errors
    /// When the configuration does not fit together.
    pub fn new(config: &VaeConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::with(config, &mut Init::new(seed, "vae", device))
    }

    /// No weights yet: to be loaded before use.
    ///
    /// # Errors
    /// When the configuration does not fit together.
    pub fn unset(config: &VaeConfig, device: &Device) -> Result<Self> {
        Self::with(config, &mut Init::unset(device))
    }

    fn with(config: &VaeConfig, init: &mut Init) -> Result<Self> {
        config.check()?;
        let net = match &config.qwen {
            Some(qwen) => Net::Qwen(Box::new(QwenImage::new(qwen, init))),
            None => Net::Kl(Box::new(AutoencoderKl::new(config, init))),
        };
        Ok(Self { config: config.clone(), net, slicing: false, tiling: None })
    }

    /// Geometry and statistics.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Puts other latent statistics into the configuration: mean and standard deviation of each
    /// channel. Nothing else about the model changes.
    pub fn set_latent_stats(&mut self, mean: &[f32], std: &[f32]) {
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        self.config.set_latent_stats(wide(mean), wide(std));
    }

    /// Encodes and decodes one sample of a batch at a time.
    pub fn enable_slicing(&mut self) {
        self.slicing = true;
    }

    /// Whole batches again.
    pub fn disable_slicing(&mut self) {
        self.slicing = false;
    }

    /// Encodes and decodes pictures larger than a tile in overlapping tiles, which bounds memory;
    /// results differ a little at the seams. `None` takes the tiles of diffusers.
    pub fn enable_tiling(&mut self, tiling: Option<Tiling>) {
        self.tiling = Some(tiling.unwrap_or_else(|| Tiling::of(&self.config)));
    }

    /// Whole pictures again.
    pub fn disable_tiling(&mut self) {
        self.tiling = None;
    }

    /// Whether backward runs the blocks again instead of keeping what is inside them: less memory, the same
    /// gradients. Qwen-Image's blocks are kept all the same.
    pub fn checkpoint_gradients(&mut self, on: bool) {
        if let Net::Kl(net) = &mut self.net {
            net.checkpoint_gradients(on);
        }
    }

    /// The posterior of pictures `[B, 3, H, W]` in [−1, 1]; H and W multiples of the downsampling.
    pub fn encode(&self, x: Tensor<4>) -> Posterior {
        let moments = |x: Tensor<4>| match &self.net {
            Net::Kl(net) => net.moments(x),
            Net::Qwen(net) => net.moments(x),
        };
        threads::inside(&x.device(), || {
            Posterior::from_moments(self.sliced(x, |x| match &self.tiling {
                Some(tiling) => tiling.encode(x, &moments),
                None => moments(x),
            }))
        })
    }

    /// Pictures `[B, 3, H, W]` of latents `[B, z, h, w]`, about [−1, 1]. AutoencoderKL's are not
    /// clamped; Qwen-Image's are, unless they were made in tiles (as in diffusers).
    pub fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        let whole = |z: Tensor<4>| match &self.net {
            Net::Kl(net) => net.decode(z),
            Net::Qwen(net) => net.decode(z),
        };
        threads::inside(&z.device(), || {
            self.sliced(z, |z| match &self.tiling {
                Some(tiling) if tiling.splits_latent(&z) => tiling.decode(z, &|z| self.decode_unclamped(z)),
                _ => whole(z),
            })
        })
    }

    /// [`decode`](Self::decode) without any clamping, slicing or tiling.
    pub fn decode_unclamped(&self, z: Tensor<4>) -> Tensor<4> {
        match &self.net {
            Net::Kl(net) => net.decode(z),
            Net::Qwen(net) => net.decode_unclamped(z),
        }
    }

    /// Reconstructs pictures: from the mode of the posterior, or from a sample with `noise`.
    pub fn forward(&self, x: Tensor<4>, noise: Option<Tensor<4>>) -> Tensor<4> {
        let posterior = self.encode(x);
        let z = match noise {
            Some(noise) => posterior.sample(noise),
            None => posterior.mode(),
        };
        self.decode(z)
    }

    fn sliced(&self, x: Tensor<4>, run: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let batch = x.dims()[0];
        if !self.slicing || batch < 2 {
            return run(x);
        }
        Tensor::cat((0..batch).map(|i| run(x.clone().narrow(0, i, 1))).collect(), 0)
    }
}

impl Parameters for Vae {
    fn walk(&mut self, walk: &mut Walk) {
        match &mut self.net {
            Net::Kl(net) => net.walk(walk),
            Net::Qwen(net) => net.walk(walk),
        }
    }
}
