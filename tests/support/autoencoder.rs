//! What every autoencoder case holds: values, gradients of pictures and latents, gradients of weights.

use burn::tensor::{Device, Tensor};
use tandem_core::params::{self, Role};
use tandem_core::train::optim::Gradients;
use tandem_core::vae::Vae;

use crate::support::Golden;

fn dot(case: &Golden, a: Tensor<4>, name: &str, device: &Device) -> Tensor<1> {
    (a * case.tensor::<4>(name, device)).sum()
}

/// Compares encoding, decoding and their gradients with respect to picture and latent.
pub fn check_values(case: &Golden, vae: &Vae, device: &Device) {
    let posterior = vae.encode(case.tensor("x", device));
    case.check("mean", posterior.mean.clone(), 1.0);
    case.check("logvar", posterior.logvar.clone(), 1.0);
    case.check("recon", vae.decode(posterior.mode()), 1.0);
    let sampled = posterior.sample(case.tensor("noise", device));
    case.check("z_sample", sampled.clone(), 1.0);
    case.check("recon_sample", vae.decode(sampled), 1.0);
    case.check("kl", posterior.kl(), 1.0);

    let leaf = |name: &str| case.tensor::<4>(name, device).autodiff().require_grad();
    let z = leaf("z");
    let grad = z.grad(&dot(case, vae.decode(z.clone()), "r", device).backward()).unwrap();
    case.check("gz_recon", grad, 1.0);
    let x = leaf("x");
    let grad = x.grad(&dot(case, vae.encode(x.clone()).logvar, "l", device).backward()).unwrap();
    case.check("gx_logvar", grad, 1.0);
    let x = leaf("x");
    let mean = vae.encode(x.clone()).mean;
    let loss = dot(case, vae.decode(mean.clone()), "r", device) + dot(case, mean, "m", device);
    case.check("gx", x.grad(&loss.backward()).unwrap(), 1.0);
}

/// Gradients of all weights, by the model's names: of sum(recon·r) + sum(mean·m).
pub fn gradients(case: &Golden, vae: &Vae, device: &Device) -> Vec<(String, Tensor<1>)> {
    let mut tracked = params::tracked(vae);
    let mean = tracked.encode(case.tensor("x", device)).mean;
    let loss = dot(case, tracked.decode(mean.clone()), "r", device) + dot(case, mean, "m", device);
    let [gradients] = Gradients::of(loss, [&mut tracked]);
    let weights = params::named(vae).into_iter().filter(|(_, p)| p.role() == Role::Weight);
    weights
        .zip(gradients.tensors())
        .map(|((name, _), grad)| {
            let grad = grad.clone().unwrap_or_else(|| panic!("{name}: no gradient"));
            (name, grad)
        })
        .collect()
}

/// Compares the gradients of all weights with `g.*` of `grads`.
pub fn check_gradients(
    case: &Golden,
    grads: &Golden,
    vae: &Vae,
    rename: impl Fn(&str) -> String,
    device: &Device,
) {
    let all = gradients(case, vae, device);
    for (name, grad) in &all {
        grads.check(&format!("g.{}", rename(name)), grad.clone(), 1.0);
    }
    let stored = grads.file.names().filter(|n| n.starts_with("g.")).count();
    assert_eq!(all.len(), stored, "{}: number of gradients", grads.name);
}
