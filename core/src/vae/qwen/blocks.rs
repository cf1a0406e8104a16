//! What the Qwen-Image autoencoder is made of, reduced to one frame.

use burn::tensor::Tensor;

use crate::kernel::{self, Conv, resample::nearest_x2};
use crate::layers::{Conv2d, Init};
use crate::params::{Param, Parameters, Role, Walk};

/// A causal 3×3×3 convolution: its last time slice acts as a 3×3 convolution.
#[derive(Clone, Debug)]
pub(super) struct Causal3 {
    weight: Param,
    /// The two earlier time slices, which meet zeros only: `[out, in, 2, 3, 3]`.
    past: Param,
    bias: Param,
}

impl Causal3 {
    pub(super) fn new(from: usize, to: usize, init: &mut Init) -> Self {
        let fan_in = from * 27;
        let mut past = init.uniform_fan_in(&[to, from, 2, 3, 3], fan_in);
        past.set_role(Role::Buffer);
        Self {
            weight: init.uniform_fan_in(&[to, from, 3, 3], fan_in),
            past,
            bias: init.uniform_fan_in(&[to], fan_in),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        kernel::conv2d(x, self.weight.get(), Some(self.bias.get()), Conv::new(1, 1))
    }
}

impl Parameters for Causal3 {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        walk.param(super::slices::PAST, &mut self.past);
        walk.param("bias", &mut self.bias);
    }
}

/// A 1×1×1 convolution, weight `[out, in, 1, 1, 1]`.
#[derive(Clone, Debug)]
pub(super) struct Causal1 {
    weight: Param,
    bias: Param,
}

impl Causal1 {
    pub(super) fn new(from: usize, to: usize, init: &mut Init) -> Self {
        Self {
            weight: init.uniform_fan_in(&[to, from, 1, 1, 1], from),
            bias: init.uniform_fan_in(&[to], from),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shape = self.weight.shape();
        let weight = self.weight.get::<5>().reshape([shape[0], shape[1], 1, 1]);
        kernel::conv2d(x, weight, Some(self.bias.get()), Conv::new(1, 0))
    }
}

impl Parameters for Causal1 {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        walk.param("bias", &mut self.bias);
    }
}

/// `x / max(‖x‖, 1e-12) · √C · γ`, the norm taken over the channels of each pixel.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    gamma: Param,
}

impl Norm {
    pub(super) fn new(channels: usize, init: &mut Init) -> Self {
        Self { gamma: init.filled(&[channels, 1, 1, 1], 1.0) }
    }

    /// The norm of an attention block, whose scale has one axis less.
    fn of_pictures(channels: usize, init: &mut Init) -> Self {
        Self { gamma: init.filled(&[channels, 1, 1], 1.0) }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let c = x.dims()[1];
        let gamma = self.gamma.flat().clone().reshape([1, c, 1, 1]) * (c as f64).sqrt();
        // Bounding the square keeps the root's gradient finite where a pixel is zero.
        let norm = x.clone().square().sum_dim(1).clamp_min(1e-24).sqrt();
        x / norm * gamma
    }
}

impl Parameters for Norm {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("gamma", &mut self.gamma);
    }
}

/// `x + conv2(silu(norm2(conv1(silu(norm1 x)))))`, with a shortcut when channels change.
#[derive(Clone, Debug)]
pub(super) struct ResBlock {
    norm1: Norm,
    conv1: Causal3,
    norm2: Norm,
    conv2: Causal3,
    conv_shortcut: Option<Causal1>,
}

