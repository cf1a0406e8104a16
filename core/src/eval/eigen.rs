//! Eigenvalues and vectors of symmetric matrices, in f64 (Golub & Van Loan, *Matrix Computations*, 8).
//!
//! With vectors by cyclic Jacobi rotations: slow for thousands of rows, but short and accurate to the
//! last bits for the few dozen channels of a latent. Values alone by Householder tridiagonalisation
//! and implicit QL steps, for the covariances of features, up to a few thousand wide. (faer is faster
//! still, but turns on features of shared crates that compile burn anew.)

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Eigenvalues of a symmetric matrix, largest first, with their unit vectors.
#[derive(Debug, Clone)]
pub struct SymmetricEigen {
    /// Largest first.
    pub values: Vec<f64>,
    /// `vectors[i]` belongs to `values[i]`.
    pub vectors: Vec<Vec<f64>>,
}

/// Sweeps are quadratic in the end; ten or so are usual.
const MAX_SWEEPS: usize = 60;

/// Decomposes the symmetric `[size, size]` matrix `a`, row-major; only finite values make sense.
///
/// # Panics
/// When `a` has not `size * size` values.
pub fn symmetric_eigen(a: &[f64], size: usize) -> SymmetricEigen {
    assert_eq!(a.len(), size * size, "a {size}x{size} matrix");
    let mut a = a.to_vec();
    let mut v: Vec<f64> = (0..size * size).map(|at| f64::from(u8::from(at / size == at % size))).collect();
    let scale = a.iter().map(|x| x * x).sum::<f64>();
    for _ in 0..MAX_SWEEPS {
        let off: f64 = (0..size * size).filter(|at| at / size != at % size).map(|at| a[at] * a[at]).sum();
        if off <= scale * 1e-32 {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                rotate(&mut a, &mut v, size, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|i, j| a[j * size + j].total_cmp(&a[i * size + i]));
    SymmetricEigen {
        values: order.iter().map(|i| a[i * size + i]).collect(),
        vectors: order.iter().map(|i| (0..size).map(|row| v[row * size + i]).collect()).collect(),
    }
}

/// Makes `a[p][q]` zero by a rotation in the plane of `p` and `q`; gathers it in `v`.
fn rotate(a: &mut [f64], v: &mut [f64], size: usize, p: usize, q: usize) {
    let apq = a[p * size + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * size + q] - a[p * size + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for row in 0..size {
        turn(a, row * size + p, row * size + q, c, s);
        turn(v, row * size + p, row * size + q, c, s);
    }
    for column in 0..size {
        turn(a, p * size + column, q * size + column, c, s);
    }
    // Exactly, not just to rounding.
    a[p * size + q] = 0.0;
    a[q * size + p] = 0.0;
}

fn turn(x: &mut [f64], i: usize, j: usize, c: f64, s: f64) {
    (x[i], x[j]) = (c * x[i] - s * x[j], s * x[i] + c * x[j]);
}

/// The eigenvalues alone of the symmetric `[size, size]` matrix `a`, largest first.
///
/// # Errors
/// [`Error::Data`] when a value is not finite.
///
/// # Panics
/// When `a` has not `size * size` values.
pub fn symmetric_eigenvalues(a: &[f64], size: usize) -> Result<Vec<f64>> {
    assert_eq!(a.len(), size * size, "a {size}x{size} matrix");
    if a.iter().any(|x| !x.is_finite()) {
        return Err(Error::Data(format!("a {size}x{size} covariance has values that are not finite")));
    }
    let (mut diagonal, mut beside) = tridiagonal(a.to_vec(), size);
    diagonalize(&mut diagonal, &mut beside)?;
    diagonal.sort_by(|x, y| y.total_cmp(x));
    Ok(diagonal)
}

/// Reflects `a` to a tridiagonal matrix of the same eigenvalues: its diagonal, and what lies beside
/// (one value less, and a zero).
fn tridiagonal(mut a: Vec<f64>, size: usize) -> (Vec<f64>, Vec<f64>) {
    let mut beside = vec![0.0; size];
    for k in 0..size.saturating_sub(1) {
        let (top, rest) = a.split_at_mut((k + 1) * size);
        // The matrix is symmetric, so column k below the diagonal is row k.
        let v = &mut top[k * size + k + 1..(k + 1) * size];
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            continue;
        }
        let turned = if v[0] > 0.0 { -norm } else { norm };
        beside[k] = turned;
        v[0] -= turned;
        let beta = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
        let v = &*v;
        // A ← (1 − β v vᵀ) A (1 − β v vᵀ) = A − v wᵀ − w vᵀ
        let mut w: Vec<f64> = rest.par_chunks_exact(size).map(|row| beta * dot(&row[k + 1..], v)).collect();
        let half = beta / 2.0 * dot(&w, v);
        w.iter_mut().zip(v).for_each(|(w, v)| *w -= half * v);
        rest.par_chunks_exact_mut(size).zip(&w).zip(v).for_each(|((row, wi), vi)| {
            row[k + 1..].iter_mut().zip(v).zip(&w).for_each(|((x, v), w)| *x -= vi * w + wi * v);
        });
    }
    ((0..size).map(|i| a[i * size + i]).collect(), beside)
}

/// In four sums, so that the compiler can use vectors.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (x, y) in a.0.iter().zip(b.0) {
        (0..4).for_each(|k| sums[k] += x[k] * y[k]);
    }
    sums.iter().sum::<f64>() + a.1.iter().zip(b.1).map(|(x, y)| x * y).sum::<f64>()
}

