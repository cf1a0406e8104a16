//! Reads entries of a zip from many threads at once, without extracting anything.
//!
//! A [`ZipReader`] is cheap to clone: the directory is shared, and so is the open file, whose position
//! is set under a lock for each read. Sizes in a zip's headers are never trusted: reading stops at a
//! limit whatever they say, so a zip bomb costs at most [`MAX_FILE_BYTES`].

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipArchive;

use crate::error::{Error, Result};

/// The largest file that is read as a picture, in bytes, compressed or not.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Where a zip's bytes lie.
#[derive(Clone)]
pub enum ZipBytes {
    /// In an open file that clones share; each clone keeps its own position.
    File {
        /// The file; the lock is held for one seek and one read.
        file: Arc<Mutex<File>>,
        /// This clone's position in bytes.
        position: u64,
        /// The file's length in bytes when it was opened.
        len: u64,
    },
    /// In the program itself.
    Static(Cursor<&'static [u8]>),
}

impl Read for ZipBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Static(cursor) => cursor.read(buffer),
            Self::File { file, position, .. } => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(*position))?;
                let count = file.read(buffer)?;
                *position += count as u64;
                Ok(count)
            }
        }
    }
}

impl Seek for ZipBytes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Static(cursor) => cursor.seek(to),
            Self::File { position, len, .. } => {
                let target = match to {
                    SeekFrom::Start(at) => Some(at),
                    SeekFrom::End(by) => len.checked_add_signed(by),
                    SeekFrom::Current(by) => position.checked_add_signed(by),
                };
                *position = target.ok_or(io::ErrorKind::InvalidInput)?;
                Ok(*position)
            }
        }
    }
}

/// An opened zip.
#[derive(Clone)]
pub struct ZipReader {
    archive: ZipArchive<ZipBytes>,
}

impl ZipReader {
    /// Opens the zip file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or is not a zip.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let len = file.seek(SeekFrom::End(0)).map_err(|e| Error::io("read", path, e))?;
        let bytes = ZipBytes::File { file: Arc::new(Mutex::new(file)), position: 0, len };
        let reason = |e| format!("expected a folder or a zip file; not a readable zip ({e})");
        let archive = ZipArchive::new(bytes).map_err(|e| Error::file(path, reason(e)))?;
        Ok(Self { archive })
    }

    /// Opens a zip that is part of the program.
    ///
    /// # Errors
    /// The bytes are not a zip: the program was built wrongly.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        let archive = ZipArchive::new(ZipBytes::Static(Cursor::new(bytes)));
        Ok(Self { archive: archive.map_err(|e| Error::Data(format!("the embedded set is broken: {e}")))? })
    }

    /// Every entry's name as stored, by index; folders end in `/`.
    pub fn names(&self) -> Vec<String> {
        (0..self.archive.len()).map(|i| self.archive.name_for_index(i).unwrap_or_default().into()).collect()
    }

    /// The bytes of entry `index`.
    ///
    /// # Errors
    /// One line for a person: the entry is encrypted, damaged, or larger than [`MAX_FILE_BYTES`].
    pub fn read(&mut self, index: usize) -> std::result::Result<Vec<u8>, String> {
        let entry = self.archive.by_index(index).map_err(|e| e.to_string())?;
        read_limited(entry)
    }

    /// The index of the entry called `name`.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.archive.index_for_name(name)
    }

    /// The bytes of the entry called `name`.
    ///
    /// # Errors
    /// As [`Self::read`], or there is none of that name.
    pub fn read_named(&mut self, name: &str) -> std::result::Result<Vec<u8>, String> {
        let index = self.index(name).ok_or_else(|| format!("{name} is missing"))?;
        self.read(index)
    }
}

/// Reads to the end, but no more than [`MAX_FILE_BYTES`].
///
/// # Errors
/// One line for a person.
pub fn read_limited(reader: impl Read) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("larger than {} MB", MAX_FILE_BYTES >> 20));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn clones_read_one_file_independently() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for text in ["one", "two", "three"] {
            writer.start_file(text, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(text.repeat(500).as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        let reader = ZipReader::open(&path).unwrap();
        assert_eq!(reader.names(), ["one", "two", "three"]);
        std::thread::scope(|scope| {
            for index in [0, 1, 2, 0, 1, 2] {
                let mut reader = reader.clone();
                scope.spawn(move || {
                    let text = ["one", "two", "three"][index];
                    assert_eq!(reader.read(index).unwrap(), text.repeat(500).as_bytes());
                });
            }
        });
    }

    #[test]
    fn an_endless_entry_is_refused() {
        assert!(read_limited(io::repeat(0)).unwrap_err().contains("larger than 256 MB"));
    }

    #[test]
    fn a_text_file_is_not_a_zip() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        let error = ZipReader::open(file.path()).err().unwrap().to_string();
        assert!(error.contains("expected a folder or a zip file"), "{error}");
    }
}
