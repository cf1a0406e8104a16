//! Tensors in a pickle: the calls and references that `torch.save` writes, interpreted.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::Dtype;
use super::bytes::Bytes;
use super::pickle::{Item, Pickle};
use super::tensor_file::{Stored, TensorInfo};
use crate::error::{Error, Result};

/// Dictionaries in dictionaries; an optimizer's state has four.
const LIMIT_DEPTH: usize = 32;
/// Values looked at, those of shared parts counted each time.
const LIMIT_VISITS: usize = 500_000;
/// All names together.
const LIMIT_NAME_BYTES: usize = 32 << 20;

/// A storage that a tensor refers to: a typed array in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    pub(super) key: String,
    /// `None` for untyped bytes, whose dtype the tensor tells.
    pub(super) dtype: Option<Dtype>,
    /// In values (bytes when untyped).
    pub(super) len: usize,
    /// A part of the storage `key`: first value and number of values.
    pub(super) view: Option<(usize, usize)>,
}

impl Storage {
    /// Size of one value in bytes.
    pub(super) fn item_size(&self) -> usize {
        self.dtype.map_or(1, item_size)
    }

    /// What a persistent reference says: `("storage", type, key, location, length[, view])`.
    pub(super) fn from_reference(reference: Item) -> Option<Self> {
        let parts: Vec<Item> = reference.items().collect();
        let [tag, kind, key, _location, len, rest @ ..] = parts.as_slice() else { return None };
        if tag.as_str() != Some("storage") {
            return None;
        }
        let dtype = match kind.global()?.1 {
            "UntypedStorage" => None,
            name => Some(dtype_of_storage(name)?),
        };
        let view = match rest.first() {
            Some(view) if !view.is_none() => {
                let parts: Vec<Item> = view.items().collect();
                let [_, offset, size] = parts.as_slice() else { return None };
                Some((offset.as_usize()?, size.as_usize()?))
            }
            _ => None,
        };
        Some(Self { key: key.as_key()?, dtype, len: len.as_usize()?, view })
    }
}

/// Where the bytes of a storage lie.
pub(super) type Find<'f> = dyn FnMut(&Storage) -> std::result::Result<(Bytes, Range<usize>), String> + 'f;

/// All tensors of a pickle with their paths; `find` gives the bytes of a storage.
///
/// Python objects are passed over: what is named is what lies in dictionaries, lists and tuples.
pub(super) fn tensors(pickle: &Pickle, find: &mut Find, origin: &Path) -> Result<Vec<(TensorInfo, Stored)>> {
    let bad = |reason: String| Error::file(origin, format!("not a readable PyTorch file: {reason}"));
    let mut found = Vec::new();
    let mut ranges: HashMap<String, (Bytes, Range<usize>)> = HashMap::new();
    let mut todo = vec![(String::new(), pickle.root(), 0)];
    let (mut visits, mut name_bytes) = (0, 0);
    while let Some((name, item, depth)) = todo.pop() {
        visits += 1;
        name_bytes += name.len();
        if visits > LIMIT_VISITS || depth > LIMIT_DEPTH || name_bytes > LIMIT_NAME_BYTES {
            return Err(bad("its values are nested too deeply".into()));
        }
        if let Some(call) = Call::of(item) {
            let tensor = call.read().ok_or_else(|| bad(format!("tensor {name} has no readable layout")))?;
            if let Some(described) = tensor {
                let place = described.place(&name, &mut ranges, find).map_err(bad)?;
                found.push((TensorInfo { name, dtype: described.dtype, shape: described.shape }, place));
            }
            continue;
        }
        let join = |key: &str| if name.is_empty() { key.to_string() } else { format!("{name}/{key}") };
        let children = item.entries().filter_map(|(key, value)| Some((join(&key.as_key()?), value)));
        let mut children: Vec<_> = children.collect();
        children.extend(item.items().enumerate().map(|(i, value)| (join(&i.to_string()), value)));
        if visits + todo.len() + children.len() > LIMIT_VISITS {
            return Err(bad("it has too many values".into()));
        }
        // The last pushed is looked at first: file order is kept.
        todo.extend(children.into_iter().rev().map(|(name, value)| (name, value, depth + 1)));
    }
    Ok(found)
}

/// A call that makes a tensor.
struct Call<'a> {
    function: &'a str,
    args: Vec<Item<'a>>,
}

impl<'a> Call<'a> {
    fn of(item: Item<'a>) -> Option<Self> {
        let (module, function) = item.class()?;
        Self::named(module, function, item.args().collect())
    }

