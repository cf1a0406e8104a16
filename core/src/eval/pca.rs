//! Latents as colours: their first principal components as red, green and blue.
//!
//! Samples are the positions of all images, features the channels; centred, not scaled. The entry of
//! largest magnitude of a component is positive (scikit-learn's rule for `components_`), so two fits
//! of the same latents agree; for pictures of a training run fit once and keep the basis, or colours
//! turn from step to step. The figure is that of REPA-E (figure 6 of arXiv 2504.10483).

use serde::{Deserialize, Serialize};

use super::eigen::symmetric_eigen;
use super::leading::leading_eigen;
use super::moments::Moments;
use crate::error::{Error, Result};

/// Components shown as red, green and blue.
pub const RGB_COMPONENTS: usize = 3;
/// Wider features are not decomposed as a whole.
const WIDE: usize = 192;
/// The range of colours runs between these percentiles of the fitted latents.
const LOW_PERCENTILE: f64 = 1.0;
const HIGH_PERCENTILE: f64 = 99.0;

/// Principal components fitted once and applied to any latents with as many channels.
///
/// Kept in f32 so that it survives JSON unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PcaBasis {
    /// Mean of each channel, `[C]`.
    pub mean: Vec<f32>,
    /// Unit components by falling variance, `[K][C]`; zeros beyond the channels there are.
    pub components: Vec<Vec<f32>>,
    /// Singular values of the centred samples, `[K]`.
    pub singular_values: Vec<f32>,
    /// Variance along each component, divided by samples − 1, `[K]`.
    pub explained_variance: Vec<f32>,
    /// The same as a share of the whole variance, `[K]`; zeros when there is none.
    pub explained_variance_ratio: Vec<f32>,
    /// First percentile of the projections, `[K]`: colour 0.
    pub low: Vec<f32>,
    /// Last percentile, `[K]`: colour 255.
    pub high: Vec<f32>,
}

impl PcaBasis {
    /// Fits `num_components` components to `rows`, `[N, channels]` row-major.
    ///
    /// # Errors
    /// [`Error::Data`] without samples, or when they are no rows of `channels` finite values.
    pub fn fit(rows: &[f32], channels: usize, num_components: usize) -> Result<Self> {
        if channels == 0 || rows.is_empty() || !rows.len().is_multiple_of(channels) {
            let count = rows.len();
            return Err(Error::Data(format!("PCA needs rows of {channels} channels, found {count} values")));
        }
        if rows.iter().any(|value| !value.is_finite()) {
            return Err(Error::Data("PCA of latents that are not finite".into()));
        }
        let samples = (rows.len() / channels) as f64;
        let moments = Moments::of(rows, channels);
        let covariance = moments.covariance(0);
        let eigen = if channels > WIDE {
            leading_eigen(&covariance, channels, num_components)
        } else {
            symmetric_eigen(&covariance, channels)
        };
        let total: f64 = covariance.iter().step_by(channels + 1).map(|variance| variance.max(0.0)).sum();
        let mut basis = Self {
            mean: moments.mean().iter().map(|x| *x as f32).collect(),
            components: Vec::new(),
            singular_values: Vec::new(),
            explained_variance: Vec::new(),
            explained_variance_ratio: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
        };
        for index in 0..num_components {
            let value = eigen.values.get(index).map_or(0.0, |value| value.max(0.0));
            let component = eigen.vectors.get(index).map_or_else(|| vec![0.0; channels], |v| with_sign(v));
            basis.components.push(component);
            basis.singular_values.push((value * samples).sqrt() as f32);
            basis.explained_variance.push((value * samples / (samples - 1.0).max(1.0)) as f32);
            basis.explained_variance_ratio.push(if total > 0.0 { (value / total) as f32 } else { 0.0 });
        }
        basis.fit_range(rows);
        Ok(basis)
    }

