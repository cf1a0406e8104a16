//! `torch.save` since PyTorch 1.6: a zip of `NAME/data.pkl` and `NAME/data/KEY`, not compressed.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::bytes::Bytes;
use super::pickle::{LIMIT_STREAM_BYTES, Pickle};
use super::tensor_file::Parts;
use super::torch::{Storage, tensors};
use crate::error::{Error, Result};

/// Reads the pickle and finds the storages; values stay where they are.
pub(super) fn read(bytes: Bytes, path: &Path) -> Result<Parts> {
    let bad = |reason: String| Error::file(path, format!("not a readable PyTorch file: {reason}"));
    let mut archive = ZipArchive::new(Cursor::new(&bytes[..])).map_err(|e| bad(e.to_string()))?;
    let pickle_name = archive
        .file_names()
        .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .map(str::to_string)
        .ok_or_else(|| bad("the zip has no data.pkl (is it a weights file?)".into()))?;
    let prefix = pickle_name.trim_end_matches("data.pkl").to_string();
    let text = read_entry(&mut archive, &pickle_name, LIMIT_STREAM_BYTES).map_err(bad)?;
    if archive.index_for_name(&format!("{prefix}byteorder")).is_some() {
        let order = read_entry(&mut archive, &format!("{prefix}byteorder"), 64).map_err(bad)?;
        if order.trim_ascii() != b"little" {
            return Err(bad("it was saved on a big-endian machine; save it again on a common one".into()));
        }
    }
    let (pickle, _) = Pickle::read(&text).map_err(bad)?;
    let mut find = |storage: &Storage| -> std::result::Result<(Bytes, Range<usize>), String> {
        let range = storage_range(&mut archive, &format!("{prefix}data/{}", storage.key), bytes.len())?;
        let expected = storage.len.checked_mul(storage.item_size());
        if expected.is_none_or(|expected| expected > range.len()) {
            return Err(format!("storage {} is too short", storage.key));
        }
        Ok((bytes.clone(), range))
    };
    let tensors = tensors(&pickle, &mut find, path)?;
    Ok(Parts { tensors, pickle: Some(pickle), ..Parts::default() })
}

fn read_entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: usize,
) -> std::result::Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    if entry.size() > limit as u64 {
        return Err(format!("{name} has {} bytes, more than {} MiB", entry.size(), limit >> 20));
    }
    let mut out = Vec::new();
    // The size that an archive declares may be a lie.
    entry.take(limit as u64 + 1).read_to_end(&mut out).map_err(|e| format!("{name}: {e}"))?;
    if out.len() > limit {
        return Err(format!("{name} has more than {} MiB", limit >> 20));
    }
    Ok(out)
}

/// Where the bytes of an entry lie in the archive.
fn storage_range(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    total: usize,
) -> std::result::Result<Range<usize>, String> {
    let index = archive.index_for_name(name).ok_or_else(|| format!("{name} is missing in the archive"))?;
    let entry = archive.by_index_raw(index).map_err(|e| format!("{name}: {e}"))?;
    if entry.compression() != CompressionMethod::Stored {
        return Err(format!("{name} is compressed, which PyTorch never does; save the file again"));
    }
    let start = entry.data_start().ok_or_else(|| format!("{name} has no place in the archive"))?;
    let place = usize::try_from(start).ok().zip(usize::try_from(entry.size()).ok());
    let range = place.and_then(|(start, size)| Some(start..start.checked_add(size)?));
    range.filter(|range| range.end <= total).ok_or_else(|| format!("{name} lies beyond the end of the file"))
}
