//! Latents in a file: `latents` `[N, z, h, w]` and perhaps `std`, as safetensors or npz.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::npz::{Array, read_npz, write_npz};
use crate::files::write::{Outgoing, plan};
use crate::files::{Dtype, TensorFile};
use crate::params::TensorSource;
use crate::run::disk::write_atomically_with;

/// The tensor that says that latents are normalised: one value, 1 or 0.
const NORMALIZED: &str = "normalized";

/// Latents of pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentFile {
    /// `[N, z, h, w]`.
    pub shape: [usize; 4],
    /// Means, row-major.
    pub latents: Vec<f32>,
    /// Standard deviations, of the same shape.
    pub std: Option<Vec<f32>>,
    /// Whether the means are normalised by the model's statistics.
    pub normalized: bool,
}

/// Writes latents; the ending of `path` (`.safetensors`, `.npz`) says how.
///
/// # Errors
/// Another ending, or a disk that refuses.
pub fn save_latents(path: &Path, file: &LatentFile) -> Result<()> {
    let flag = [if file.normalized { 1.0f32 } else { 0.0 }];
    let mut arrays: Vec<(&str, Vec<usize>, &[f32])> =
        vec![("latents", file.shape.to_vec(), &file.latents), (NORMALIZED, vec![1], &flag)];
    if let Some(std) = &file.std {
        arrays.push(("std", file.shape.to_vec(), std));
    }
    save_values(path, &arrays)
}

/// Whether the name of a file is one that values are kept in.
pub fn is_values_file(path: &Path) -> bool {
    ending(path).is_ok()
}

/// Writes named f32 arrays (name, axis lengths, values); the ending of `path` says how.
///
/// # Errors
/// Another ending, or a disk that refuses.
pub fn save_values(path: &Path, arrays: &[(&str, Vec<usize>, &[f32])]) -> Result<()> {
    match ending(path)?.as_str() {
        "npz" => {
            let arrays: Vec<Array> = arrays
                .iter()
                .map(|(name, shape, values)| Array {
                    name,
                    dtype: Dtype::F32,
                    shape,
                    bytes: bytemuck::cast_slice(values),
                })
                .collect();
            write_atomically_with(path, |out| write_npz(out, &arrays, path))
        }
        _ => {
            let outgoing: Vec<Outgoing> = arrays
                .iter()
                .map(|(name, shape, _)| Outgoing {
                    name: (*name).into(),
                    dtype: Dtype::F32,
                    shape: shape.clone(),
                })
                .collect();
            let plan = plan(&outgoing)?;
            let values =
                |i: usize| -> Result<Cow<'_, [u8]>> { Ok(Cow::Borrowed(bytemuck::cast_slice(arrays[i].2))) };
            write_atomically_with(path, |out| plan.write(out, &values, path))
        }
    }
}

/// Reads latents that [`save_latents`] or another program wrote.
///
/// # Errors
/// A file of another kind, or without `latents` of four axes.
pub fn open_latents(path: &Path) -> Result<LatentFile> {
    let (shape, latents, std, normalized) = match ending(path)?.as_str() {
        "npz" => {
            let (shape, values) = read_npz(path, "latents")?;
            let std = read_npz(path, "std").ok().map(|(_, values)| values);
            let normalized = read_npz(path, NORMALIZED).is_ok_and(|(_, flag)| flag == [1.0]);
            (shape, values, std, normalized)
        }
        _ => {
            let file = TensorFile::open(path)?;
            let found = file.tensor("latents")?;
            let (shape, values) = found.ok_or_else(|| Error::file(path, "has no tensor `latents`"))?;
            let std = file.tensor("std")?.map(|(_, values)| values);
            let normalized = file.tensor(NORMALIZED)?.is_some_and(|(_, flag)| flag == [1.0]);
            (shape, values, std, normalized)
        }
    };
    let Ok(shape) = <[usize; 4]>::try_from(shape.as_slice()) else {
        return Err(Error::file(path, format!("latents are of shape {shape:?}, expected [N, z, h, w]")));
    };
    if latents.is_empty() {
        return Err(Error::file(path, "holds no latents"));
    }
    Ok(LatentFile { shape, std: std.filter(|std| std.len() == latents.len()), latents, normalized })
}

fn ending(path: &Path) -> Result<String> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match ending.as_str() {
        "safetensors" | "npz" => Ok(ending),
        _ => Err(Error::Config(format!("{}: latents are kept in .safetensors or .npz", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_come_back_from_both_kinds_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = LatentFile {
            shape: [1, 2, 1, 2],
            latents: vec![1.0, -2.0, 0.5, 4.0],
            std: Some(vec![0.1; 4]),
            normalized: true,
        };
        for name in ["z.safetensors", "z.npz"] {
            let path = folder.path().join(name);
            save_latents(&path, &file).unwrap();
            assert_eq!(open_latents(&path).unwrap(), file, "{name}");
            assert_ne!(open_latents(&path).unwrap().latents, vec![0.0; 4]);
        }
        assert!(save_latents(&folder.path().join("z.txt"), &file).is_err());
        assert!(open_latents(&folder.path().join("missing.npz")).is_err());
    }
}
