//! numpy's archives: a zip of `.npy` arrays, as much of them as pictures and statistics need.
//!
//! Written are bytes and doubles, read also single precision. Sizes in a file are checked against what lies
//! there before memory is taken.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::{Error, Result};
use crate::files::Dtype;
pub use crate::files::npy::Header;
use crate::run::disk::partial_name;

/// The most bytes that are held of an array at once.
const MOST_BYTES: usize = 1 << 30;

/// Writes one array of bytes, streamed from `values`, whole or not at all.
///
/// # Errors
/// When the disk refuses or `values` ends early.
pub fn write_bytes(path: &Path, name: &str, shape: &[usize], mut values: impl Read) -> Result<()> {
    let header = Header { dtype: Dtype::U8, shape: shape.to_vec() };
    write_archive(path, |archive| {
        start(archive, name, &header)?;
        let written = std::io::copy(&mut values, archive)?;
        match header.data_bytes() {
            Some(count) if count as u64 == written => Ok(()),
            _ => Err(std::io::Error::other(format!("{written} bytes do not fill {shape:?}"))),
        }
    })
}

/// Writes arrays of floats, whole or not at all: name, shape and values of each.
///
/// # Errors
/// When the disk refuses.
pub fn write_floats(path: &Path, arrays: &[(&str, Vec<usize>, &[f64])]) -> Result<()> {
    write_archive(path, |archive| {
        for (name, shape, values) in arrays {
            start(archive, name, &Header { dtype: Dtype::F64, shape: shape.clone() })?;
            for part in values.chunks(1 << 16) {
                archive.write_all(bytemuck::cast_slice(part))?;
            }
        }
        Ok(())
    })
}

type Archive = ZipWriter<BufWriter<File>>;

fn start(archive: &mut Archive, name: &str, header: &Header) -> std::io::Result<()> {
    // Arrays may be larger than 4 GiB; a fixed time makes equal arrays equal files.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(true);
    archive.start_file(format!("{name}.npy"), options)?;
    let header = header
        .bytes()
        .ok_or_else(|| std::io::Error::other("values of this type have no place in an .npz"))?;
    archive.write_all(&header)
}

fn write_archive(path: &Path, fill: impl FnOnce(&mut Archive) -> std::io::Result<()>) -> Result<()> {
    let partial = partial_name(path);
    let written = File::create(&partial).and_then(|file| {
        let mut archive = ZipWriter::new(BufWriter::new(file));
        fill(&mut archive)?;
        let mut file = archive.finish()?;
        file.flush()?;
        file.get_ref().sync_all()
    });
    let written = written.and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|e| {
        // The first error is the one to report; a leftover is harmless.
        let _ = std::fs::remove_file(&partial);
        Error::io("write", path, e)
    })
}

/// An opened archive.
pub struct NpzFile {
    path: std::path::PathBuf,
    archive: ZipArchive<File>,
}

