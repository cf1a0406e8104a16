//! File operations that survive a crash: write, sync, rename, sync the folder.
//!
//! [`Disk`] names the few operations a checkpoint is made of, so that a test can stop after any of
//! them and look at what is left.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The file operations a checkpoint is made of.
pub trait Disk {
    /// Makes one folder whose parent exists.
    fn create_dir(&mut self, path: &Path) -> Result<()>;
    /// Writes a new file from `parts`, one after the other, and syncs it.
    fn write(&mut self, path: &Path, parts: &[&[u8]]) -> Result<()>;
    /// Moves a file or folder to a free name in the same folder.
    fn rename(&mut self, from: &Path, to: &Path) -> Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&mut self, path: &Path) -> Result<()>;
    /// Removes a folder with all it holds.
    fn remove_dir(&mut self, path: &Path) -> Result<()>;
}

/// The machine's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&mut self, path: &Path) -> Result<()> {
        fs::create_dir(path).map_err(|e| Error::io("create", path, e))
    }

    fn write(&mut self, path: &Path, parts: &[&[u8]]) -> Result<()> {
        let written = File::create(path).and_then(|mut file| {
            parts.iter().try_for_each(|part| file.write_all(part))?;
            file.sync_all()
        });
        written.map_err(|e| Error::io("write", path, e))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|e| Error::io("rename", from, e))
    }

    fn sync_dir(&mut self, path: &Path) -> Result<()> {
        // Only Unix lets a folder be opened and synced; elsewhere the rename itself is journalled.
        #[cfg(unix)]
        File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| Error::io("sync", path, e))?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }

    fn remove_dir(&mut self, path: &Path) -> Result<()> {
        fs::remove_dir_all(path).map_err(|e| Error::io("remove", path, e))
    }
}

/// Replaces `path` by `bytes` so that a reader sees the old file or the new one, never a part.
///
/// # Errors
/// [`Error::Io`] when the folder is missing, full or read-only; the old file then stands.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(path, |out| out.write_all(bytes).map_err(|e| Error::io("write", path, e)))
}

/// [`write_atomically`] for content that `content` writes piece by piece.
///
/// # Errors
/// What `content` refuses, or the disk; the old file then stands.
pub fn write_atomically_with(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    let partial = partial_name(path);
    let failed = |e| Error::io("write", path, e);
    let write = || {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(failed)?);
        content(&mut out)?;
        let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)
    };
    let mut disk = RealDisk;
    let written = write().and_then(|()| disk.rename(&partial, path));
    if let Err(error) = written {
        // The first error is the one to report; a leftover is harmless.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk.sync_dir(parent),
        _ => disk.sync_dir(Path::new(".")),
    }
}

/// `folder/.name.partial-PID` for `folder/name`.
pub(crate) fn partial_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial-{}", std::process::id()))
}

/// A disk that loses power: operations after the first `left` fail, a write half way through.
#[cfg(test)]
pub(crate) struct FailingDisk {
    pub(crate) left: usize,
}

#[cfg(test)]
impl FailingDisk {
    /// True while there is power; takes one operation off.
    fn alive(&mut self) -> bool {
        let alive = self.left > 0;
        self.left = self.left.saturating_sub(1);
        alive
    }

    fn cut(path: &Path) -> Error {
        Error::file(path, "power cut")
    }
}

#[cfg(test)]
impl Disk for FailingDisk {
    fn create_dir(&mut self, path: &Path) -> Result<()> {
        if self.alive() { RealDisk.create_dir(path) } else { Err(Self::cut(path)) }
    }

    fn write(&mut self, path: &Path, parts: &[&[u8]]) -> Result<()> {
        if self.alive() {
            return RealDisk.write(path, parts);
        }
        if self.left == 0 {
            let all = parts.concat();
            RealDisk.write(path, &[&all[..all.len() / 2]])?;
        }
        Err(Self::cut(path))
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        if self.alive() { RealDisk.rename(from, to) } else { Err(Self::cut(from)) }
    }

    fn sync_dir(&mut self, path: &Path) -> Result<()> {
        if self.alive() { RealDisk.sync_dir(path) } else { Err(Self::cut(path)) }
    }

    fn remove_dir(&mut self, path: &Path) -> Result<()> {
        if self.alive() {
            return RealDisk.remove_dir(path);
        }
        // Cut in the middle of a removal: one file is gone, the others stand.
        if let Some(Ok(entry)) = fs::read_dir(path).map_err(|e| Error::io("read", path, e))?.next() {
            let _ = fs::remove_file(entry.path());
        }
        Err(Self::cut(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_one_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_atomically(&dir.path().join("no/a.txt"), b"x").unwrap_err().to_string();
        assert!(error.starts_with("cannot write") && !error.contains('\n'), "{error}");
    }
}
