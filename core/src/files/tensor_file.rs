//! One file (or set of shards) of named tensors, whatever its format.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::bytes::Bytes;
use super::pickle::Pickle;
use super::{Below, Dtype, convert, safetensors, sharded, torch_legacy, torch_zip};
use crate::error::{Error, Result};
use crate::params::TensorSource;

/// What kind of file the tensors came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// One `.safetensors`.
    Safetensors,
    /// Several, with an index.
    Sharded,
    /// `torch.save` since PyTorch 1.6: a zip.
    TorchZip,
    /// `torch.save` before that: a row of pickles.
    TorchLegacy,
}

impl FileKind {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Sharded => "sharded safetensors",
            Self::TorchZip => "PyTorch zip",
            Self::TorchLegacy => "PyTorch pickle (before 1.6)",
        }
    }
}

/// Name, dtype and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name in the file; keys of nested dictionaries are joined by `/`.
    pub name: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Axis lengths.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a tensor's values lie: a range of bytes, row-major unless there are strides.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    pub(super) range: Range<usize>,
    /// In values; a transposed tensor has been saved as it lay in memory.
    pub(super) strides: Option<Vec<usize>>,
}

/// A safetensors file as it lies on disk, to be written again byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct FileLayout {
    /// Plain file name.
    pub(crate) name: String,
    /// Length, JSON and padding: all before the data.
    pub(crate) header: Vec<u8>,
    /// Its tensors in the order of the data, as a range of all tensors.
    pub(crate) tensors: Range<usize>,
}

/// What a reader hands over.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) tensors: Vec<(TensorInfo, Stored)>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) layouts: Vec<FileLayout>,
    pub(super) index: Option<Vec<u8>>,
    pub(super) pickle: Option<Pickle>,
}

impl Parts {
    /// Adds the tensors of a shard.
    pub(super) fn append(&mut self, shard: TensorFile) {
        let offset = self.tensors.len();
        let shift = |layout: FileLayout| FileLayout {
            tensors: layout.tensors.start + offset..layout.tensors.end + offset,
            ..layout
        };
        self.layouts.extend(shard.layouts.into_iter().map(shift));
        self.tensors.extend(shard.infos.into_iter().zip(shard.stored));
        self.metadata.extend(shard.metadata);
    }
}

/// Named tensors of one file or set of shards. Values are read when asked for.
#[derive(Clone, Debug)]
pub struct TensorFile {
    origin: PathBuf,
    kind: FileKind,
    infos: Vec<TensorInfo>,
    stored: Vec<Stored>,
    by_name: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
    layouts: Vec<FileLayout>,
    index: Option<Vec<u8>>,
    pickle: Option<Pickle>,
}

impl TensorFile {
    /// Opens a `.safetensors`, the index of a sharded one, or a `.pt`/`.pth`; what it is is told by
    /// its content.
    ///
    /// # Errors
    /// A file that cannot be read, is none of these, or is not whole.
    pub fn open(path: &Path) -> Result<Self> {
        if sharded::is_index(path) {
            return sharded::open(path);
        }
        Self::read(Bytes::map(path)?, path)
    }

