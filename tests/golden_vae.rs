//! AutoencoderKL, its posterior and the latent norm against PyTorch and diffusers: values and
//! gradients, on the CPU and on a software adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

#[path = "support/autoencoder.rs"]
mod autoencoder;
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use autoencoder::{check_gradients, check_values};
use support::{Golden, compare, devices, golden_dir};
use tandem_core::files::Dtype;
use tandem_core::formats::diffusers::{LoadOptions, SaveOptions, from_pretrained, save_pretrained};
use tandem_core::formats::naming::Naming;
use tandem_core::formats::open_vae;
use tandem_core::params::{self, Param};
use tandem_core::vae::{LatentConvention, Posterior, Vae, VaeConfig};

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// diffusers folders of AutoencoderKL in the golden folder.
fn kl_folders() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("vae_kl_"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no vae_kl_* cases");
    names
}

#[test]
fn golden_autoencoder_kl_equals_diffusers() {
    for (device_name, device) in devices() {
        for name in kl_folders() {
            eprintln!("{name} on {device_name}");
            let case = Golden::open(&format!("{name}/io.safetensors"));
            let (vae, origin) =
                from_pretrained(&golden_dir().join(&name), LoadOptions::default(), &device).unwrap();
            check_values(&case, &vae, &device);
            // The gradients of a legacy folder have the names of the library that computed them.
            let legacy = case.has("g.encoder.mid_block.attentions.0.query.weight");
            let naming = if legacy { origin.naming } else { Naming::Diffusers };
            check_gradients(&case, &case, &vae, |n| naming.stored(n), &device);
            if case.has("z_normalized") {
                let z = vae.normalize_latents(case.tensor("mean", &device), LatentConvention::default());
                case.check("z_normalized", z.clone(), 1.0);
                let back = vae.denormalize_latents(z, LatentConvention::default());
                case.check("mean", back, 4.0);
            }
        }
    }
}

#[test]
fn golden_folders_that_were_only_read_are_written_byte_for_byte() {
    let device = tandem_core::device::cpu();
    let mut folders = kl_folders();
    folders.push("vae_qwen".into());
    for name in folders {
        let folder = golden_dir().join(&name);
        let (mut vae, origin) = from_pretrained(&folder, LoadOptions::default(), &device).unwrap();
        let out = tempfile::tempdir().unwrap();
        let files = save_pretrained(&vae, Some(&origin), out.path(), &SaveOptions::default()).unwrap();
        assert_eq!(files.len(), 2, "{name}");
        let same = |file: &Path| {
            std::fs::read(file).unwrap() == std::fs::read(folder.join(file.file_name().unwrap())).unwrap()
        };
        for file in &files {
            assert!(same(file), "{name}: {} changed", file.display());
        }
        // A changed weight is written, in the stored dtype.
        params::visit(&mut vae, |name, param| {
            if name == "decoder.conv_out.bias" {
                param.set(param.flat().clone() + 0.5);
            }
        });
        save_pretrained(&vae, Some(&origin), out.path(), &SaveOptions::default()).unwrap();
        assert!(!same(&files[1]), "{name}: the comparison cannot fail");
        let (again, _) = from_pretrained(out.path(), LoadOptions::default(), &device).unwrap();
        // The added half is rounded to what is stored.
        let worst = support::largest_difference(&values(&again), &values(&vae));
        assert!(worst <= 2e-3, "{name}: {worst}");
    }
}

#[test]
fn golden_folder_as_half_precision_in_shards_opens_again() {
    let device = tandem_core::device::cpu();
    let folder = golden_dir().join("vae_kl_plain");
    let (vae, origin) = from_pretrained(&folder, LoadOptions::default(), &device).unwrap();
    for (dtype, bound) in [(Dtype::F16, 2e-3), (Dtype::BF16, 1e-2), (Dtype::F32, 0.0)] {
        let out = tempfile::tempdir().unwrap();
        let options =
            SaveOptions { dtype: Some(dtype), max_shard_bytes: Some(50_000), variant: Some("small".into()) };
        let files = save_pretrained(&vae, Some(&origin), out.path(), &options).unwrap();
        assert!(files.len() > 4, "several shards and an index");
        assert!(files.iter().any(|f| f.ends_with("diffusion_pytorch_model.safetensors.index.small.json")));
        let options = LoadOptions { variant: Some("small"), ..LoadOptions::default() };
        let (again, sharded) = from_pretrained(out.path(), options, &device).unwrap();
        assert_eq!(sharded.file.dtype(), Some(dtype));
        let worst = support::largest_difference(&values(&again), &values(&vae));
        assert!(worst <= bound, "{dtype:?}: {worst}");
        assert!(
            from_pretrained(out.path(), LoadOptions::default(), &device).is_err(),
            "no weights without the variant"
        );
        // Sharded files that were only read are written again as they are.
        let copy = tempfile::tempdir().unwrap();
        for file in save_pretrained(&again, Some(&sharded), copy.path(), &SaveOptions::default()).unwrap() {
            let original = out.path().join(file.file_name().unwrap());
            assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(original).unwrap(), "{}", file.display());
        }
    }
}

