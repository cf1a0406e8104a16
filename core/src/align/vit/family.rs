//! What sets the families of vision transformers apart, one row each.
//!
//! Preparation of pictures is REPA-E's (`repae/train_repae.py`, `preprocess_raw_image`); DINOv3, which
//! it does not know, is prepared as DINOv2.

use burn::tensor::Tensor;

use crate::kernel;
use crate::kernel::resample::{Filter, resize};

/// Mean and standard deviation of ImageNet's colours.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// CLIP's own.
const OPENAI: [[f32; 3]; 2] =
    [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]];

/// Nonlinearity of an MLP without gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Exact.
    Gelu,
    /// `x · sigmoid(1.702 x)`.
    QuickGelu,
}

impl Activation {
    pub(super) fn apply(self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Gelu => kernel::gelu(x),
            Self::QuickGelu => kernel::silu(x * 1.702) / 1.702,
        }
    }
}

/// A family of published encoders.
#[derive(Debug)]
pub struct Family {
    /// As in `align.teacher`.
    pub name: &'static str,
    /// `model_type` values of transformers configurations that belong to it.
    pub model_types: &'static [&'static str],
    /// Widths by the letter in a name, and the repository on the Hub that holds that size.
    pub sizes: &'static [(&'static str, usize, &'static str)],
    pub(super) eps: f32,
    pub(super) activation: Activation,
    pub(super) class_token: bool,
    pub(super) rope: bool,
    pub(super) pre_norm: bool,
    /// Whether features are taken behind the last norm.
    pub(super) final_norm: bool,
    /// Attention heads for a width.
    pub(super) heads: fn(usize) -> usize,
    /// Mean and deviation of colours, and whether resizing comes before them.
    colours: ([[f32; 3]; 2], bool),
}

impl Family {
    /// The family called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// What the network is given for pictures in [−1, 1], at `px` × `px`.
    pub(super) fn pixels(&self, images: Tensor<4>, px: usize) -> Tensor<4> {
        let ([mean, std], resize_first) = self.colours;
        let device = images.device();
        let row = |values: [f32; 3]| Tensor::<1>::from_floats(values, &device).reshape([1, 3, 1, 1]);
        let coloured = |x: Tensor<4>| (x - row(mean)) / row(std);
        let unit = (images + 1.0) / 2.0;
        if resize_first {
            coloured(resize(unit, px, Filter::Bicubic))
        } else {
            resize(coloured(unit), px, Filter::Bicubic)
        }
    }
}

/// Heads of 64 channels, as nearly everywhere.
fn of_64(width: usize) -> usize {
    width / 64
}

/// MoCo-v3's small model has twelve heads like its base.
fn mocov3_heads(width: usize) -> usize {
    if width == 384 { 12 } else { width / 64 }
}

/// Widths of 80 (huge) and 88 (giant) channels a head: sixteen heads.
fn huge_heads(width: usize) -> usize {
    if matches!(width, 1280 | 1408) { 16 } else { width / 64 }
}

/// DINOv3's 7B has 32 heads of 128.
fn dinov3_heads(width: usize) -> usize {
    if width == 4096 { 32 } else { width / 64 }
}

/// What most families are.
const PLAIN: Family = Family {
    name: "",
    model_types: &[],
    sizes: &[],
    eps: 1e-6,
    activation: Activation::Gelu,
    class_token: true,
    rope: false,
    pre_norm: false,
    final_norm: true,
    heads: of_64,
    colours: (IMAGENET, false),
};

/// Every known family.
pub static FAMILIES: [Family; 7] = [
    Family {
        name: "dinov2",
        model_types: &["dinov2", "dinov2_with_registers"],
        sizes: &[
            ("s", 384, "facebook/dinov2-small"),
            ("b", 768, "facebook/dinov2-base"),
            ("l", 1024, "facebook/dinov2-large"),
            ("g", 1536, "facebook/dinov2-giant"),
        ],
        ..PLAIN
    },
    Family {
        name: "dinov3",
        model_types: &["dinov3_vit"],
        sizes: &[
            ("s", 384, "facebook/dinov3-vits16-pretrain-lvd1689m"),
            ("b", 768, "facebook/dinov3-vitb16-pretrain-lvd1689m"),
            ("l", 1024, "facebook/dinov3-vitl16-pretrain-lvd1689m"),
            ("h", 1280, "facebook/dinov3-vith16plus-pretrain-lvd1689m"),
            ("7b", 4096, "facebook/dinov3-vit7b16-pretrain-lvd1689m"),
        ],
        eps: 1e-5,
        rope: true,
        heads: dinov3_heads,
        ..PLAIN
    },
    // Patch tokens behind the last block: neither ln_post nor the projection.
    Family {
        name: "clip",
        model_types: &["clip", "clip_vision_model"],
        sizes: &[("b", 768, "openai/clip-vit-base-patch16"), ("l", 1024, "openai/clip-vit-large-patch14")],
        eps: 1e-5,
        activation: Activation::QuickGelu,
        pre_norm: true,
        final_norm: false,
        colours: (OPENAI, true),
        ..PLAIN
    },
    // The weights have a last norm; the reference leaves it out.
    Family {
        name: "mae",
        model_types: &["vit_mae"],
        sizes: &[
            ("b", 768, "facebook/vit-mae-base"),
            ("l", 1024, "facebook/vit-mae-large"),
            ("h", 1280, "facebook/vit-mae-huge"),
        ],
        final_norm: false,
        heads: huge_heads,
        ..PLAIN
    },
    Family {
        name: "mocov3",
        sizes: &[("s", 384, ""), ("b", 768, ""), ("l", 1024, "")],
        heads: mocov3_heads,
        ..PLAIN
    },
    Family {
        name: "ijepa",
        model_types: &["ijepa"],
        sizes: &[("h", 1280, "facebook/ijepa_vith14_1k"), ("g", 1408, "facebook/ijepa_vitg16_22k")],
        class_token: false,
        heads: huge_heads,
        ..PLAIN
    },
    Family {
        name: "dino",
        model_types: &["vit"],
        sizes: &[("s", 384, "facebook/dino-vits16"), ("b", 768, "facebook/dino-vitb16")],
        ..PLAIN
    },
];
