//! Resizes and byte conversions against Pillow, torch and timm: every case that the file holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tandem_core::data::interpolate::{bicubic_planar, nearest_planar, resample_pos_embed};
use tandem_core::data::pixels::{u8_rounded_from_f32, u8_truncated_from_f32};
use tandem_core::data::resize::center_crop;

/// The golden folder: `TANDEM_GOLDEN`, else the shared one.
fn golden_dir() -> PathBuf {
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden");
    std::env::var_os("TANDEM_GOLDEN").map_or_else(shared, PathBuf::from)
}

struct Cases {
    bytes: Vec<u8>,
    config: Value,
    tolerance: Value,
}

impl Cases {
    fn open() -> Self {
        let path = golden_dir().join("resize.safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let texts = header.metadata().clone().unwrap();
        let json = |key: &str| serde_json::from_str(&texts[key]).unwrap();
        Self { config: json("config"), tolerance: json("tolerance"), bytes }
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    /// The case names `prefix.N` (or `prefix`), by their `.in` tensors; there must be some.
    fn named(&self, prefix: &str) -> Vec<String> {
        let file = self.file();
        let names = file.names().into_iter().filter_map(|name| name.strip_suffix(".in"));
        let mut names: Vec<String> =
            names.filter(|name| name.split('.').next() == Some(prefix)).map(String::from).collect();
        names.sort();
        assert!(!names.is_empty(), "no case {prefix}.*");
        names
    }

    fn bytes_of(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::U8, "{name}");
        (tensor.shape().to_vec(), tensor.data().to_vec())
    }

    /// Values as f32; bytes become numbers from 0 to 255.
    fn floats_of(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        let values = match tensor.dtype() {
            Dtype::U8 => tensor.data().iter().map(|&b| f32::from(b)).collect(),
            Dtype::F32 => tensor.data().chunks_exact(4).map(bytemuck::pod_read_unaligned).collect(),
            other => panic!("{name}: {other:?}"),
        };
        (tensor.shape().to_vec(), values)
    }

    fn usize_at(&self, case: &str, key: &str) -> usize {
        self.config[case][key].as_u64().unwrap_or_else(|| panic!("{case}: no {key}")) as usize
    }

    /// Compares within the file's tolerance, after proving that a perturbed copy is rejected.
    fn assert_close(&self, name: &str, ours: &[f32]) {
        let (_, expected) = self.floats_of(name);
        assert_eq!(ours.len(), expected.len(), "{name}: number of values");
        let bound = self.tolerance[name].as_f64().unwrap() as f32;
        let worst = |values: &[f32]| {
            // total_cmp puts a NaN above every number, so it is never lost.
            values.iter().zip(&expected).map(|(a, b)| (a - b).abs()).max_by(f32::total_cmp).unwrap()
        };
        let mut perturbed = expected.clone();
        perturbed[expected.len() / 2] += 3.0 * bound;
        assert!(worst(&perturbed) > bound, "{name}: the comparison accepts anything");
        let found = worst(ours);
        assert!(found <= bound, "{name}: off by {found}, {bound} allowed");
    }

    /// Compares exactly, after proving that one changed byte is rejected.
    fn assert_exact(&self, name: &str, ours: &[u8]) {
        let (_, expected) = self.bytes_of(name);
        let mut perturbed = expected.clone();
        perturbed[expected.len() / 2] ^= 1;
        assert_ne!(perturbed, expected, "{name}: the comparison accepts anything");
        assert_eq!(ours.len(), expected.len(), "{name}: number of bytes");
        let wrong = ours.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!(wrong, 0, "{name}: {wrong} bytes of {} differ", expected.len());
    }
}

#[test]
fn golden_adm_centre_crops_are_exact() {
    let cases = Cases::open();
    for case in cases.named("adm") {
        let (shape, rgb) = cases.bytes_of(&format!("{case}.in"));
        assert_eq!(shape[..2], [cases.usize_at(&case, "height"), cases.usize_at(&case, "width")]);
        let crop = center_crop(&rgb, shape[1], shape[0], cases.usize_at(&case, "image_size"));
        cases.assert_exact(&format!("{case}.out"), &crop);
    }
}

#[test]
fn golden_bicubic_resizes_agree_with_torch() {
    let cases = Cases::open();
    for case in cases.named("bicubic") {
        let (shape, mut x) = cases.floats_of(&format!("{case}.in"));
        if cases.config[&case]["divide_by_255"].as_bool().unwrap_or(false) {
            x.iter_mut().for_each(|v| *v /= 255.0);
        }
        let size = |k: usize| cases.config[&case]["size"][k].as_u64().unwrap() as usize;
        let ours = bicubic_planar(&x, shape[0] * shape[1], shape[2], shape[3], size(0), size(1));
        cases.assert_close(&format!("{case}.out"), &ours);
    }
}

#[test]
fn golden_nearest_resizes_agree_with_torch() {
    let cases = Cases::open();
    for case in cases.named("nearest") {
        let (shape, x) = cases.floats_of(&format!("{case}.in"));
        let (to, _) = cases.floats_of(&format!("{case}.out"));
        let ours = nearest_planar(&x, shape[0] * shape[1], shape[2], shape[3], to[2], to[3]);
        cases.assert_close(&format!("{case}.out"), &ours);
    }
}

#[test]
fn golden_position_tables_agree_with_timm() {
    let cases = Cases::open();
    for case in cases.named("pos") {
        let (_, table) = cases.floats_of(&format!("{case}.in"));
        let at = |key: &str| cases.usize_at(&case, key);
        let ours = resample_pos_embed(&table, at("from"), at("to"), at("dim"), at("prefix_tokens"));
        cases.assert_close(&format!("{case}.out"), &ours);
    }
}

#[test]
fn golden_byte_conversions_are_exact() {
    let cases = Cases::open();
    for case in cases.named("u8") {
        let (_, values) = cases.floats_of(&format!("{case}.in"));
        cases.assert_exact(&format!("{case}.truncated"), &u8_truncated_from_f32(&values));
        cases.assert_exact(&format!("{case}.rounded"), &u8_rounded_from_f32(&values));
    }
}