    /// Fits three components to latents `[N, C, H, W]`.
    ///
    /// # Errors
    /// As [`PcaBasis::fit`], and when `latents` has not that shape.
    pub fn fit_latents(latents: &[f32], shape: [usize; 4]) -> Result<Self> {
        Self::fit(&rows_from_latents(latents, shape)?, shape[1], RGB_COMPONENTS)
    }

    /// The percentiles of each component over `rows`.
    fn fit_range(&mut self, rows: &[f32]) {
        for index in 0..self.components.len() {
            let mut along: Vec<f64> =
                rows.chunks_exact(self.mean.len()).map(|row| self.coordinate(row, index)).collect();
            along.sort_by(f64::total_cmp);
            self.low.push(percentile(&along, LOW_PERCENTILE) as f32);
            self.high.push(percentile(&along, HIGH_PERCENTILE) as f32);
        }
    }

    /// Channels that latents must have.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Coordinates of latents `[N, C, H, W]` along the components, `[N, K, H, W]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of channels or values.
    pub fn project(&self, latents: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
        Ok(self.project_f64(latents, shape)?.into_iter().map(|x| x as f32).collect())
    }

    /// Latents `[N, C, H, W]` as colours, planar `[N, 3, H, W]`.
    ///
    /// A component without any range (fewer than three channels, constant latents) is mid grey.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of channels or values, or a basis not of three components.
    pub fn rgb_from_latents(&self, latents: &[f32], shape: [usize; 4]) -> Result<Vec<u8>> {
        if self.components.len() != RGB_COMPONENTS {
            let found = vec![self.components.len()];
            return Err(Error::Shape {
                name: "PCA components".into(),
                expected: vec![RGB_COMPONENTS],
                found,
            });
        }
        let plane = (shape[2] * shape[3]).max(1);
        let projected = self.project_f64(latents, shape)?;
        Ok(projected.iter().enumerate().map(|(at, x)| self.byte(*x, at / plane % RGB_COMPONENTS)).collect())
    }

