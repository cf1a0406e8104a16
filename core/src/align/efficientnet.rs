//! EfficientNet-Lite0 as a teacher: small enough to come with the program (TensorFlow's
//! `efficientnet_lite`, ported weights of Apache-2.0 licence).
//!
//! The features are the 112-channel stage, one for 16×16 pixels: pictures are resized so that there is
//! one for each of the transformer's tokens (128 px for 8×8). TF's
//! "same" padding (more at the bottom right), ReLU6, batch norm eps 1e-3 (folded into the
//! convolutions when loading), input `(p − 127) / 128` for p in [0, 255].

use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::kernel::resample::{Filter, resize};
use crate::kernel::{Conv, relu6};
use crate::layers::{FoldedConv, Linear};
use crate::params::{self, TensorSource};

/// Side of the pictures that the network sees for its usual grid.
pub const INPUT_PX: usize = GRID * STRIDE_PX;
/// Features along one side, usually.
pub const GRID: usize = 8;
/// Pixels to a feature, along one side.
pub const STRIDE_PX: usize = 16;
/// Feature width.
pub const CHANNELS: usize = 112;

const BN_EPS: f32 = 1e-3;
/// Blocks up to the end of the 112-channel stage.
const FEATURE_BLOCKS: usize = 11;
/// Repeats, kernel, first stride, expansion and output channels of each stage.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// Convolution with the batch norm folded in, TF padding.
#[derive(Clone, Debug)]
struct Folded {
    conv: FoldedConv,
    stride: usize,
    groups: usize,
}

impl Folded {
    fn load(
        source: &dyn TensorSource,
        names: (&str, &str),
        stride: usize,
        depthwise: bool,
        device: &Device,
    ) -> Result<Self> {
        let conv = FoldedConv::load(source, names, BN_EPS, device)?;
        let groups = if depthwise { conv.shape()[0] } else { 1 };
        Ok(Self { conv, stride, groups })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        let size = self.conv.shape()[2];
        let pad = |length: usize| {
            let total = ((length.div_ceil(self.stride) - 1) * self.stride + size).saturating_sub(length);
            (total / 2, total - total / 2)
        };
        let ((top, bottom), (left, right)) = (pad(h), pad(w));
        let conv = Conv { stride: self.stride, pad: [top, left, bottom, right], groups: self.groups };
        self.conv.forward(x, conv)
    }
}

/// Inverted residual: expand, depthwise, project.
#[derive(Clone, Debug)]
struct MbConv {
    expand: Option<Folded>,
    depthwise: Folded,
    project: Folded,
    residual: bool,
}

impl MbConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = match &self.expand {
            Some(expand) => relu6(expand.forward(x.clone())),
            None => x.clone(),
        };
        let h = self.project.forward(relu6(self.depthwise.forward(h)));
        if self.residual { x + h } else { h }
    }
}

/// The frozen network.
#[derive(Clone, Debug)]
pub struct EfficientNetLite0 {
    stem: Folded,
    blocks: Vec<MbConv>,
    head: Option<(Folded, Linear)>,
}

impl EfficientNetLite0 {
    /// Loads the feature stages, and the classifier too when `with_head`.
    ///
    /// # Errors
    /// A tensor that is missing or of the wrong shape.
    pub fn load(source: &dyn TensorSource, with_head: bool, device: &Device) -> Result<Self> {
        let stem = Folded::load(source, ("_conv_stem", "_bn0"), 2, false, device)?;
        let mut blocks = Vec::new();
        let mut from = 32;
        for (repeats, _, first_stride, expansion, to) in STAGES {
            for repeat in 0..repeats {
                if !with_head && blocks.len() == FEATURE_BLOCKS {
                    break;
                }
                let stride = if repeat == 0 { first_stride } else { 1 };
                blocks.push(load_block(source, blocks.len(), stride, expansion, from == to, device)?);
                from = to;
            }
        }
        let head = if with_head { Some(load_head(source, device)?) } else { None };
        Ok(Self { stem, blocks, head })
    }

    /// Features of pictures `[B, 3, H, W]` in [−1, 1] on the usual grid → `[B, 64, 112]`.
    pub fn features(&self, x: Tensor<4>) -> Tensor<3> {
        self.features_on(x, GRID)
    }

    /// Features of pictures `[B, 3, H, W]` in [−1, 1] → `[B, grid², 112]`, tokens row-major.
    pub fn features_on(&self, x: Tensor<4>, grid: usize) -> Tensor<3> {
        let h = self.run(input(resize(x, grid * STRIDE_PX, Filter::Bicubic)), FEATURE_BLOCKS);
        let [b, c, gh, gw] = h.dims();
        h.reshape([b, c, gh * gw]).swap_dims(1, 2)
    }

    /// Class scores `[B, 1000]` of pictures `[B, 3, H, W]` in [−1, 1] at their own size, when the
    /// classifier was loaded.
    pub fn logits(&self, x: Tensor<4>) -> Option<Tensor<2>> {
        self.classify(self.run(input(x), self.blocks.len()))
    }

    /// Class scores `[B, 1000]` of [features](Self::features), when the classifier was loaded.
    pub fn logits_of_features(&self, features: Tensor<3>) -> Option<Tensor<2>> {
        let [b, n, c] = features.dims();
        let side = n.isqrt();
        let grid = features.swap_dims(1, 2).reshape([b, c, side, side]);
        self.classify(self.blocks[FEATURE_BLOCKS..].iter().fold(grid, |x, block| block.forward(x)))
    }

    /// From the last block's output to class scores.
    fn classify(&self, x: Tensor<4>) -> Option<Tensor<2>> {
        let (conv, linear) = self.head.as_ref()?;
        let h = relu6(conv.forward(x));
        let [b, c, gh, gw] = h.dims();
        Some(linear.forward(h.reshape([b, c, gh * gw]).mean_dim(2).reshape([b, c])))
    }

    fn run(&self, x: Tensor<4>, blocks: usize) -> Tensor<4> {
        let x = relu6(self.stem.forward(x));
        self.blocks[..blocks].iter().fold(x, |x, block| block.forward(x))
    }
}

fn load_block(
    source: &dyn TensorSource,
    index: usize,
    stride: usize,
    expansion: usize,
    same_width: bool,
    device: &Device,
) -> Result<MbConv> {
    let name = |part: &str| format!("_blocks.{index}.{part}");
    let load = |conv: &str, norm: &str, stride, depthwise| {
        Folded::load(source, (&name(conv), &name(norm)), stride, depthwise, device)
    };
    let expand = if expansion > 1 { Some(load("_expand_conv", "_bn0", 1, false)?) } else { None };
    Ok(MbConv {
        expand,
        depthwise: load("_depthwise_conv", "_bn1", stride, true)?,
        project: load("_project_conv", "_bn2", 1, false)?,
        residual: stride == 1 && same_width,
    })
}

fn load_head(source: &dyn TensorSource, device: &Device) -> Result<(Folded, Linear)> {
    let conv = Folded::load(source, ("_conv_head", "_bn1"), 1, false, device)?;
    let mut linear = Linear::zero(1280, 1000, &mut crate::layers::Init::new(0, "head", device));
    params::load(&mut linear, source, |name| format!("_fc.{name}"), device)?;
    Ok((conv, linear))
}

/// [−1, 1] to the network's own range.
fn input(x: Tensor<4>) -> Tensor<4> {
    (x * 127.5 + (127.5 - 127.0)) / 128.0
}