impl ResBlock {
    pub(super) fn new(from: usize, to: usize, init: &mut Init) -> Self {
        Self {
            norm1: Norm::new(from, init),
            conv1: Causal3::new(from, to, init),
            norm2: Norm::new(to, init),
            conv2: Causal3::new(to, to, init),
            conv_shortcut: (from != to).then(|| Causal1::new(from, to, init)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.conv1.forward(kernel::silu(self.norm1.forward(x.clone())));
        let h = self.conv2.forward(kernel::silu(self.norm2.forward(h)));
        let x = match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        h + x
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

/// Self-attention over all positions, one head, residual.
#[derive(Clone, Debug)]
struct Attention {
    norm: Norm,
    to_qkv: Conv2d,
    proj: Conv2d,
}

impl Attention {
    fn new(channels: usize, init: &mut Init) -> Self {
        Self {
            norm: Norm::of_pictures(channels, init),
            to_qkv: Conv2d::point(channels, 3 * channels, init),
            proj: Conv2d::point(channels, channels, init),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let qkv = self.to_qkv.forward(self.norm.forward(x.clone())); // [B, 3C, H, W]
        let qkv = qkv.reshape([b, 3 * c, h * w]).swap_dims(1, 2).reshape([b, h * w, 3, 1, c]);
        let mixed = kernel::attention(qkv).swap_dims(1, 2).reshape([b, c, h, w]);
        x + self.proj.forward(mixed)
    }
}

impl Parameters for Attention {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("norm", &mut self.norm);
        walk.part("to_qkv", &mut self.to_qkv);
        walk.part("proj", &mut self.proj);
    }
}

/// Residual block, attention, residual block.
#[derive(Clone, Debug)]
pub(super) struct Middle {
    resnets: Vec<ResBlock>,
    attention: Attention,
}

impl Middle {
    pub(super) fn new(channels: usize, init: &mut Init) -> Self {
        let resnets = (0..2).map(|_| ResBlock::new(channels, channels, init)).collect();
        Self { resnets, attention: Attention::new(channels, init) }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.resnets[1].forward(self.attention.forward(self.resnets[0].forward(x)))
    }
}

impl Parameters for Middle {
    fn walk(&mut self, walk: &mut Walk) {
        walk.parts("resnets", &mut self.resnets);
        walk.part("attentions.0", &mut self.attention);
    }
}

/// A convolution over time alone, `[out, in, 3, 1, 1]`: skipped on the first frame, so only kept.
#[derive(Clone, Debug)]
pub(super) struct TimeConv {
    weight: Param,
    bias: Param,
}

impl TimeConv {
    fn new(from: usize, to: usize, init: &mut Init) -> Self {
        let mut kept = Self {
            weight: init.uniform_fan_in(&[to, from, 3, 1, 1], 3 * from),
            bias: init.uniform_fan_in(&[to], 3 * from),
        };
        kept.weight.set_role(Role::Buffer);
        kept.bias.set_role(Role::Buffer);
        kept
    }
}

impl Parameters for TimeConv {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("weight", &mut self.weight);
        walk.param("bias", &mut self.bias);
    }
}

/// One entry of the encoder's list.
#[derive(Clone, Debug)]
pub(super) enum Down {
    Res(Box<ResBlock>),
    Resample(Box<Resample>),
}

impl Down {
    pub(super) fn res(from: usize, to: usize, init: &mut Init) -> Self {
        Self::Res(Box::new(ResBlock::new(from, to, init)))
    }

    pub(super) fn resample(channels: usize, time: bool, init: &mut Init) -> Self {
        let conv = Conv2d::new(channels, channels, 3, Conv::downsample(), init);
        let time_conv = time.then(|| TimeConv::new(channels, channels, init));
        Self::Resample(Box::new(Resample { conv, time_conv }))
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Res(block) => block.forward(x),
            Self::Resample(way) => way.conv.forward(x),
        }
    }
}

impl Parameters for Down {
    fn walk(&mut self, walk: &mut Walk) {
        match self {
            Self::Res(block) => block.walk(walk),
            Self::Resample(way) => way.walk(walk),
        }
    }
}

/// The way to another resolution: a convolution in space, and one in time that is only kept.
#[derive(Clone, Debug)]
pub(super) struct Resample {
    conv: Conv2d,
    time_conv: Option<TimeConv>,
}

impl Parameters for Resample {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("resample.1", &mut self.conv);
        if let Some(time_conv) = &mut self.time_conv {
            walk.part("time_conv", time_conv);
        }
    }
}

/// One decoder level: residual blocks, then (but for the last) twice the size and half the channels.
#[derive(Clone, Debug)]
pub(super) struct Up {
    resnets: Vec<ResBlock>,
    up: Option<Resample>,
}

impl Up {
    /// `up` says whether there is a way up, and whether it also doubles time.
    pub(super) fn new(resnets: Vec<ResBlock>, channels: usize, up: Option<bool>, init: &mut Init) -> Self {
        let up = up.map(|time| Resample {
            conv: Conv2d::same3(channels, channels / 2, init),
            time_conv: time.then(|| TimeConv::new(channels, 2 * channels, init)),
        });
        Self { resnets, up }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.resnets.iter().fold(x, |h, block| block.forward(h));
        match &self.up {
            Some(up) => up.conv.forward(nearest_x2(h)),
            None => h,
        }
    }
}

impl Parameters for Up {
    fn walk(&mut self, walk: &mut Walk) {
        walk.parts("resnets", &mut self.resnets);
        if let Some(up) = &mut self.up {
            walk.part("upsamplers.0", up);
        }
    }
}
