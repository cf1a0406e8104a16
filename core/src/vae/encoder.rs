//! The encoder: pictures to the moments of the posterior (diffusers `Encoder`).

use burn::tensor::Tensor;

use super::VaeConfig;
use super::blocks::{Level, Middle};
use crate::kernel::Conv;
use crate::layers::{Conv2d, GroupNorm, Init};
use crate::params::{Parameters, Walk};

/// Down through the levels, then the middle.
#[derive(Clone, Debug)]
pub struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<Level>,
    mid_block: Middle,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    /// Fresh weights.
    pub fn new(config: &VaeConfig, init: &mut Init) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let groups = config.norm_num_groups;
        let conv_in = Conv2d::same3(config.in_channels, first, init);
        let mut from = first;
        let mut down_blocks = Vec::new();
        for (i, &to) in channels.iter().enumerate() {
            let down = (i + 1 < channels.len()).then(|| Conv2d::new(to, to, 3, Conv::downsample(), init));
            let attention = config.down_attention(i);
            let resample = ("downsamplers", down);
            down_blocks.push(Level::new(
                (from, to),
                config.layers_per_block,
                groups,
                attention,
                resample,
                init,
            ));
            from = to;
        }
        Self {
            conv_in,
            down_blocks,
            mid_block: Middle::new(last, groups, config.mid_block_add_attention, init),
            conv_norm_out: GroupNorm::new(last, groups, init),
            conv_out: Conv2d::same3(last, 2 * config.latent_channels, init),
        }
    }

    /// `[B, 3, H, W]` in [−1, 1] → moments `[B, 2z, H/f, W/f]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut h = self.conv_in.forward(x);
        for level in &self.down_blocks {
            h = level.blocks(h);
            if let Some(down) = level.resample() {
                h = down.forward(h);
            }
        }
        let h = self.mid_block.forward(h);
        self.conv_norm_out.forward_silu_conv(h, &self.conv_out)
    }

    /// Whether backward runs the blocks again instead of keeping what is inside them.
    pub fn checkpoint_gradients(&mut self, on: bool) {
        self.mid_block.again = on;
        self.down_blocks.iter_mut().for_each(|level| level.again = on);
    }
}

impl Parameters for Encoder {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("conv_in", &mut self.conv_in);
        walk.parts("down_blocks", &mut self.down_blocks);
        walk.part("mid_block", &mut self.mid_block);
        walk.part("conv_norm_out", &mut self.conv_norm_out);
        walk.part("conv_out", &mut self.conv_out);
    }
}
