//! Autoencoders in diffusers folders: `config.json` and `diffusion_pytorch_model.safetensors`, opened
//! and saved as `from_pretrained` and `save_pretrained` do.
//!
//! Differences: a file is read strictly (a missing, unknown or misshapen tensor is an error), stored
//! dtypes are kept when nothing else is asked for, and a model that was only read is written again
//! byte for byte, its configuration's text included.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::json;

use super::autoencoder::{self, Outlet, outlets};
use super::naming::Naming;
use crate::error::{Error, Result};
use crate::files::write::{Outgoing, plan};
use crate::files::{Dtype, TensorFile, WeightNames};
use crate::run::disk::{write_atomically, write_atomically_with};
use crate::vae::{Vae, VaeConfig};

/// The configuration's file.
pub const CONFIG: &str = "config.json";
/// diffusers' own bound on the size of one file.
const DEFAULT_SHARD_BYTES: u64 = 10_000_000_000;

/// Which part of a folder to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions<'a> {
    /// The folder within the folder: "vae" of a pipeline.
    pub subfolder: Option<&'a str>,
    /// Weights of a variant: "fp16".
    pub variant: Option<&'a str>,
}

/// How to save.
#[derive(Clone, Debug, Default)]
pub struct SaveOptions {
    /// f32, f16 or bf16; `None` keeps what was stored.
    pub dtype: Option<Dtype>,
    /// Largest file; `None` keeps the files there were, or diffusers' ten gigabytes.
    pub max_shard_bytes: Option<u64>,
    /// Names the files as a variant: "fp16".
    pub variant: Option<String>,
}

/// Where an autoencoder came from: what saving it unchanged needs.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its weights.
    pub file: TensorFile,
    /// Their names.
    pub naming: Naming,
    /// The text of its `config.json`.
    pub config_text: Option<String>,
}

/// Opens the autoencoder in a diffusers folder.
///
/// # Errors
/// No configuration or weights, or ones that do not fit together.
pub fn from_pretrained(folder: &Path, options: LoadOptions, device: &Device) -> Result<(Vae, Origin)> {
    let folder = options.subfolder.map_or_else(|| folder.to_path_buf(), |sub| folder.join(sub));
    let (config, text) = read_config(&folder.join(CONFIG))?;
    let file = WeightNames::diffusers(options.variant).open(&folder)?;
    let (vae, naming) = autoencoder::load(&file, Some(&config), device)?;
    Ok((vae, Origin { file, naming, config_text: Some(text) }))
}

