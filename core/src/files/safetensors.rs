//! The header of a safetensors file: length (u64, little endian), JSON, then the data
//! (FORMATS.md, section 8).
//!
//! The `safetensors` crate checks dtypes, shapes, offsets, gaps and the end of the data; that names
//! are not used twice, which it lets pass, is checked here.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;

use safetensors::SafeTensors;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Dtype;
use crate::error::{Error, Result};

/// A checked header.
pub(super) struct Header {
    /// In the order of the data.
    pub(super) tensors: Vec<Described>,
    /// `__metadata__`.
    pub(super) metadata: BTreeMap<String, String>,
    /// Where the data starts in the file.
    pub(super) data_start: usize,
}

/// One tensor of a header; `range` counts from the start of the file.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) range: Range<usize>,
}

/// Whether `bytes` start like a safetensors file: a plausible length, then an object.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.len() > 8 && bytes[8] == b'{' && bytes[4..8] == [0; 4]
}

/// Reads and checks the header of `bytes`; `origin` is for messages only.
pub(super) fn parse(bytes: &[u8], origin: &Path) -> Result<Header> {
    let bad = |reason: String| Error::file(origin, format!("not a readable safetensors file: {reason}"));
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|e| bad(e.to_string()))?;
    let text = bytes.get(8..8 + length).ok_or_else(|| bad("the header is cut off".into()))?;
    unique_keys(text).map_err(|e| bad(e.to_string()))?;
    let data_start = 8 + length;
    let mut tensors = Vec::new();
    for (name, info) in header.tensors() {
        let (start, end) = info.data_offsets;
        let range = data_start + start..data_start + end;
        if bytes.get(range.clone()).is_none() {
            return Err(bad(format!("tensor {name} lies beyond the end of the file")));
        }
        tensors.push(Described { name, dtype: info.dtype, shape: info.shape.clone(), range });
    }
    if tensors.iter().map(|t| t.range.end).max().unwrap_or(data_start) != bytes.len() {
        return Err(bad("the data does not end where the file does".into()));
    }
    // Empty tensors share their offset with the next one; the name settles the order.
    tensors.sort_by(|a, b| (a.range.start, a.range.end, &a.name).cmp(&(b.range.start, b.range.end, &b.name)));
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Header { tensors, metadata, data_start })
}

/// Checks that JSON `text` is one object in which no key stands twice.
pub(super) fn unique_keys(text: &[u8]) -> serde_json::Result<()> {
    struct Unique;
    impl<'de> Deserialize<'de> for Unique {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Keys;
            impl<'de> Visitor<'de> for Keys {
                type Value = Unique;

                fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Unique, M::Error> {
                    let mut seen = HashSet::new();
                    while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                        if let Some(key) = seen.replace(key) {
                            return Err(serde::de::Error::custom(format!("the name {key:?} is used twice")));
                        }
                    }
                    Ok(Unique)
                }
            }
            deserializer.deserialize_map(Keys)
        }
    }
    serde_json::from_slice::<Unique>(text).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    fn error(header: &str, data: usize) -> String {
        parse(&file(header, data), Path::new("x.safetensors")).err().unwrap().to_string()
    }

    const ONE: &str = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

    #[test]
    fn a_sound_header_is_read_in_the_order_of_the_data() {
        let two = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
        let header = parse(&file(two, 8), Path::new("x")).unwrap();
        let names: Vec<_> = header.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(header.metadata["format"], "pt");
        assert_eq!(header.tensors[0].range.start, header.data_start);
    }

    #[test]
    fn every_defect_of_a_header_is_refused_in_one_line() {
        let wrong = [
            (ONE, 7),
            (ONE, 9),
            (&ONE.replace("F32", "F31"), 8),
            (&ONE.replace("[2]", "[3]"), 8),
            (&ONE.replace("[2]", "[4294967296,4294967296]"), 8),
            (&ONE.replace("[0,8]", "[8,0]"), 8),
            (&ONE.replace("[0,8]", "[1,9]"), 9),
            (&ONE.replace("[0,8]", "[0,18446744073709551615]"), 8),
            (&ONE.replace('}', ""), 8),
            ("[]", 0),
        ];
        for (header, data) in wrong {
            let text = error(header, data);
            assert!(text.starts_with("x.safetensors: not a readable") && !text.contains('\n'), "{text}");
        }
        assert!(parse(&file(ONE, 8), Path::new("x")).is_ok(), "the header they are made of is sound");
        assert!(parse(&[255; 64], Path::new("x")).is_err());
        assert!(parse(&file(ONE, 8)[..20], Path::new("x")).is_err());
    }

    #[test]
    fn a_name_used_twice_is_refused() {
        let twice = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        assert!(error(twice, 8).contains("twice"));
        let escaped = twice.replacen(r#","a""#, r#","\u0061""#, 1);
        assert!(error(&escaped, 8).contains("twice"));
    }
}
