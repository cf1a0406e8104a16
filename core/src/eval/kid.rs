//! Kernel inception distance (Binkowski et al. 2018): the unbiased squared maximum mean discrepancy
//! under the kernel `(x·y / D + 1)³`. Not multiplied by 1000.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::bootstrap::Spread;
use super::linear::times_transposed;
use crate::error::{Error, Result};

/// Rows of the kernel matrix held at once.
const BLOCK: usize = 512;

/// All of `a [N, width]` against all of `b [M, width]`, row-major.
///
/// # Errors
/// Fewer than two rows on a side, or rows that do not have that width.
pub fn kid(a: &[f32], b: &[f32], width: usize) -> Result<f64> {
    let (a, b) = (rows(a, width)?, rows(b, width)?);
    Ok(discrepancy(&a, &b, width))
}

/// Mean and deviation over `subsets` random subsets of `size` rows a side, as the figure is usually
/// published (100 subsets of 1000).
///
/// # Errors
/// As [`kid`], and when `size` is less than 2 or more than a side has.
pub fn kid_of_subsets(
    a: &[f32],
    b: &[f32],
    width: usize,
    (subsets, size): (usize, usize),
    seed: u64,
) -> Result<Spread> {
    let (a, b) = (rows(a, width)?, rows(b, width)?);
    let fewest = a.len().min(b.len()) / width;
    if size < 2 || size > fewest || subsets == 0 {
        return Err(Error::Data(format!(
            "KID needs at least one subset, of 2 to {fewest} samples (the smaller set has {fewest}); asked for {subsets} of {size}"
        )));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pick = |all: &[f64]| -> Vec<f64> {
        let chosen = sample(&mut rng, all.len() / width, size);
        chosen.iter().flat_map(|row| &all[row * width..(row + 1) * width]).copied().collect()
    };
    let values: Vec<f64> = (0..subsets)
        .map(|_| {
            let (a, b) = (pick(&a), pick(&b));
            discrepancy(&a, &b, width)
        })
        .collect();
    Ok(Spread::of(&values))
}

fn rows(values: &[f32], width: usize) -> Result<Vec<f64>> {
    if width == 0 || !values.len().is_multiple_of(width) || values.len() < 2 * width {
        let count = values.len();
        return Err(Error::Data(format!(
            "KID needs two samples a side at least; found {count} values of width {width}"
        )));
    }
    Ok(values.iter().map(|x| f64::from(*x)).collect())
}

fn discrepancy(a: &[f64], b: &[f64], width: usize) -> f64 {
    let (n, m) = ((a.len() / width) as f64, (b.len() / width) as f64);
    let within = |x: &[f64], count: f64| {
        let own: f64 = x.chunks_exact(width).map(|row| cubed(row.iter().map(|v| v * v).sum(), width)).sum();
        (kernel_sum(x, x, width) - own) / (count * (count - 1.0))
    };
    within(a, n) + within(b, m) - 2.0 * kernel_sum(a, b, width) / (n * m)
}

fn cubed(dot: f64, width: usize) -> f64 {
    (dot / width as f64 + 1.0).powi(3)
}

/// The sum of the kernel over all pairs, a block of rows at a time.
fn kernel_sum(a: &[f64], b: &[f64], width: usize) -> f64 {
    let of_block =
        |block| times_transposed(block, b, width).iter().map(|dot| cubed(*dot, width)).sum::<f64>();
    a.chunks(BLOCK * width).map(of_block).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(count: usize, width: usize, shift: f32) -> Vec<f32> {
        (0..count * width).map(|i| ((i * i + 3 * i) % 19) as f32 / 19.0 + shift).collect()
    }

    #[test]
    fn two_points_by_hand() {
        // Kernels: within a (1·2+1)³ = 27, within b 1, across (1, 1, 1, 1).
        let found = kid(&[1.0, 2.0], &[0.0, 0.0], 1).unwrap();
        assert!((found - (27.0 + 1.0 - 2.0)).abs() < 1e-12);
    }

    #[test]
    fn blocks_do_not_change_the_sum_and_a_shift_shows() {
        let (a, b) = (set(1100, 3, 0.0), set(700, 3, 0.5));
        let direct: f64 = a
            .chunks(3)
            .flat_map(|x| {
                b.chunks(3).map(move |y| x.iter().zip(y).map(|(p, q)| f64::from(p * q)).sum::<f64>())
            })
            .map(|dot| cubed(dot, 3))
            .sum();
        let (x, y) = (rows(&a, 3).unwrap(), rows(&b, 3).unwrap());
        assert!((kernel_sum(&x, &y, 3) / direct - 1.0).abs() < 1e-6);
        assert!(kid(&a, &b, 3).unwrap() > 0.05);
        assert!(kid(&a, &set(900, 3, 0.0), 3).unwrap().abs() < 0.01);
    }

    #[test]
    fn subsets_are_checked_and_repeat_with_the_seed() {
        let (a, b) = (set(60, 3, 0.0), set(40, 3, 0.5));
        let error = kid_of_subsets(&a, &b, 3, (10, 50), 0).unwrap_err().to_string();
        assert!(error.contains("2 to 40"), "{error}");
        let first = kid_of_subsets(&a, &b, 3, (10, 20), 7).unwrap();
        assert_eq!(first, kid_of_subsets(&a, &b, 3, (10, 20), 7).unwrap());
        assert!(first.mean > 0.0 && first.std > 0.0);
        assert!(kid(&a[..3], &b, 3).is_err() && kid(&a[..4], &b, 3).is_err());
    }
}
