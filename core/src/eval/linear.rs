//! Products and factors of matrices in f64, row-major.

use crate::kernel::cpu::gemm::{Layout, Threads, product};

/// `to += xᵀ x` for `x [count, width]`, `to [width, width]`.
pub fn add_gram(to: &mut [f64], x: &[f64], width: usize) {
    let count = x.len() / width.max(1);
    if count > 0 {
        let plain = Layout::rows(0, width);
        product((width, width, count), (to, plain), (x, plain.transposed()), (x, plain), true, Threads::All);
    }
}

/// `a b` for `a [m, k]` and `b [k, n]`, k at least 1.
pub fn times(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    let [left, right, to] = [k, n, n].map(|row| Layout::rows(0, row));
    product((m, n, k), (&mut out, to), (a, left), (b, right), false, Threads::All);
    out
}

/// `a bᵀ` for `a [m, k]` and `b [n, k]`, k at least 1.
pub fn times_transposed(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let (m, n) = (a.len() / k, b.len() / k);
    let mut out = vec![0.0; m * n];
    let plain = Layout::rows(0, k);
    product(
        (m, n, k),
        (&mut out, Layout::rows(0, n)),
        (a, plain),
        (b, plain.transposed()),
        false,
        Threads::All,
    );
    out
}

/// `L` with `Lᵀ L = a`, `[rank, size]`, for a symmetric `a [size, size]` without negative directions:
/// Cholesky with pivoting (Higham 1990), which ends where only rounding is left.
pub fn factor(a: &[f64], size: usize) -> Vec<f64> {
    let mut left: Vec<f64> = (0..size).map(|i| a[i * size + i]).collect();
    let least = left.iter().fold(0.0_f64, |most, x| most.max(*x)) * size as f64 * f64::EPSILON;
    let mut rows: Vec<f64> = Vec::new();
    for rank in 0..size {
        let (pivot, most) =
            left.iter().enumerate().fold((0, 0.0), |best, (i, x)| if *x > best.1 { (i, *x) } else { best });
        if most <= least {
            break;
        }
        let root = most.sqrt();
        let mut row = a[pivot * size..(pivot + 1) * size].to_vec();
        for done in rows.chunks_exact(size).take(rank) {
            let weight = done[pivot];
            row.iter_mut().zip(done).for_each(|(x, d)| *x -= weight * d);
        }
        row.iter_mut().for_each(|x| *x /= root);
        // Exactly, so that this direction is never taken twice.
        row[pivot] = root;
        left.iter_mut().zip(&row).for_each(|(left, x)| *left -= x * x);
        left[pivot] = 0.0;
        rows.extend(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-12)
    }

    #[test]
    fn products_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, -1.0, 2.0, 1.0, 0.0]);
        assert!(close(&times_transposed(&a, &b, 3), &[-2.0, 4.0, -2.0, 13.0]));
        assert!(close(&times(&a, &b, (2, 3, 2)), &[2.0, 4.0, 5.0, 10.0]));
        let mut gram = vec![1.0; 4];
        add_gram(&mut gram, &[1.0, 2.0, 3.0, 4.0], 2);
        assert!(close(&gram, &[11.0, 15.0, 15.0, 21.0]));
    }

    #[test]
    fn a_factor_rebuilds_the_matrix_and_shows_its_rank() {
        let size = 12;
        let x: Vec<f64> = (0..5 * size).map(|i| ((i * i * 7) % 13) as f64 - 6.0).collect();
        let mut a = vec![0.0; size * size];
        add_gram(&mut a, &x, size);
        let rows = factor(&a, size);
        assert_eq!(rows.len(), 5 * size);
        let mut again = vec![0.0; size * size];
        add_gram(&mut again, &rows, size);
        assert!(a.iter().zip(&again).all(|(x, y)| (x - y).abs() < 1e-10));
        assert!(factor(&[0.0; 9], 3).is_empty());
    }
}
