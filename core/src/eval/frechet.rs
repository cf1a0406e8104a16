//! The Fréchet distance between Gaussians fitted to two sets of features (Heusel et al. 2017):
//! `|μa − μb|² + tr(A) + tr(B) − 2 tr((A^½ B A^½)^½)`, covariances of the sample.
//!
//! The last trace is taken over eigenvalues of the symmetric form, with a factor of A that has only
//! its non-zero directions: that stays right when a set is smaller than its features are wide, where
//! the root of AB that pytorch-fid takes does not converge.

use super::eigen::symmetric_eigenvalues;
use super::linear::{factor, times, times_transposed};
use super::moments::Moments;
use crate::error::{Error, Result};

/// Mean and covariance of a set of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// `[D]`.
    pub mean: Vec<f64>,
    /// `[D, D]`, symmetric, divided by N − 1.
    pub covariance: Vec<f64>,
}

impl From<&Moments> for Gaussian {
    fn from(moments: &Moments) -> Self {
        Self { mean: moments.mean().to_vec(), covariance: moments.covariance(1) }
    }
}

/// A Gaussian prepared to be compared with many others.
#[derive(Debug, Clone)]
pub struct FrechetReference {
    gaussian: Gaussian,
    /// `F` with `Fᵀ F` the covariance, `[rank, D]`.
    factor: Vec<f64>,
}

impl FrechetReference {
    /// Prepares `gaussian`.
    ///
    /// # Errors
    /// A covariance of another size than the mean, or values that are not finite.
    pub fn new(gaussian: Gaussian) -> Result<Self> {
        let size = gaussian.mean.len();
        check(&gaussian, size)?;
        let factor = factor(&gaussian.covariance, size);
        Ok(Self { gaussian, factor })
    }

    /// The reference itself.
    pub fn gaussian(&self) -> &Gaussian {
        &self.gaussian
    }

    /// The distance to `other`.
    ///
    /// # Errors
    /// Features of another width, or values that are not finite.
    pub fn distance_to(&self, other: &Gaussian) -> Result<f64> {
        let size = self.gaussian.mean.len();
        check(other, size)?;
        let rank = self.factor.len() / size.max(1);
        // F B Fᵀ has the eigenvalues of A^½ B A^½ that are not zero. [rank, rank]
        let product = match rank {
            0 => Vec::new(),
            _ => times_transposed(
                &times(&self.factor, &other.covariance, (rank, size, size)),
                &self.factor,
                size,
            ),
        };
        let root: f64 =
            symmetric_eigenvalues(&product, rank)?.iter().map(|value| value.max(0.0).sqrt()).sum();
        let apart = self.gaussian.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let distance = apart + trace(&self.gaussian) + trace(other) - 2.0 * root;
        // Rounding alone can bring equal sets below zero.
        Ok(distance.max(0.0))
    }
}

/// The distance between `a` and `b`.
///
/// # Errors
/// As [`FrechetReference::new`] and [`FrechetReference::distance_to`].
pub fn frechet_distance(a: &Gaussian, b: &Gaussian) -> Result<f64> {
    FrechetReference::new(a.clone())?.distance_to(b)
}

fn trace(gaussian: &Gaussian) -> f64 {
    gaussian.covariance.iter().step_by(gaussian.mean.len() + 1).sum()
}

fn check(gaussian: &Gaussian, size: usize) -> Result<()> {
    let Gaussian { mean, covariance } = gaussian;
    if mean.len() != size || covariance.len() != size * size {
        let (width, values) = (mean.len(), covariance.len());
        return Err(Error::Data(format!(
            "features of width {width} with {values} covariances cannot be compared with those of width {size}: \
             both sets must be judged by the same network"
        )));
    }
    if mean.iter().chain(covariance).any(|x| !x.is_finite()) {
        return Err(Error::Data("features that are not finite have no Fréchet distance".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaussian(mean: &[f64], covariance: &[f64]) -> Gaussian {
        Gaussian { mean: mean.to_vec(), covariance: covariance.to_vec() }
    }

    #[test]
    fn distances_by_hand() {
        let a = gaussian(&[0.0], &[4.0]);
        let b = gaussian(&[3.0], &[1.0]);
        assert!((frechet_distance(&a, &b).unwrap() - 10.0).abs() < 1e-12);
        assert!(frechet_distance(&a, &a).unwrap() < 1e-12);
        let flat = gaussian(&[0.0, 0.0], &[0.0; 4]);
        let round = gaussian(&[0.0, 1.0], &[2.0, 0.0, 0.0, 3.0]);
        assert!((frechet_distance(&flat, &round).unwrap() - 6.0).abs() < 1e-12);
        assert!((frechet_distance(&round, &flat).unwrap() - 6.0).abs() < 1e-12);
    }

    #[test]
    fn sets_that_cannot_be_compared_are_refused() {
        let a = gaussian(&[0.0], &[4.0]);
        let error = frechet_distance(&a, &gaussian(&[0.0, 1.0], &[0.0; 4])).unwrap_err().to_string();
        assert!(error.contains("same network"), "{error}");
        assert!(frechet_distance(&a, &gaussian(&[f64::NAN], &[1.0])).is_err());
        assert!(FrechetReference::new(gaussian(&[0.0], &[1.0, 2.0])).is_err());
    }
}
