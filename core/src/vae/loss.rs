//! What the autoencoder is trained on: `L1 + LPIPS + KL + GAN` (repae/loss/losses.py,
//! `ReconstructionLoss_Single_Stage`), before alignment is added.

use burn::tensor::Tensor;

use super::Posterior;
use super::discriminator::generator_loss;
use super::perceptual::{InputRange, Lpips};
use crate::kernel::loss::{absolute_error, divergence};
use crate::kernel::profile::phase;
use crate::kernel::resample::{Filter, resize};

/// Weights of the terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VaeLossWeights {
    /// Of the mean absolute error.
    pub reconstruction: f64,
    /// Of LPIPS.
    pub perceptual: f64,
    /// Of the KL divergence, summed over a sample and averaged over the batch.
    pub kl: f64,
    /// Of the adversarial term.
    pub adversarial: f64,
}

/// How pictures reach LPIPS.
#[derive(Clone, Copy, Debug)]
pub struct PerceptualInput {
    /// Side to resize to (bilinear).
    pub px: usize,
    /// Whether the reference's doubled range is reproduced.
    pub range: InputRange,
}

/// Every term, unweighted scalars `[1]`, and their weighted sum.
#[derive(Clone, Debug)]
pub struct VaeLoss {
    /// Mean absolute error.
    pub reconstruction: Tensor<1>,
    /// LPIPS, mean over the batch.
    pub perceptual: Tensor<1>,
    /// KL in nats, summed over a sample, mean over the batch.
    pub kl: Tensor<1>,
    /// `−mean D(x̂)`.
    pub adversarial: Option<Tensor<1>>,
    /// Weighted sum.
    pub total: Tensor<1>,
}

/// Features of real pictures for LPIPS: computed once, off the tape.
pub fn perceptual_features(lpips: &Lpips, x: Tensor<4>, input: PerceptualInput) -> Vec<Tensor<4>> {
    lpips.features(resize(x, input.px, Filter::Bilinear), input.range)
}

/// The loss of reconstruction `recon` of `x`, both `[B, 3, H, W]`; `logits_fake` is D(x̂) when
/// the adversarial term is on.
pub fn vae_loss(
    x: Tensor<4>,
    recon: Tensor<4>,
    posterior: &Posterior,
    (lpips, input): (&Lpips, PerceptualInput),
    logits_fake: Option<Tensor<4>>,
    weights: VaeLossWeights,
) -> VaeLoss {
    let perceptual = phase("LPIPS", || {
        let real = perceptual_features(lpips, x.clone(), input);
        let fake = perceptual_features(lpips, recon.clone(), input);
        lpips.distance(&real, fake).mean()
    });
    let reconstruction = absolute_error(recon, x);
    let kl = divergence(posterior.mean.clone(), posterior.logvar.clone());
    let adversarial = logits_fake.map(generator_loss);
    let mut total = reconstruction.clone() * weights.reconstruction
        + perceptual.clone() * weights.perceptual
        + kl.clone() * weights.kl;
    if let Some(adversarial) = &adversarial {
        total = total + adversarial.clone() * weights.adversarial;
    }
    VaeLoss { reconstruction, perceptual, kl, adversarial, total }
}
