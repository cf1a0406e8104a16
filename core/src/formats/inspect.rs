//! What a file or folder is, in words and numbers, without making a model run.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use serde::Serialize;

use super::autoencoder::Defects;
use super::diffusers::{self, CONFIG};
use super::model::config_beside;
use super::naming::{self, Found};
use super::repae::RepaeFile;
use super::{ModelKind, geometry, kind_of};
use crate::config::Config;
use crate::error::Result;
use crate::files::{TensorFile, WeightNames};
use crate::hub;
use crate::params::TensorSource;
use crate::run::{Checkpoint, RunFolder, latest_complete};
use crate::train::restored::vae_geometry;
use crate::vae::{Vae, VaeConfig};

/// Statistics of the values of one part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PartStats {
    /// Tensors.
    pub tensors: usize,
    /// Values.
    pub values: u64,
    /// Mean over all values.
    pub mean: f64,
    /// Standard deviation over all values.
    pub std: f64,
    /// Smallest value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
    /// Values that are infinite or not a number.
    pub not_finite: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inspection {
    /// What it is, in one line.
    pub what: String,
    /// The architecture and what goes with it, in words, a line each.
    pub architecture: Vec<String>,
    /// Values in all float tensors.
    pub parameters: u64,
    /// Tensors in all.
    pub tensors: usize,
    /// Values by stored dtype.
    pub dtypes: BTreeMap<String, u64>,
    /// Statistics by part: what stands before the first dot (or slash) of the names.
    pub parts: BTreeMap<String, PartStats>,
    /// Names that the model needs and the file lacks.
    pub missing: Vec<String>,
    /// Names that the file has and the model does not take.
    pub unknown: Vec<String>,
    /// What does not fit together, a line each.
    pub problems: Vec<String>,
}

/// Looks at a run folder, a diffusers folder, or a file of tensors.
///
/// # Errors
/// A path that holds nothing readable. A model that does not fit together is no error: that is told.
pub fn inspect(path: &Path, device: &Device) -> Result<Inspection> {
    let path = &hub::resolve(&path.to_string_lossy())?;
    match kind_of(path)? {
        ModelKind::Run => inspect_run(path),
        ModelKind::Diffusers(folder) => {
            let mut found = Inspection::default();
            let config = match diffusers::read_config(&folder.join(CONFIG)) {
                Ok((config, _)) => Some(config),
                Err(error) => {
                    found.problems.push(error.to_string());
                    None
                }
            };
            let names = [WeightNames::diffusers(None), WeightNames::transformers(None)];
            let names = names.iter().find(|names| names.find(&folder).is_some()).unwrap_or(&names[0]);
            let file = names.open(&folder)?;
            found.look_at(&file, config.as_ref(), device)?;
            found.what = format!("diffusers folder: {}", found.what);
            Ok(found)
        }
        ModelKind::Weights => {
            let mut found = Inspection::default();
            let file = TensorFile::open(path)?;
            let config = match config_beside(&file) {
                Ok(config) => config.map(|(config, _)| config),
                Err(error) => {
                    found.problems.push(error.to_string());
                    None
                }
            };
            found.look_at(&file, config.as_ref(), device)?;
            Ok(found)
        }
    }
}

fn inspect_run(path: &Path) -> Result<Inspection> {
    let folder = RunFolder::open(path)?;
    let text = std::fs::read_to_string(folder.config_path())
        .map_err(|e| crate::Error::io("read", folder.config_path(), e))?;
    let config = Config::parse(&text, &[], &folder.config_path().display().to_string())?;
    let latest = latest_complete(folder.path())?;
    let mut found = Inspection { what: "run folder without a checkpoint".into(), ..Inspection::default() };
    found.problems.extend(latest.passed_over.iter().map(|p| format!("{}: {}", p.path.display(), p.reason)));
    let mut geometry = config.vae_config();
    if let Some((step, checkpoint)) = latest.newest {
        geometry = vae_geometry(&Checkpoint::load(&checkpoint)?, &config)?;
        found.what = format!("run folder: {} of {} steps", step, config.train.steps);
        for stem in ["vae", "sit", "ema", "discriminator"] {
            let file = checkpoint.join(format!("{stem}.safetensors"));
            if file.is_file() {
                found.count(&TensorFile::open(&file)?, stem)?;
            }
        }
    }
    found.architecture = vec![
        format!("method {}, {} px pictures", config.method.name(), config.data.image_px),
        describe_vae(&geometry),
        format!(
            "transformer: width {}, depth {}, {} heads, patch {}; aligned with {} after block {}",
            config.sit.width,
            config.sit.depth,
            config.sit.heads,
            config.sit.patch,
            config.align.teacher,
            config.align.depth
        ),
    ];
    Ok(found)
}

