//! Sizes of the transformer, published and for laptops.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Geometry of a SiT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SitConfig {
    /// Side of the (square) latent.
    pub input_size: usize,
    /// Side of a token in latent positions.
    pub patch_size: usize,
    /// Channels of the latent.
    pub in_channels: usize,
    /// Token width.
    pub hidden_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// MLP width over token width.
    pub mlp_ratio: f64,
    /// Number of classes; one more label means "none".
    pub num_classes: usize,
    /// Blocks before the tokens that are aligned.
    pub encoder_depth: usize,
    /// Feature width of each teacher.
    pub z_dims: Vec<usize>,
    /// Width of the projectors.
    pub projector_dim: usize,
    /// Layer norm on queries and keys.
    pub qk_norm: bool,
    /// Momentum of the latent norm's running statistics.
    pub bn_momentum: f32,
}

impl SitConfig {
    /// Tokens along one side.
    pub fn grid(&self) -> usize {
        self.input_size / self.patch_size
    }

    /// The label that means "no class".
    pub fn null_label(&self) -> usize {
        self.num_classes
    }

    /// Checks that the pieces fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming what does not fit.
    pub fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::Config(format!("transformer configuration: {what}")));
        if self.patch_size == 0 || self.input_size == 0 || !self.input_size.is_multiple_of(self.patch_size) {
            return bad(format!(
                "a latent of {} does not divide into patches of {}",
                self.input_size, self.patch_size
            ));
        }
        if self.num_heads == 0 || !self.hidden_size.is_multiple_of(self.num_heads) {
            return bad(format!("width {} does not divide into {} heads", self.hidden_size, self.num_heads));
        }
        if !self.hidden_size.is_multiple_of(4) {
            return bad(format!("width {} must be a multiple of 4 for the position table", self.hidden_size));
        }
        if self.depth == 0 || self.encoder_depth == 0 || self.encoder_depth > self.depth {
            return bad(format!("align depth {} is not within 1..={}", self.encoder_depth, self.depth));
        }
        Ok(())
    }
}

/// Width, depth and heads of a published size ("S", "B", "L", "XL").
pub fn published(size: &str) -> Option<(usize, usize, usize)> {
    match size {
        "S" => Some((384, 12, 6)),
        "B" => Some((768, 12, 12)),
        "L" => Some((1024, 24, 16)),
        "XL" => Some((1152, 28, 16)),
        _ => None,
    }
}

/// Width, depth, heads and patch of a published name such as "SiT-XL/2".
///
/// # Errors
/// When the name is not one of SiT-{S,B,L,XL}/{1,2,4,8}.
pub fn published_name(name: &str) -> Result<(usize, usize, usize, usize)> {
    let parse = || {
        let (size, patch) = name.strip_prefix("SiT-")?.split_once('/')?;
        let patch: usize = patch.parse().ok().filter(|p| [1, 2, 4, 8].contains(p))?;
        let (width, depth, heads) = published(size)?;
        Some((width, depth, heads, patch))
    };
    parse().ok_or_else(|| {
        Error::Config(format!("unknown transformer {name}; known are SiT-S, B, L, XL with /1, /2, /4 or /8"))
    })
}