    fn named(module: &str, function: &'a str, args: Vec<Item<'a>>) -> Option<Self> {
        matches!(module, "torch._utils" | "torch._tensor")
            .then_some(Self { function, args })
            .filter(|call| call.function.starts_with("_rebuild"))
    }

    /// `Some(None)` for kinds of tensors that have no place here (sparse, quantised).
    fn read(self) -> Option<Option<Described>> {
        let args = &self.args;
        match self.function {
            "_rebuild_tensor" | "_rebuild_tensor_v2" => Described::new(args, None).map(Some),
            "_rebuild_tensor_v3" => {
                let (module, name) = args.get(6)?.global()?;
                let dtype = (module == "torch").then(|| dtype_of_name(name)).flatten()?;
                Described::new(args, Some(dtype)).map(Some)
            }
            // A parameter around a tensor, which is not one around another parameter.
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => {
                let inner = Call::of(*args.first()?)?;
                if inner.function.starts_with("_rebuild_tensor") { inner.read() } else { None }
            }
            "_rebuild_from_type_v2" => {
                let (module, function) = args.first()?.global()?;
                let inner = Call::named(module, function, args.get(2)?.items().collect())?;
                if inner.function.starts_with("_rebuild_tensor") { inner.read() } else { None }
            }
            _ => Some(None),
        }
    }
}

/// Layout of a tensor in its storage.
struct Described {
    storage: Storage,
    dtype: Dtype,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Described {
    fn new(args: &[Item], dtype: Option<Dtype>) -> Option<Self> {
        let [storage, offset, shape, strides, ..] = args else { return None };
        let storage = Storage::from_reference(storage.persistent()?)?;
        let sizes = |item: &Item| item.items().map(|n| n.as_usize()).collect::<Option<Vec<_>>>();
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        if shape.len() != strides.len() || shape.len() > 32 {
            return None;
        }
        let dtype = dtype.or(storage.dtype)?;
        Some(Self { storage, dtype, offset: offset.as_usize()?, shape, strides })
    }

    /// Checks that the tensor lies in its storage and says where.
    fn place(
        &self,
        name: &str,
        ranges: &mut HashMap<String, (Bytes, Range<usize>)>,
        find: &mut Find,
    ) -> std::result::Result<Stored, String> {
        let beyond = || format!("tensor {name} lies beyond its storage");
        let (bytes, range) = match ranges.get(&self.storage.key) {
            Some((bytes, range)) => (bytes.clone(), range.clone()),
            None => {
                let found = find(&self.storage).map_err(|e| format!("tensor {name}: {e}"))?;
                ranges.insert(self.storage.key.clone(), found.clone());
                found
            }
        };
        let size = item_size(self.dtype);
        if size == 0 {
            return Err(format!("tensor {name} is {:?}, which is not read here", self.dtype));
        }
        let first = self.storage.view.map_or(0, |(offset, _)| offset);
        let start = self.offset.checked_add(first).and_then(|at| at.checked_mul(size)).ok_or_else(beyond)?;
        let count = self.shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side)).ok_or_else(beyond)?;
        // One past the last value, counted from the tensor's first.
        let span = if count == 0 {
            Some(0)
        } else {
            self.shape
                .iter()
                .zip(&self.strides)
                .try_fold(1usize, |end, (&side, &stride)| end.checked_add((side - 1).checked_mul(stride)?))
        };
        let span = span.and_then(|n| n.checked_mul(size)).ok_or_else(beyond)?;
        let end = start.checked_add(span).ok_or_else(beyond)?;
        if end > range.len() {
            return Err(beyond());
        }
        if count > range.len() / size {
            return Err(format!("tensor {name} repeats its values; save a contiguous copy"));
        }
        let strides = (!is_contiguous(&self.shape, &self.strides)).then(|| self.strides.clone());
        Ok(Stored { bytes, range: range.start + start..range.start + end, strides })
    }
}

/// Row-major without gaps; the stride of an axis of length one does not matter.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    if shape.contains(&0) {
        return true;
    }
    for (&side, &stride) in shape.iter().zip(strides).rev() {
        if side != 1 && stride != expected {
            return false;
        }
        expected *= side;
    }
    true
}

fn item_size(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

fn dtype_of_storage(name: &str) -> Option<Dtype> {
    Some(match name {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        "ComplexFloatStorage" => Dtype::C64,
        _ => return None,
    })
}

fn dtype_of_name(name: &str) -> Option<Dtype> {
    Some(match name {
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "float8_e5m2" => Dtype::F8_E5M2,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        _ => return None,
    })
}
