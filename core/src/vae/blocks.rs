//! What encoder and decoder are made of: residual block and single-head attention.

use burn::tensor::Tensor;

use crate::kernel;
use crate::layers::{Conv2d, GroupNorm, Init, Linear, Part, run_again};
use crate::params::{Parameters, Walk};

/// `x + conv2(silu(norm2(conv1(silu(norm1 x)))))`, with a 1×1 shortcut when channels change.
#[derive(Clone, Debug)]
pub struct ResBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl ResBlock {
    /// A block from `from` to `to` channels.
    pub fn new(from: usize, to: usize, groups: usize, init: &mut Init) -> Self {
        Self {
            norm1: GroupNorm::new(from, groups, init),
            conv1: Conv2d::same3(from, to, init),
            norm2: GroupNorm::new(to, groups, init),
            conv2: Conv2d::same3(to, to, init),
            conv_shortcut: (from != to).then(|| Conv2d::point(from, to, init)),
        }
    }

    /// `[B, from, H, W]` → `[B, to, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.norm1.forward_silu_conv(x.clone(), &self.conv1);
        let h = self.norm2.forward_silu_conv(h, &self.conv2);
        let x = match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        kernel::residual(x, h)
    }
}

impl Parameters for ResBlock {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("norm1", &mut self.norm1);
        walk.part("conv1", &mut self.conv1);
        walk.part("norm2", &mut self.norm2);
        walk.part("conv2", &mut self.conv2);
        if let Some(shortcut) = &mut self.conv_shortcut {
            walk.part("conv_shortcut", shortcut);
        }
    }
}

/// Self-attention over all positions, one head as wide as the channels, residual.
#[derive(Clone, Debug)]
pub struct SpatialAttention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl SpatialAttention {
    /// Attention on `channels`.
    pub fn new(channels: usize, groups: usize, init: &mut Init) -> Self {
        Self {
            group_norm: GroupNorm::new(channels, groups, init),
            to_q: Linear::new(channels, channels, init),
            to_k: Linear::new(channels, channels, init),
            to_v: Linear::new(channels, channels, init),
            to_out: Linear::new(channels, channels, init),
        }
    }

    /// `[B, C, H, W]` → `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let tokens = self.group_norm.forward(x.clone()).reshape([b, c, h * w]).swap_dims(1, 2); // [B, N, C]
        let maps = [&self.to_q, &self.to_k, &self.to_v].map(Linear::weights);
        let (weights, biases): (Vec<_>, Vec<_>) = maps.into_iter().unzip();
        let qkv = kernel::linear(tokens, Tensor::cat(weights, 0), Some(Tensor::cat(biases, 0)));
        let mixed = kernel::attention(qkv.reshape([b, h * w, 3, 1, c])); // [B, N, C]
        let out = self.to_out.forward(mixed).swap_dims(1, 2).reshape([b, c, h, w]);
        kernel::residual(x, out)
    }
}

impl Parameters for SpatialAttention {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("group_norm", &mut self.group_norm);
        walk.part("to_q", &mut self.to_q);
        walk.part("to_k", &mut self.to_k);
        walk.part("to_v", &mut self.to_v);
        walk.part("to_out.0", &mut self.to_out);
    }
}

/// A block between others: kept for backward, or run `again` by it.
fn through<P: Part>(again: bool, block: &P, x: Tensor<4>, run: fn(&P, Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    if again { run_again(block, x, run) } else { run(block, x) }
}

/// Residual block, attention (if any), residual block: the middle of both halves.
#[derive(Clone, Debug)]
pub struct Middle {
    resnets: Vec<ResBlock>,
    attention: Option<SpatialAttention>,
    /// Whether backward runs the blocks again.
    pub again: bool,
}

impl Middle {
    /// A middle on `channels`.
    pub fn new(channels: usize, groups: usize, attention: bool, init: &mut Init) -> Self {
        let first = ResBlock::new(channels, channels, groups, init);
        let attention = attention.then(|| SpatialAttention::new(channels, groups, init));
        let resnets = vec![first, ResBlock::new(channels, channels, groups, init)];
        Self { resnets, attention, again: false }
    }

    /// `[B, C, H, W]` → `[B, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut h = through(self.again, &self.resnets[0], x, ResBlock::forward);
        if let Some(attention) = &self.attention {
            h = through(self.again, attention, h, SpatialAttention::forward);
        }
        through(self.again, &self.resnets[1], h, ResBlock::forward)
    }
}

impl Parameters for Middle {
    fn walk(&mut self, walk: &mut Walk) {
        walk.parts("resnets", &mut self.resnets);
        if let Some(attention) = &mut self.attention {
            walk.part("attentions.0", attention);
        }
    }
}

/// One resolution: residual blocks, each followed by attention where the level has it.
#[derive(Clone, Debug)]
pub struct Level {
    resnets: Vec<ResBlock>,
    attentions: Vec<SpatialAttention>,
    /// Leads to the next resolution, if there is one.
    resample: Option<Conv2d>,
    resample_name: &'static str,
    /// Whether backward runs the blocks again.
    pub again: bool,
}

impl Level {
    /// `layers` blocks from `from` to `to` channels; `resample` is the convolution that leads on.
    pub fn new(
        (from, to): (usize, usize),
        layers: usize,
        groups: usize,
        attention: bool,
        (resample_name, resample): (&'static str, Option<Conv2d>),
        init: &mut Init,
    ) -> Self {
        let resnets =
            (0..layers).map(|j| ResBlock::new(if j == 0 { from } else { to }, to, groups, init)).collect();
        let count = if attention { layers } else { 0 };
        let attentions = (0..count).map(|_| SpatialAttention::new(to, groups, init)).collect();
        Self { resnets, attentions, resample, resample_name, again: false }
    }

    /// The blocks, without the way to the next resolution.
    pub fn blocks(&self, mut x: Tensor<4>) -> Tensor<4> {
        for (j, resnet) in self.resnets.iter().enumerate() {
            x = through(self.again, resnet, x, ResBlock::forward);
            if let Some(attention) = self.attentions.get(j) {
                x = through(self.again, attention, x, SpatialAttention::forward);
            }
        }
        x
    }

    /// The convolution that leads to the next resolution.
    pub fn resample(&self) -> Option<&Conv2d> {
        self.resample.as_ref()
    }
}

impl Parameters for Level {
    fn walk(&mut self, walk: &mut Walk) {
        walk.parts("resnets", &mut self.resnets);
        walk.parts("attentions", &mut self.attentions);
        if let Some(resample) = &mut self.resample {
            walk.part(&format!("{}.0.conv", self.resample_name), resample);
        }
    }
}
