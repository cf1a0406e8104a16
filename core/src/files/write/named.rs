//! Plain f32 tensors to and from one safetensors file: what a run's checkpoints are made of.

use std::path::Path;

use super::{Outgoing, Plan, plan};
use crate::error::{Error, Result};
use crate::files::{Dtype, TensorFile};
use crate::params::TensorSource;

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

impl NamedTensor {
    /// All tensors of a file in name order, widened to f32.
    ///
    /// # Errors
    /// A tensor that is no float: a checkpoint has none.
    pub fn all(file: &TensorFile) -> Result<Vec<Self>> {
        let mut tensors = Vec::with_capacity(file.len());
        for info in file.tensors() {
            if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                let reason = format!("tensor {} is {:?}; expected F32, F16 or BF16", info.name, info.dtype);
                return Err(Error::file(file.origin(), reason));
            }
            let Some((shape, values)) = file.tensor(&info.name)? else { continue };
            tensors.push(Self { name: info.name.clone(), shape, values });
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tensors)
    }
}

/// Named tensors laid out as a file: equal tensors give equal bytes, in whatever order they come.
pub struct Layout<'a> {
    plan: Plan,
    tensors: &'a [NamedTensor],
}

impl<'a> Layout<'a> {
    /// Lays `tensors` out; `path` is for messages only.
    ///
    /// # Errors
    /// Values that do not fill a shape, or a name that is used twice.
    pub fn new(path: &Path, tensors: &'a [NamedTensor]) -> Result<Self> {
        let mut outgoing = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            if tensor.shape.iter().product::<usize>() != tensor.values.len() {
                return Err(Error::Shape {
                    name: tensor.name.clone(),
                    expected: tensor.shape.clone(),
                    found: vec![tensor.values.len()],
                });
            }
            outgoing.push(Outgoing {
                name: tensor.name.clone(),
                dtype: Dtype::F32,
                shape: tensor.shape.clone(),
            });
        }
        let plan = plan(&outgoing).map_err(|e| Error::file(path, e.to_string()))?;
        Ok(Self { plan, tensors })
    }

    /// The file's bytes, in pieces.
    pub fn parts(&self) -> Vec<&[u8]> {
        let values = self.plan.order.iter().map(|&i| bytemuck::cast_slice(&self.tensors[i].values));
        std::iter::once(self.plan.header.as_slice()).chain(values).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], values: &[f32]) -> NamedTensor {
        NamedTensor { name: name.into(), shape: shape.to_vec(), values: values.to_vec() }
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<NamedTensor>> {
        NamedTensor::all(&TensorFile::from_bytes(bytes, Path::new("x.safetensors"))?)
    }

    #[test]
    fn what_is_written_is_read_back_and_order_does_not_matter() {
        let a = tensor("a \"quoted\"\u{7}", &[2, 1], &[1.5, f32::NEG_INFINITY]);
        let tensors = [tensor("b", &[], &[3.0]), a.clone(), tensor("empty", &[0, 4], &[])];
        let path = Path::new("x");
        let bytes = Layout::new(path, &tensors).unwrap().parts().concat();
        assert_eq!(read(bytes.clone()).unwrap(), [a, tensors[0].clone(), tensors[2].clone()]);
        let reversed: Vec<_> = tensors.iter().rev().cloned().collect();
        assert_eq!(Layout::new(path, &reversed).unwrap().parts().concat(), bytes);
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
    }

    #[test]
    fn wrong_lengths_repeated_names_and_integers_are_refused() {
        let path = Path::new("x");
        assert!(Layout::new(path, &[tensor("a", &[3], &[1.0])]).is_err());
        let twice = [tensor("a", &[1], &[1.0]), tensor("a", &[1], &[1.0])];
        assert!(Layout::new(path, &twice).is_err());
        let integers = [Outgoing { name: "i".into(), dtype: Dtype::U8, shape: vec![1] }];
        let mut bytes = plan(&integers).unwrap().header;
        bytes.push(7);
        assert!(read(bytes).unwrap_err().to_string().contains("expected F32"));
    }
}
