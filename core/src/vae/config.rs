//! The configuration of an autoencoder, as diffusers writes it (`config.json`), with diffusers'
//! defaults for absent keys (FORMATS.md, section 1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::QwenConfig;
use crate::error::{Error, Result};

/// Names of the architectures in `_class_name`.
const KL_CLASS: &str = "AutoencoderKL";
const QWEN_CLASS: &str = "AutoencoderKLQwenImage";
/// The diffusers whose files are written.
const DIFFUSERS_VERSION: &str = "0.42.1";
/// Channels beyond any autoencoder's; keeps a damaged file from asking for all memory.
const MAX_CHANNELS: usize = 1 << 14;

/// Geometry and latent statistics of an autoencoder, in AutoencoderKL's terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Picture channels in.
    pub in_channels: usize,
    /// Picture channels out.
    pub out_channels: usize,
    /// Per level from the finest: "DownEncoderBlock2D" or "AttnDownEncoderBlock2D".
    pub down_block_types: Vec<String>,
    /// Per level from the coarsest: "UpDecoderBlock2D" or "AttnUpDecoderBlock2D".
    pub up_block_types: Vec<String>,
    /// Feature channels per level, from the finest.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per encoder level; the decoder has one more.
    pub layers_per_block: usize,
    /// Always "silu".
    pub act_fn: String,
    /// Channels of the latent `z`.
    pub latent_channels: usize,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Side in pixels the model was made for; sizes tiles.
    pub sample_size: usize,
    /// Latent scale of diffusers pipelines, unused when mean and std are given.
    pub scaling_factor: f64,
    /// Latent shift of diffusers pipelines.
    pub shift_factor: Option<f64>,
    /// Mean of each latent channel.
    pub latents_mean: Option<Vec<f64>>,
    /// Standard deviation of each latent channel.
    pub latents_std: Option<Vec<f64>>,
    /// A pipeline's hint; computing is always f32 here.
    pub force_upcast: bool,
    /// 1×1 convolution after the encoder.
    pub use_quant_conv: bool,
    /// 1×1 convolution before the decoder.
    pub use_post_quant_conv: bool,
    /// Attention at the coarsest level's middle.
    pub mid_block_add_attention: bool,
    /// The configuration of a Qwen-Image autoencoder, which the other keys then only mirror.
    #[serde(skip)]
    pub qwen: Option<QwenConfig>,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            down_block_types: vec!["DownEncoderBlock2D".into()],
            up_block_types: vec!["UpDecoderBlock2D".into()],
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: "silu".into(),
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            latents_mean: None,
            latents_std: None,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            qwen: None,
        }
    }
}

impl VaeConfig {
    /// A plain autoencoder, with attention in the middle only.
    pub fn plain(
        channels: &[usize],
        layers: usize,
        latent_channels: usize,
        groups: usize,
        px: usize,
    ) -> Self {
        Self {
            down_block_types: vec!["DownEncoderBlock2D".into(); channels.len()],
            up_block_types: vec!["UpDecoderBlock2D".into(); channels.len()],
            block_out_channels: channels.to_vec(),
            layers_per_block: layers,
            latent_channels,
            norm_num_groups: groups,
            sample_size: px,
            ..Self::default()
        }
    }

