//! The path between data and noise: `x_t = α(t) x + σ(t) noise`, t = 0 is data, t = 1 is noise
//! (the SiT paper has it the other way round; REPA and REPA-E have it so).

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Shape of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// `α = 1 − t`, `σ = t`.
    Linear,
    /// `α = cos(πt/2)`, `σ = sin(πt/2)`.
    Cosine,
}

/// How training times are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// Uniform in [0, 1].
    Uniform,
    /// From a standard normal `n`, `σ/α = exp(n)`.
    Lognormal,
}

impl Path {
    /// `(α, σ)` at time `t`.
    pub fn coefficients(self, t: f32) -> (f32, f32) {
        let quarter = t * std::f32::consts::FRAC_PI_2;
        match self {
            Self::Linear => (1.0 - t, t),
            Self::Cosine => (quarter.cos(), quarter.sin()),
        }
    }

    /// `(dα/dt, dσ/dt)` at time `t`.
    pub fn slopes(self, t: f32) -> (f32, f32) {
        let half_pi = std::f32::consts::FRAC_PI_2;
        match self {
            Self::Linear => (-1.0, 1.0),
            Self::Cosine => (-half_pi * (t * half_pi).sin(), half_pi * (t * half_pi).cos()),
        }
    }

    /// The time that a draw stands for (uniform in [0, 1], or standard normal when log-normal).
    pub fn time(self, draw: f32, weighting: Weighting) -> f32 {
        match (weighting, self) {
            (Weighting::Uniform, _) => draw,
            (Weighting::Lognormal, Self::Linear) => draw.exp() / (1.0 + draw.exp()),
            (Weighting::Lognormal, Self::Cosine) => std::f32::consts::FRAC_2_PI * draw.exp().atan(),
        }
    }

    /// `x_t [B, C, H, W]` for times `t [B]`.
    pub fn interpolate(self, x: Tensor<4>, noise: Tensor<4>, t: &[f32]) -> Tensor<4> {
        let (alpha, sigma) = per_sample(&x, t.iter().map(|&t| self.coefficients(t)));
        x * alpha + noise * sigma
    }

    /// The velocity `dx_t/dt` that the network learns.
    pub fn velocity(self, x: Tensor<4>, noise: Tensor<4>, t: &[f32]) -> Tensor<4> {
        if self == Self::Linear {
            return noise - x;
        }
        let (alpha, sigma) = per_sample(&x, t.iter().map(|&t| self.slopes(t)));
        x * alpha + noise * sigma
    }
}

/// Pairs of numbers as two `[B, 1, 1, 1]` tensors on `x`'s device.
fn per_sample(x: &Tensor<4>, pairs: impl Iterator<Item = (f32, f32)>) -> (Tensor<4>, Tensor<4>) {
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.unzip();
    let device = x.device().without_autodiff();
    let column = |values: Vec<f32>| {
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count, 1, 1, 1]), &device)
    };
    (column(a), column(b))
}
