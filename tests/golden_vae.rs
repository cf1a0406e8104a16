//! AutoencoderKL, its posterior and the latent norm against PyTorch and diffusers: values and
//! gradients, on the CPU and on a software adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use support::{Golden, compare, devices, golden_dir};
use tandem_core::formats::{compvis, safetensors::TensorFile};
use tandem_core::params::{self, Param, Parameters};
use tandem_core::train::optim::Gradients;
use tandem_core::vae::{Posterior, Vae, VaeConfig};

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

/// Old diffusers attention names for the new ones.
fn legacy(name: &str) -> String {
    name.replace(".to_q.", ".query.")
        .replace(".to_k.", ".key.")
        .replace(".to_v.", ".value.")
        .replace(".to_out.0.", ".proj_attn.")
}

fn load_kl(folder: &Path, device: &Device) -> Vae {
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let config: VaeConfig = serde_json::from_str(&text).unwrap();
    let weights = TensorFile::open(&folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    let mut vae = Vae::new(&config, 0, device).unwrap();
    let old = weights.names().any(|n| n.ends_with(".query.weight"));
    let rename = |name: &str| if old { legacy(name) } else { name.to_string() };
    params::load(&mut vae, &weights, rename, device).unwrap();
    vae
}

/// Everything that io files of autoencoders hold, through `rename` for gradient names.
fn check_autoencoder(
    case: &Golden,
    grads: &Golden,
    vae: &Vae,
    rename: impl Fn(&str) -> String,
    device: &Device,
    slack: f32,
) {
    let x = case.tensor::<4>("x", device);
    let posterior = vae.encode(x.clone());
    case.check("mean", posterior.mean.clone(), slack);
    case.check("logvar", posterior.logvar.clone(), slack);
    case.check("recon", vae.decode(posterior.mode()), slack);
    let sampled = posterior.sample(case.tensor("noise", device));
    case.check("z_sample", sampled.clone(), slack);
    case.check("recon_sample", vae.decode(sampled), slack);
    case.check("kl", posterior.kl(), slack);

    let dot = |a: Tensor<4>, name: &str| (a * case.tensor::<4>(name, device)).sum();
    let leaf = |name: &str| case.tensor::<4>(name, device).autodiff().require_grad();

    let z = leaf("z");
    let grad = z.grad(&dot(vae.decode(z.clone()), "r").backward()).unwrap();
    case.check("gz_recon", grad, slack);
    let x = leaf("x");
    let grad = x.grad(&dot(vae.encode(x.clone()).logvar, "l").backward()).unwrap();
    case.check("gx_logvar", grad, slack);
    let x = leaf("x");
    let mean = vae.encode(x.clone()).mean;
    let loss = dot(vae.decode(mean.clone()), "r") + dot(mean, "m");
    case.check("gx", x.grad(&loss.backward()).unwrap(), slack);

    let mut tracked = params::tracked(vae);
    let mean = tracked.encode(case.tensor("x", device)).mean;
    let loss = dot(tracked.decode(mean.clone()), "r") + dot(mean, "m");
    let [gradients] = Gradients::of(loss, [&mut tracked]);
    check_gradients(grads, &gradients, vae, rename, slack);
}

fn check_gradients<P: Parameters + Clone>(
    case: &Golden,
    gradients: &Gradients,
    model: &P,
    rename: impl Fn(&str) -> String,
    slack: f32,
) {
    let weights = params::named(model).into_iter().filter(|(_, p)| p.role() == params::Role::Weight);
    let mut count = 0;
    for ((name, _), grad) in weights.zip(gradients.tensors()) {
        let name = format!("g.{}", rename(&name));
        case.check(&name, grad.clone().unwrap_or_else(|| panic!("{name}: no gradient")), slack);
        count += 1;
    }
    let stored = case.file.names().filter(|n| n.starts_with("g.")).count();
    assert_eq!(count, stored, "{}: number of gradients", case.name);
}

#[test]
fn golden_autoencoder_kl_equals_diffusers() {
    for (device_name, device) in devices() {
        for name in kl_folders() {
            eprintln!("{name} on {device_name}");
            let folder = golden_dir().join(&name);
            let case = Golden::open(&format!("{name}/io.safetensors"));
            let vae = load_kl(&folder, &device);
            let old = name.contains("legacy");
            // The gradients of a legacy folder have the names of the library that computed them.
            let legacy_grads = old && case.has("g.encoder.mid_block.attentions.0.query.weight");
            let rename = |n: &str| if legacy_grads { legacy(n) } else { n.to_string() };
            check_autoencoder(&case, &case, &vae, rename, &device, 1.0);
        }
    }
}

#[test]
fn golden_autoencoder_in_compvis_layout() {
    let case = Golden::open("vae_compvis.safetensors");
    let grads = Golden::open("vae_compvis_grads.safetensors");
    let shape = |name: &str| case.shape(&format!("w.{name}")).to_vec();
    // There is no configuration: geometry comes from the keys.
    let mut channels = Vec::new();
    while case.has(&format!("w.encoder.down.{}.block.0.conv2.weight", channels.len())) {
        channels.push(shape(&format!("encoder.down.{}.block.0.conv2.weight", channels.len()))[0]);
    }
    let levels = channels.len();
    let layers = (0..).take_while(|j| case.has(&format!("w.encoder.down.0.block.{j}.conv1.weight"))).count();
    let z = shape("quant_conv.weight")[0] / 2;
    let mut config = VaeConfig::plain(&channels, layers, z, 32, 32);
    for level in 0..levels {
        if case.has(&format!("w.encoder.down.{level}.attn.0.q.weight")) {
            config.down_block_types[level] = "AttnDownEncoderBlock2D".into();
            config.up_block_types[levels - 1 - level] = "AttnUpDecoderBlock2D".into();
        }
    }
    for (_, device) in devices() {
        let mut vae = Vae::new(&config, 0, &device).unwrap();
        let rename = |name: &str| compvis::from_diffusers(name, levels);
        params::load(&mut vae, &case.below("w"), rename, &device).unwrap();
        check_autoencoder(&case, &grads, &vae, rename, &device, 1.0);
        let mean = case.tensor::<4>("mean", &device);
        let z =
            (mean - case.tensor::<4>("latents_bias", &device)) * case.tensor::<4>("latents_scale", &device);
        case.check("z_normalized", z, 1.0);
    }
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
