//! What a training step keeps for backward: as much as the formula says, and less with gradient checkpointing, for
//! the same gradients. Each test counts the tensors of the whole process, so they run one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use tandem_core::config::Config;
use tandem_core::device::cpu;
use tandem_core::kernel::live_bytes;
use tandem_core::params::{self, host, tracked};
use tandem_core::sit::Sit;
use tandem_core::train::cost;
use tandem_core::train::optim::Gradients;
use tandem_core::vae::Vae;

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wave<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * 0.37 + phase).sin()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Networks of a preset whose gates are open: at the start they are shut, and no gradient gets far.
fn networks(config: &Config, device: &Device) -> (Vae, Sit) {
    let vae = Vae::new(&config.vae_config(), 0, device).unwrap();
    let mut sit = Sit::new(&config.sit_config(5, vec![24]).unwrap(), 0, device).unwrap();
    params::visit(&mut sit, |name, param| {
        if name.contains("adaLN_modulation") || name.starts_with("final_layer") {
            param.set(wave([param.len()], 1.0, device) * 0.05);
        }
    });
    (vae, sit)
}

/// One number of all that the autoencoder makes of two pictures.
fn autoencoded(vae: &Vae, px: usize, device: &Device) -> Tensor<1> {
    let recon = vae.decode(vae.encode(wave([2, 3, px, px], 0.0, device)).mean);
    recon.square().mean()
}

/// One number of all that the transformer makes of two latents.
fn denoised(sit: &Sit, x: Tensor<4>) -> Tensor<1> {
    let out = sit.forward(x, &[0.3, 0.8], &[1, 4]);
    let projected = out.projected.into_iter().map(|p| p.square().mean());
    projected.fold(out.velocity.square().mean(), |sum, p| sum + p)
}

fn latent(sit: &Sit, phase: f32, device: &Device) -> Tensor<4> {
    let side = sit.config().input_size;
    wave([2, sit.config().in_channels, side, side], phase, device)
}

/// Bytes kept for backward by `forward`, and the gradients of `model`.
fn kept_and_gradients<M: params::Parameters + Clone>(
    model: &M,
    forward: impl Fn(&M) -> Tensor<1>,
) -> (usize, Vec<Vec<f32>>) {
    let before = live_bytes();
    let mut model = tracked(model);
    let loss = forward(&model);
    let kept = live_bytes() - before;
    let [grads] = Gradients::of(loss, [&mut model]);
    let grads = grads.tensors().iter().map(|g| g.clone().map(host).unwrap_or_default()).collect();
    (kept, grads)
}

/// The largest difference of two sets of gradients, over the largest of all: some are zero but for rounding (a shift of
/// all keys changes no attention).
fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let most = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0f32, |most, v| most.max(v.abs()));
    let (a, b) = (a.concat(), b.concat());
    assert_eq!(a.len(), b.len());
    most(&mut a.iter().zip(&b).map(|(a, b)| a - b)) / most(&mut a.iter().copied())
}

#[test]
fn checkpointing_keeps_less_and_gives_the_same_gradients() {
    let _alone = alone();
    let config = Config::load("nano", &["data.image_px=16".into(), "sit.qk_norm=true".into()]).unwrap();
    for (name, device) in support::devices() {
        let (mut vae, mut sit) = networks(&config, &device);
        let z = latent(&sit, 0.0, &device);
        let vae_run = |vae: &Vae| kept_and_gradients(vae, |vae| autoencoded(vae, 16, &device));
        let sit_run = |sit: &Sit, z: &Tensor<4>| kept_and_gradients(sit, |sit| denoised(sit, z.clone()));
        let (plain_vae, plain_sit) = (vae_run(&vae), sit_run(&sit, &z));
        let other = sit_run(&sit, &latent(&sit, 0.1, &device));
        assert!(distance(&plain_sit.1, &other.1) > 1e-3, "the comparison cannot fail");
        vae.checkpoint_gradients(true);
        sit.checkpoint_gradients(true);
        for (what, plain, again, least, within) in [
            ("autoencoder", plain_vae, vae_run(&vae), 1.5, 0.0),
            // The gradients of the tokens that a projector reads too are added in another order.
            ("transformer", plain_sit, sit_run(&sit, &z), 3.0, 1e-5),
        ] {
            eprintln!("{name}, {what}: {} bytes kept, {} with checkpointing", plain.0, again.0);
            assert!(plain.1.iter().flatten().any(|g| *g != 0.0));
            let far = distance(&plain.1, &again.1);
            assert!(far <= within, "{name}: gradients of the {what} differ by {far:e}");
            if name == "cpu" {
                let times = plain.0 as f64 / again.0 as f64;
                assert!(times > least, "{what}: {} bytes instead of {}", again.0, plain.0);
            }
        }
    }
}

#[test]
fn a_frozen_transformer_passes_the_same_gradient_on() {
    let _alone = alone();
    let config = Config::load("nano", &[]).unwrap();
    let (_, mut sit) = networks(&config, &cpu());
    let mut run = |again: bool| {
        sit.checkpoint_gradients(again);
        let x = latent(&sit, 0.0, &cpu()).autodiff().require_grad();
        let before = live_bytes();
        let loss = sit.project(x.clone(), &[0.3, 0.8], &[1, 4]).remove(0).square().mean();
        let kept = live_bytes() - before;
        (kept, host(x.grad(&loss.backward()).unwrap()))
    };
    let (plain, again) = (run(false), run(true));
    assert!(plain.1.iter().any(|g| *g != 0.0));
    assert_eq!(plain.1, again.1);
    assert!(again.0 < plain.0, "{} bytes instead of {}", again.0, plain.0);
}

#[test]
fn what_is_kept_is_what_the_formula_says() {
    let _alone = alone();
    for preset in ["nano", "tiny", "small"] {
        let config = Config::load(preset, &[]).unwrap();
        let px = config.data.image_px;
        let (vae, sit) = networks(&config, &cpu());
        let vae_cost = cost::autoencoder(&config.vae_config(), px).kept;
        let sit_cost = cost::transformer(sit.config(), sit.config().depth, false).kept;
        let z = latent(&sit, 0.0, &cpu());
        for again in [false, true] {
            let (mut vae, mut sit) = (vae.clone(), sit.clone());
            vae.checkpoint_gradients(again);
            sit.checkpoint_gradients(again);
            let kept = [
                kept_and_gradients(&vae, |vae| autoencoded(vae, px, &cpu())).0,
                kept_and_gradients(&sit, |sit| denoised(sit, z.clone())).0,
            ];
            let of = |kept: cost::Kept| 8.0 * if again { kept.inputs } else { kept.all };
            for (what, kept, formula) in
                [("autoencoder", kept[0], of(vae_cost)), ("transformer", kept[1], of(sit_cost))]
            {
                let ratio = kept as f64 / formula;
                eprintln!("{preset}, {what}, checkpointing {again}: {kept} bytes, {ratio:.2} of the formula");
                assert!((0.85..1.15).contains(&ratio), "{preset}, {what}: {kept} bytes, formula {formula}");
            }
        }
    }
}
