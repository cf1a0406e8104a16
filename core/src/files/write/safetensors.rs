//! The layout that the safetensors crate (and so PyTorch's users) write: `__metadata__` first, then
//! dtype descending and name ascending, compact JSON, padded to a multiple of eight.

use std::io::Write;

use serde_json::json;

use super::{Outgoing, Values};
use crate::error::{Error, Result};

/// A file laid out: all that stands before the values, and the order of the tensors.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Length, JSON and padding.
    pub header: Vec<u8>,
    /// Numbers of the tensors in file order.
    pub order: Vec<usize>,
}

/// Lays `tensors` out.
///
/// # Errors
/// A name that is used twice or reserved.
pub fn plan(tensors: &[Outgoing]) -> Result<Plan> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&tensors[a], &tensors[b]);
        b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name))
    });
    let mut names = std::collections::HashSet::new();
    let mut header = String::from(r#"{"__metadata__":{"format":"pt"}"#);
    let mut start = 0;
    for &number in &order {
        let Outgoing { name, dtype, shape } = &tensors[number];
        if name == "__metadata__" || !names.insert(name.as_str()) {
            return Err(Error::Config(format!("tensor name {name} is used twice")));
        }
        let end = start + tensors[number].bytes();
        let (name, shape) = (json!(name), json!(shape));
        let dtype = json!(dtype);
        header.push_str(&format!(
            r#",{name}:{{"dtype":{dtype},"shape":{shape},"data_offsets":[{start},{end}]}}"#
        ));
        start = end;
    }
    header.push('}');
    // The format wants the values to start at a multiple of eight.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    Ok(Plan { header: bytes, order })
}

impl Plan {
    /// Writes the file; `values` gives the bytes of a tensor by its number.
    ///
    /// # Errors
    /// What `values` or the disk refuses.
    pub fn write(&self, out: &mut dyn Write, values: &Values, path: &std::path::Path) -> Result<()> {
        let failed = |e| Error::io("write", path, e);
        out.write_all(&self.header).map_err(failed)?;
        for &number in &self.order {
            out.write_all(&values(number)?).map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::path::Path;

    use super::*;
    use crate::files::Dtype;

    #[test]
    fn the_layout_is_that_of_the_safetensors_crate() {
        let outgoing =
            |name: &str, dtype, shape: &[usize]| Outgoing { name: name.into(), dtype, shape: shape.into() };
        let tensors = [
            outgoing("b \"quoted\"", Dtype::F16, &[3]),
            outgoing("z", Dtype::F32, &[2, 1]),
            outgoing("a", Dtype::F32, &[]),
            outgoing("n", Dtype::I64, &[1]),
            outgoing("h", Dtype::BF16, &[2]),
        ];
        let data: Vec<Vec<u8>> = tensors.iter().enumerate().map(|(i, t)| vec![i as u8; t.bytes()]).collect();
        let views: Vec<_> = tensors
            .iter()
            .zip(&data)
            .map(|(t, d)| {
                let view = ::safetensors::tensor::TensorView::new(t.dtype, t.shape.clone(), d).unwrap();
                (t.name.clone(), view)
            })
            .collect();
        let metadata = std::collections::HashMap::from([("format".to_string(), "pt".to_string())]);
        let expected = ::safetensors::serialize(views, Some(metadata)).unwrap();
        let mut ours = Vec::new();
        let values = |i: usize| -> Result<Cow<'_, [u8]>> { Ok(Cow::Borrowed(data[i].as_slice())) };
        plan(&tensors).unwrap().write(&mut ours, &values, Path::new("x")).unwrap();
        assert_eq!(ours, expected);
        assert!(plan(&[tensors[1].clone(), tensors[1].clone()]).is_err());
    }
}
