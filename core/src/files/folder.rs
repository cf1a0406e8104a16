//! Weights in a folder under the names that diffusers and transformers give them.

use std::path::{Path, PathBuf};

use super::TensorFile;
use crate::error::{Error, Result};

/// How weights files are named: `STEM[.VARIANT].safetensors`, its shards and index, `STEM.bin`.
#[derive(Clone, Copy, Debug)]
pub struct WeightNames<'a> {
    /// "diffusion_pytorch_model" or "model".
    pub stem: &'a str,
    /// "fp16" and the like, if asked for.
    pub variant: Option<&'a str>,
}

impl<'a> WeightNames<'a> {
    /// Names that diffusers uses.
    pub fn diffusers(variant: Option<&'a str>) -> Self {
        Self { stem: "diffusion_pytorch_model", variant }
    }

    /// Names that transformers uses.
    pub fn transformers(variant: Option<&'a str>) -> Self {
        Self { stem: "model", variant }
    }

    /// `.fp16`, or nothing.
    fn dotted(&self) -> String {
        self.variant.map(|v| format!(".{v}")).unwrap_or_default()
    }

    /// The index of sharded weights.
    pub fn index(&self) -> String {
        format!("{}.safetensors.index{}.json", self.stem, self.dotted())
    }

    /// The one file of unsharded weights.
    pub fn single(&self) -> String {
        format!("{}{}.safetensors", self.stem, self.dotted())
    }

    /// Shard `number` (from 1) of `count`.
    pub fn shard(&self, number: usize, count: usize) -> String {
        format!("{}{}-{number:05}-of-{count:05}.safetensors", self.stem, self.dotted())
    }

    /// The files to look for, in order: the index first, as the libraries do.
    fn candidates(&self) -> Vec<String> {
        let pickle = if self.stem == "model" { "pytorch_model" } else { self.stem };
        vec![self.index(), self.single(), format!("{pickle}{}.bin", self.dotted())]
    }

    /// The weights file in `folder`, if there is one.
    pub fn find(&self, folder: &Path) -> Option<PathBuf> {
        self.candidates().iter().map(|name| folder.join(name)).find(|path| path.is_file())
    }

    /// Opens the weights in `folder`.
    ///
    /// # Errors
    /// No such weights (the names looked for are told), or a file that cannot be read.
    pub fn open(&self, folder: &Path) -> Result<TensorFile> {
        match self.find(folder) {
            Some(path) => TensorFile::open(&path),
            None => Err(Error::file(
                folder,
                format!("holds no weights; looked for {}", self.candidates().join(", ")),
            )),
        }
    }
}
