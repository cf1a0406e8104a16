//! Global gradient norms of the three networks, on the device.

use burn::tensor::Tensor;

use super::optim::Gradients;
use super::outcome::StepOutcome;

/// Global gradient norms of a step.
pub(super) struct Norms {
    pub vae: Option<Tensor<1>>,
    pub discriminator: Option<Tensor<1>>,
    pub sit: Option<Tensor<1>>,
}

impl Norms {
    /// Of what a step found.
    pub fn of(outcome: &StepOutcome) -> Self {
        let norm = |grads: &Option<Gradients>| grads.as_ref().map(Gradients::norm);
        Self { vae: norm(&outcome.vae), discriminator: norm(&outcome.discriminator), sit: norm(&outcome.sit) }
    }

    /// The norms that there are, by metric name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Tensor<1>)> {
        let all = [
            ("grad_norm_vae", &self.vae),
            ("grad_norm_discriminator", &self.discriminator),
            ("grad_norm_sit", &self.sit),
        ];
        all.into_iter().filter_map(|(name, norm)| norm.as_ref().map(|norm| (name, norm)))
    }
}
