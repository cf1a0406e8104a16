//! Weights in several safetensors files with an index: `{"metadata": …, "weight_map": {name: file}}`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::tensor_file::{FileKind, Parts, TensorFile};
use crate::error::{Error, Result};

/// No sensible index is larger.
const LIMIT_BYTES: u64 = 100_000_000;
/// Shards of one model.
const LIMIT_SHARDS: usize = 10_000;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Whether a file is named like an index.
pub(super) fn is_index(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".json") && name.contains(".safetensors.index")
}

/// Opens all shards that the index at `path` names.
pub(super) fn open(path: &Path) -> Result<TensorFile> {
    let size = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?.len();
    if size > LIMIT_BYTES {
        return Err(Error::file(path, format!("{size} bytes is too large for an index")));
    }
    let text = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let shards = read(&text, path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut all = Parts { index: Some(text), ..Parts::default() };
    for (file, names) in &shards {
        let shard = TensorFile::open(&folder.join(file))?;
        if shard.kind() != FileKind::Safetensors {
            return Err(Error::file(shard.origin(), "a shard must be a safetensors file"));
        }
        if let Some(missing) = names.iter().find(|name| shard.info(name).is_none()) {
            return Err(Error::file(
                shard.origin(),
                format!("tensor {missing} is missing, which the index places here"),
            ));
        }
        if let Some(extra) = shard.names().find(|name| names.binary_search(&(*name).to_string()).is_err()) {
            return Err(Error::file(shard.origin(), format!("holds {extra}, which the index does not list")));
        }
        all.append(shard);
    }
    TensorFile::new(path, FileKind::Sharded, all)
}

/// File name to sorted tensor names; file names must be plain.
fn read(text: &[u8], path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let bad = |reason: String| Error::file(path, format!("not a readable index: {reason}"));
    let index: Index = serde_json::from_slice(text).map_err(|e| bad(e.to_string()))?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, file) in index.weight_map {
        let plain = Path::new(&file).file_name().is_some_and(|n| n.to_str() == Some(file.as_str()));
        if !plain || file.contains(['/', '\\']) || !file.ends_with(".safetensors") {
            return Err(bad(format!("{file:?} is not the plain name of a shard")));
        }
        shards.entry(file).or_default().push(name);
    }
    if shards.is_empty() {
        return Err(bad("it lists no tensors".into()));
    }
    if shards.len() > LIMIT_SHARDS {
        return Err(bad(format!("{} shards are too many", shards.len())));
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_leads_out_of_the_folder_is_refused() {
        for file in
            ["../a.safetensors", "/etc/a.safetensors", "a/b.safetensors", "..\\\\a.safetensors", "a.pt", ""]
        {
            let text = format!(r#"{{"weight_map":{{"w":"{file}"}}}}"#);
            assert!(read(text.as_bytes(), Path::new("i")).is_err(), "{file}");
        }
        let good = read(br#"{"weight_map":{"w":"a-1.safetensors"}}"#, Path::new("i")).unwrap();
        assert_eq!(good["a-1.safetensors"], ["w"]);
        assert!(read(br#"{"weight_map":{}}"#, Path::new("i")).is_err());
    }
}
