//! numpy's archives: a zip of `.npy` arrays, as much of them as pictures and statistics need.
//!
//! An array is a header (`\x93NUMPY`, version, length, a Python dictionary) and its values (NEP 1).
//! Written are `|u1` and `<f8`, read `|u1`, `<f4` and `<f8`, in C order. Sizes in a file are checked
//! against what lies there before memory is taken.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::{Error, Result};
use crate::run::disk::partial_name;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// A header longer than this is none of numpy's.
const MOST_HEADER_BYTES: usize = 1 << 16;
/// The most bytes that are held of an array at once.
const MOST_BYTES: usize = 1 << 30;

/// Values of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    U8,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// What an array's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Kind of the values.
    pub kind: Kind,
    /// Axis lengths.
    pub shape: Vec<usize>,
}

impl Header {
    /// Number of values, if it can be counted at all.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n))
    }

    fn bytes(&self) -> Vec<u8> {
        let descr = match self.kind {
            Kind::U8 => "|u1",
            Kind::F32 => "<f4",
            Kind::F64 => "<f8",
        };
        let shape: String = self.shape.iter().map(|n| format!("{n}, ")).collect();
        // One axis keeps its comma, several lose the last.
        let shape = if self.shape.len() == 1 { shape.trim_end() } else { shape.trim_end_matches(", ") };
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
        // The values start at a multiple of 64, after a line feed.
        let padding =
            (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64) - (MAGIC.len() + 4 + text.len() + 1);
        let text = format!("{text}{}\n", " ".repeat(padding));
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    /// Reads the header in front of an array's values.
    fn read(from: &mut impl Read) -> std::result::Result<Self, String> {
        let mut start = [0; 8];
        from.read_exact(&mut start).map_err(|e| e.to_string())?;
        if start[..6] != *MAGIC {
            return Err("is no numpy array".into());
        }
        let mut length = [0; 4];
        let wide = if start[6] == 1 { 2 } else { 4 };
        from.read_exact(&mut length[..wide]).map_err(|e| e.to_string())?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MOST_HEADER_BYTES {
            return Err(format!("has a header of {length} bytes"));
        }
        let mut text = vec![0; length];
        from.read_exact(&mut text).map_err(|e| e.to_string())?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let after = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let odd = || format!("has a header that cannot be read: {}", text.trim());
        let descr = after("descr").ok_or_else(odd)?;
        let kind = match descr.trim_start_matches(['\'', '"']).split(['\'', '"']).next() {
            Some("|u1" | "u1" | "<u1") => Kind::U8,
            Some("<f4") => Kind::F32,
            Some("<f8") => Kind::F64,
            other => {
                return Err(format!(
                    "has values of type {}; uint8, float32 or float64 are read",
                    other.unwrap_or("?")
                ));
            }
        };
        if !after("fortran_order").is_some_and(|rest| rest.starts_with("False")) {
            return Err("is in Fortran order; save it with np.ascontiguousarray".into());
        }
        let shape =
            after("shape").and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.split_once(')'));
        let (shape, _) = shape.ok_or_else(odd)?;
        let shape = shape.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::parse);
        let shape = shape.collect::<std::result::Result<Vec<usize>, _>>().map_err(|_| odd())?;
        let header = Self { kind, shape };
        if header.count().is_none() {
            return Err(odd());
        }
        Ok(header)
    }
}

/// Writes one array of bytes, streamed from `values`, whole or not at all.
///
/// # Errors
/// When the disk refuses or `values` ends early.
pub fn write_bytes(path: &Path, name: &str, shape: &[usize], mut values: impl Read) -> Result<()> {
    let header = Header { kind: Kind::U8, shape: shape.to_vec() };
    write_archive(path, |archive| {
        start(archive, name, &header)?;
        let written = std::io::copy(&mut values, archive)?;
        match header.count() {
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
            start(archive, name, &Header { kind: Kind::F64, shape: shape.clone() })?;
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
    archive.write_all(&header.bytes())
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
        let mut found = None;
        self.each_row(name, usize::MAX, |header, bytes| {
            let values: Vec<f64> = match header.kind {
                Kind::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                Kind::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
                Kind::U8 => bytes.iter().map(|b| f64::from(*b)).collect(),
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
        let needed = header.count().unwrap_or(usize::MAX).saturating_mul(header.kind.bytes());
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
        assert_eq!((header.kind, header.shape.as_slice()), (Kind::U8, &[5, 2, 1, 3][..]));
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
    fn headers_are_numpys() {
        let header = Header { kind: Kind::U8, shape: vec![3] };
        let bytes = header.bytes();
        assert!(bytes.len().is_multiple_of(64) && bytes.ends_with(b"\n"));
        assert!(
            String::from_utf8_lossy(&bytes)
                .contains("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }")
        );
        assert_eq!(Header::read(&mut bytes.as_slice()).unwrap(), header);
        for shape in [vec![], vec![2, 3], vec![4, 1, 1, 3]] {
            let header = Header { kind: Kind::F64, shape };
            assert_eq!(Header::read(&mut header.bytes().as_slice()).unwrap(), header);
        }
    }

    #[test]
    fn damaged_and_foreign_arrays_are_refused_in_one_line() {
        for (text, word) in [
            ("{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }", "<i8"),
            ("{'descr': '<f8', 'fortran_order': True, 'shape': (3,), }", "Fortran"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, x), }", "cannot be read"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
                "cannot be read",
            ),
        ] {
            let error = Header::parse(text).unwrap_err();
            assert!(error.contains(word) && !error.contains('\n'), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        assert!(write_bytes(&path, "arr_0", &[2], [1_u8].as_slice()).is_err());
        assert!(!path.exists());
        std::fs::write(&path, "text").unwrap();
        assert!(NpzFile::open(&path).err().unwrap().to_string().contains("not an .npz"));
        // A header that announces more than there is.
        let header = Header { kind: Kind::F64, shape: vec![1 << 40] };
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("big.npy", SimpleFileOptions::default()).unwrap();
        archive.write_all(&header.bytes()).unwrap();
        archive.finish().unwrap();
        let error = NpzFile::open(&path).unwrap().floats("big").unwrap_err().to_string();
        assert!(error.contains("cut short"), "{error}");
    }
}
