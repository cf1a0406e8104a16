//! Resizes and byte conversions against Pillow, torch and timm: every case that the file holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::{Tensor, TensorData};
use support::{Golden, devices};
use tandem_core::data::interpolate::resample_pos_embed;
use tandem_core::data::pixels::{u8_rounded_from_f32, u8_truncated_from_f32};
use tandem_core::data::resize::center_crop;
use tandem_core::kernel::resample::{Filter, nearest_to, resize_to};

/// The case names `prefix.N` (or `prefix`), by their `.in` tensors; there must be some.
fn named(golden: &Golden, prefix: &str) -> Vec<String> {
    let names = golden.file.names().filter_map(|name| name.strip_suffix(".in"));
    let names: Vec<String> =
        names.filter(|name| name.split('.').next() == Some(prefix)).map(String::from).collect();
    assert!(!names.is_empty(), "no case {prefix}.*");
    names
}

fn usize_at(golden: &Golden, case: &str, key: &str) -> usize {
    golden.config[case][key].as_u64().unwrap_or_else(|| panic!("{case}: no {key}")) as usize
}

#[test]
fn golden_adm_centre_crops_are_exact() {
    let golden = Golden::open("resize.safetensors");
    for case in named(&golden, "adm") {
        let name = format!("{case}.in");
        let (shape, rgb) = (golden.shape(&name), golden.bytes(&name));
        assert_eq!(shape[..2], [usize_at(&golden, &case, "height"), usize_at(&golden, &case, "width")]);
        let crop = center_crop(&rgb, shape[1], shape[0], usize_at(&golden, &case, "image_size"));
        golden.check_bytes(&format!("{case}.out"), &crop);
    }
}

#[test]
fn golden_bicubic_resizes_agree_with_torch() {
    let golden = Golden::open("resize.safetensors");
    for case in named(&golden, "bicubic") {
        let name = format!("{case}.in");
        let (shape, mut x) = (golden.shape(&name), golden.values(&name).to_vec());
        if golden.config[&case]["divide_by_255"].as_bool().unwrap_or(false) {
            x.iter_mut().for_each(|v| *v /= 255.0);
        }
        let size = |k: usize| golden.config[&case]["size"][k].as_u64().unwrap() as usize;
        for (_, device) in devices() {
            let data = TensorData::new(x.clone(), [shape[0], shape[1], shape[2], shape[3]]);
            let ours = resize_to(Tensor::from_data(data, &device), [size(0), size(1)], Filter::Bicubic);
            golden.check(&format!("{case}.out"), ours, 1.0);
        }
    }
}

#[test]
fn golden_nearest_resizes_agree_with_torch() {
    let golden = Golden::open("resize.safetensors");
    for case in named(&golden, "nearest") {
        for (_, device) in devices() {
            let x = golden.tensor::<4>(&format!("{case}.in"), &device);
            let to = golden.shape(&format!("{case}.out"));
            let ours = nearest_to(x, [to[2], to[3]]);
            golden.check(&format!("{case}.out"), ours, 1.0);
        }
    }
}

#[test]
fn golden_position_tables_agree_with_timm() {
    let golden = Golden::open("resize.safetensors");
    for case in named(&golden, "pos") {
        let table = golden.values(&format!("{case}.in"));
        let at = |key: &str| usize_at(&golden, &case, key);
        let ours = resample_pos_embed(table, at("from"), at("to"), at("dim"), at("prefix_tokens"));
        golden.check_values(&format!("{case}.out"), &ours, 1.0);
    }
}

#[test]
fn golden_byte_conversions_are_exact() {
    let golden = Golden::open("resize.safetensors");
    for case in named(&golden, "u8") {
        let values = golden.values(&format!("{case}.in"));
        golden.check_bytes(&format!("{case}.truncated"), &u8_truncated_from_f32(values));
        golden.check_bytes(&format!("{case}.rounded"), &u8_rounded_from_f32(values));
    }
}