    fn byte(&self, coordinate: f64, index: usize) -> u8 {
        let (low, high) = (f64::from(self.low[index]), f64::from(self.high[index]));
        let share = if high > low { ((coordinate - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        // The cast truncates and takes NaN to 0.
        (share * 255.0 + 0.5) as u8
    }

    fn project_f64(&self, latents: &[f32], shape: [usize; 4]) -> Result<Vec<f64>> {
        let [n, _, h, w] = shape;
        if shape[1] != self.channels() {
            let expected = vec![n, self.channels(), h, w];
            return Err(Error::Shape { name: "latents".into(), expected, found: shape.to_vec() });
        }
        let rows = rows_from_latents(latents, shape)?;
        let (count, plane) = (self.components.len(), h * w);
        let mut projected = vec![0.0; n * count * plane];
        for (position, row) in rows.chunks_exact(self.channels()).enumerate() {
            for index in 0..count {
                let at = (position / plane * count + index) * plane + position % plane;
                projected[at] = self.coordinate(row, index);
            }
        }
        Ok(projected)
    }

    fn coordinate(&self, row: &[f32], index: usize) -> f64 {
        let centred = row.iter().zip(&self.mean).map(|(x, mean)| f64::from(*x) - f64::from(*mean));
        centred.zip(&self.components[index]).map(|(x, weight)| x * f64::from(*weight)).sum()
    }
}

/// Latents `[N, C, H, W]` as rows `[N*H*W, C]`.
///
/// # Errors
/// [`Error::Shape`] when the values are not as many as the shape says.
pub fn rows_from_latents(latents: &[f32], shape: [usize; 4]) -> Result<Vec<f32>> {
    let [n, c, h, w] = shape;
    if latents.len() != n * c * h * w {
        let found = vec![latents.len()];
        return Err(Error::Shape { name: "latents".into(), expected: shape.to_vec(), found });
    }
    let plane = h * w;
    let mut rows = Vec::with_capacity(latents.len());
    for image in latents.chunks_exact((c * plane).max(1)) {
        for at in 0..plane {
            rows.extend((0..c).map(|channel| image[channel * plane + at]));
        }
    }
    Ok(rows)
}

/// The component with its entry of largest magnitude positive.
fn with_sign(component: &[f64]) -> Vec<f32> {
    let largest = component.iter().fold(0.0_f64, |best, x| if x.abs() > best.abs() { *x } else { best });
    let sign = if largest < 0.0 { -1.0 } else { 1.0 };
    component.iter().map(|x| (sign * x) as f32).collect()
}

/// The percentile of sorted values, linear between neighbours.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = percent / 100.0 * last as f64;
    let below = position.floor() as usize;
    let share = position - position.floor();
    sorted[below] + share * (sorted[(below + 1).min(last)] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latents(shape: [usize; 4]) -> Vec<f32> {
        let [_, c, h, w] = shape;
        let value = |at: usize| ((at * 37 % 101) as f32 / 50.0 - 1.0) * (1 + at / (h * w) % c) as f32;
        (0..shape.iter().product()).map(value).collect()
    }

    #[test]
    fn a_basis_survives_json_bit_by_bit() {
        let basis = PcaBasis::fit_latents(&latents([2, 5, 4, 4]), [2, 5, 4, 4]).unwrap();
        let text = serde_json::to_string(&basis).unwrap();
        assert_eq!(serde_json::from_str::<PcaBasis>(&text).unwrap(), basis);
    }

    #[test]
    fn the_first_component_follows_the_widest_direction_with_a_positive_sign() {
        let rows: Vec<f32> = (-10..=10).flat_map(|i| [i as f32 * -0.3, i as f32 * -0.4]).collect();
        let basis = PcaBasis::fit(&rows, 2, 2).unwrap();
        assert!((basis.components[0][0] - 0.6).abs() < 1e-6 && (basis.components[0][1] - 0.8).abs() < 1e-6);
        assert!((basis.explained_variance_ratio[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn few_channels_and_constant_latents_still_give_pictures() {
        let shape = [1, 1, 2, 2];
        let basis = PcaBasis::fit_latents(&[0.0, 1.0, 2.0, 3.0], shape).unwrap();
        let rgb = basis.rgb_from_latents(&[0.0, 1.0, 2.0, 3.0], shape).unwrap();
        assert_eq!((rgb[0], rgb[3], &rgb[4..]), (0, 255, &[128; 8][..]));
        let flat = PcaBasis::fit_latents(&[2.0; 16], [1, 4, 2, 2]).unwrap();
        assert_eq!(flat.explained_variance_ratio, [0.0; 3]);
        assert_eq!(flat.rgb_from_latents(&[2.0; 16], [1, 4, 2, 2]).unwrap(), [128; 12]);
        assert!(PcaBasis::fit(&[1.0, 2.0], 2, 3).is_ok());
    }

    #[test]
    fn a_fixed_basis_takes_other_latents_and_refuses_other_channels() {
        let basis = PcaBasis::fit_latents(&latents([2, 5, 4, 4]), [2, 5, 4, 4]).unwrap();
        assert_eq!(basis.rgb_from_latents(&latents([1, 5, 7, 3]), [1, 5, 7, 3]).unwrap().len(), 63);
        assert!(basis.project(&latents([1, 4, 2, 2]), [1, 4, 2, 2]).is_err());
        assert!(basis.project(&[0.0; 3], [1, 5, 2, 2]).is_err());
        let two = PcaBasis::fit(&[1.0, 2.0, 5.0], 1, 2).unwrap();
        assert!(two.rgb_from_latents(&[1.0], [1, 1, 1, 1]).is_err());
    }

    #[test]
    fn samples_that_cannot_be_fitted_are_refused() {
        assert!(PcaBasis::fit(&[], 3, 3).is_err());
        assert!(PcaBasis::fit(&[1.0; 4], 3, 3).is_err());
        assert!(PcaBasis::fit(&[1.0, f32::NAN], 1, 3).is_err());
    }
}
