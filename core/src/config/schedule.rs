//! The course of the learning rates over a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate moves over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Stays.
    Constant,
    /// Falls along half a cosine to a tenth at the last step.
    Cosine,
}

impl Schedule {
    /// The factor on the learning rate at `step` (from 0) of `steps`, after a linear warm-up.
    pub fn factor(self, step: u64, steps: u64, warmup_steps: u64) -> f64 {
        if step < warmup_steps {
            return (step + 1) as f64 / warmup_steps as f64;
        }
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let span = steps.saturating_sub(warmup_steps).max(1) as f64;
                let progress = ((step - warmup_steps) as f64 / span).min(1.0);
                0.1 + 0.9 * 0.5 * (1.0 + (PI * progress).cos())
            }
        }
    }
}
