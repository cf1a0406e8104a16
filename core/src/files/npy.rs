//! numpy's `.npy` header: `\x93NUMPY`, version, length, a Python dictionary (NEP 1). What a `.npz` holds is
//! this header and the values, little endian, in C order.

use std::io::Read;

use super::Dtype;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// A header longer than this is none of numpy's.
const MOST_HEADER_BYTES: usize = 1 << 16;
/// Types of values and what numpy calls them; the first name is written.
const TYPES: [(Dtype, &[&str]); 5] = [
    (Dtype::U8, &["|u1", "u1", "<u1"]),
    (Dtype::F16, &["<f2"]),
    (Dtype::F32, &["<f4"]),
    (Dtype::F64, &["<f8"]),
    (Dtype::I64, &["<i8"]),
];

/// What an array's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Type of the values.
    pub dtype: Dtype,
    /// Axis lengths.
    pub shape: Vec<usize>,
}

impl Header {
    /// Bytes of all values, if they can be counted at all.
    pub fn data_bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.dtype.bitsize() / 8, |product, n| product.checked_mul(*n))
    }

    /// The header as it is written; none for a type that has no place here.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let (_, names) = TYPES.iter().find(|(dtype, _)| *dtype == self.dtype)?;
        let sides: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let comma = if sides.len() == 1 { "," } else { "" };
        let mut text = format!(
            "{{'descr': '{}', 'fortran_order': False, 'shape': ({}{comma}), }}",
            names[0],
            sides.join(", ")
        );
        // The values start at a multiple of 64, after a line feed.
        let unpadded = MAGIC.len() + 4 + text.len() + 1;
        text.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
        text.push('\n');
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        Some(bytes)
    }

    /// Reads the header in front of an array's values.
    ///
    /// # Errors
    /// What is wrong with it, to follow "the array".
    pub fn read(from: &mut impl Read) -> Result<Self, String> {
        let mut start = [0; 8];
        from.read_exact(&mut start).map_err(|e| e.to_string())?;
        if start[..6] != *MAGIC {
            return Err("is no numpy array".into());
        }
        let mut length = [0; 4];
        let wide = if start[6] == 1 { 2 } else { 4 };
        from.read_exact(&mut length[..wide]).map_err(|e| e.to_string())?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MOST_HEADER_BYTES {
            return Err(format!("has a header of {length} bytes"));
        }
        let mut text = vec![0; length];
        from.read_exact(&mut text).map_err(|e| e.to_string())?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let after = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let odd = || format!("has a header that cannot be read: {}", text.trim().escape_debug());
        let descr = after("descr").ok_or_else(odd)?;
        let descr = descr.trim_start_matches(['\'', '"']).split(['\'', '"']).next().unwrap_or_default();
        let Some((dtype, _)) = TYPES.iter().find(|(_, names)| names.contains(&descr)) else {
            let descr = descr.escape_debug();
            return Err(format!(
                "has values of type {descr}; uint8, float16, float32, float64 and int64 are read"
            ));
        };
        let shape =
            after("shape").and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.split_once(')'));
        let (shape, _) = shape.ok_or_else(odd)?;
        let shape = shape.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::parse);
        let shape = shape.collect::<Result<Vec<usize>, _>>().map_err(|_| odd())?;
        let in_c_order = after("fortran_order").is_some_and(|rest| rest.starts_with("False"));
        if !in_c_order && shape.len() > 1 {
            return Err("is in Fortran order; save it with np.ascontiguousarray".into());
        }
        let header = Self { dtype: *dtype, shape };
        header.data_bytes().ok_or_else(odd)?;
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_numpys() {
        let header = Header { dtype: Dtype::U8, shape: vec![3] };
        let bytes = header.bytes().unwrap();
        assert!(bytes.len().is_multiple_of(64) && bytes.ends_with(b"\n"));
        assert!(
            String::from_utf8_lossy(&bytes)
                .contains("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }")
        );
        assert_eq!(Header::read(&mut bytes.as_slice()).unwrap(), header);
        for shape in [vec![], vec![2, 3], vec![4, 1, 1, 3]] {
            let header = Header { dtype: Dtype::F64, shape };
            assert_eq!(Header::read(&mut header.bytes().unwrap().as_slice()).unwrap(), header);
        }
        assert!(Header { dtype: Dtype::BOOL, shape: vec![1] }.bytes().is_none());
    }

    #[test]
    fn foreign_headers_are_refused_in_one_line() {
        for (text, word) in [
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }", "<c8"),
            ("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 2), }", "Fortran"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, x), }", "cannot be read"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
                "cannot be read",
            ),
            ("{'descr': '<f\n8', }", "<f"),
        ] {
            let error = Header::parse(text).unwrap_err();
            assert!(error.contains(word) && !error.contains('\n'), "{error}");
        }
    }
}
