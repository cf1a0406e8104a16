//! Do two networks see the same likenesses? Linear CKA (Kornblith et al. 2019) and CKNNA
//! (Huh et al. 2024, as the platonic-rep code computes it), in f64.

use faer::{Mat, MatRef};

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
        let mut all = matrix(values, count, width);
        for mut column in all.col_iter_mut() {
            let mean = column.iter().sum::<f64>() / count as f64;
            column.iter_mut().for_each(|x| *x -= mean);
        }
        all
    };
    let (a, b) = (centred(a, widths.0), centred(b, widths.1));
    let norm = |x: &Mat<f64>, y: &Mat<f64>| (x.transpose() * y).norm_l2();
    let across = norm(&a, &b);
    Ok(across * across / (norm(&a, &a) * norm(&b, &b)))
}

/// Centred kernel nearest-neighbour alignment of `a [N, widths.0]` and `b [N, widths.1]` with
/// `neighbours` neighbours, rows brought to unit length; just under 1 for equal sets.
///
/// # Errors
/// Another number of rows on each side, or no more rows than neighbours (four at least).
pub fn cknna(a: &[f32], b: &[f32], widths: (usize, usize), neighbours: usize) -> Result<f64> {
    let count = pairs(a, b, widths, (neighbours + 1).max(4))?;
    let kernel = |values: &[f32], width: usize| {
        let mut all = matrix(values, count, width);
        for i in 0..count {
            let norm = all.row(i).iter().map(|x| x * x).sum::<f64>().sqrt();
            all.row_mut(i).iter_mut().for_each(|x| *x /= norm);
        }
        &all * all.transpose()
    };
    let (k, l) = (kernel(a, widths.0), kernel(b, widths.1));
    let (near_k, near_l) = (neighbour_mask(&k, neighbours), neighbour_mask(&l, neighbours));
    let similarity = |x: (&Mat<f64>, &[bool]), y: (&Mat<f64>, &[bool])| {
        let shared: Vec<bool> = x.1.iter().zip(y.1).map(|(p, q)| *p && *q).collect();
        let masked = |m: &Mat<f64>| {
            Mat::from_fn(count, count, |i, j| if shared[i * count + j] { m[(i, j)] } else { 0.0 })
        };
        unbiased_hsic(&masked(x.0), &masked(y.0))
    };
    let (k, l) = ((&k, near_k.as_slice()), (&l, near_l.as_slice()));
    Ok(similarity(k, l) / ((similarity(k, k) * similarity(l, l)).sqrt() + 1e-6))
}

/// Which others are among each row's nearest, `[N, N]`; a row is not its own neighbour.
fn neighbour_mask(kernel: &Mat<f64>, neighbours: usize) -> Vec<bool> {
    let count = kernel.nrows();
    let mut mask = vec![false; count * count];
    for i in 0..count {
        let mut others: Vec<usize> = (0..count).filter(|j| *j != i).collect();
        others.sort_by(|p, q| kernel[(i, *q)].total_cmp(&kernel[(i, *p)]));
        others[..neighbours].iter().for_each(|j| mask[i * count + j] = true);
    }
    mask
}

/// Song et al. 2012, on kernels whose diagonals are zero.
fn unbiased_hsic(k: &Mat<f64>, l: &Mat<f64>) -> f64 {
    let count = k.nrows();
    let m = count as f64;
    let (mut trace, mut sum_k, mut sum_l, mut product) = (0.0, 0.0, 0.0, 0.0);
    for j in 0..count {
        let (mut column_k, mut row_l) = (0.0, 0.0);
        for i in 0..count {
            trace += k[(i, j)] * l[(j, i)];
            column_k += k[(i, j)];
            row_l += l[(j, i)];
        }
        sum_k += column_k;
        sum_l += row_l;
        product += column_k * row_l;
    }
    (trace + sum_k * sum_l / ((m - 1.0) * (m - 2.0)) - 2.0 * product / (m - 2.0)) / (m * (m - 3.0))
}

fn matrix(values: &[f32], count: usize, width: usize) -> Mat<f64> {
    Mat::from_fn(count, width, |i, j| f64::from(values[i * width + j]))
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
