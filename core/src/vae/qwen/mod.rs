//! Qwen-Image's autoencoder (diffusers `AutoencoderKLQwenImage`) for still pictures.
//!
//! It is made for video, with causal convolutions over time. For a single frame it is exactly a 2-D
//! network (FORMATS.md, section 3): two frames of zeros stand before the first, so of each 3×3×3 kernel
//! only the last time slice acts, and convolutions over time alone are skipped. The acting slices are
//! the weights here; the rest is kept beside them as buffers, so that a checkpoint is whole.

mod blocks;
mod config;
mod slices;

use burn::tensor::Tensor;

pub use config::QwenConfig;
pub use slices::{ActingSlices, join_slices};

use crate::kernel;
use crate::layers::Init;
use crate::params::{Parameters, Walk};
use blocks::{Causal1, Causal3, Down, Middle, Norm, ResBlock, Up};

/// Encoder and decoder with their 1×1×1 convolutions.
#[derive(Clone, Debug)]
pub struct QwenImage {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Causal1,
    post_quant_conv: Causal1,
}

impl QwenImage {
    /// A model of a configuration that has been checked.
    pub(super) fn new(config: &QwenConfig, init: &mut Init) -> Self {
        let z = config.z_dim;
        Self {
            encoder: Encoder::new(config, init),
            decoder: Decoder::new(config, init),
            quant_conv: Causal1::new(2 * z, 2 * z, init),
            post_quant_conv: Causal1::new(z, z, init),
        }
    }

    /// Mean and log variance (not clamped): `[B, 3, H, W]` → `[B, 2z, H/8, W/8]`.
    pub fn moments(&self, x: Tensor<4>) -> Tensor<4> {
        self.quant_conv.forward(self.encoder.forward(x))
    }

    /// Pictures of latents, clamped to [−1, 1]; no gradient passes where it clamps.
    pub fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        self.decode_unclamped(z).clamp(-1.0, 1.0)
    }

    /// Pictures of latents as the decoder gives them.
    pub fn decode_unclamped(&self, z: Tensor<4>) -> Tensor<4> {
        self.decoder.forward(self.post_quant_conv.forward(z))
    }
}

impl Parameters for QwenImage {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("encoder", &mut self.encoder);
        walk.part("decoder", &mut self.decoder);
        walk.part("quant_conv", &mut self.quant_conv);
        walk.part("post_quant_conv", &mut self.post_quant_conv);
    }
}

/// Pictures to moments. Its blocks are one flat list: residual blocks and ways down.
#[derive(Clone, Debug)]
struct Encoder {
    conv_in: Causal3,
    down_blocks: Vec<Down>,
    mid_block: Middle,
    norm_out: Norm,
    conv_out: Causal3,
}

impl Encoder {
    fn new(config: &QwenConfig, init: &mut Init) -> Self {
        let widths = config.widths();
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let conv_in = Causal3::new(config.input_channels, first, init);
        let mut from = first;
        let mut down_blocks = Vec::new();
        for (level, &to) in widths.iter().enumerate() {
            for _ in 0..config.num_res_blocks {
                down_blocks.push(Down::res(from, to, init));
                from = to;
            }
            if level + 1 < widths.len() {
                down_blocks.push(Down::resample(to, config.temperal_downsample[level], init));
            }
        }
        Self {
            conv_in,
            down_blocks,
            mid_block: Middle::new(last, init),
            norm_out: Norm::new(last, init),
            conv_out: Causal3::new(last, 2 * config.z_dim, init),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.down_blocks.iter().fold(self.conv_in.forward(x), |h, block| block.forward(h));
        let h = self.norm_out.forward(self.mid_block.forward(h));
        self.conv_out.forward(kernel::silu(h))
    }
}

impl Parameters for Encoder {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("conv_in", &mut self.conv_in);
        walk.parts("down_blocks", &mut self.down_blocks);
        walk.part("mid_block", &mut self.mid_block);
        walk.part("norm_out", &mut self.norm_out);
        walk.part("conv_out", &mut self.conv_out);
    }
}

/// Latents to pictures; a way up halves the channels.
#[derive(Clone, Debug)]
struct Decoder {
    conv_in: Causal3,
    mid_block: Middle,
    up_blocks: Vec<Up>,
    norm_out: Norm,
    conv_out: Causal3,
}

impl Decoder {
    fn new(config: &QwenConfig, init: &mut Init) -> Self {
        let mut widths = config.widths();
        widths.reverse();
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let conv_in = Causal3::new(config.z_dim, first, init);
        let mid_block = Middle::new(first, init);
        let mut from = first;
        let mut up_blocks = Vec::new();
        for (i, &to) in widths.iter().enumerate() {
            let resnets = (0..=config.num_res_blocks)
                .map(|j| ResBlock::new(if j == 0 { from } else { to }, to, init))
                .collect();
            let levels = widths.len();
            let up = (i + 1 < levels).then(|| config.temperal_downsample[levels - 2 - i]);
            up_blocks.push(Up::new(resnets, to, up, init));
            from = to / 2;
        }
        let (norm_out, conv_out) = (Norm::new(last, init), Causal3::new(last, config.input_channels, init));
        Self { conv_in, mid_block, up_blocks, norm_out, conv_out }
    }

    fn forward(&self, z: Tensor<4>) -> Tensor<4> {
        let h = self.mid_block.forward(self.conv_in.forward(z));
        let h = self.up_blocks.iter().fold(h, |h, block| block.forward(h));
        self.conv_out.forward(kernel::silu(self.norm_out.forward(h)))
    }
}

impl Parameters for Decoder {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("conv_in", &mut self.conv_in);
        walk.part("mid_block", &mut self.mid_block);
        walk.parts("up_blocks", &mut self.up_blocks);
        walk.part("norm_out", &mut self.norm_out);
        walk.part("conv_out", &mut self.conv_out);
    }
}