fn values(vae: &Vae) -> Vec<f32> {
    params::named(vae).into_iter().flat_map(|(_, p)| p.to_vec()).collect()
}

#[test]
fn golden_autoencoder_in_compvis_layout() {
    let case = Golden::open("vae_compvis.safetensors");
    let grads = Golden::open("vae_compvis_grads.safetensors");
    for (_, device) in devices() {
        let opened = open_vae(&golden_dir().join("vae_compvis.pt"), &device).unwrap();
        let origin = opened.origin.unwrap();
        assert!(matches!(origin.naming, Naming::CompVis(_)));
        let rename = |name: &str| origin.naming.stored(name);
        check_values(&case, &opened.vae, &device);
        check_gradients(&case, &grads, &opened.vae, rename, &device);
        // The statistics lie in a file of their own beside it.
        let mean = case.tensor::<4>("mean", &device);
        case.check("z_normalized", opened.vae.normalize_latents(mean, LatentConvention::default()), 2.0);
    }
}

#[test]
fn golden_configuration_and_tensors_that_disagree_are_both_named() {
    let device = tandem_core::device::cpu();
    let folder = golden_dir().join("vae_kl_attn");
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let weights = "diffusion_pytorch_model.safetensors";
    std::fs::copy(folder.join(weights), out.path().join(weights)).unwrap();
    let edits = [
        ("AttnDownEncoderBlock2D", "DownEncoderBlock2D", "down_block_types"),
        ("\"layers_per_block\": 2", "\"layers_per_block\": 1", "layers_per_block"),
        ("\"latent_channels\": 8", "\"latent_channels\": 4", "latent"),
        ("\"use_quant_conv\": true", "\"use_quant_conv\": false", "use_quant_conv"),
        (
            "\"mid_block_add_attention\": true",
            "\"mid_block_add_attention\": false",
            "mid_block_add_attention",
        ),
    ];
    for (old, new, key) in edits {
        assert!(text.contains(old), "the case has no {old}");
        std::fs::write(out.path().join("config.json"), text.replace(old, new)).unwrap();
        let error = from_pretrained(out.path(), LoadOptions::default(), &device).unwrap_err().to_string();
        assert!(error.contains(key) && !error.contains('\n'), "{error}");
    }
    std::fs::write(out.path().join("config.json"), &text).unwrap();
    assert!(from_pretrained(out.path(), LoadOptions::default(), &device).is_ok());
}

#[test]
fn golden_posterior_clamps_and_measures() {
    let case = Golden::open("gaussian.safetensors");
    for (_, device) in devices() {
        let posterior = Posterior::from_moments(case.tensor("moments", &device));
        let other = Posterior::from_moments(case.tensor("other_moments", &device));
        case.check("mean", posterior.mean.clone(), 1.0);
        case.check("logvar", posterior.logvar.clone(), 1.0);
        case.check("std", posterior.std(), 1.0);
        case.check("var", posterior.var(), 1.0);
        case.check("kl", posterior.kl(), 1.0);
        case.check("kl_other", posterior.kl_to(&other), 1.0);
        case.check("nll_other", other.nll(case.tensor("sample_at", &device)), 1.0);
        let wild = posterior.logvar.clone().greater_equal_scalar(5.0);
        let z = posterior.sample(case.tensor("noise", &device)).mask_fill(wild, 0.0);
        case.check("z_masked", z, 1.0);
    }
}

#[test]
fn golden_posterior_passes_no_gradient_where_it_clamps() {
    let case = Golden::open("gaussian.safetensors");
    for (_, device) in devices() {
        let moments = case.tensor::<4>("moments", &device).autodiff().require_grad();
        let posterior = Posterior::from_moments(moments.clone());
        let per_value = posterior.mean.clone().square() + posterior.var() - 1.0 - posterior.logvar.clone();
        let tame = posterior.logvar.clone().lower_scalar(5.0);
        let zeros = per_value.zeros_like();
        let loss = zeros.mask_where(tame, per_value).sum() * 0.5;
        case.check("g_kl", moments.grad(&loss.backward()).unwrap(), 1.0);
    }
}

#[test]
fn golden_loading_rejects_a_wrong_shape_and_a_missing_tensor() {
    let device = tandem_core::device::cpu();
    let vae = Vae::new(&VaeConfig::plain(&[8], 1, 2, 4, 8), 0, &device).unwrap();
    let mut stored: Tensors = params::named(&vae)
        .into_iter()
        .map(|(n, p): (String, Param)| (n, (p.shape().to_vec(), p.to_vec())))
        .collect();
    let mut copy = vae.clone();
    params::load(&mut copy, &stored, str::to_string, &device).unwrap();
    stored.get_mut("quant_conv.bias").unwrap().0 = vec![5];
    assert!(
        params::load(&mut copy, &stored, str::to_string, &device)
            .unwrap_err()
            .to_string()
            .contains("quant_conv.bias")
    );
    stored.remove("quant_conv.bias");
    assert!(
        params::load(&mut copy, &stored, str::to_string, &device)
            .unwrap_err()
            .to_string()
            .contains("missing")
    );
    compare("self", &[1.0, 2.0], &[1.0, 2.0], 1e-6);
}
