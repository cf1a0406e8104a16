//! Eigenvalues and vectors of a symmetric matrix, by Jacobi rotations in f64.
//!
//! Cyclic Jacobi (Golub & Van Loan, *Matrix Computations*, 8.5): slow for thousands of rows, but
//! short and accurate to the last bits for the few dozen channels of a latent.

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

/// Mean and population covariance of `rows` (`[N, width]`, row-major), two passes in f64.
///
/// # Panics
/// When there are no rows or their values are no multiple of `width`.
pub fn mean_and_covariance(rows: &[f32], width: usize) -> (Vec<f64>, Vec<f64>) {
    assert!(width > 0 && !rows.is_empty() && rows.len().is_multiple_of(width), "rows of width {width}");
    let count = (rows.len() / width) as f64;
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    let mut covariance = vec![0.0; width * width];
    let mut centred = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        centred.iter_mut().zip(row).zip(&mean).for_each(|((to, x), m)| *to = f64::from(*x) - m);
        for (i, x) in centred.iter().enumerate() {
            let to = &mut covariance[i * width + i..(i + 1) * width];
            to.iter_mut().zip(&centred[i..]).for_each(|(sum, y)| *sum += x * y);
        }
    }
    for i in 0..width {
        for j in i..width {
            covariance[i * width + j] /= count;
            covariance[j * width + i] = covariance[i * width + j];
        }
    }
    (mean, covariance)
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
    fn covariance_is_of_the_population() {
        let (mean, covariance) = mean_and_covariance(&[0.0, 1.0, 2.0, 5.0], 2);
        assert_eq!((mean, covariance), (vec![1.0, 3.0], vec![1.0, 2.0, 2.0, 4.0]));
    }
}