    /// A Qwen-Image autoencoder, mirrored in the keys of AutoencoderKL.
    pub fn of_qwen(qwen: QwenConfig) -> Self {
        let widths = qwen.widths();
        Self {
            in_channels: qwen.input_channels,
            out_channels: qwen.input_channels,
            latents_mean: Some(qwen.latents_mean.clone()),
            latents_std: Some(qwen.latents_std.clone()),
            scaling_factor: 1.0,
            qwen: Some(qwen.clone()),
            ..Self::plain(&widths, qwen.num_res_blocks, qwen.z_dim, 1, 256)
        }
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// Text that is no such configuration, another class of model, or keys that do not fit together.
    pub fn from_json(text: &str) -> Result<Self> {
        let bad = |reason: String| Error::Config(format!("config.json: {reason}"));
        let value: Value = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        let class = value.get("_class_name").and_then(Value::as_str).unwrap_or(KL_CLASS).to_string();
        let config = match class.as_str() {
            KL_CLASS => serde_json::from_value(value).map_err(|e| bad(e.to_string()))?,
            QWEN_CLASS => Self::of_qwen(serde_json::from_value(value).map_err(|e| bad(e.to_string()))?),
            other => {
                return Err(bad(format!("is of class {other:?}; known are {KL_CLASS} and {QWEN_CLASS}")));
            }
        };
        config.check()?;
        Ok(config)
    }

    /// The text of a `config.json` as diffusers writes it: sorted keys, indented by two.
    ///
    /// # Errors
    /// Never for a configuration that passes [`check`](Self::check).
    pub fn to_json(&self) -> Result<String> {
        let failed = |e: serde_json::Error| Error::Config(format!("config.json: {e}"));
        let value = match &self.qwen {
            Some(qwen) => serde_json::to_value(qwen),
            None => serde_json::to_value(self),
        };
        // Sorted whatever features serde_json was built with.
        let mut keys: BTreeMap<String, Value> = match value.map_err(failed)? {
            Value::Object(keys) => keys.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        keys.insert("_class_name".into(), self.class_name().into());
        keys.insert("_diffusers_version".into(), DIFFUSERS_VERSION.into());
        Ok(serde_json::to_string_pretty(&keys).map_err(failed)? + "\n")
    }

    /// diffusers' name of the architecture.
    pub fn class_name(&self) -> &'static str {
        if self.qwen.is_some() { QWEN_CLASS } else { KL_CLASS }
    }

    /// Sets mean and standard deviation of each latent channel.
    pub fn set_latent_stats(&mut self, mean: Vec<f64>, std: Vec<f64>) {
        if let Some(qwen) = &mut self.qwen {
            qwen.latents_mean.clone_from(&mean);
            qwen.latents_std.clone_from(&std);
        }
        self.latents_mean = Some(mean);
        self.latents_std = Some(std);
    }

    /// Number of levels.
    pub fn num_levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// Pixels per latent position along one side.
    pub fn downsampling(&self) -> usize {
        1 << (self.num_levels() - 1)
    }

    /// Whether level `level` (from the finest) has attention, in the encoder.
    pub fn down_attention(&self, level: usize) -> bool {
        self.down_block_types[level].starts_with("Attn")
    }

    /// Whether decoder block `block` (from the coarsest) has attention.
    pub fn up_attention(&self, block: usize) -> bool {
        self.up_block_types[block].starts_with("Attn")
    }

    /// Checks that the pieces fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first key that does not fit.
    pub fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::Config(format!("autoencoder configuration: {what}")));
        let levels = self.num_levels();
        if levels == 0 || levels > 8 {
            return bad(format!("block_out_channels has {levels} levels, 1 to 8 are possible"));
        }
        if let Some(qwen) = &self.qwen {
            qwen.check()?;
        }
        for (key, types, plain) in [
            ("down_block_types", &self.down_block_types, "DownEncoderBlock2D"),
            ("up_block_types", &self.up_block_types, "UpDecoderBlock2D"),
        ] {
            if types.len() != levels {
                return bad(format!("{key} has {} entries for {levels} levels", types.len()));
            }
            let attention = plain.replace("Down", "AttnDown").replace("Up", "AttnUp");
            if let Some(other) = types.iter().find(|t| *t != plain && **t != attention) {
                return bad(format!("{key} holds {other:?}, known are {plain} and {attention}"));
            }
        }
        if self.act_fn != "silu" {
            return bad(format!("act_fn {:?} (only silu exists)", self.act_fn));
        }
        let groups = self.norm_num_groups;
        if let Some(wide) = self.block_out_channels.iter().find(|c| **c > MAX_CHANNELS) {
            return bad(format!("block_out_channels holds {wide}, more than {MAX_CHANNELS}"));
        }
        if groups == 0 || self.block_out_channels.iter().any(|c| *c == 0 || c % groups != 0) {
            return bad(format!(
                "block_out_channels {:?} do not divide into norm_num_groups {groups}",
                self.block_out_channels
            ));
        }
        let counts = [
            ("latent_channels", self.latent_channels, 1024),
            ("layers_per_block", self.layers_per_block, 64),
            ("in_channels", self.in_channels, 64),
            ("out_channels", self.out_channels, 64),
        ];
        if let Some((key, value, most)) = counts.iter().find(|(_, n, most)| *n == 0 || n > most) {
            return bad(format!("{key} is {value}, 1 to {most} are possible"));
        }
        for (key, stats) in [("latents_mean", &self.latents_mean), ("latents_std", &self.latents_std)] {
            if let Some(stats) = stats
                && stats.len() != self.latent_channels
            {
                return bad(format!(
                    "{key} has {} values for {} channels",
                    stats.len(),
                    self.latent_channels
                ));
            }
        }
        Ok(())
    }
}
