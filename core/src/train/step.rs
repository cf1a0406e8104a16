//! One step of training: the three passes of REPA-E (section 3; repae/train_repae.py), and the
//! methods it is compared with.
//!
//! 1. **Autoencoder pass**: reconstruction losses, and alignment through the frozen transformer
//!    (evaluation mode, running statistics, only to the aligned block).
//! 2. **Discriminator pass**: hinge loss on `x` and the same `x̂`, detached.
//! 3. **Transformer pass**: the same `z`, detached (the stop-gradient that keeps the diffusion
//!    loss out of the autoencoder), the same times and noise, batch statistics, labels dropped.
//!
//! All gradients of a step are computed before any weight moves: no pass reads what another one
//! changes, so the result is the reference's, and a step that went wrong (a loss or gradient that
//! is not finite) can be dropped whole.

use burn::tensor::Tensor;

use super::draws::Draws;
use super::optim::Gradients;
use super::outcome::StepOutcome;
use super::teacher_metrics::TeacherMetrics;
use crate::align::{alignment_losses, mean_of};
pub use crate::config::{LossWeights, Method};
use crate::kernel::loss::square_error;
use crate::kernel::profile::phase;
use crate::kernel::threads;
use crate::params;
use crate::sit::{Path, Sit, SitOutput};
use crate::vae::discriminator::{Discriminator, hinge_loss};
use crate::vae::loss::{PerceptualInput, vae_loss};
use crate::vae::perceptual::Lpips;
use crate::vae::{Posterior, Vae};

/// The trained networks.
#[derive(Clone, Debug)]
pub struct Networks {
    /// The autoencoder.
    pub vae: Vae,
    /// The transformer, with latent norm and projectors.
    pub sit: Sit,
    /// The critic of reconstructions.
    pub discriminator: Discriminator,
}

/// What stays the same from step to step.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// What is trained.
    pub method: Method,
    /// Shape of the path from data to noise.
    pub path: Path,
    /// Weights of the losses.
    pub weights: LossWeights,
    /// The frozen perceptual network and how pictures reach it.
    pub lpips: (Lpips, PerceptualInput),
    /// Whether the autoencoder's look through the frozen discriminator counts in the discriminator's
    /// running statistics, as in the reference: three updates a step in place of two.
    pub counts_frozen_pass: bool,
    /// Names of each teacher's losses; empty unless there are several teachers.
    pub teachers: Vec<TeacherMetrics>,
}

/// One micro-batch on the device.
#[derive(Clone, Debug)]
pub struct Examples {
    /// Pictures `[B, 3, H, W]` in [−1, 1]; unused when `moments` are given.
    pub images: Tensor<4>,
    /// Posterior mean and standard deviation `[B, z, h, w]`, where the autoencoder is frozen and
    /// latents are cached.
    pub moments: Option<(Tensor<4>, Tensor<4>)>,
    /// Class labels `[B]`.
    pub labels: Vec<usize>,
    /// Teacher features, one `[B, N, D]` for each teacher.
    pub features: Vec<Tensor<3>>,
}

/// Called between the parts of a step, with the networks as they were before it: a person who explores
/// a model in training need not wait for the end of a step. Whatever it does, the step's result is the
/// same, because no part reads anything that another one left behind on the device.
pub type Between<'a> = &'a mut (dyn FnMut() + Send);

/// Gradients and losses of one micro-batch; changes nothing.
pub fn run(networks: &Networks, context: &StepContext, examples: &Examples, draws: &Draws) -> StepOutcome {
    run_with(networks, context, examples, draws, &mut || {})
}

/// [`run`], calling `between` four times or so on its way.
pub fn run_with(
    networks: &Networks,
    context: &StepContext,
    examples: &Examples,
    draws: &Draws,
    between: Between,
) -> StepOutcome {
    let both = (examples, draws);
    threads::inside(&examples.images.device(), || match context.method {
        Method::RepaE | Method::Vae => joint_passes(networks, context, both, between),
        Method::Naive => {
            let mut outcome = StepOutcome::default();
            naive_pass(networks, context, both, &mut outcome, between);
            discriminator_pass(networks, examples, &mut outcome, between);
            outcome
        }
        Method::Repa | Method::Vanilla => {
            let z = Some(frozen_latent(networks, examples, draws));
            let mut outcome = StepOutcome { z, ..StepOutcome::default() };
            transformer_pass(networks, context, both, &mut outcome, between);
            outcome
        }
    })
}

