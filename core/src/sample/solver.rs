//! Integrating the velocity from noise (t = 1) to data (t = 0), with classifier-free guidance
//! (repae/samplers.py): Euler and Heun for the ODE, Euler–Maruyama for the SDE.

use std::cell::RefCell;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::sit::{Path, Schedule, Sit};

/// How the path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// First order ODE.
    Euler,
    /// Second order ODE: two evaluations a step, one in the last.
    Heun,
    /// Stochastic, diffusion 2t, t from 1 to 0.04 and a last step without noise.
    Sde,
}

/// What a sampling job does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleConfig {
    /// How the path is followed.
    pub solver: Solver,
    /// Steps.
    pub steps: usize,
    /// Guidance scale; 1 is none.
    pub cfg: f64,
    /// Times (inclusive) at which guidance acts.
    pub interval: (f64, f64),
    /// The path the network was trained on.
    pub path: Path,
}

/// The sampler at work.
struct Run<'a> {
    /// The network, its conditioning made ahead: labels first, then as many times "no class".
    schedule: RefCell<Schedule<'a>>,
    batch: usize,
    config: SampleConfig,
}

/// Integrates `noise [B, C, S, S]` to normalised latents for `labels [B]`. `draw` gives standard
/// normal noise for step `i` of the SDE; `observe` sees each state that the network is given.
///
/// # Shapes
/// `[B, C, S, S]` → `[B, C, S, S]`, still normalised: the caller denormalises and decodes.
pub fn sample(
    sit: &Sit,
    noise: Tensor<4>,
    labels: &[usize],
    config: SampleConfig,
    mut draw: impl FnMut(usize) -> Tensor<4>,
    mut observe: impl FnMut(&Tensor<4>),
) -> Tensor<4> {
    let run = Run::new(sit, labels, config);
    let mut x = noise;
    if config.solver == Solver::Sde {
        let times = sde_times(config.steps);
        for (i, pair) in times.windows(2).enumerate() {
            let (now, next) = (pair[0], pair[1]);
            observe(&x);
            let drift = run.drift(x.clone(), now);
            let step = next - now;
            x = x + drift * step;
            if i + 2 < times.len() {
                x = x + draw(i) * ((2.0 * now).sqrt() * step.abs().sqrt());
            }
        }
        return x;
    }
    for i in 0..config.steps {
        let time = |i: usize| 1.0 - i as f64 / config.steps as f64;
        let (now, next) = (time(i), time(i + 1));
        let guided = run.guided(now);
        observe(&x);
        let slope = run.velocity(x.clone(), now, guided);
        let ahead = x.clone() + slope.clone() * (next - now);
        x = if config.solver == Solver::Heun && i + 1 < config.steps {
            observe(&ahead);
            let second = run.velocity(ahead, next, guided);
            x + (slope + second) * (0.5 * (next - now))
        } else {
            ahead
        };
    }
    x
}

/// `linspace(1, 0.04, steps)` and a last step to 0.
fn sde_times(steps: usize) -> Vec<f64> {
    let last = steps.max(2) - 1;
    let mut times: Vec<_> = (0..=last).map(|i| 1.0 + (0.04 - 1.0) * i as f64 / last as f64).collect();
    times.push(0.0);
    times
}

impl<'a> Run<'a> {
    fn new(sit: &'a Sit, labels: &[usize], config: SampleConfig) -> Self {
        let times = match config.solver {
            Solver::Sde => sde_times(config.steps),
            _ => (0..=config.steps).map(|i| 1.0 - i as f64 / config.steps as f64).collect(),
        };
        // Nothing is evaluated at the last time, t = 0.
        let times = times[..times.len() - 1].iter().map(|&t| t as f32).collect();
        let batch = labels.len();
        let null = sit.config().null_label();
        let labels: Vec<_> = labels.iter().copied().chain(std::iter::repeat_n(null, batch)).collect();
        Self { schedule: RefCell::new(Schedule::new(sit, times, &labels)), batch, config }
    }

    fn guided(&self, t: f64) -> bool {
        let (low, high) = self.config.interval;
        self.config.cfg > 1.0 && (low..=high).contains(&t)
    }

    /// The network's velocity; guided, both halves go through in one batch.
    fn velocity(&self, x: Tensor<4>, t: f64, guided: bool) -> Tensor<4> {
        self.evaluate(x, t, guided, |_, v| v)
    }

    /// Drift of the reverse SDE, `v − ½ · 2t · score`; guidance acts on the drift.
    fn drift(&self, x: Tensor<4>, t: f64) -> Tensor<4> {
        let path = self.config.path;
        self.evaluate(x, t, self.guided(t), |x, v| {
            let score = score_from_velocity(path, x, v.clone(), t);
            v - score * t
        })
    }

    fn evaluate(
        &self,
        x: Tensor<4>,
        t: f64,
        guided: bool,
        field: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        let velocity = |x: Tensor<4>| self.schedule.borrow_mut().velocity(x, t as f32);
        if !guided {
            let v = velocity(x.clone());
            return field(x, v);
        }
        let batch = self.batch;
        let both = Tensor::cat(vec![x.clone(), x], 0);
        let v = velocity(both.clone());
        let field = field(both, v);
        let conditional = field.clone().narrow(0, 0, batch);
        let unconditional = field.narrow(0, batch, batch);
        unconditional.clone() + (conditional - unconditional) * self.config.cfg
    }
}

/// `∇ log p_t` from the velocity (SiT, eq. 9): `(α/α' · v − x) / (σ² − α/α' · σ' σ)`.
fn score_from_velocity(path: Path, x: Tensor<4>, v: Tensor<4>, t: f64) -> Tensor<4> {
    let quarter = t * std::f64::consts::FRAC_PI_2;
    let (alpha, d_alpha, sigma, d_sigma) = match path {
        Path::Linear => (1.0 - t, -1.0, t, 1.0),
        Path::Cosine => {
            let half_pi = std::f64::consts::FRAC_PI_2;
            (quarter.cos(), -half_pi * quarter.sin(), quarter.sin(), half_pi * quarter.cos())
        }
    };
    let ratio = alpha / d_alpha;
    let variance = sigma * sigma - ratio * d_sigma * sigma;
    (v * ratio - x) / variance
}
