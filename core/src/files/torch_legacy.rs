//! `torch.save` before PyTorch 1.6: five pickles in a row (magic number, protocol, system, the
//! object, the keys of its storages), then each storage: length (i64) and values.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::bytes::Bytes;
use super::pickle::{Item, Pickle};
use super::tensor_file::Parts;
use super::torch::{Storage, tensors};
use crate::error::{Error, Result};

/// The first pickle: protocol 2, the integer 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 15] =
    [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
const PROTOCOL: i128 = 1001;
/// Values looked at for storages.
const LIMIT_VISITS: usize = 500_000;

/// Whether `bytes` start like such a file.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Reads the pickles and finds the storages; values stay where they are.
pub(super) fn read(bytes: Bytes, path: &Path) -> Result<Parts> {
    let bad = |reason: String| Error::file(path, format!("not a readable PyTorch file: {reason}"));
    let mut at = MAGIC.len();
    let mut next = || {
        let (pickle, used) = Pickle::read(&bytes[at..]).map_err(bad)?;
        at += used;
        Ok::<_, Error>(pickle)
    };
    let protocol = next()?;
    if protocol.root().as_int() != Some(PROTOCOL) {
        return Err(bad("it is of an unknown protocol".into()));
    }
    let system = next()?;
    if system.root().get("little_endian").and_then(|item| item.as_bool()) == Some(false) {
        return Err(bad("it was saved on a big-endian machine; save it again on a common one".into()));
    }
    let object = next()?;
    let keys = next()?;
    let storages = storages(&object).map_err(bad)?;
    let mut ranges: HashMap<String, Range<usize>> = HashMap::new();
    for key in keys.root().items().filter_map(|key| key.as_key()) {
        let range = storage_range(&bytes, &mut at, storages.get(&key).copied().unwrap_or(0))
            .ok_or_else(|| bad(format!("storage {key} lies beyond the end of the file")))?;
        ranges.insert(key, range);
    }
    let mut find = |storage: &Storage| {
        let range = ranges.get(&storage.key).ok_or_else(|| format!("storage {} is missing", storage.key))?;
        Ok((bytes.clone(), range.clone()))
    };
    let tensors = tensors(&object, &mut find, path)?;
    Ok(Parts { tensors, pickle: Some(object), ..Parts::default() })
}

/// The next storage: its length in values of `size` bytes, then the values.
fn storage_range(bytes: &[u8], at: &mut usize, size: usize) -> Option<Range<usize>> {
    let start = at.checked_add(8)?;
    let length = u64::from_le_bytes(bytes.get(*at..start)?.try_into().ok()?);
    let end = start.checked_add(usize::try_from(length).ok()?.checked_mul(size)?)?;
    *at = end;
    (end <= bytes.len()).then_some(start..end)
}

/// Size of a value in each storage that the object refers to, anywhere in it.
fn storages(object: &Pickle) -> std::result::Result<HashMap<String, usize>, String> {
    let mut sizes = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut todo: Vec<Item> = vec![object.root()];
    while let Some(item) = todo.pop() {
        if !seen.insert(item.id()) {
            continue;
        }
        if let Some(reference) = item.persistent() {
            let storage =
                Storage::from_reference(reference).ok_or("it refers to something that is no storage")?;
            sizes.insert(storage.key.clone(), storage.item_size());
        }
        todo.extend(item.items());
        todo.extend(item.args());
        todo.extend(item.state());
        todo.extend(item.entries().flat_map(|(key, value)| [key, value]));
        if todo.len() > LIMIT_VISITS {
            return Err("it has too many values".into());
        }
    }
    Ok(sizes)
}
