//! The discriminator and LPIPS against the reference, on the CPU and on a software adapter; the
//! embedded weights against published distances.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::{Device, Tensor};
use support::{Golden, compare, devices, shared};
use tandem_core::files::TensorFile;
use tandem_core::params;
use tandem_core::train::optim::Gradients;
use tandem_core::vae::discriminator::{Discriminator, generator_loss, hinge_loss};
use tandem_core::vae::perceptual::{Backbone, InputRange, Lpips};
use tandem_core::weights;

/// How far a distance (0.1 to 0.3) may move when the weights are rounded to half precision: f16 keeps
/// 11 bits, and the errors of many weights average out.
const HALF_BOUND: f32 = 1e-4;

/// Buffers of `discriminator` against `prefix.main.*`.
fn check_running(case: &Golden, discriminator: &Discriminator, prefix: &str) {
    let mut seen = 0;
    for (name, param) in params::named(discriminator) {
        let stored = format!("{prefix}.{name}");
        if case.has(&stored) {
            if name.ends_with("num_batches_tracked") {
                assert_eq!(param.to_vec(), case.values(&stored), "{stored}");
            } else {
                case.check_values(&stored, &param.to_vec(), 1.0);
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "no {prefix}");
}

#[test]
fn golden_discriminator_takes_both_steps() {
    let case = Golden::open("discriminator.safetensors");
    for (_, device) in devices() {
        let layers = case.usize_at("/n_layers");
        let mut discriminator = Discriminator::new(case.usize_at("/ndf"), layers, 0, &device);
        params::load(&mut discriminator, &case.below("w"), str::to_string, &device).unwrap();
        let (real, fake) = (case.tensor::<4>("real", &device), case.tensor::<4>("fake", &device));

        let leaf = fake.clone().autodiff().require_grad();
        let (logits, seen) = discriminator.forward(leaf.clone());
        case.check("gen.logits", logits.clone(), 1.0);
        let loss = generator_loss(logits);
        case.check("gen.loss", loss.clone(), 1.0);
        case.check("gen.gx", leaf.grad(&loss.backward()).unwrap(), 1.0);
        discriminator.absorb(seen, &None);
        check_running(&case, &discriminator, "gen.after");

        let mut tracked = params::tracked(&discriminator);
        let (on_real, seen) = tracked.forward(real.clone());
        discriminator.absorb(seen, &None);
        check_running(&case, &discriminator, "disc.after_real");
        let (on_fake, seen) = tracked.forward(fake);
        discriminator.absorb(seen, &None);
        check_running(&case, &discriminator, "disc.after");
        case.check("disc.logits_real", on_real.clone(), 1.0);
        case.check("disc.logits_fake", on_fake.clone(), 1.0);
        let loss = hinge_loss(on_real, on_fake);
        case.check("disc.loss", loss.clone(), 1.0);
        let [grads] = Gradients::of(loss, [&mut tracked]);
        let weights =
            params::named(&discriminator).into_iter().filter(|(_, p)| p.role() == params::Role::Weight);
        for ((name, _), grad) in weights.zip(grads.tensors()) {
            case.check(&format!("g.{name}"), grad.clone().unwrap(), 1.0);
        }
        case.check("eval.logits", discriminator.forward_running(real), 1.0);
    }
}

fn check_lpips(case: &Golden, lpips: &Lpips, prefix: &str, device: &Device, gradients: bool) {
    for (mode, range) in [("plain", InputRange::Sound), ("quirk", InputRange::Quirk)] {
        let a = lpips.features(case.images("image1", device), range);
        let leaf = case.images("image0", device).autodiff().require_grad();
        let distance = lpips.distance(&a, lpips.features(leaf.clone(), range));
        case.check(&format!("{prefix}{mode}.distance"), distance.clone(), 1.0);
        if gradients {
            case.check(&format!("{prefix}{mode}.gx"), leaf.grad(&distance.sum().backward()).unwrap(), 1.0);
        }
    }
}

#[test]
fn golden_lpips_equals_the_reference() {
    for (_, device) in devices() {
        for (file, backbone) in [("lpips_alex", Backbone::Alex), ("lpips_vgg", Backbone::Vgg)] {
            let case = Golden::open(&format!("{file}.safetensors"));
            let lpips = Lpips::load(backbone, &case.below("w"), &device).unwrap();
            check_lpips(&case, &lpips, "", &device, true);
        }
    }
}

#[test]
fn golden_lpips_real_values_are_those_of_the_published_network() {
    let case = Golden::open("lpips_real_values.safetensors");
    let file = TensorFile::open(&shared("weights/lpips_alex.safetensors")).unwrap();
    for (_, device) in devices() {
        let lpips = Lpips::load(Backbone::Alex, &file, &device).unwrap();
        check_lpips(&case, &lpips, "alex.", &device, false);
    }
}

#[test]
fn golden_lpips_real_values_stand_with_weights_stored_in_half_precision() {
    let case = Golden::open("lpips_real_values.safetensors");
    let device = tandem_core::device::cpu();
    let vgg = TensorFile::open(&shared("weights/lpips_vgg16.safetensors")).unwrap();
    let networks = [("alex", Backbone::Alex, weights::lpips_alex().unwrap()), ("vgg", Backbone::Vgg, vgg)];
    for (name, backbone, file) in networks {
        let lpips = Lpips::load(backbone, &file, &device).unwrap();
        for (mode, range) in [("plain", InputRange::Sound), ("quirk", InputRange::Quirk)] {
            let [a, b] = ["image1", "image0"].map(|image| lpips.features(case.images(image, &device), range));
            let distances = params::host(lpips.distance(&a, b));
            let published = case.values(&format!("{name}.{mode}.distance"));
            compare(&format!("{name}, {mode}, half"), &distances, published, HALF_BOUND);
        }
    }
}

#[test]
fn lpips_has_no_nan_where_features_vanish() {
    let device = tandem_core::device::cpu();
    let x = Tensor::<4>::zeros([1, 2, 1, 2], &device).autodiff().require_grad();
    let a = Tensor::<4>::ones([1, 2, 1, 2], &device);
    let weight = Tensor::<1>::ones([2], &device);
    let distance = tandem_core::kernel::perceptual::layer_distance(a, x.clone(), weight);
    let grad = params::host(x.grad(&distance.sum().backward()).unwrap());
    assert!(grad.iter().all(|g| g.is_finite()), "{grad:?}");
}
