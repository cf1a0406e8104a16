//! How much structure latents carry: spatial variance, total variation, effective rank; in f64.
//!
//! The collapse that naive end-to-end training leads to (REPA-E, section 3) shows here first:
//! variance and rank fall while the diffusion loss looks better and better.

use super::eigen::{mean_and_covariance, symmetric_eigen};
use super::pca::rows_from_latents;
use crate::error::{Error, Result};

/// Structure of a batch of latents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatentStructure {
    /// Population variance over positions, mean over images and channels.
    pub spatial_variance: f64,
    /// Sum of |horizontal| and |vertical| differences of neighbours, mean over images.
    pub total_variation_sum: f64,
    /// The same divided by the number of differences; 0 when there are none.
    pub total_variation_mean: f64,
    /// See [`effective_rank`].
    pub effective_rank: f64,
}

impl LatentStructure {
    /// Measures latents `[N, C, H, W]`. Values that are not finite give NaN.
    ///
    /// # Errors
    /// When there are none, or not as many as the shape says.
    pub fn measure(latents: &[f32], shape: [usize; 4]) -> Result<Self> {
        let [n, c, h, w] = shape;
        if latents.is_empty() || n * c * h * w != latents.len() {
            let found = vec![latents.len()];
            return Err(Error::Shape { name: "latents".into(), expected: shape.to_vec(), found });
        }
        let total: f64 = latents.chunks_exact(h * w).map(|plane| variation(plane, w)).sum();
        let differences = n * c * (h * (w - 1) + (h - 1) * w);
        Ok(Self {
            spatial_variance: latents.chunks_exact(h * w).map(variance).sum::<f64>() / (n * c) as f64,
            total_variation_sum: total / n as f64,
            total_variation_mean: if differences > 0 { total / differences as f64 } else { 0.0 },
            effective_rank: effective_rank(latents, shape)?,
        })
    }
}

/// How many directions the channels of latents `[N, C, H, W]` really use: exp of the entropy of the
/// eigenvalues of the channel covariance (over all positions), as shares of their sum
/// (Roy and Vetterli 2007). From 1 (one direction) to C (all alike); 0 for constant latents, NaN
/// for values that are not finite.
///
/// # Errors
/// When there are no latents, or not as many as the shape says.
pub fn effective_rank(latents: &[f32], shape: [usize; 4]) -> Result<f64> {
    let rows = rows_from_latents(latents, shape)?;
    if rows.is_empty() {
        return Err(Error::Data("the effective rank of no latents".into()));
    }
    if rows.iter().any(|value| !value.is_finite()) {
        return Ok(f64::NAN);
    }
    let (_, covariance) = mean_and_covariance(&rows, shape[1]);
    let values = symmetric_eigen(&covariance, shape[1]).values;
    let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
    if total <= 0.0 {
        return Ok(0.0);
    }
    let shares = values.iter().map(|value| value / total).filter(|share| *share > 0.0);
    Ok(shares.map(|share| -share * share.ln()).sum::<f64>().exp())
}

fn variance(plane: &[f32]) -> f64 {
    let count = plane.len() as f64;
    let mean = plane.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    plane.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count
}

fn variation(plane: &[f32], width: usize) -> f64 {
    let difference = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).abs();
    let across: f64 =
        plane.chunks_exact(width).map(|row| row.iter().zip(&row[1..]).map(difference).sum::<f64>()).sum();
    across + plane.iter().zip(&plane[width..]).map(difference).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_plane_by_hand() {
        let found = LatentStructure::measure(&[0.0, 1.0, 3.0, 7.0], [1, 1, 2, 2]).unwrap();
        assert_eq!((found.total_variation_sum, found.total_variation_mean), (14.0, 3.5));
        assert_eq!((found.spatial_variance, found.effective_rank), (7.1875, 1.0));
        let point = LatentStructure::measure(&[2.0], [1, 1, 1, 1]).unwrap();
        assert_eq!((point.total_variation_mean, point.effective_rank), (0.0, 0.0));
    }

    #[test]
    fn rank_counts_the_directions_in_use() {
        let wave = |k: usize| (0..16).map(move |i| (i as f32 * k as f32 * std::f32::consts::PI / 8.0).sin());
        let all: Vec<f32> = (1..=4).flat_map(wave).collect();
        assert!((effective_rank(&all, [1, 4, 4, 4]).unwrap() - 4.0).abs() < 1e-5);
        let same: Vec<f32> = (1..=4).flat_map(|_| wave(1)).collect();
        assert!((effective_rank(&same, [1, 4, 4, 4]).unwrap() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn wrong_shapes_are_refused_and_nan_is_passed_on() {
        assert!(LatentStructure::measure(&[1.0], [1, 2, 1, 1]).is_err());
        assert!(LatentStructure::measure(&[], [0, 2, 1, 1]).is_err());
        assert!(effective_rank(&[], [0, 2, 1, 1]).is_err());
        assert!(effective_rank(&[f32::NAN, 1.0], [1, 1, 1, 2]).unwrap().is_nan());
    }
}
