//! A run's networks for use after training: autoencoder and averaged transformer.

use std::path::Path;

use burn::tensor::Device;

use super::state::restore;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::{Checkpoint, RunFolder, latest_complete};
use crate::sit::{Sit, SitConfig};
use crate::vae::Vae;

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
}

impl Restored {
    /// The newest whole checkpoint of run folder `path`.
    ///
    /// # Errors
    /// A folder that is no run, without a whole checkpoint, or whose tensors do not fit its
    /// configuration.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let folder = RunFolder::open(path)?;
        let text = std::fs::read_to_string(folder.config_path())
            .map_err(|e| Error::io("read", folder.config_path(), e))?;
        let config = Config::parse(&text, &[], &folder.config_path().display().to_string())?;
        let (step, newest) = latest_complete(folder.path())?
            .newest
            .ok_or_else(|| Error::file(path, "there is no whole checkpoint in this run"))?;
        let checkpoint = Checkpoint::load(&newest)?;
        let file = |name: &str| checkpoint.files.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut vae = Vae::new(&config.vae_config(), 0, device)?;
        restore(&mut vae, file("vae"), device)?;
        let mut sit = Sit::new(&geometry(&config, file("ema"))?, 0, device)?;
        restore(&mut sit, file("ema"), device)?;
        Ok(Self { config, step, vae, sit })
    }
}

/// The transformer's geometry; numbers of classes and teacher features come from the tensors.
fn geometry(config: &Config, tensors: &[crate::run::NamedTensor]) -> Result<SitConfig> {
    let rows = |name: &str| tensors.iter().find(|t| t.name == name).and_then(|t| t.shape.first().copied());
    let classes = rows("y_embedder.embedding_table.weight").ok_or_else(|| Error::MissingTensor {
        name: "y_embedder.embedding_table.weight".into(),
        hint: "; the run has no transformer".into(),
    })?;
    let teachers = (0..).map_while(|k| rows(&format!("projectors.{k}.4.weight"))).collect();
    config.sit_config(classes.saturating_sub(1), teachers)
}
