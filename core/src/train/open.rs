//! Opens the frozen networks of a run, teachers and LPIPS: those that come with the program, and those
//! that people have as files, folders or fetched models.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::align::spec::EMBEDDED;
use crate::align::teacher::TeacherFile;
use crate::align::{Teacher, TeacherSpec, TokenGrid};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::files::{TensorFile, WeightNames};
use crate::params::TensorSource;
use crate::vae::perceptual::{Backbone, Lpips};
use crate::{hub, weights};

/// The teachers that a configuration names, none for a method without alignment.
///
/// # Errors
/// As [`teacher`].
pub fn teachers(config: &Config, device: &Device) -> Result<Vec<Teacher>> {
    if !config.method.aligns() {
        return Ok(Vec::new());
    }
    let (specs, tokens) = (TeacherSpec::parse_all(&config.align.teacher)?, config.token_grid()?);
    specs.iter().map(|spec| teacher(spec, tokens, device)).collect()
}

/// The teacher that a run's features are compared with: the one that is named, else the run's first, else
/// the embedded one.
///
/// # Errors
/// As [`teacher`].
pub fn teacher_to_compare(config: &Config, named: Option<&str>, device: &Device) -> Result<Teacher> {
    let own = Some(config.align.teacher.as_str()).filter(|_| config.method.aligns());
    let specs = TeacherSpec::parse_all(named.or(own).unwrap_or(EMBEDDED))?;
    let first = specs.first().ok_or_else(|| Error::Config("no teacher is named".into()))?;
    teacher(first, config.token_grid()?, device)
}

/// One teacher, for a transformer with `tokens`.
///
/// # Errors
/// A grid that no teacher has, or weights that are missing or do not fit the name.
pub fn teacher(spec: &TeacherSpec, tokens: TokenGrid, device: &Device) -> Result<Teacher> {
    spec.check_grid(tokens)?;
    let (file, config, path) = match spec.place() {
        None => (weights::efficientnet_lite0()?, None, None),
        Some(place) => {
            let path = hub::resolve(place)?;
            let (file, config) = open_weights(&path)?;
            (file, config, Some(path))
        }
    };
    let tensors = file.tensors().map(|info| (info.name.clone(), info.shape.clone())).collect();
    let teacher = Teacher::load(spec, &TeacherFile { source: &file, tensors, config }, tokens, device);
    teacher.map_err(|error| named(error, path))
}

/// Names the file in an error about one of its tensors.
fn named(error: Error, path: Option<PathBuf>) -> Error {
    match (error, path) {
        (error @ (Error::Shape { .. } | Error::MissingTensor { .. }), Some(path)) => {
            Error::file(path, error.to_string())
        }
        (error, _) => error,
    }
}

/// A file, or the weights of a folder as transformers saves it, with its configuration.
fn open_weights(path: &Path) -> Result<(TensorFile, Option<serde_json::Value>)> {
    if !path.is_dir() {
        return Ok((TensorFile::open(path)?, None));
    }
    Ok((WeightNames::transformers(None).open(path)?, read_config(&path.join("config.json"))?))
}

/// `config.json`, if there is one.
fn read_config(path: &Path) -> Result<Option<serde_json::Value>> {
    /// Configurations are a few kilobytes.
    const MAX_BYTES: u64 = 1 << 20;
    match std::fs::metadata(path) {
        Err(_) => return Ok(None),
        Ok(meta) if meta.len() > MAX_BYTES => {
            return Err(Error::file(path, "is too large for a configuration"));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    serde_json::from_str(&text).map(Some).map_err(|e| Error::file(path, format!("not readable JSON: {e}")))
}

/// The network of LPIPS from `places`: nothing for the embedded one, a file (or a model's file), or
/// `BACKBONE+HEADS`. A backbone is torchvision's (`vgg16-397923af.pth`, `alexnet-owt-7be5be79.pth`, or
/// the same as safetensors), heads are the `lpips` package's (`vgg.pth`, `alex.pth`); a whole saved
/// `lpips.LPIPS` holds both.
///
/// # Errors
/// Files that cannot be read or that lack a tensor; a network that is not embedded without a file.
pub fn perceptual(network: Backbone, places: &str, device: &Device) -> Result<Lpips> {
    if places.is_empty() {
        return match network {
            Backbone::Alex => Lpips::load(network, &weights::lpips_alex()?, device),
            Backbone::Vgg => Err(Error::Config(
                "loss.perceptual_network = vgg needs weights that do not come with the program: name them with \
                 --set loss.perceptual_weights=BACKBONE+HEADS (torchvision's vgg16-397923af.pth and the lpips \
                 package's vgg.pth), or take --set loss.perceptual_network=alex"
                    .into(),
            )),
        };
    }
    let files = places.split('+').map(|place| TensorFile::open(&hub::resolve(place.trim())?));
    let files = Several(files.collect::<Result<_>>()?);
    Lpips::load(network, &files, device).map_err(|error| {
        let heads = matches!(&error, Error::MissingTensor { name, .. } if name.starts_with("lin"));
        let hint = if heads { "; without heads: add the lpips package's file behind a +" } else { "" };
        let reason = format!("not the LPIPS network that loss.perceptual_network names: {error}{hint}");
        Error::file(places, reason)
    })
}

/// Files that are looked through in order.
struct Several(Vec<TensorFile>);

impl TensorSource for Several {
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        for file in &self.0 {
            if let Some(found) = file.tensor(name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
