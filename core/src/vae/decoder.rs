//! The decoder: latents to pictures (diffusers `Decoder`).

use burn::tensor::Tensor;

use super::VaeConfig;
use super::blocks::{Level, Middle};
use crate::layers::{Conv2d, GroupNorm, Init};
use crate::params::{Parameters, Walk};

/// The middle, then up through the levels; `up_blocks.0` is the coarsest.
#[derive(Clone, Debug)]
pub struct Decoder {
    conv_in: Conv2d,
    mid_block: Middle,
    up_blocks: Vec<Level>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    /// Fresh weights.
    pub fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let mut channels = config.block_out_channels.clone();
        channels.reverse();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let groups = config.norm_num_groups;
        let conv_in = Conv2d::same3(config.latent_channels, first, init);
        let mid_block = Middle::new(first, groups, config.mid_block_add_attention, init);
        let mut from = first;
        let mut up_blocks = Vec::new();
        for (i, &to) in channels.iter().enumerate() {
            let up = (i + 1 < channels.len()).then(|| Conv2d::same3(to, to, init));
            let attention = config.up_attention(i);
            let layers = config.layers_per_block + 1;
            up_blocks.push(Level::new((from, to), layers, groups, attention, ("upsamplers", up), init));
            from = to;
        }
        Self {
            conv_in,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNorm::new(last, groups, init),
            conv_out: Conv2d::same3(last, config.out_channels, init),
        }
    }

    /// `[B, z, h, w]` → `[B, 3, f·h, f·w]`, about [−1, 1], never clamped.
    pub fn forward(&self, z: Tensor<4>) -> Tensor<4> {
        let mut h = self.mid_block.forward(self.conv_in.forward(z));
        for level in &self.up_blocks {
            h = level.blocks(h);
            if let Some(up) = level.resample() {
                h = up.forward_upsampled(h);
            }
        }
        self.conv_norm_out.forward_silu_conv(h, &self.conv_out)
    }

    /// Whether backward runs the blocks again instead of keeping what is inside them.
    pub fn checkpoint_gradients(&mut self, on: bool) {
        self.mid_block.again = on;
        self.up_blocks.iter_mut().for_each(|level| level.again = on);
    }
}

impl Parameters for Decoder {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("conv_in", &mut self.conv_in);
        walk.part("mid_block", &mut self.mid_block);
        walk.parts("up_blocks", &mut self.up_blocks);
        walk.part("conv_norm_out", &mut self.conv_norm_out);
        walk.part("conv_out", &mut self.conv_out);
    }
}
