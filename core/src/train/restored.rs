//! A run's networks for use after training: autoencoder and averaged transformer.

use std::path::Path;

use burn::tensor::Device;

use super::state::restore;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::checkpoint::step_name;
use crate::run::{Checkpoint, PassedOver, RunFolder, latest_complete};
use crate::sit::{Sit, SitConfig};
use crate::vae::{Vae, VaeConfig};

/// What a run learned.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Configuration of the run.
    pub config: Config,
    /// Steps done.
    pub step: u64,
    /// The autoencoder.
    pub vae: Vae,
    /// The averaged transformer.
    pub sit: Sit,
    /// What the checkpoint knows beside the networks.
    pub state: serde_json::Value,
}

impl Restored {
    /// The newest whole checkpoint of run folder `path`.
    ///
    /// # Errors
    /// A folder that is no run, without a whole checkpoint, or whose tensors do not fit its
    /// configuration.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let (config, checkpoint) = newest(&RunFolder::open(path)?, |_| {})?;
        Self::of(config, &checkpoint, device)
    }

    /// The checkpoint of `step` in run folder `path`.
    ///
    /// # Errors
    /// As [`Restored::open`], and when that checkpoint is not there (`train.keep_every` keeps some).
    pub fn open_at(path: &Path, step: u64, device: &Device) -> Result<Self> {
        let folder = RunFolder::open(path)?;
        let checkpoint = folder.checkpoints_dir().join(step_name(step));
        if !checkpoint.is_dir() {
            let reason =
                format!("has no checkpoint of step {step}; train.keep_every keeps those of its multiples");
            return Err(Error::file(path, reason));
        }
        Self::of(config_of(&folder)?, &Checkpoint::load(&checkpoint)?, device)
    }

    fn of(config: Config, checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let file = |name: &str| checkpoint.files.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut vae = vae_of_checkpoint(checkpoint, &config, device)?;
        let mut sit = Sit::unset(&sit_geometry(&config, file("ema"))?, device)?;
        restore(&mut sit, file("ema"), device)?;
        if config.method.trains_sit() {
            let (mean, std) = sit.latent_norm.stats();
            vae.set_latent_stats(&mean, &std);
        }
        Ok(Self { config, step: checkpoint.step, vae, sit, state: checkpoint.state.clone() })
    }
}

/// The configuration of a run.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn config_of(folder: &RunFolder) -> Result<Config> {
    let path = folder.config_path();
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
    Config::parse(&text, &[], &path.display().to_string())
}

/// Configuration and newest whole checkpoint of a run; `passed_over` hears of broken ones.
///
/// # Errors
/// A configuration that cannot be read, or no whole checkpoint.
pub fn newest(folder: &RunFolder, passed_over: impl Fn(&PassedOver)) -> Result<(Config, Checkpoint)> {
    let config = config_of(folder)?;
    let latest = latest_complete(folder.path())?;
    latest.passed_over.iter().for_each(passed_over);
    let (_, newest) = latest.newest.ok_or_else(|| {
        Error::file(folder.path(), "there is no whole checkpoint in this run; start anew with another --out")
    })?;
    Ok((config, Checkpoint::load(&newest)?))
}

/// The autoencoder of a checkpoint, in the geometry that it was saved with.
///
/// # Errors
/// An autoencoder of another shape.
pub fn vae_of_checkpoint(checkpoint: &Checkpoint, config: &Config, device: &Device) -> Result<Vae> {
    let mut vae = Vae::unset(&vae_geometry(checkpoint, config)?, device)?;
    restore(&mut vae, checkpoint.files.get("vae").map(Vec::as_slice).unwrap_or_default(), device)?;
    Ok(vae)
}

/// The geometry of a checkpoint's autoencoder; checkpoints of before it was saved have the run's.
///
/// # Errors
/// A saved geometry that cannot be read.
pub fn vae_geometry(checkpoint: &Checkpoint, config: &Config) -> Result<VaeConfig> {
    match &checkpoint.state["vae"] {
        serde_json::Value::Null => Ok(config.vae_config()),
        saved => VaeConfig::from_json(&saved.to_string()),
    }
}

/// The autoencoder of run `path` with the statistics of its latents, where it has learned them, and the
/// number of steps done.
///
/// # Errors
/// As [`newest`], or an autoencoder of another shape.
pub fn vae_of_run(path: &Path, device: &Device) -> Result<(Vae, u64)> {
    let (config, checkpoint) = newest(&RunFolder::open(path)?, |_| {})?;
    let mut vae = vae_of_checkpoint(&checkpoint, &config, device)?;
    if config.method.trains_sit() {
        let ema = checkpoint.files.get("ema").map(Vec::as_slice).unwrap_or_default();
        let values = |name: &str| ema.iter().find(|t| t.name == name).map(|t| t.values.as_slice());
        if let (Some(mean), Some(var)) = (values("bn.running_mean"), values("bn.running_var")) {
            let std: Vec<f32> = var.iter().map(|v| (v + crate::latent_norm::EPS).sqrt()).collect();
            vae.set_latent_stats(mean, &std);
        }
    }
    Ok((vae, checkpoint.step))
}

/// The transformer's geometry; numbers of classes and teacher features come from the tensors.
///
/// # Errors
/// Tensors of no transformer.
pub fn sit_geometry(config: &Config, tensors: &[crate::run::NamedTensor]) -> Result<SitConfig> {
    let rows = |name: &str| tensors.iter().find(|t| t.name == name).and_then(|t| t.shape.first().copied());
    let classes = rows("y_embedder.embedding_table.weight").ok_or_else(|| Error::MissingTensor {
        name: "y_embedder.embedding_table.weight".into(),
        hint: "; the run has no transformer".into(),
    })?;
    let teachers = (0..).map_while(|k| rows(&format!("projectors.{k}.4.weight"))).collect();
    config.sit_config(classes.saturating_sub(1), teachers)
}
