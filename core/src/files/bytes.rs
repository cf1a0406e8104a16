//! The bytes of a file: mapped, embedded or in memory, shared by all tensors that lie in them.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// Cheaply cloned bytes of one file.
#[derive(Clone, Debug)]
pub(super) struct Bytes(Arc<Backing>);

#[derive(Debug)]
enum Backing {
    Map(Mmap),
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

impl Bytes {
    /// Maps a file into memory.
    pub(super) fn map(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
        let metadata = file.metadata().map_err(|e| Error::io("read", path, e))?;
        if metadata.is_dir() {
            return Err(Error::file(path, "is a folder; name a weights file"));
        }
        if !metadata.is_file() {
            return Err(Error::file(path, "is not a regular file"));
        }
        if metadata.len() == 0 {
            return Err(Error::file(path, "is empty"));
        }
        #[allow(
            unsafe_code,
            reason = "a mapped file must not shrink while it is read; the only alternative is to hold the \
                      whole file in memory a second time"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("map", path, e))?;
        Ok(Self(Arc::new(Backing::Map(map))))
    }

    /// Bytes that are part of the program.
    pub(super) fn embedded(bytes: &'static [u8]) -> Self {
        Self(Arc::new(Backing::Static(bytes)))
    }

    /// Bytes in memory.
    pub(super) fn owned(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Backing::Owned(bytes)))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Backing::Map(map) => map,
            Backing::Static(bytes) => bytes,
            Backing::Owned(bytes) => bytes,
        }
    }
}