/// Steps of one eigenvalue; two or three are usual.
const MAX_STEPS: usize = 100;

/// Brings what lies beside the diagonal to zero by implicit QL steps (EISPACK's `imtql1`).
fn diagonalize(d: &mut [f64], e: &mut [f64]) -> Result<()> {
    let size = d.len();
    let scale = d.iter().chain(e.iter()).fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let is_small = |d: &[f64], e: f64, m: usize| {
        e.abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs()).max(scale * f64::EPSILON)
    };
    for l in 0..size {
        let mut steps = 0;
        loop {
            let m = (l..size - 1).find(|m| is_small(&*d, e[*m], *m)).unwrap_or(size - 1);
            if m == l {
                break;
            }
            steps += 1;
            if steps > MAX_STEPS {
                return Err(Error::Data(format!(
                    "the eigenvalues of a {size}x{size} covariance do not converge"
                )));
            }
            ql_step(d, e, l, m);
        }
    }
    Ok(())
}

/// One implicit step on rows `l` to `m`, with Wilkinson's shift.
fn ql_step(d: &mut [f64], e: &mut [f64], l: usize, m: usize) {
    let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
    g = d[m] - d[l] + e[l] / (g + g.hypot(1.0).copysign(g));
    let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
    for i in (l..m).rev() {
        let (f, b) = (s * e[i], c * e[i]);
        let r = f.hypot(g);
        e[i + 1] = r;
        if r == 0.0 {
            // The matrix has fallen apart here.
            d[i + 1] -= p;
            e[m] = 0.0;
            return;
        }
        (s, c) = (f / r, g / r);
        g = d[i + 1] - p;
        let r = (d[i] - g) * s + 2.0 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_vectors_rebuild_the_matrix() {
        let size = 17;
        let mut a = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..size {
                a[i * size + j] = ((i * j) as f64).sin() + ((i + j) as f64).cos();
            }
        }
        let eigen = symmetric_eigen(&a, size);
        assert!(eigen.values.is_sorted_by(|x, y| x >= y));
        for i in 0..size {
            for j in 0..size {
                let rebuilt: f64 =
                    (0..size).map(|k| eigen.values[k] * eigen.vectors[k][i] * eigen.vectors[k][j]).sum();
                assert!((rebuilt - a[i * size + j]).abs() < 1e-12);
                let dot: f64 = (0..size).map(|k| eigen.vectors[i][k] * eigen.vectors[j][k]).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn a_diagonal_or_empty_matrix_is_its_own_answer() {
        assert_eq!(symmetric_eigen(&[1.0, 0.0, 0.0, 2.0], 2).values, [2.0, 1.0]);
        assert_eq!(symmetric_eigen(&[0.0; 9], 3).values, [0.0; 3]);
        assert!(symmetric_eigen(&[], 0).values.is_empty());
    }

    #[test]
    fn values_alone_are_the_same_values() {
        for size in [1, 2, 3, 17, 64] {
            let entry = |i: usize, j: usize| ((i * j) as f64).sin() + ((i + j) as f64).cos();
            let a: Vec<f64> = (0..size * size).map(|at| entry(at / size, at % size)).collect();
            let (alone, both) = (symmetric_eigenvalues(&a, size).unwrap(), symmetric_eigen(&a, size).values);
            let apart = alone.iter().zip(&both).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-12 * size as f64, "{size}: {apart}");
        }
        assert_eq!(symmetric_eigenvalues(&[0.0; 9], 3).unwrap(), [0.0; 3]);
        let swapped = symmetric_eigenvalues(&[0.0, 1.0, 1.0, 0.0], 2).unwrap();
        assert!((swapped[0] - 1.0).abs() < 1e-15 && (swapped[1] + 1.0).abs() < 1e-15);
        assert!(symmetric_eigenvalues(&[], 0).unwrap().is_empty());
        assert!(symmetric_eigenvalues(&[f64::NAN], 1).is_err());
    }

    #[test]
    fn values_of_a_matrix_of_low_rank_are_mostly_zero() {
        // Sum of two outer products, 40 wide.
        let size = 40;
        let part = |i: usize, k: usize| ((i * (k + 3)) as f64).sin();
        let entry = |i: usize, j: usize| (0..2).map(|k| part(i, k) * part(j, k)).sum::<f64>();
        let a: Vec<f64> = (0..size * size).map(|at| entry(at / size, at % size)).collect();
        let values = symmetric_eigenvalues(&a, size).unwrap();
        assert!(values[1] > 1.0 && values[2..].iter().all(|value| value.abs() < 1e-13), "{values:?}");
        let trace: f64 = (0..size).map(|i| a[i * size + i]).sum();
        assert!((values.iter().sum::<f64>() - trace).abs() < 1e-12);
    }
}