    /// The same for bytes in memory; `origin` names them in errors.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn from_bytes(bytes: impl Into<Vec<u8>>, origin: &Path) -> Result<Self> {
        Self::read(Bytes::owned(bytes.into()), origin)
    }

    /// The same for bytes that are part of the program.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn from_static(bytes: &'static [u8], origin: &Path) -> Result<Self> {
        Self::read(Bytes::embedded(bytes), origin)
    }

    fn read(bytes: Bytes, path: &Path) -> Result<Self> {
        if bytes.starts_with(b"PK\x03\x04") {
            return Self::new(path, FileKind::TorchZip, torch_zip::read(bytes, path)?);
        }
        if torch_legacy::looks_like(&bytes) {
            return Self::new(path, FileKind::TorchLegacy, torch_legacy::read(bytes, path)?);
        }
        let named = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
        if named || safetensors::looks_like(&bytes) {
            return Self::new(path, FileKind::Safetensors, safetensors_parts(bytes, path)?);
        }
        Err(Error::file(path, "neither a safetensors file nor a PyTorch one (.pt, .pth, .bin)"))
    }

    /// Puts a reader's findings together; no name may occur twice.
    pub(super) fn new(origin: &Path, kind: FileKind, parts: Parts) -> Result<Self> {
        let (infos, stored): (Vec<_>, Vec<_>) = parts.tensors.into_iter().unzip();
        let mut by_name = HashMap::with_capacity(infos.len());
        for (i, info) in infos.iter().enumerate() {
            if by_name.insert(info.name.clone(), i).is_some() {
                return Err(Error::file(origin, format!("the name {:?} is used twice", info.name)));
            }
        }
        let Parts { metadata, layouts, index, pickle, .. } = Parts { tensors: Vec::new(), ..parts };
        Ok(Self { origin: origin.into(), kind, infos, stored, by_name, metadata, layouts, index, pickle })
    }

    /// The file's path, for messages.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// Its format.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// The text that `__metadata__` has under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Names, dtypes and shapes in file order.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.infos.iter()
    }

    /// Names in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.infos.iter().map(|info| info.name.as_str())
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    /// Dtype and shape of `name`.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&i| &self.infos[i])
    }

    /// The tensors whose names start with `prefix`, without it.
    pub fn below(&self, prefix: &str) -> Below<'_> {
        Below::new(self, prefix)
    }

    /// The stored bytes of `name` in row-major order, little endian.
    pub fn raw(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let i = *self.by_name.get(name)?;
        let (info, stored) = (&self.infos[i], &self.stored[i]);
        let bytes = stored.bytes.get(stored.range.clone())?;
        match &stored.strides {
            None => Some(Cow::Borrowed(bytes)),
            Some(strides) => gather(bytes, &info.shape, strides, info.dtype.bitsize() / 8).map(Cow::Owned),
        }
    }

    /// Everything in a PyTorch file that is not a tensor: arguments, counters, nesting.
    pub fn pickle(&self) -> Option<&Pickle> {
        self.pickle.as_ref()
    }

    /// How the file lies on disk, and the text of its index.
    pub(crate) fn layouts(&self) -> (&[FileLayout], Option<&[u8]>) {
        (&self.layouts, self.index.as_deref())
    }

    /// The one dtype of all floating tensors, or `None` when they differ.
    pub fn dtype(&self) -> Option<Dtype> {
        let floats = [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64];
        let mut found = self.infos.iter().map(|info| info.dtype).filter(|dtype| floats.contains(dtype));
        let first = found.next()?;
        found.all(|dtype| dtype == first).then_some(first)
    }
}

impl TensorSource for TensorFile {
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let (Some(info), Some(bytes)) = (self.info(name), self.raw(name)) else { return Ok(None) };
        match convert::f32_from_bytes(info.dtype, &bytes) {
            Some(values) => Ok(Some((info.shape.clone(), values))),
            None => Err(Error::file(
                &self.origin,
                format!("tensor {name} is {:?}, which cannot be read as f32", info.dtype),
            )),
        }
    }
}

fn safetensors_parts(bytes: Bytes, path: &Path) -> Result<Parts> {
    let header = safetensors::parse(&bytes, path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let layout =
        FileLayout { name, header: bytes[..header.data_start].to_vec(), tensors: 0..header.tensors.len() };
    let tensor = |t: safetensors::Described| {
        let stored = Stored { bytes: bytes.clone(), range: t.range, strides: None };
        (TensorInfo { name: t.name, dtype: t.dtype, shape: t.shape }, stored)
    };
    Ok(Parts {
        tensors: header.tensors.into_iter().map(tensor).collect(),
        metadata: header.metadata,
        layouts: vec![layout],
        ..Parts::default()
    })
}

/// Copies a strided tensor into row-major order; the reader has checked that it lies in `bytes`.
fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Option<Vec<u8>> {
    let count: usize = shape.iter().product();
    let mut out = Vec::with_capacity(count * size);
    let mut at = vec![0usize; shape.len()];
    for _ in 0..count {
        let start = at.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>() * size;
        out.extend_from_slice(bytes.get(start..start + size)?);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_tensor_is_put_in_order() {
        let bytes: Vec<u8> = (0..6).collect();
        assert_eq!(gather(&bytes, &[3, 2], &[1, 3], 1).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(gather(&bytes, &[], &[], 1).unwrap(), [0]);
        assert!(gather(&bytes, &[4, 2], &[1, 3], 1).is_none());
    }

    #[test]
    fn what_is_no_weights_file_is_told_so() {
        let error = TensorFile::from_bytes(*b"hello, world of weights", Path::new("a.bin")).unwrap_err();
        assert!(error.to_string().contains("neither"), "{error}");
    }
}
