//! How much structure latents carry: spatial variance, total variation, effective rank; in f64.
//!
//! The collapse that naive end-to-end training leads to (REPA-E, section 3) shows here first:
//! variance and rank fall while the diffusion loss looks better and better.

use super::eigen::symmetric_eigenvalues;
use super::moments::Moments;
use super::pca::rows_from_latents;
use crate::error::{Error, Result};

/// Structure of latents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatentStructure {
    /// Population variance over positions, mean over images and channels.
    pub spatial_variance: f64,
    /// Sum of |horizontal| and |vertical| differences of neighbours, mean over images.
    pub total_variation_sum: f64,
    /// The same divided by the number of differences; 0 when there are none.
    pub total_variation_mean: f64,
    /// How many directions the channels really use: exp of the entropy of the eigenvalues of the
    /// channel covariance (over all positions), as shares of their sum (Roy and Vetterli 2007).
    /// From 1 (one direction) to C (all alike); 0 for constant latents.
    pub effective_rank: f64,
}

impl LatentStructure {
    /// Measures latents `[N, C, H, W]`. Values that are not finite give NaN.
    ///
    /// # Errors
    /// When there are none, or not as many as the shape says.
    pub fn measure(latents: &[f32], shape: [usize; 4]) -> Result<Self> {
        let mut sums = StructureSums::default();
        sums.add(latents, shape)?;
        sums.finish()
    }
}

/// Measures latents batch by batch: memory does not grow with their number.
#[derive(Debug, Clone, Default)]
pub struct StructureSums {
    images: usize,
    planes: usize,
    differences: usize,
    variance: f64,
    variation: f64,
    channels: Option<Moments>,
}

impl StructureSums {
    /// Takes in latents `[N, C, H, W]`; every batch has the same channels.
    ///
    /// # Errors
    /// When there are none, not as many as the shape says, or the channels changed.
    pub fn add(&mut self, latents: &[f32], shape: [usize; 4]) -> Result<()> {
        let [n, c, h, w] = shape;
        let channels = self.channels.get_or_insert_with(|| Moments::new(c));
        if latents.is_empty() || n * c * h * w != latents.len() || channels.width() != c {
            let found = vec![latents.len()];
            return Err(Error::Shape { name: "latents".into(), expected: shape.to_vec(), found });
        }
        channels.add(&rows_from_latents(latents, shape)?);
        self.images += n;
        self.planes += n * c;
        self.differences += n * c * (h * (w - 1) + (h - 1) * w);
        self.variance += latents.chunks_exact(h * w).map(variance).sum::<f64>();
        self.variation += latents.chunks_exact(h * w).map(|plane| variation(plane, w)).sum::<f64>();
        Ok(())
    }

    /// The structure of all latents seen.
    ///
    /// # Errors
    /// When none were.
    pub fn finish(&self) -> Result<LatentStructure> {
        let Some(channels) = &self.channels else {
            return Err(Error::Data("there are no latents to measure".into()));
        };
        let per_difference = |total: f64| match self.differences {
            0 => 0.0,
            count => total / count as f64,
        };
        Ok(LatentStructure {
            spatial_variance: self.variance / self.planes as f64,
            total_variation_sum: self.variation / self.images as f64,
            total_variation_mean: per_difference(self.variation),
            effective_rank: effective_rank(channels)?,
        })
    }
}

fn effective_rank(channels: &Moments) -> Result<f64> {
    let covariance = channels.covariance(0);
    if covariance.iter().any(|value| !value.is_finite()) {
        return Ok(f64::NAN);
    }
    let values = symmetric_eigenvalues(&covariance, channels.width())?;
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

    fn rank(latents: &[f32], shape: [usize; 4]) -> f64 {
        LatentStructure::measure(latents, shape).unwrap().effective_rank
    }

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
        assert!((rank(&all, [1, 4, 4, 4]) - 4.0).abs() < 1e-5);
        let same: Vec<f32> = (1..=4).flat_map(|_| wave(1)).collect();
        assert!((rank(&same, [1, 4, 4, 4]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn batches_give_what_the_whole_gives() {
        let latents: Vec<f32> = (0..5 * 3 * 12).map(|i| ((i * 37) % 101) as f32 / 50.0).collect();
        let whole = LatentStructure::measure(&latents, [5, 3, 4, 3]).unwrap();
        let mut sums = StructureSums::default();
        sums.add(&latents[..72], [2, 3, 4, 3]).unwrap();
        sums.add(&latents[72..], [3, 3, 4, 3]).unwrap();
        let parts = sums.finish().unwrap();
        assert!((parts.effective_rank - whole.effective_rank).abs() < 1e-12);
        assert!((parts.spatial_variance - whole.spatial_variance).abs() < 1e-12);
        assert!((parts.total_variation_mean - whole.total_variation_mean).abs() < 1e-12);
        assert!(sums.add(&latents[..12], [1, 1, 4, 3]).is_err(), "other channels");
    }

    #[test]
    fn wrong_shapes_are_refused_and_nan_is_passed_on() {
        assert!(LatentStructure::measure(&[1.0], [1, 2, 1, 1]).is_err());
        assert!(LatentStructure::measure(&[], [0, 2, 1, 1]).is_err());
        assert!(StructureSums::default().finish().is_err());
        assert!(rank(&[f32::NAN, 1.0], [1, 1, 1, 2]).is_nan());
    }
}
