//! PSNR, SSIM and MS-SSIM of 8-bit pictures, in f64.
//!
//! SSIM is scikit-image's `structural_similarity` with `gaussian_weights=True, sigma=1.5,
//! data_range=255`: 11×11 windows that fit inside, mean over positions, then channels. MS-SSIM has
//! the five scales and weights of Wang, Simoncelli and Bovik (2003), as `pytorch_msssim` does it.

use crate::error::{Error, Result};

/// Length of the Gaussian window.
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
const RANGE: f64 = 255.0;
const C1: f64 = (0.01 * RANGE) * (0.01 * RANGE);
const C2: f64 = (0.03 * RANGE) * (0.03 * RANGE);
/// Weights of the scales, fine to coarse.
const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// How SSIM estimates variances within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SsimCovariance {
    /// Weighted means, as in the paper (`use_sample_covariance=False`).
    Population,
    /// Those times 121/120 (`use_sample_covariance=True`, scikit-image's default).
    Sample,
}

/// Peak signal-to-noise ratio in dB of two pictures `[C, H, W]`; infinite when they are equal.
///
/// # Errors
/// [`Error::Data`] when they differ in size or are empty.
pub fn psnr(a: &[u8], b: &[u8]) -> Result<f64> {
    if a.len() != b.len() || a.is_empty() {
        return Err(Error::Data(format!("PSNR of pictures of {} and {} values", a.len(), b.len())));
    }
    let squares: u64 = a.iter().zip(b).map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2)).sum();
    Ok(10.0 * (RANGE * RANGE * a.len() as f64 / squares as f64).log10())
}

/// Structural similarity of two pictures of `shape` `[C, H, W]`, at most 1.
///
/// # Errors
/// [`Error::Data`] when they have not that shape, or a side is shorter than 11.
pub fn ssim(a: &[u8], b: &[u8], shape: [usize; 3], covariance: SsimCovariance) -> Result<f64> {
    check(a, b, shape, WINDOW)?;
    let factor = match covariance {
        SsimCovariance::Population => 1.0,
        SsimCovariance::Sample => (WINDOW * WINDOW) as f64 / (WINDOW * WINDOW - 1) as f64,
    };
    let channels = plane_pairs(a, b, shape).map(|(a, b)| similarity(&a, &b, factor).ssim);
    Ok(channels.sum::<f64>() / shape[0] as f64)
}

/// Structural similarity over five scales of two pictures of `shape` `[C, H, W]`, 0 to 1.
///
/// # Errors
/// [`Error::Data`] when they have not that shape, or a side is shorter than 161.
pub fn ms_ssim(a: &[u8], b: &[u8], shape: [usize; 3]) -> Result<f64> {
    check(a, b, shape, (WINDOW - 1) * 16 + 1)?;
    let mut sum = 0.0;
    for (mut a, mut b) in plane_pairs(a, b, shape) {
        let mut product = 1.0;
        for (scale, weight) in SCALE_WEIGHTS.iter().enumerate() {
            let found = similarity(&a, &b, 1.0);
            let is_last = scale + 1 == SCALE_WEIGHTS.len();
            let value = if is_last { found.ssim } else { found.contrast_structure };
            product *= value.max(0.0).powf(*weight);
            if !is_last {
                (a, b) = (a.halved(), b.halved());
            }
        }
        sum += product;
    }
    Ok(sum / shape[0] as f64)
}

/// One channel.
struct Plane {
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Plane {
    fn map2(&self, other: &Plane, f: impl Fn(f64, f64) -> f64) -> Plane {
        let values = self.values.iter().zip(&other.values).map(|(x, y)| f(*x, *y)).collect();
        Plane { height: self.height, width: self.width, values }
    }

    /// Gaussian means over the windows that fit inside.
    fn blurred(&self, window: &[f64; WINDOW]) -> Plane {
        let (height, width) = (self.height - WINDOW + 1, self.width - WINDOW + 1);
        let mut across = Vec::with_capacity(self.height * width);
        for row in self.values.chunks_exact(self.width) {
            across.extend(
                row.windows(WINDOW).map(|part| part.iter().zip(window).map(|(x, w)| x * w).sum::<f64>()),
            );
        }
        let mut values = vec![0.0; height * width];
        for (row, to) in values.chunks_exact_mut(width).enumerate() {
            for (offset, weight) in window.iter().enumerate() {
                let from = &across[(row + offset) * width..][..width];
                to.iter_mut().zip(from).for_each(|(sum, x)| *sum += weight * x);
            }
        }
        Plane { height, width, values }
    }

    /// Means of 2×2 squares; an odd side gets one zero at each end, which counts.
    fn halved(&self) -> Plane {
        let (pad_y, pad_x) = (self.height % 2, self.width % 2);
        let (height, width) = ((self.height + 2 * pad_y) / 2, (self.width + 2 * pad_x) / 2);
        let at = |y: usize, x: usize| {
            let inside = y >= pad_y && x >= pad_x && y - pad_y < self.height && x - pad_x < self.width;
            if inside { self.values[(y - pad_y) * self.width + x - pad_x] } else { 0.0 }
        };
        let square = |y: usize, x: usize| at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1);
        let values = (0..height * width).map(|i| square(2 * (i / width), 2 * (i % width)) / 4.0).collect();
        Plane { height, width, values }
    }
}

