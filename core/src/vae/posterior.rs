//! The posterior q(z|x): a diagonal Gaussian per latent value (diffusers
//! `DiagonalGaussianDistribution`).

use burn::tensor::Tensor;

/// Mean and clamped log variance, each `[B, z, h, w]`.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Mean, which is also the mode.
    pub mean: Tensor<4>,
    /// Log variance in [−30, 20]; a clamped value passes no gradient.
    pub logvar: Tensor<4>,
}

impl Posterior {
    /// Splits moments `[B, 2z, h, w]` into mean and log variance.
    pub fn from_moments(moments: Tensor<4>) -> Self {
        let z = moments.dims()[1] / 2;
        let logvar = clamp_logvar(moments.clone().narrow(1, z, z));
        Self { mean: moments.narrow(1, 0, z), logvar }
    }

    /// Standard deviation `exp(logvar / 2)`.
    pub fn std(&self) -> Tensor<4> {
        (self.logvar.clone() * 0.5).exp()
    }

    /// Variance `exp(logvar)`.
    pub fn var(&self) -> Tensor<4> {
        self.logvar.clone().exp()
    }

    /// The most likely latent.
    pub fn mode(&self) -> Tensor<4> {
        self.mean.clone()
    }

    /// `mean + std · noise`, with standard normal `noise` of the same shape.
    pub fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        self.mean.clone() + self.std() * noise
    }

    /// KL divergence to the standard normal, summed over a sample: `[B]`, in nats.
    pub fn kl(&self) -> Tensor<1> {
        let per_value = self.mean.clone().square() + self.var() - 1.0 - self.logvar.clone();
        sum_samples(per_value) * 0.5
    }

    /// KL divergence to `other`, summed over a sample: `[B]`, in nats.
    pub fn kl_to(&self, other: &Self) -> Tensor<1> {
        let distance = (self.mean.clone() - other.mean.clone()).square() / other.var();
        let ratio = self.var() / other.var();
        sum_samples(distance + ratio - 1.0 - self.logvar.clone() + other.logvar.clone()) * 0.5
    }

    /// Negative log likelihood of `z`, summed over a sample: `[B]`, in nats.
    pub fn nll(&self, z: Tensor<4>) -> Tensor<1> {
        let log_two_pi = (2.0 * std::f64::consts::PI).ln();
        let distance = (z - self.mean.clone()).square() / self.var();
        sum_samples(self.logvar.clone() + distance + log_two_pi) * 0.5
    }
}

/// Clamps to [−30, 20]; where it clamps, the gradient is zero (as `torch.clamp`, which lets the
/// gradient through at the bounds themselves).
fn clamp_logvar(logvar: Tensor<4>) -> Tensor<4> {
    logvar.clamp(-30.0, 20.0)
}

fn sum_samples(x: Tensor<4>) -> Tensor<1> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c * h * w]).sum_dim(1).reshape([b])
}