/// Other people's models, by a tensor that only they have.
const LANDMARKS: [(&str, &str); 14] = [
    ("blocks.0.ls1.gamma", "DINOv2 vision transformer, hub names"),
    ("encoder.layer.0.layer_scale1.lambda1", "DINOv2 vision transformer, Hugging Face names"),
    ("dinov2.encoder.layer.0.layer_scale1.lambda1", "DINOv2 vision transformer, Hugging Face names"),
    ("layer.0.layer_scale1.lambda1", "DINOv3 vision transformer, Hugging Face names"),
    ("visual.transformer.resblocks.0.attn.in_proj_weight", "CLIP, OpenAI names"),
    ("vision_model.encoder.layers.0.self_attn.q_proj.weight", "CLIP, Hugging Face names"),
    ("state_dict/module.base_encoder.cls_token", "MoCo-v3 training checkpoint"),
    ("model/decoder_pos_embed", "masked autoencoder (MAE) checkpoint"),
    ("lin0.model.1.weight", "LPIPS heads"),
    ("features.28.weight", "VGG16 backbone, torchvision names"),
    ("features.10.weight", "AlexNet backbone, torchvision names"),
    ("Mixed_7c.branch_pool.conv.weight", "Inception v3 for FID"),
    ("main.0.weight", "PatchGAN discriminator"),
    ("latents_scale", "latent statistics of a REPA-E autoencoder"),
];

impl Inspection {
    /// Counts the tensors of a file and says what they are.
    fn look_at(&mut self, file: &TensorFile, config: Option<&VaeConfig>, device: &Device) -> Result<()> {
        self.count(file, "")?;
        let kind = file.kind().describe();
        let repae = RepaeFile::of(file);
        if let Some(repae) = &repae {
            let whole = if repae.is_complete() {
                "complete REPA-E training checkpoint"
            } else {
                "REPA-E checkpoint of a transformer"
            };
            let steps = repae.steps().map(|steps| format!(" after {steps} steps")).unwrap_or_default();
            self.what = format!("{whole}{steps} ({kind})");
            for name in ["model", "resolution", "vae", "enc_type", "vae_ckpt"] {
                self.architecture.extend(repae.arg_text(name).map(|text| format!("{name}: {text}")));
            }
        }
        if let Some(found) = naming::find(file) {
            self.autoencoder(
                &found,
                config.cloned().or(repae.as_ref().and_then(RepaeFile::vae_config)),
                device,
            )?;
            if repae.is_none() {
                let class = if found.naming == naming::Naming::Qwen {
                    "Qwen-Image autoencoder"
                } else {
                    "autoencoder (AutoencoderKL)"
                };
                self.what = format!("{class}, {} ({kind})", found.naming.describe());
            }
        } else if repae.is_none() {
            let known = LANDMARKS.iter().find(|(name, _)| file.info(name).is_some());
            self.what =
                format!("{} ({kind})", known.map_or("tensors of no model known here", |(_, what)| what));
        }
        Ok(())
    }

    fn autoencoder(&mut self, found: &Found, config: Option<VaeConfig>, device: &Device) -> Result<()> {
        let geometry = match &config {
            Some(config) => {
                self.problems.extend(geometry::disagreement(config, found));
                config.clone()
            }
            None => match geometry::infer(found) {
                Ok(config) => config,
                Err(reason) => {
                    self.problems.push(reason);
                    return Ok(());
                }
            },
        };
        let source = if config.is_some() { "" } else { " (geometry from the tensors)" };
        self.architecture.push(format!("{}{source}", describe_vae(&geometry)));
        self.architecture.push(describe_latents(&geometry));
        let defects = Defects::of(&Vae::unset(&geometry, device)?, found);
        self.problems.extend(
            defects
                .shapes
                .iter()
                .map(|(name, model, file)| format!("{name}: expected shape {model:?}, found {file:?}")),
        );
        self.missing = defects.missing;
        self.unknown = defects.unknown;
        if found.others > 0 && !found.prefix.is_empty() {
            self.architecture
                .push(format!("{} tensors beside the autoencoder's `{}`", found.others, found.prefix));
        }
        Ok(())
    }

