//! The part of a tensor file whose names start with a prefix: `vae/` of a training checkpoint.

use super::{TensorFile, TensorInfo};
use crate::error::Result;
use crate::params::TensorSource;

/// A view on the tensors below a prefix, under their names without it.
#[derive(Clone, Debug)]
pub struct Below<'a> {
    file: &'a TensorFile,
    prefix: String,
}

impl<'a> Below<'a> {
    pub(super) fn new(file: &'a TensorFile, prefix: &str) -> Self {
        Self { file, prefix: prefix.into() }
    }

    /// The whole file.
    pub fn file(&self) -> &'a TensorFile {
        self.file
    }

    /// Names without the prefix, with dtype and shape, in file order.
    pub fn tensors(&self) -> impl Iterator<Item = (&'a str, &'a TensorInfo)> {
        self.file.tensors().filter_map(|info| Some((info.name.strip_prefix(self.prefix.as_str())?, info)))
    }

    /// Dtype and shape of `name` below the prefix.
    pub fn info(&self, name: &str) -> Option<&'a TensorInfo> {
        self.file.info(&format!("{}{name}", self.prefix))
    }

    /// Narrows to a longer prefix.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        Self { file: self.file, prefix: format!("{}{prefix}", self.prefix) }
    }
}

impl TensorSource for Below<'_> {
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        self.file.tensor(&format!("{}{name}", self.prefix))
    }
}
