//! What a step found: gradients, losses and statistics, before anything changed.

use burn::tensor::Tensor;

use super::optim::Gradients;
use super::step::Networks;
use crate::kernel::optimizer::Gate;
use crate::latent_norm::LatentStats;
use crate::vae::discriminator::BatchStats;

/// Changes to running statistics that a step will make if it counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Of the latents.
    pub latent: Option<LatentStats>,
    /// Of the discriminator's batch norms, one entry for each look through it.
    pub discriminator: Vec<Vec<BatchStats>>,
}

/// Everything a step found, before anything changed.
#[derive(Clone, Debug, Default)]
pub struct StepOutcome {
    /// Gradients of the autoencoder.
    pub vae: Option<Gradients>,
    /// Gradients of the discriminator.
    pub discriminator: Option<Gradients>,
    /// Gradients of the transformer.
    pub sit: Option<Gradients>,
    /// Unweighted losses, scalars `[1]` on the device, by metric name.
    pub losses: Vec<(&'static str, Tensor<1>)>,
    /// The latents of this step, `[B, z, h, w]`, detached.
    pub z: Option<Tensor<4>>,
    /// The reconstructions, detached.
    pub recon: Option<Tensor<4>>,
    pub(super) seen: Seen,
}

impl StepOutcome {
    /// Adds another micro-batch: gradients summed, losses summed (scale both afterwards).
    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in [
            (&mut self.vae, other.vae),
            (&mut self.discriminator, other.discriminator),
            (&mut self.sit, other.sit),
        ] {
            match (mine.as_mut(), theirs) {
                (Some(mine), Some(theirs)) => mine.add(theirs),
                (None, theirs) => *mine = theirs,
                (Some(_), None) => {}
            }
        }
        for ((_, mine), (_, theirs)) in self.losses.iter_mut().zip(other.losses) {
            *mine = mine.clone() + theirs;
        }
        self.seen.discriminator.extend(other.seen.discriminator);
        self.seen.latent = other.seen.latent.or(self.seen.latent.take());
    }

    /// Divides gradients and losses by the number of micro-batches added.
    pub fn average(&mut self, count: usize) {
        if count < 2 {
            return;
        }
        let factor = 1.0 / count as f64;
        for grads in [&mut self.vae, &mut self.discriminator, &mut self.sit].into_iter().flatten() {
            grads.scale(factor);
        }
        for (_, loss) in &mut self.losses {
            *loss = loss.clone() * factor;
        }
    }

    /// Everything of `self`, then what a later pass of the same micro-batch found.
    pub(super) fn followed_by(mut self, later: Self) -> Self {
        self.losses.extend(later.losses);
        self.seen.discriminator.extend(later.seen.discriminator);
        let latent = later.seen.latent.or(self.seen.latent);
        let seen = Seen { latent, discriminator: self.seen.discriminator };
        Self {
            vae: self.vae.or(later.vae),
            discriminator: self.discriminator.or(later.discriminator),
            sit: self.sit.or(later.sit),
            losses: self.losses,
            z: self.z.or(later.z),
            recon: self.recon.or(later.recon),
            seen,
        }
    }

    /// Notes losses under the names that there are.
    pub(super) fn push_each(&mut self, names: impl Iterator<Item = &'static str>, losses: Vec<Tensor<1>>) {
        self.losses.extend(names.zip(losses.into_iter().map(|loss| loss.without_autodiff())));
    }

    /// Folds the statistics that the passes saw into the running ones.
    pub fn absorb(&mut self, networks: &mut Networks, gate: &Gate) {
        if let Some(stats) = self.seen.latent.take() {
            networks.sit.latent_norm.absorb(stats, gate);
        }
        for stats in self.seen.discriminator.drain(..) {
            networks.discriminator.absorb(stats, gate);
        }
    }
}
