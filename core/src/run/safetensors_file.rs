//! Plain f32 tensors to and from one `.safetensors` file.
//!
//! The header is written here rather than by the safetensors crate so that the values are streamed
//! from where they lie (the crate copies them all into one buffer first); reading goes through the
//! crate, which checks every offset. Tensors are laid out in name order, so equal tensors give
//! equal bytes. Reading widens half and bfloat16 to f32.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};

// The values are written as they lie in memory.
const _: () = assert!(cfg!(target_endian = "little"), "safetensors files are little-endian");

/// A tensor with its name in a file: `values` in row-major order, as many as `shape` multiplies to.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// The name in the file, `encoder.conv_in.weight`.
    pub name: String,
    /// The sizes of its axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// A file's header and its tensors in file order: write the header, then each value slice.
pub(crate) struct Layout<'a> {
    header: Vec<u8>,
    tensors: Vec<&'a NamedTensor>,
}

impl<'a> Layout<'a> {
    /// Lays `tensors` out in name order; `path` is for messages only.
    pub(crate) fn new(path: &Path, tensors: &'a [NamedTensor]) -> Result<Self> {
        let mut by_name = BTreeMap::new();
        for tensor in tensors {
            let expected: usize = tensor.shape.iter().product();
            if expected != tensor.values.len() {
                let found = vec![tensor.values.len()];
                return Err(Error::Shape {
                    name: tensor.name.clone(),
                    expected: tensor.shape.clone(),
                    found,
                });
            }
            if tensor.name == "__metadata__" || by_name.insert(tensor.name.as_str(), tensor).is_some() {
                return Err(Error::file(path, format!("tensor name {} is used twice", tensor.name)));
            }
        }
        let mut header = String::from(r#"{"__metadata__":{"format":"pt"}"#);
        let mut start = 0;
        for (name, tensor) in &by_name {
            let end = start + tensor.values.len() * size_of::<f32>();
            let name = serde_json::Value::from(*name);
            let shape = &tensor.shape;
            let entry =
                format!(r#",{name}:{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#);
            header.push_str(&entry);
            start = end;
        }
        header.push('}');
        // The format wants the values to start at a multiple of eight.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        Ok(Self { header: bytes, tensors: by_name.into_values().collect() })
    }

    /// The file's bytes, in pieces.
    pub(crate) fn parts(&self) -> Vec<&[u8]> {
        let values = self.tensors.iter().map(|tensor| bytemuck::cast_slice(&tensor.values));
        std::iter::once(self.header.as_slice()).chain(values).collect()
    }
}

/// The tensors in the bytes of a safetensors file, in name order; `path` is for messages only.
///
/// # Errors
/// [`Error::File`] when the bytes are not a safetensors file or hold integers.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<NamedTensor>> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| Error::file(path, format!("not a readable safetensors file ({e})")))?;
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => bytemuck::pod_collect_to_vec(data),
            Dtype::F16 => {
                data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
            Dtype::BF16 => {
                data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
            other => {
                return Err(Error::file(
                    path,
                    format!("tensor {name} is {other:?}; expected F32, F16 or BF16"),
                ));
            }
        };
        tensors.push(NamedTensor { name: name.to_string(), shape: view.shape().to_vec(), values });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], values: &[f32]) -> NamedTensor {
        NamedTensor { name: name.into(), shape: shape.to_vec(), values: values.to_vec() }
    }

    #[test]
    fn the_crate_reads_back_what_is_written_and_order_does_not_matter() {
        let a = tensor("a \"quoted\"\u{7}", &[2, 1], &[1.5, f32::NEG_INFINITY]);
        let tensors = [tensor("b", &[], &[3.0]), a.clone(), tensor("empty", &[0, 4], &[])];
        let path = Path::new("x");
        let bytes = Layout::new(path, &tensors).unwrap().parts().concat();
        assert_eq!(parse(path, &bytes).unwrap(), [a, tensors[0].clone(), tensors[2].clone()]);
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        let reversed: Vec<_> = tensors.iter().rev().cloned().collect();
        assert_eq!(Layout::new(path, &reversed).unwrap().parts().concat(), bytes);
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
    }

    #[test]
    fn half_precision_is_widened_and_integers_are_refused() {
        let half = half::bf16::from_f32(1.25).to_le_bytes();
        let view = |dtype, data| safetensors::tensor::TensorView::new(dtype, vec![1], data).unwrap();
        let bytes = safetensors::serialize([("h", view(Dtype::BF16, &half))], None).unwrap();
        assert_eq!(parse(Path::new("x"), &bytes).unwrap()[0].values, [1.25]);
        let bytes = safetensors::serialize([("i", view(Dtype::U8, &half[..1]))], None).unwrap();
        assert!(parse(Path::new("x"), &bytes).unwrap_err().to_string().contains("expected F32"));
    }

    #[test]
    fn wrong_lengths_repeated_names_and_foreign_bytes_are_refused() {
        let path = Path::new("x");
        assert!(Layout::new(path, &[tensor("a", &[3], &[1.0])]).is_err());
        let twice = [tensor("a", &[1], &[1.0]), tensor("a", &[1], &[1.0])];
        assert!(Layout::new(path, &twice).is_err());
        assert!(parse(path, b"not a file at all").is_err());
        assert!(parse(path, &[255; 64]).is_err());
    }
}