impl NpzFile {
    /// Opens the archive at `path`.
    ///
    /// # Errors
    /// A file that cannot be read or is no zip.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let archive = ZipArchive::new(file).map_err(|e| Error::file(path, format!("not an .npz: {e}")))?;
        Ok(Self { path: path.to_path_buf(), archive })
    }

    /// Names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .archive
            .file_names()
            .filter_map(|name| name.strip_suffix(".npy"))
            .map(String::from)
            .collect();
        names.sort();
        names
    }

    /// Shape and values of a float array, or `None` when there is no such array.
    ///
    /// # Errors
    /// An array of bytes, or one that is damaged.
    pub fn floats(&mut self, name: &str) -> Result<Option<(Vec<usize>, Vec<f64>)>> {
        let (mut found, path) = (None, self.path.clone());
        self.each_row(name, usize::MAX, |header, bytes| {
            let values: Vec<f64> = match header.dtype {
                Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
                Dtype::U8 => bytes.iter().map(|b| f64::from(*b)).collect(),
                other => {
                    return Err(Error::file(&path, format!("array {name} has values of type {other:?}")));
                }
            };
            found = Some((header.shape.clone(), values));
            Ok(())
        })?;
        Ok(found)
    }

    /// The header of array `name`, or `None` when there is no such array.
    ///
    /// # Errors
    /// One that is damaged.
    pub fn header(&mut self, name: &str) -> Result<Option<Header>> {
        let mut header = None;
        self.each_row_of(name, 0, |found, _| {
            header = Some(found.clone());
            Ok(())
        })?;
        Ok(header)
    }

    /// Calls `take` with the bytes of at most `rows` rows (of the first axis) at a time.
    ///
    /// # Errors
    /// An array that is damaged, or what `take` gives.
    pub fn each_row(
        &mut self,
        name: &str,
        rows: usize,
        take: impl FnMut(&Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.each_row_of(name, rows.max(1), take)
    }

    /// As [`each_row`](Self::each_row); no rows mean only the header.
    fn each_row_of(
        &mut self,
        name: &str,
        rows: usize,
        mut take: impl FnMut(&Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let path = self.path.clone();
        let bad = |reason: String| Error::file(&path, format!("array {name} {reason}"));
        let mut entry = match self.archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => entry,
            Err(zip::result::ZipError::FileNotFound) => return Ok(()),
            Err(e) => return Err(bad(format!("cannot be read: {e}"))),
        };
        let stored = entry.size();
        let header = Header::read(&mut entry).map_err(bad)?;
        let needed = header.data_bytes().unwrap_or(usize::MAX);
        if needed as u64 > stored {
            return Err(bad(format!("is cut short: {needed} bytes are announced, {stored} are there")));
        }
        let total = header.shape.first().copied().unwrap_or(1);
        if rows == 0 {
            return take(&header, &[]);
        }
        let row_bytes = needed / total.max(1);
        let mut done = 0;
        while done < total {
            let count = rows.min(total - done);
            if count.saturating_mul(row_bytes) > MOST_BYTES {
                return Err(bad(format!("is too large: {needed} bytes")));
            }
            let mut bytes = vec![0; count * row_bytes];
            entry.read_exact(&mut bytes).map_err(|e| bad(format!("cannot be read: {e}")))?;
            take(&header, &bytes)?;
            done += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_and_rows_are_streamed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let (mu, sigma) = ([1.5, -2.0], [1.0, 0.5, 0.5, 2.0]);
        write_floats(&path, &[("mu", vec![2], &mu), ("sigma", vec![2, 2], &sigma)]).unwrap();
        let mut file = NpzFile::open(&path).unwrap();
        assert_eq!(file.names(), ["mu", "sigma"]);
        assert_eq!(file.floats("mu").unwrap().unwrap(), (vec![2], mu.to_vec()));
        assert_eq!(file.floats("sigma").unwrap().unwrap(), (vec![2, 2], sigma.to_vec()));
        assert!(file.floats("nu").unwrap().is_none());
        let bytes: Vec<u8> = (0..5 * 6).collect();
        write_bytes(&path, "arr_0", &[5, 2, 1, 3], bytes.as_slice()).unwrap();
        let mut file = NpzFile::open(&path).unwrap();
        let header = file.header("arr_0").unwrap().unwrap();
        assert_eq!((header.dtype, header.shape.as_slice()), (Dtype::U8, &[5, 2, 1, 3][..]));
        let (mut seen, mut calls) = (Vec::new(), 0);
        file.each_row("arr_0", 2, |_, rows| {
            seen.extend_from_slice(rows);
            calls += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((seen, calls), (bytes, 3));
    }

    #[test]
    fn damaged_archives_are_refused_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        assert!(write_bytes(&path, "arr_0", &[2], [1_u8].as_slice()).is_err());
        assert!(!path.exists());
        std::fs::write(&path, "text").unwrap();
        assert!(NpzFile::open(&path).err().unwrap().to_string().contains("not an .npz"));
        // A header that announces more than there is.
        let header = Header { dtype: Dtype::F64, shape: vec![1 << 40] };
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("big.npy", SimpleFileOptions::default()).unwrap();
        archive.write_all(&header.bytes().unwrap()).unwrap();
        archive.finish().unwrap();
        let error = NpzFile::open(&path).unwrap().floats("big").unwrap_err().to_string();
        assert!(error.contains("cut short"), "{error}");
    }
}
