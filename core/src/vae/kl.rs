//! AutoencoderKL (Rombach et al. 2022; diffusers `AutoencoderKL`).

use burn::tensor::Tensor;

use super::{Decoder, Encoder, VaeConfig};
use crate::layers::{Conv2d, Init};
use crate::params::{Parameters, Walk};

/// Encoder and decoder, each with a 1×1 convolution towards the latent where the model has one.
#[derive(Clone, Debug)]
pub struct AutoencoderKl {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
}

impl AutoencoderKl {
    /// A model of a configuration that has been checked.
    pub(super) fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let z = config.latent_channels;
        Self {
            encoder: Encoder::new(config, init),
            decoder: Decoder::new(config, init),
            quant_conv: config.use_quant_conv.then(|| Conv2d::point(2 * z, 2 * z, init)),
            post_quant_conv: config.use_post_quant_conv.then(|| Conv2d::point(z, z, init)),
        }
    }

    /// Whether backward runs the blocks again instead of keeping what is inside them.
    pub(super) fn checkpoint_gradients(&mut self, on: bool) {
        self.encoder.checkpoint_gradients(on);
        self.decoder.checkpoint_gradients(on);
    }

    /// Mean and log variance (not clamped) of pictures: `[B, 3, H, W]` → `[B, 2z, h, w]`.
    pub fn moments(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.encoder.forward(x);
        match &self.quant_conv {
            Some(conv) => conv.forward(h),
            None => h,
        }
    }

    /// Pictures of latents: `[B, z, h, w]` → `[B, 3, H, W]`, not clamped.
    pub fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        let z = match &self.post_quant_conv {
            Some(conv) => conv.forward(z),
            None => z,
        };
        self.decoder.forward(z)
    }
}

impl Parameters for AutoencoderKl {
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