/// Means over one channel.
struct Similarity {
    ssim: f64,
    contrast_structure: f64,
}

fn similarity(a: &Plane, b: &Plane, factor: f64) -> Similarity {
    let window = gaussian_window();
    let mean_a = a.blurred(&window).values;
    let mean_b = b.blurred(&window).values;
    let mean_aa = a.map2(a, |x, y| x * y).blurred(&window).values;
    let mean_bb = b.map2(b, |x, y| x * y).blurred(&window).values;
    let mean_ab = a.map2(b, |x, y| x * y).blurred(&window).values;
    let (mut ssim, mut contrast_structure) = (0.0, 0.0);
    for (i, (ma, mb)) in mean_a.iter().zip(&mean_b).enumerate() {
        let var_a = factor * (mean_aa[i] - ma * ma);
        let var_b = factor * (mean_bb[i] - mb * mb);
        let cov = factor * (mean_ab[i] - ma * mb);
        let cs = (2.0 * cov + C2) / (var_a + var_b + C2);
        contrast_structure += cs;
        ssim += cs * (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
    }
    let count = mean_a.len() as f64;
    Similarity { ssim: ssim / count, contrast_structure: contrast_structure / count }
}

fn gaussian_window() -> [f64; WINDOW] {
    let weight = |i: usize| (-0.5 * ((i as f64 - (WINDOW / 2) as f64) / SIGMA).powi(2)).exp();
    let sum: f64 = (0..WINDOW).map(weight).sum();
    std::array::from_fn(|i| weight(i) / sum)
}

/// The channels of both pictures, side by side.
fn plane_pairs<'a>(a: &'a [u8], b: &'a [u8], shape: [usize; 3]) -> impl Iterator<Item = (Plane, Plane)> + 'a {
    let [_, height, width] = shape;
    let plane =
        move |values: &[u8]| Plane { height, width, values: values.iter().map(|x| f64::from(*x)).collect() };
    let size = height * width;
    a.chunks_exact(size).zip(b.chunks_exact(size)).map(move |(a, b)| (plane(a), plane(b)))
}

fn check(a: &[u8], b: &[u8], shape: [usize; 3], shortest: usize) -> Result<()> {
    let [channels, height, width] = shape;
    let size = channels * height * width;
    if a.len() != size || b.len() != size || channels == 0 {
        let (a, b) = (a.len(), b.len());
        return Err(Error::Data(format!("pictures of {a} and {b} values do not have shape {shape:?}")));
    }
    if height < shortest || width < shortest {
        let size = format!("{height}x{width}");
        return Err(Error::Data(format!(
            "a picture of {size} is too small; each side needs {shortest} pixels"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(shape: [usize; 3], seed: usize) -> Vec<u8> {
        (0..shape.iter().product()).map(|i| ((i * 31 + i * i % 97 + seed * 17) % 251) as u8).collect()
    }

    #[test]
    fn equal_pictures_are_perfect_and_others_are_not() {
        let shape = [3, 161, 170];
        let (a, b) = (picture(shape, 1), picture(shape, 2));
        assert_eq!(psnr(&a, &a).unwrap(), f64::INFINITY);
        assert!((ssim(&a, &a, shape, SsimCovariance::Sample).unwrap() - 1.0).abs() < 1e-9);
        assert!((ms_ssim(&a, &a, shape).unwrap() - 1.0).abs() < 1e-9);
        assert!(ssim(&a, &b, shape, SsimCovariance::Population).unwrap() < 0.99);
        assert!(ms_ssim(&a, &b, shape).unwrap() < 0.99);
        assert!(psnr(&a, &b).unwrap() < 50.0);
    }

    #[test]
    fn psnr_of_a_known_difference() {
        assert!((psnr(&[10, 20], &[12, 20]).unwrap() - 10.0 * (65025.0f64 / 2.0).log10()).abs() < 1e-12);
    }

    #[test]
    fn odd_sides_are_padded_with_counted_zeros() {
        let plane = Plane { height: 3, width: 2, values: vec![4.0; 6] };
        let half = plane.halved();
        assert_eq!((half.height, half.width, half.values), (2, 1, vec![2.0, 4.0]));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let small = picture([1, 10, 20], 0);
        assert!(ssim(&small, &small, [1, 10, 20], SsimCovariance::Sample).is_err());
        assert!(ssim(&small, &small, [1, 20, 20], SsimCovariance::Sample).is_err());
        let medium = picture([1, 160, 200], 0);
        assert!(ms_ssim(&medium, &medium, [1, 160, 200]).unwrap_err().to_string().contains("161"));
        assert!(psnr(&[], &[]).is_err() && psnr(&[1], &[]).is_err());
    }
}
