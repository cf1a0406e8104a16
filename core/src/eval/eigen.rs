//! Eigenvalues and vectors of symmetric matrices in f64, by faer.

use faer::{MatRef, Side};

use crate::error::{Error, Result};

/// Eigenvalues of a symmetric matrix, largest first, with their unit vectors.
#[derive(Debug, Clone)]
pub struct SymmetricEigen {
    /// Largest first.
    pub values: Vec<f64>,
    /// `vectors[i]` belongs to `values[i]`.
    pub vectors: Vec<Vec<f64>>,
}

/// Decomposes the symmetric `[size, size]` matrix `a`, row-major.
///
/// # Errors
/// [`Error::Data`] when a value is not finite.
///
/// # Panics
/// When `a` has not `size * size` values.
pub fn symmetric_eigen(a: &[f64], size: usize) -> Result<SymmetricEigen> {
    let found = checked(a, size)?.self_adjoint_eigen(Side::Lower).map_err(|_| no_convergence(size))?;
    let vectors = found.U();
    // faer gives the smallest first.
    Ok(SymmetricEigen {
        values: (0..size).rev().map(|i| found.S()[i]).collect(),
        vectors: (0..size).rev().map(|i| vectors.col(i).iter().copied().collect()).collect(),
    })
}

/// The eigenvalues alone, largest first: much faster for large matrices.
///
/// # Errors
/// As [`symmetric_eigen`].
pub fn symmetric_eigenvalues(a: &[f64], size: usize) -> Result<Vec<f64>> {
    let mut values = checked(a, size)?.self_adjoint_eigenvalues(Side::Lower).map_err(|_| no_convergence(size))?;
    values.reverse();
    Ok(values)
}

fn checked(a: &[f64], size: usize) -> Result<MatRef<'_, f64>> {
    assert_eq!(a.len(), size * size, "a {size}x{size} matrix");
    if a.iter().any(|x| !x.is_finite()) {
        return Err(Error::Data(format!("a {size}x{size} covariance has values that are not finite")));
    }
    Ok(MatRef::from_row_major_slice(a, size, size))
}

fn no_convergence(size: usize) -> Error {
    Error::Data(format!("the eigenvalues of a {size}x{size} covariance do not converge"))
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
        let eigen = symmetric_eigen(&a, size).unwrap();
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
        let alone = symmetric_eigenvalues(&a, size).unwrap();
        assert!(alone.iter().zip(&eigen.values).all(|(x, y)| (x - y).abs() < 1e-12));
    }

    #[test]
    fn a_diagonal_or_empty_matrix_is_its_own_answer() {
        assert_eq!(symmetric_eigen(&[1.0, 0.0, 0.0, 2.0], 2).unwrap().values, [2.0, 1.0]);
        assert_eq!(symmetric_eigenvalues(&[0.0; 9], 3).unwrap(), [0.0; 3]);
        assert!(symmetric_eigen(&[], 0).unwrap().values.is_empty());
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        assert!(symmetric_eigen(&[f64::NAN], 1).is_err());
        assert!(symmetric_eigenvalues(&[f64::INFINITY], 1).is_err());
    }
}
