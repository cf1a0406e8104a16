//! Do two networks see the same likenesses? Linear CKA (Kornblith et al. 2019) and CKNNA
//! (Huh et al. 2024, as the platonic-rep code computes it), in f64.

use super::linear::times_transposed;
use crate::error::{Error, Result};

/// Neighbours of the published CKNNA.
pub const NEIGHBOURS: usize = 10;

/// `|AᵀB|² / (|AᵀA| |BᵀB|)` of `a [N, widths.0]` and `b [N, widths.1]`, columns centred; 0 to 1.
///
/// # Errors
/// No rows, or another number of rows on each side.
pub fn linear_cka(a: &[f32], b: &[f32], widths: (usize, usize)) -> Result<f64> {
    let count = pairs(a, b, widths, 1)?;
    let centred = |values: &[f32], width: usize| {
        let mut all: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
        for column in 0..width {
            let mean = all[column..].iter().step_by(width).sum::<f64>() / count as f64;
            all[column..].iter_mut().step_by(width).for_each(|x| *x -= mean);
        }
        all
    };
    // |AᵀB|² is the inner product of the kernels A Aᵀ and B Bᵀ.
    let (k, l) = (centred(a, widths.0), centred(b, widths.1));
    let (k, l) = (times_transposed(&k, &k, widths.0), times_transposed(&l, &l, widths.1));
    let inner = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(p, q)| p * q).sum::<f64>();
    Ok(inner(&k, &l) / (inner(&k, &k) * inner(&l, &l)).sqrt())
}

/// Centred kernel nearest-neighbour alignment of `a [N, widths.0]` and `b [N, widths.1]` with
/// `neighbours` neighbours, rows brought to unit length; just under 1 for equal sets.
///
/// # Errors
/// Another number of rows on each side, or no more rows than neighbours (four at least).
pub fn cknna(a: &[f32], b: &[f32], widths: (usize, usize), neighbours: usize) -> Result<f64> {
    let count = pairs(a, b, widths, (neighbours + 1).max(4))?;
    let kernel = |values: &[f32], width: usize| {
        let unit = |row: &[f32]| {
            let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            row.iter().map(|x| f64::from(*x) / norm).collect::<Vec<_>>()
        };
        let all: Vec<f64> = values.chunks_exact(width).flat_map(unit).collect();
        times_transposed(&all, &all, width)
    };
    let (k, l) = (kernel(a, widths.0), kernel(b, widths.1));
    let near_k = neighbour_mask(&k, count, neighbours);
    let near_l = neighbour_mask(&l, count, neighbours);
    let similarity = |x: (&[f64], &[bool]), y: (&[f64], &[bool])| {
        let masked = |m: &[f64]| -> Vec<f64> {
            let shared = x.1.iter().zip(y.1).map(|(p, q)| *p && *q);
            m.iter().zip(shared).map(|(value, shared)| if shared { *value } else { 0.0 }).collect()
        };
        unbiased_hsic(&masked(x.0), &masked(y.0), count)
    };
    let (k, l) = ((k.as_slice(), near_k.as_slice()), (l.as_slice(), near_l.as_slice()));
    Ok(similarity(k, l) / ((similarity(k, k) * similarity(l, l)).sqrt() + 1e-6))
}

/// Which others are among each row's nearest, `[N, N]`; a row is not its own neighbour.
fn neighbour_mask(kernel: &[f64], count: usize, neighbours: usize) -> Vec<bool> {
    let mut mask = vec![false; count * count];
    for i in 0..count {
        let mut others: Vec<usize> = (0..count).filter(|j| *j != i).collect();
        others.sort_by(|p, q| kernel[i * count + q].total_cmp(&kernel[i * count + p]));
        others[..neighbours].iter().for_each(|j| mask[i * count + j] = true);
    }
    mask
}

/// Song et al. 2012, on kernels whose diagonals are zero.
fn unbiased_hsic(k: &[f64], l: &[f64], count: usize) -> f64 {
    let m = count as f64;
    let (mut trace, mut sum_k, mut sum_l, mut product) = (0.0, 0.0, 0.0, 0.0);
    for j in 0..count {
        let (mut column_k, mut row_l) = (0.0, 0.0);
        for i in 0..count {
            let (of_k, of_l) = (k[i * count + j], l[j * count + i]);
            trace += of_k * of_l;
            column_k += of_k;
            row_l += of_l;
        }
        sum_k += column_k;
        sum_l += row_l;
        product += column_k * row_l;
    }
    (trace + sum_k * sum_l / ((m - 1.0) * (m - 2.0)) - 2.0 * product / (m - 2.0)) / (m * (m - 3.0))
}

fn pairs(a: &[f32], b: &[f32], (wide_a, wide_b): (usize, usize), least: usize) -> Result<usize> {
    let rows = |values: &[f32], width: usize| {
        (width > 0 && values.len().is_multiple_of(width)).then(|| values.len() / width)
    };
    match (rows(a, wide_a), rows(b, wide_b)) {
        (Some(n), Some(m)) if n == m && n >= least => Ok(n),
        (n, m) => Err(Error::Data(format!(
            "two networks are compared on the same pictures, {least} at least; found {} and {}",
            n.unwrap_or(0),
            m.unwrap_or(0)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(count: usize, width: usize, seed: usize) -> Vec<f32> {
        (0..count * width).map(|i| ((i * i * 7 + seed * i) % 101) as f32 / 50.0 - 1.0).collect()
    }

    #[test]
    fn a_set_agrees_with_itself_turned_and_scaled_but_not_with_another() {
        let a = set(40, 2, 13);
        let turned: Vec<f32> = a.chunks(2).flat_map(|p| [3.0 * p[1], -3.0 * p[0]]).collect();
        assert!((linear_cka(&a, &turned, (2, 2)).unwrap() - 1.0).abs() < 1e-6);
        assert!((cknna(&a, &turned, (2, 2), 5).unwrap() - 1.0).abs() < 1e-3);
        let other = set(40, 3, 5);
        assert!(linear_cka(&a, &other, (2, 3)).unwrap() < 0.9);
        assert!(cknna(&a, &other, (2, 3), 5).unwrap() < 0.9);
    }

    #[test]
    fn sets_that_do_not_pair_are_refused() {
        assert!(linear_cka(&[0.0; 4], &[0.0; 6], (2, 2)).is_err());
        assert!(cknna(&[0.0; 8], &[0.0; 8], (2, 2), 4).is_err());
        assert!(linear_cka(&[], &[], (0, 0)).is_err());
    }
}
