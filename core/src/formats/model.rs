//! Whatever a command calls MODEL: a run folder, a diffusers folder, a `.safetensors` or a `.pt`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::autoencoder;
use super::diffusers::{self, CONFIG, LoadOptions, Origin};
use super::naming;
use super::repae::RepaeFile;
use crate::error::{Error, Result};
use crate::files::TensorFile;
use crate::hub;
use crate::params::TensorSource;
use crate::run::RunFolder;
use crate::train::restored::vae_of_run;
use crate::vae::{Vae, VaeConfig};

/// What a path holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelKind {
    /// A run folder of this program.
    Run,
    /// A folder as diffusers saves it; the folder in it that has the autoencoder.
    Diffusers(PathBuf),
    /// A file of tensors.
    Weights,
}

/// An opened autoencoder.
#[derive(Clone, Debug)]
pub struct OpenedVae {
    /// The autoencoder; its configuration has the latent statistics wherever they are known.
    pub vae: Vae,
    /// What it was found in.
    pub kind: ModelKind,
    /// What saving it unchanged needs; none for a run.
    pub origin: Option<Origin>,
    /// Steps of training behind it, where that is known.
    pub step: Option<u64>,
}

/// What `path` holds, without opening weights.
///
/// # Errors
/// A path that does not exist, or a folder that holds no model.
pub fn kind_of(path: &Path) -> Result<ModelKind> {
    if path.is_file() {
        return Ok(ModelKind::Weights);
    }
    if !path.exists() {
        return Err(Error::file(
            path,
            "there is no such file or folder; name a run folder, a diffusers folder, a .safetensors or a .pt",
        ));
    }
    if RunFolder::open(path).is_ok() {
        return Ok(ModelKind::Run);
    }
    for folder in [path.to_path_buf(), path.join("vae")] {
        if folder.join(CONFIG).is_file() {
            return Ok(ModelKind::Diffusers(folder));
        }
    }
    let reason = format!("holds no model: neither a run's config.toml nor a {CONFIG}");
    Err(Error::file(path, reason))
}

/// Opens the autoencoder that `path` holds; a path may be the name of a fetched model.
///
/// # Errors
/// As [`kind_of`], or weights that cannot be read or do not fit.
pub fn open_vae(path: &Path, device: &Device) -> Result<OpenedVae> {
    let path = &hub::resolve(&path.to_string_lossy())?;
    match kind_of(path)? {
        ModelKind::Run => {
            let (vae, step) = vae_of_run(path, device)?;
            Ok(OpenedVae { vae, kind: ModelKind::Run, origin: None, step: Some(step) })
        }
        ModelKind::Diffusers(folder) => {
            let (vae, origin) = diffusers::from_pretrained(&folder, LoadOptions::default(), device)?;
            Ok(OpenedVae { vae, kind: ModelKind::Diffusers(folder), origin: Some(origin), step: None })
        }
        ModelKind::Weights => open_weights(path, device),
    }
}

/// An autoencoder in a file of its own, or in a training checkpoint.
fn open_weights(path: &Path, device: &Device) -> Result<OpenedVae> {
    let file = TensorFile::open(path)?;
    if naming::find(&file).is_none() {
        return Err(without_autoencoder(&file));
    }
    let config = config_beside(&file)?;
    let repae = RepaeFile::of(&file);
    let implied = match (&config, &repae) {
        (None, Some(repae)) => repae.vae_config(),
        _ => None,
    };
    let geometry = config.as_ref().map(|(config, _)| config).or(implied.as_ref());
    let (mut vae, naming) = autoencoder::load(&file, geometry, device)?;
    let stats = match &repae {
        Some(repae) => repae.latent_stats()?,
        None => stats_beside(path)?,
    };
    if let Some((mean, std)) = stats {
        if mean.len() != vae.config().latent_channels || std.len() != mean.len() {
            return Err(Error::file(
                path,
                format!(
                    "its latent statistics are of {} channels, its latents have {}",
                    mean.len(),
                    vae.config().latent_channels
                ),
            ));
        }
        vae.set_latent_stats(&mean, &std);
    }
    let step = repae.and_then(|repae| repae.steps());
    let origin = Origin { file, naming, config_text: config.map(|(_, text)| text) };
    Ok(OpenedVae { vae, kind: ModelKind::Weights, origin: Some(origin), step })
}

fn without_autoencoder(file: &TensorFile) -> Error {
    let reason = match RepaeFile::of(file) {
        Some(repae) => format!(
            "is a checkpoint of a transformer alone; its autoencoder is a file of its own{}",
            repae
                .arg_text("vae_ckpt")
                .map(|path| format!(" (it was trained with {path})"))
                .unwrap_or_default()
        ),
        None => "holds no autoencoder that is known here (AutoencoderKL, Qwen-Image, CompVis, REPA-E)".into(),
    };
    Error::file(file.origin(), reason)
}

/// The autoencoder's configuration in the file's own folder, if there is one; a configuration of
/// something else is passed over.
pub(super) fn config_beside(file: &TensorFile) -> Result<Option<(VaeConfig, String)>> {
    let path = file.origin().with_file_name(CONFIG);
    if !path.is_file() {
        return Ok(None);
    }
    let (config, text) = match diffusers::read_config(&path) {
        Ok(read) => read,
        Err(_) if !is_autoencoder_config(&path) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some((config, text)))
}

fn is_autoencoder_config(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"AutoencoderKL"))
}

/// `NAME-latents-stats.pt` beside `NAME.pt`, as REPA-E's training reads it: mean and deviation.
fn stats_beside(path: &Path) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let path = path.with_file_name(format!("{stem}-latents-stats.pt"));
    if !path.is_file() {
        return Ok(None);
    }
    let file = TensorFile::open(&path)?;
    let values = |name: &str| {
        let found = file.tensor(name)?.map(|(_, values)| values);
        found.ok_or_else(|| {
            Error::file(&path, format!("has no {name}; expected latents_scale and latents_bias"))
        })
    };
    let (scale, mean) = (values("latents_scale")?, values("latents_bias")?);
    Ok(Some((mean, scale.iter().map(|s| 1.0 / s).collect())))
}
