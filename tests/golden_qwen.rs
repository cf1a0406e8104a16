//! Qwen-Image's autoencoder for still pictures against diffusers, which runs the whole 3-D model: values
//! and gradients, on the CPU and on a software adapter; acting slices written back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

#[path = "support/autoencoder.rs"]
#[allow(dead_code, reason = "the gradients are compared here")]
mod autoencoder;
mod support;

use autoencoder::{check_values, gradients};
use support::{Golden, devices, golden_dir};
use tandem_core::files::TensorFile;
use tandem_core::formats::autoencoder::outlets;
use tandem_core::formats::diffusers::{LoadOptions, SaveOptions, from_pretrained, save_pretrained};
use tandem_core::params::{self, TensorSource, host};
use tandem_core::vae::LatentConvention;

const FOLDER: &str = "vae_qwen";

#[test]
fn golden_qwen_autoencoder_equals_diffusers() {
    let case = Golden::open(&format!("{FOLDER}/io.safetensors"));
    for (device_name, device) in devices() {
        eprintln!("{FOLDER} on {device_name}");
        let (vae, _) = from_pretrained(&golden_dir().join(FOLDER), LoadOptions::default(), &device).unwrap();
        check_values(&case, &vae, &device);
        let mean = case.tensor::<4>("mean", &device);
        case.check("recon_unclamped", vae.decode_unclamped(mean.clone()), 1.0);
        case.check("z_normalized", vae.normalize_latents(mean, LatentConvention::default()), 1.0);
    }
}

#[test]
fn golden_qwen_gradients_are_those_of_the_last_time_slice() {
    let case = Golden::open(&format!("{FOLDER}/io.safetensors"));
    for (_, device) in devices() {
        let (vae, _) = from_pretrained(&golden_dir().join(FOLDER), LoadOptions::default(), &device).unwrap();
        let all = gradients(&case, &vae, &device);
        for (name, grad) in &all {
            let stored = format!("g.{name}");
            let shape = case.shape(&stored).to_vec();
            let grad = host(grad.clone());
            // Put the acting slice where it belongs: the others have no gradient.
            let full = match shape.as_slice() {
                [_, _, 3, h, w] if h * w > 1 => {
                    let plane = h * w;
                    grad.chunks_exact(plane)
                        .flat_map(|slice| [vec![0.0; 2 * plane], slice.to_vec()].concat())
                        .collect()
                }
                _ => grad,
            };
            case.check_values(&stored, &full, 1.0);
        }
        let stored = case.file.names().filter(|n| n.starts_with("g.")).count();
        assert_eq!(all.len(), stored, "number of gradients");
    }
}

#[test]
fn golden_qwen_training_changes_the_last_time_slice_of_the_file_only() {
    let device = tandem_core::device::cpu();
    let (mut vae, origin) =
        from_pretrained(&golden_dir().join(FOLDER), LoadOptions::default(), &device).unwrap();
    let name = "encoder.conv_in.weight";
    params::visit(&mut vae, |n, param| {
        if n == name {
            param.set(param.flat().clone() + 1.0);
        }
    });
    let out = tempfile::tempdir().unwrap();
    let files = save_pretrained(&vae, Some(&origin), out.path(), &SaveOptions::default()).unwrap();
    let saved = TensorFile::open(&files[1]).unwrap();
    assert_eq!(saved.len(), outlets(&vae).len());
    for info in origin.file.tensors() {
        let (shape, before) = origin.file.tensor(&info.name).unwrap().unwrap();
        let (_, after) = saved.tensor(&info.name).unwrap().unwrap();
        if info.name != name {
            assert_eq!(before, after, "{}", info.name);
            continue;
        }
        let plane = shape[3] * shape[4];
        for (i, (b, a)) in before.iter().zip(&after).enumerate() {
            let acting = i / plane % 3 == 2;
            assert_eq!(*a, if acting { b + 1.0 } else { *b }, "value {i}");
        }
    }
}