    /// Adds the tensors of a file; parts are named after `part`, or after the names themselves.
    fn count(&mut self, file: &TensorFile, part: &str) -> Result<()> {
        for info in file.tensors() {
            self.tensors += 1;
            *self.dtypes.entry(format!("{:?}", info.dtype)).or_default() += info.len() as u64;
            let name = if part.is_empty() { part_of(&info.name) } else { part };
            if format!("{:?}", info.dtype).contains('F') {
                self.parameters += info.len() as u64;
            }
            // What cannot be read as numbers is counted only.
            let Ok(Some((_, values))) = file.tensor(&info.name) else { continue };
            self.parts.entry(name.to_string()).or_default().add(&values);
        }
        Ok(())
    }
}

fn part_of(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or(name)
}

impl PartStats {
    /// Folds the values of a tensor in (mean and deviation by Chan's formula).
    fn add(&mut self, values: &[f32]) {
        let finite: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v)).collect();
        self.tensors += 1;
        self.not_finite += (values.len() - finite.len()) as u64;
        if finite.is_empty() {
            return;
        }
        let n = finite.len() as f64;
        let mean = finite.iter().sum::<f64>() / n;
        let square = finite.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let before = self.values as f64;
        let total = before + n;
        let delta = mean - self.mean;
        let squares = self.std.powi(2) * before + square + delta.powi(2) * before * n / total;
        self.mean += delta * n / total;
        self.std = (squares / total).sqrt();
        let (low, high) = values
            .iter()
            .filter(|v| v.is_finite())
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        let first = self.values == 0;
        self.min = if first { low } else { self.min.min(low) };
        self.max = if first { high } else { self.max.max(high) };
        self.values += finite.len() as u64;
    }
}

/// An autoencoder's geometry in a line.
pub fn describe_vae(config: &VaeConfig) -> String {
    let attention = |types: &[String]| types.iter().filter(|t| t.starts_with("Attn")).count();
    let levels = attention(&config.down_block_types) + attention(&config.up_block_types);
    let mut parts = vec![
        format!("channels {:?}", config.block_out_channels),
        format!("{} residual blocks a level", config.layers_per_block),
        format!("latent of {} channels at 1/{}", config.latent_channels, config.downsampling()),
    ];
    if config.qwen.is_none() {
        parts.push(format!("{} groups", config.norm_num_groups));
        let middle = if config.mid_block_add_attention {
            "attention in the middle"
        } else {
            "no attention in the middle"
        };
        parts.push(middle.into());
        if levels > 0 {
            parts.push(format!("attention on {levels} levels"));
        }
        let convs = if config.use_quant_conv { "with quant convs" } else { "without quant convs" };
        parts.push(convs.into());
    }
    format!("{}: {}", config.class_name(), parts.join(", "))
}

fn describe_latents(config: &VaeConfig) -> String {
    match (&config.latents_mean, &config.latents_std) {
        (Some(mean), Some(std)) => {
            let average = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            format!(
                "latent statistics of each channel (mean {:.3}, deviation {:.3} on average)",
                average(mean),
                average(std)
            )
        }
        _ => format!(
            "latents scaled by {}{}",
            config.scaling_factor,
            config.shift_factor.map(|shift| format!(" after a shift of {shift}")).unwrap_or_default()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_parts_are_those_of_all_their_values() {
        let mut stats = PartStats::default();
        stats.add(&[1.0, 2.0, f32::NAN]);
        stats.add(&[3.0, 6.0]);
        assert_eq!((stats.mean, stats.min, stats.max, stats.not_finite, stats.values), (3.0, 1.0, 6.0, 1, 4));
        assert!((stats.std - 3.5f64.sqrt()).abs() < 1e-12);
    }
}
