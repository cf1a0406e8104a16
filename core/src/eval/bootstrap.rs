//! How sure a figure is: resampling with replacement (Efron 1979), the same on every machine.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::Result;

/// Two-sided 95 % of a normal distribution, in deviations.
const Z95: f64 = 1.959_963_984_540_054;

/// Mean and population deviation of several values.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Population deviation.
    pub std: f64,
}

impl Spread {
    /// Of `values`; NaN of none.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        Self { mean, std }
    }
}

/// A figure and where its true value lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The figure on all samples.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// `statistic` on all of `count` samples, with an interval from its deviation over `replicates`
/// resamplings.
///
/// The interval is `value ± 1.96 deviations`, not between percentiles: a resampling repeats samples,
/// which alone raises a Fréchet distance, so the percentiles may not even enclose the value.
///
/// # Errors
/// What `statistic` gives.
pub fn estimate(
    count: usize,
    replicates: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Result<f64>,
) -> Result<Estimate> {
    let all: Vec<usize> = (0..count).collect();
    let value = statistic(&all)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut found = Vec::with_capacity(replicates);
    for _ in 0..replicates {
        let picks: Vec<usize> = (0..count).map(|_| rng.random_range(0..count)).collect();
        found.push(statistic(&picks)?);
    }
    let half = if found.is_empty() { f64::NAN } else { Z95 * Spread::of(&found).std };
    Ok(Estimate { value, low: value - half, high: value + half })
}

/// The mean of `values` and its 95 % interval, by the normal approximation that a bootstrap of a mean
/// comes to.
pub fn estimate_mean(values: &[f64]) -> Estimate {
    let Spread { mean, std } = Spread::of(values);
    let half = Z95 * std / (values.len() as f64).sqrt();
    Estimate { value: mean, low: mean - half, high: mean + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrapped_mean_agrees_with_theory() {
        let values: Vec<f64> = (0..400).map(|i| ((i * 37) % 101) as f64).collect();
        let mean = |picks: &[usize]| Ok(picks.iter().map(|i| values[*i]).sum::<f64>() / picks.len() as f64);
        let found = estimate(values.len(), 800, 3, mean).unwrap();
        let theory = estimate_mean(&values);
        assert_eq!(found.value, theory.value);
        let ratio = (found.high - found.low) / (theory.high - theory.low);
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
        assert_eq!(found, estimate(values.len(), 800, 3, mean).unwrap());
        assert_ne!(found, estimate(values.len(), 800, 4, mean).unwrap());
    }

    #[test]
    fn spread_is_of_the_population() {
        assert_eq!(Spread::of(&[1.0, 3.0]), Spread { mean: 2.0, std: 1.0 });
        assert!(Spread::of(&[]).mean.is_nan());
    }
}