/// The passes that train the autoencoder. What is left of the first one after the reconstruction needs nothing
/// of the others, nor they of it: on the CPU they run beside each other.
fn joint_passes(
    networks: &Networks,
    context: &StepContext,
    (examples, draws): (&Examples, &Draws),
    between: Between,
) -> StepOutcome {
    let mut vae = params::tracked(&networks.vae);
    let made = reconstruct(&vae, examples, draws);
    between();
    let (mut first, mut others) = (StepOutcome::default(), StepOutcome::default());
    others.z = Some(made.z.clone().without_autodiff());
    others.recon = Some(made.recon.clone().without_autodiff());
    threads::both(
        &examples.images.device(),
        || {
            let vae = (networks, &mut vae);
            autoencoder_pass(vae, context, (examples, draws), made, &mut first, &mut *between);
        },
        || {
            discriminator_pass(networks, examples, &mut others, &mut || {});
            if context.method == Method::RepaE {
                transformer_pass(networks, context, (examples, draws), &mut others, &mut || {});
            }
        },
    );
    between();
    first.followed_by(others)
}

/// Pictures on their way through the autoencoder.
struct Reconstruction {
    posterior: Posterior,
    z: Tensor<4>,
    recon: Tensor<4>,
}

fn reconstruct(vae: &Vae, examples: &Examples, draws: &Draws) -> Reconstruction {
    let posterior = phase("encode", || vae.encode(examples.images.clone()));
    let z = posterior.sample(draws.posterior_noise.clone());
    let recon = phase("decode", || vae.decode(z.clone()));
    Reconstruction { posterior, z, recon }
}

/// What the autoencoder is charged for `made`.
fn reconstruction_loss(
    made: &Reconstruction,
    networks: &Networks,
    context: &StepContext,
    examples: &Examples,
    outcome: &mut StepOutcome,
) -> Tensor<1> {
    let Reconstruction { posterior, recon, .. } = made;
    let logits = (context.weights.vae.adversarial != 0.0).then(|| {
        let (logits, seen) = phase("discriminator", || networks.discriminator.forward(recon.clone()));
        if context.counts_frozen_pass {
            outcome.seen.discriminator.push(seen);
        }
        logits
    });
    let (lpips, input) = &context.lpips;
    let x = examples.images.clone();
    let loss = vae_loss(x, recon.clone(), posterior, (lpips, *input), logits, context.weights.vae);
    outcome.losses.extend([
        ("reconstruction_loss", loss.reconstruction.without_autodiff()),
        ("perceptual_loss", loss.perceptual.without_autodiff()),
        ("kl_loss", loss.kl.without_autodiff()),
    ]);
    if let Some(adversarial) = loss.adversarial {
        outcome.losses.push(("adversarial_loss", adversarial.without_autodiff()));
    }
    loss.total
}

/// The rest of the autoencoder's pass after the reconstruction: losses, alignment, gradients.
fn autoencoder_pass(
    (networks, vae): (&Networks, &mut Vae),
    context: &StepContext,
    (examples, draws): (&Examples, &Draws),
    made: Reconstruction,
    outcome: &mut StepOutcome,
    between: Between,
) {
    let mut total = reconstruction_loss(&made, networks, context, examples, outcome);
    let z = made.z;
    drop((made.recon, made.posterior));
    if context.method.aligns() {
        let losses = phase("align", || {
            let normal = networks.sit.latent_norm.normalize_running(z);
            let x_t = context.path.interpolate(normal, draws.noise.clone(), &draws.time);
            let projected = networks.sit.project(x_t, &draws.time, &examples.labels);
            alignment_losses(projected, &examples.features)
        });
        let align = mean_of(&losses);
        outcome.losses.push(("vae_align_loss", align.clone().without_autodiff()));
        outcome.push_each(context.teachers.iter().map(|t| t.vae_align), losses);
        total = total + align * context.weights.vae_align;
    }
    outcome.losses.push(("vae_loss", total.clone().without_autodiff()));
    between();
    let [grads] = Gradients::of(total, [vae]);
    outcome.vae = Some(grads);
    between();
}