/// Reads a `config.json`: the configuration and its text.
///
/// # Errors
/// A file that cannot be read or is no autoencoder's configuration.
pub fn read_config(path: &Path) -> Result<(VaeConfig, String)> {
    const LIMIT_BYTES: u64 = 1 << 20;
    let size = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?.len();
    if size > LIMIT_BYTES {
        return Err(Error::file(path, format!("{size} bytes is too large for a configuration")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    let config = VaeConfig::from_json(&text).map_err(|e| Error::file(path, e.to_string()))?;
    Ok((config, text))
}

/// Saves an autoencoder as a diffusers folder; the files written are returned.
///
/// # Errors
/// A dtype that cannot be written, or a disk that refuses.
pub fn save_pretrained(
    vae: &Vae,
    origin: Option<&Origin>,
    folder: &Path,
    options: &SaveOptions,
) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let config = folder.join(CONFIG);
    let kept = origin.and_then(|origin| origin.config_text.as_ref());
    let unchanged =
        kept.filter(|text| VaeConfig::from_json(text).is_ok_and(|config| config == *vae.config()));
    let text = match unchanged {
        Some(text) => text.clone(),
        None => vae.config().to_json()?,
    };
    write_atomically(&config, text.as_bytes())?;
    let asks = options.dtype.is_some() || options.max_shard_bytes.is_some() || options.variant.is_some();
    let mut written = match origin.filter(|origin| !asks && keeps_layout(origin)) {
        Some(origin) => rewrite(vae, origin, folder)?,
        None => {
            let dtype = options.dtype.or_else(|| origin.and_then(|o| o.file.dtype())).unwrap_or(Dtype::F32);
            let names = WeightNames::diffusers(options.variant.as_deref());
            let limit = options.max_shard_bytes.unwrap_or(DEFAULT_SHARD_BYTES);
            write_shards(&outlets(vae), dtype, names, limit, folder)?
        }
    };
    written.insert(0, config);
    Ok(written)
}

/// Whether files of `origin` can be written again as they are.
fn keeps_layout(origin: &Origin) -> bool {
    let (layouts, _) = origin.file.layouts();
    let named = layouts.iter().all(|layout| layout.name.starts_with("diffusion_pytorch_model"));
    !layouts.is_empty() && named && !matches!(origin.naming, Naming::CompVis(_))
}

/// Writes the files of `origin` with the model's values in their place.
fn rewrite(vae: &Vae, origin: &Origin, folder: &Path) -> Result<Vec<PathBuf>> {
    let outlets: std::collections::HashMap<String, Outlet> =
        outlets(vae).into_iter().map(|outlet| (origin.naming.stored(&outlet.name), outlet)).collect();
    let infos: Vec<_> = origin.file.tensors().collect();
    let (layouts, index) = origin.file.layouts();
    let mut written = Vec::new();
    for layout in layouts {
        let path = folder.join(&layout.name);
        write_atomically_with(&path, |out| {
            let failed = |e| Error::io("write", &path, e);
            out.write_all(&layout.header).map_err(failed)?;
            for info in &infos[layout.tensors.clone()] {
                let bytes = match outlets.get(&info.name) {
                    Some(outlet) => Cow::Owned(outlet.bytes(info.dtype)?),
                    // Not the model's: kept as it was.
                    None => origin.file.raw(&info.name).unwrap_or_default(),
                };
                out.write_all(&bytes).map_err(failed)?;
            }
            Ok(())
        })?;
        written.push(path);
    }
    if let Some(index) = index {
        let name = origin.file.origin().file_name().unwrap_or_default();
        let path = folder.join(name);
        write_atomically(&path, index)?;
        written.push(path);
    }
    Ok(written)
}

/// Writes all tensors, in files of at most `limit` bytes of values each (a larger tensor has one of its
/// own), with an index when there are several.
fn write_shards(
    outlets: &[Outlet],
    dtype: Dtype,
    names: WeightNames,
    limit: u64,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let outgoing: Vec<Outgoing> = outlets.iter().map(|o| o.outgoing(o.name.clone(), dtype)).collect();
    let shards = split(&outgoing, limit);
    let mut written = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => names.single(),
            count => names.shard(number + 1, count),
        };
        let path = folder.join(&name);
        let tensors = &outgoing[shard.clone()];
        let plan = plan(tensors)?;
        let values =
            |i: usize| -> Result<Cow<'_, [u8]>> { outlets[shard.start + i].bytes(dtype).map(Cow::Owned) };
        write_atomically_with(&path, |out| plan.write(out, &values, &path))?;
        places.extend(tensors.iter().map(|t| (t.name.clone(), name.clone())));
        written.push(path);
    }
    if shards.len() > 1 {
        let total: usize = outgoing.iter().map(Outgoing::bytes).sum();
        let index = json!({ "metadata": { "total_size": total }, "weight_map": places });
        let text = serde_json::to_string_pretty(&index).map_err(|e| Error::file(folder, e.to_string()))?;
        let path = folder.join(names.index());
        write_atomically(&path, (text + "\n").as_bytes())?;
        written.push(path);
    }
    Ok(written)
}

/// Ranges of tensors that fit one file each.
fn split(tensors: &[Outgoing], limit: u64) -> Vec<std::ops::Range<usize>> {
    let mut shards = Vec::new();
    let (mut start, mut size) = (0, 0u64);
    for (i, tensor) in tensors.iter().enumerate() {
        let bytes = tensor.bytes() as u64;
        if i > start && size + bytes > limit {
            shards.push(start..i);
            (start, size) = (i, 0);
        }
        size += bytes;
    }
    shards.push(start..tensors.len());
    shards
}

/// Reads a dtype's name as people write it: f32, fp16, bfloat16.
///
/// # Errors
/// Any other name.
pub fn dtype_of_name(name: &str) -> Result<Dtype> {
    match name.to_ascii_lowercase().as_str() {
        "f32" | "fp32" | "float32" => Ok(Dtype::F32),
        "f16" | "fp16" | "float16" | "half" => Ok(Dtype::F16),
        "bf16" | "bfloat16" => Ok(Dtype::BF16),
        other => Err(Error::Config(format!("{other} is no dtype for weights; use f32, f16 or bf16"))),
    }
}
