//! NumPy's `.npy` arrays in a `.npz` zip: what Python's users read without further libraries.
//!
//! Written as `np.savez` does (not compressed); read when stored or deflated, of f32, f64, f16, u8 and
//! i64, little endian, in C order.

use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::Dtype;
use super::convert::f32_from_bytes;
use super::npy::Header;
use crate::error::{Error, Result};

/// The most bytes one array may unpack to.
const LIMIT_BYTES: u64 = 16 << 30;

/// An array to be written: name, dtype, axis lengths, little-endian bytes.
pub struct Array<'a> {
    /// The name in the archive, without `.npy`.
    pub name: &'a str,
    /// How its values are stored: F32, U8 or I64.
    pub dtype: Dtype,
    /// Axis lengths.
    pub shape: &'a [usize],
    /// Its values.
    pub bytes: &'a [u8],
}

/// Writes arrays as a `.npz`.
///
/// # Errors
/// A dtype that has no place here, or a disk that refuses.
pub fn write_npz(out: impl Write + Seek, arrays: &[Array], path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("write", path, e);
    let zip_failed = |e: zip::result::ZipError| Error::file(path, format!("cannot be written: {e}"));
    let mut archive = ZipWriter::new(out);
    for array in arrays {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(array.bytes.len() >= u32::MAX as usize);
        archive.start_file(format!("{}.npy", array.name), options).map_err(zip_failed)?;
        let header = Header { dtype: array.dtype, shape: array.shape.to_vec() }
            .bytes()
            .ok_or_else(|| Error::file(path, format!("an array of {:?} is not written here", array.dtype)))?;
        archive.write_all(&header).map_err(failed)?;
        archive.write_all(array.bytes).map_err(failed)?;
    }
    archive.finish().map_err(zip_failed)?.flush().map_err(failed)
}

/// Reads the array `name` of a `.npz` (the first one when empty) as f32, with its shape.
///
/// # Errors
/// A file that is no `.npz`, has no such array, or one of another kind.
pub fn read_npz(path: &Path, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
    let bytes = super::bytes::Bytes::map(path)?;
    read_npz_bytes(&bytes, name).map_err(|reason| Error::file(path, format!("not a readable .npz: {reason}")))
}

/// [`read_npz`] of bytes; a reason in words.
pub(crate) fn read_npz_bytes(
    bytes: &[u8],
    name: &str,
) -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let entry = archive
        .file_names()
        .find(|entry| entry.strip_suffix(".npy").is_some_and(|stem| name.is_empty() || stem == name))
        .map(str::to_string)
        .ok_or_else(|| format!("it has no array {name}"))?;
    let mut entry = archive.by_name(&entry).map_err(|e| e.to_string())?;
    if entry.size() > LIMIT_BYTES {
        return Err(format!("{} bytes are too many", entry.size()));
    }
    let header = Header::read(&mut entry).map_err(|reason| format!("an array {reason}"))?;
    let expected = header.data_bytes().map(|n| n as u64).filter(|n| *n <= LIMIT_BYTES);
    let expected = expected.ok_or("an array that is too large")?;
    let Header { dtype, shape } = header;
    let mut data = Vec::new();
    entry.take(expected + 1).read_to_end(&mut data).map_err(|e| e.to_string())?;
    if data.len() as u64 != expected {
        return Err(format!("an array has {} bytes, its shape {shape:?} wants {expected}", data.len()));
    }
    let values = f32_from_bytes(dtype, &data).ok_or("values that are no numbers")?;
    Ok((shape, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_is_written_is_read_again() {
        let values = [1.5f32, -2.0, 0.0, 7.0, 8.0, 9.0];
        let mut file = Cursor::new(Vec::new());
        let arrays = [
            Array { name: "a", dtype: Dtype::F32, shape: &[2, 3], bytes: bytemuck::cast_slice(&values) },
            Array { name: "labels", dtype: Dtype::I64, shape: &[1], bytes: &7i64.to_le_bytes() },
        ];
        write_npz(&mut file, &arrays, Path::new("x.npz")).unwrap();
        let bytes = file.into_inner();
        assert_eq!(read_npz_bytes(&bytes, "a").unwrap(), (vec![2, 3], values.to_vec()));
        assert_eq!(read_npz_bytes(&bytes, "").unwrap().0, [2, 3]);
        assert_eq!(read_npz_bytes(&bytes, "labels").unwrap().1, [7.0]);
        assert!(read_npz_bytes(&bytes, "b").is_err());
        assert!(read_npz_bytes(&bytes[..bytes.len() / 2], "a").is_err());
    }
}
