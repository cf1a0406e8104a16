//! The first few eigenvectors of a wide symmetric matrix, by subspace iteration with a Rayleigh–Ritz
//! step at the end (Golub & Van Loan, *Matrix Computations*, 8.2): for colours of features hundreds of
//! channels wide, where Jacobi rotations of the whole matrix would take minutes.

use rayon::prelude::*;

use super::eigen::{SymmetricEigen, symmetric_eigen};

/// Vectors beyond those wanted: what lies behind them fades faster.
const MORE: usize = 8;
/// Each multiplies what does not belong by the ratio of eigenvalues.
const TURNS: usize = 60;

/// The `count` largest eigenvalues of the positive semidefinite `[size, size]` matrix `a`, row-major, and
/// their unit vectors.
///
/// # Panics
/// When `a` has not `size * size` values.
pub fn leading_eigen(a: &[f64], size: usize, count: usize) -> SymmetricEigen {
    assert_eq!(a.len(), size * size, "a {size}x{size} matrix");
    let block = (count + MORE).min(size);
    // Any start does that is not at right angles to what is sought: these are never twice the same.
    let start = |k: usize, i: usize| ((i * (2 * k + 3) + k) as f64 * 0.618_034).fract() - 0.5;
    let mut vectors: Vec<Vec<f64>> = (0..block).map(|k| (0..size).map(|i| start(k, i)).collect()).collect();
    orthonormalize(&mut vectors);
    for _ in 0..TURNS {
        vectors = vectors.par_iter().map(|v| product(a, v)).collect();
        orthonormalize(&mut vectors);
    }
    let images: Vec<Vec<f64>> = vectors.par_iter().map(|v| product(a, v)).collect();
    let small: Vec<f64> =
        vectors.iter().flat_map(|v| images.iter().map(move |image| dot(v, image))).collect();
    let found = symmetric_eigen(&small, block);
    let combine = |weights: &Vec<f64>| {
        (0..size).map(|i| weights.iter().zip(&vectors).map(|(w, v)| w * v[i]).sum()).collect()
    };
    SymmetricEigen {
        values: found.values.iter().take(count).copied().collect(),
        vectors: found.vectors.iter().take(count).map(combine).collect(),
    }
}

fn product(a: &[f64], v: &[f64]) -> Vec<f64> {
    a.chunks_exact(v.len()).map(|row| dot(row, v)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Gram–Schmidt, twice, which is enough; a vector that vanishes stays zero.
fn orthonormalize(vectors: &mut [Vec<f64>]) {
    for k in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(k);
        let v = &mut rest[0];
        for _ in 0..2 {
            for earlier in before.iter() {
                let along = dot(earlier, v);
                v.iter_mut().zip(earlier).for_each(|(x, e)| *x -= along * e);
            }
            let norm = dot(v, v).sqrt();
            let scale = if norm > 1e-150 { 1.0 / norm } else { 0.0 };
            v.iter_mut().for_each(|x| *x *= scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vectors_are_those_of_the_whole_decomposition() {
        let size = 40;
        let row = |r: usize| (0..size).map(move |i| ((r * 37 + i * i * 11) % 23) as f64 / (1.0 + i as f64));
        let rows: Vec<Vec<f64>> = (0..60).map(|r| row(r).collect()).collect();
        let entry = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
        let a: Vec<f64> = (0..size * size).map(|at| entry(at / size, at % size)).collect();
        let (all, first) = (symmetric_eigen(&a, size), leading_eigen(&a, size, 3));
        for k in 0..3 {
            assert!((all.values[k] / first.values[k] - 1.0).abs() < 1e-9);
            assert!((dot(&all.vectors[k], &first.vectors[k]).abs() - 1.0).abs() < 1e-6, "vector {k}");
        }
        assert!(dot(&first.vectors[0], &first.vectors[1]).abs() < 1e-9);
    }

    #[test]
    fn a_matrix_of_low_rank_leaves_the_rest_at_zero() {
        let a: Vec<f64> = (0..144).map(|at| if at / 12 == 3 && at % 12 == 3 { 2.0 } else { 0.0 }).collect();
        let found = leading_eigen(&a, 12, 3);
        assert!((found.values[0] - 2.0).abs() < 1e-12 && found.values[1].abs() < 1e-12);
        assert!((found.vectors[0][3].abs() - 1.0).abs() < 1e-9);
        assert!(leading_eigen(&[0.0; 144], 12, 2).values.iter().all(|value| *value == 0.0));
    }
}
