//! `torch.save`'s zip: `NAME/data.pkl`, `NAME/byteorder`, `NAME/data/0…`, `NAME/version`, stored
//! without compression at multiples of 64 bytes.

use std::io::{Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Values;
use crate::error::{Error, Result};
use crate::files::pickle::write::{Value, pickled};

/// Where PyTorch starts each entry's data.
const ALIGNMENT: u16 = 64;
/// From here on a zip needs long sizes.
const LARGE_BYTES: usize = u32::MAX as usize;

/// Writes `value` with its tensors; `values` gives the bytes of the tensor that
/// [`Value::Tensor`] numbers. `name` is the folder in the archive (PyTorch takes the file's stem).
///
/// # Errors
/// What `values` or the disk refuses.
pub fn write_torch(
    out: impl Write + Seek,
    name: &str,
    value: &Value,
    values: &Values,
    path: &Path,
) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("write", path, e);
    let zip_failed = |e: zip::result::ZipError| Error::file(path, format!("cannot be written: {e}"));
    let mut archive = ZipWriter::new(out);
    let mut entry = |entry: String, bytes: &[u8]| -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .with_alignment(ALIGNMENT)
            .large_file(bytes.len() >= LARGE_BYTES);
        archive.start_file(format!("{name}/{entry}"), options).map_err(zip_failed)?;
        archive.write_all(bytes).map_err(failed)
    };
    entry("data.pkl".into(), &pickled(value))?;
    entry("byteorder".into(), b"little")?;
    for (key, number) in value.tensors().into_iter().enumerate() {
        entry(format!("data/{key}"), &values(number)?)?;
    }
    entry("version".into(), b"3\n")?;
    archive.finish().map_err(zip_failed)?.flush().map_err(failed)
}