fn discriminator_pass(networks: &Networks, examples: &Examples, outcome: &mut StepOutcome, between: Between) {
    let Some(recon) = outcome.recon.clone() else { return };
    let mut discriminator = params::tracked(&networks.discriminator);
    let (real, seen_real) = phase("discriminator", || discriminator.forward(examples.images.clone()));
    let (fake, seen_fake) = phase("discriminator", || discriminator.forward(recon));
    outcome.seen.discriminator.extend([seen_real, seen_fake]);
    let loss = hinge_loss(real.clone(), fake.clone());
    outcome.losses.extend([
        ("discriminator_loss", loss.clone().without_autodiff()),
        ("logits_real", real.mean().without_autodiff()),
        ("logits_fake", fake.mean().without_autodiff()),
    ]);
    let [grads] = Gradients::of(loss, [&mut discriminator]);
    outcome.discriminator = Some(grads);
    between();
}

/// The latent of a frozen autoencoder: from cached moments, or encoded now.
fn frozen_latent(networks: &Networks, examples: &Examples, draws: &Draws) -> Tensor<4> {
    match &examples.moments {
        Some((mean, std)) => mean.clone() + std.clone() * draws.posterior_noise.clone(),
        None => networks.vae.encode(examples.images.clone()).sample(draws.posterior_noise.clone()),
    }
}

/// Denoising and alignment of normalised latents `z̄`; returns the transformer's whole loss.
fn transformer_loss(
    sit: &Sit,
    normal: Tensor<4>,
    context: &StepContext,
    (examples, draws): (&Examples, &Draws),
    outcome: &mut StepOutcome,
) -> Tensor<1> {
    let labels = draws.dropped(&examples.labels, sit.config().null_label());
    let x_t = context.path.interpolate(normal.clone(), draws.noise.clone(), &draws.time);
    let target = context.path.velocity(normal, draws.noise.clone(), &draws.time);
    let SitOutput { velocity, projected } = sit.forward(x_t, &draws.time, &labels);
    let denoising = square_error(velocity, target);
    outcome.losses.push(("denoising_loss", denoising.clone().without_autodiff()));
    let mut total = denoising;
    if context.method.aligns() {
        let losses = alignment_losses(projected, &examples.features);
        let align = mean_of(&losses);
        outcome.losses.push(("align_loss", align.clone().without_autodiff()));
        outcome.push_each(context.teachers.iter().map(|t| t.align), losses);
        total = total + align * context.weights.sit_align;
    }
    outcome.losses.push(("sit_loss", total.clone().without_autodiff()));
    total
}

fn transformer_pass(
    networks: &Networks,
    context: &StepContext,
    (examples, draws): (&Examples, &Draws),
    outcome: &mut StepOutcome,
    between: Between,
) {
    let Some(z) = outcome.z.clone() else { return };
    let mut sit = params::tracked(&networks.sit);
    let normal = if context.method.trains_vae() {
        let (normal, seen) = networks.sit.latent_norm.normalize_batch(z);
        outcome.seen.latent = Some(seen);
        normal
    } else {
        networks.sit.latent_norm.normalize_running(z)
    };
    let total = phase("SiT", || transformer_loss(&sit, normal, context, (examples, draws), outcome));
    between();
    let [grads] = Gradients::of(total, [&mut sit]);
    outcome.sit = Some(grads);
    between();
}

/// Autoencoder and transformer in one graph: no stop-gradient, no alignment pass of its own.
fn naive_pass(
    networks: &Networks,
    context: &StepContext,
    (examples, draws): (&Examples, &Draws),
    outcome: &mut StepOutcome,
    between: Between,
) {
    let mut vae = params::tracked(&networks.vae);
    let mut sit = params::tracked(&networks.sit);
    let made = reconstruct(&vae, examples, draws);
    between();
    outcome.z = Some(made.z.clone().without_autodiff());
    outcome.recon = Some(made.recon.clone().without_autodiff());
    let vae_loss = reconstruction_loss(&made, networks, context, examples, outcome);
    outcome.losses.push(("vae_loss", vae_loss.clone().without_autodiff()));
    let (normal, seen) = networks.sit.latent_norm.normalize_batch(made.z);
    outcome.seen.latent = Some(seen);
    let sit_loss = phase("SiT", || transformer_loss(&sit, normal, context, (examples, draws), outcome));
    let total = vae_loss + sit_loss;
    between();
    let [vae_grads, sit_grads] = Gradients::of(total, [&mut vae, &mut sit]);
    outcome.vae = Some(vae_grads);
    outcome.sit = Some(sit_grads);
    between();
}
