//! Fully connected layer `y = x · wᵀ + b` and its three gradients, each its own function so that one nobody
//! needs is never computed. Weights are [O, K] as in PyTorch's `nn.Linear`.

use super::gemm::{Layout, Threads, product};
use super::parallel::{cut, each, sum_rows};
use super::pool;
use super::simd;

/// Rows of a task: few enough for all threads to be busy, enough to pay for packing the weights anew.
const ROWS: usize = 512;

/// Rows of a task, and the threads of its products: rows are shared out, so that fresh memory is first
/// touched by all threads; where there are few, the threads share one product.
pub fn shares(rows: usize) -> (usize, Threads) {
    if rows >= 2 * ROWS { (ROWS, Threads::One) } else { (rows.max(1), Threads::All) }
}

/// `y = x · wᵀ + b`.
///
/// # Shapes
/// x [M, K], w [O, K], b [O] → [M, O]
pub fn forward(x: &[f32], w: &[f32], b: Option<&[f32]>, k: usize) -> Vec<f32> {
    let (m, o) = (x.len() / k, w.len() / k);
    if let Some(b) = b {
        assert_eq!(b.len(), o, "bias [O]");
    }
    let mut y = pool::take(m * o);
    let (rows, threads) = shares(m);
    each(m * o, y.chunks_mut(rows * o).zip(x.chunks(rows * k)).collect(), |(y, x)| {
        rows_forward(y, x, w, b, k, threads);
    });
    y
}

/// [`forward`] of a few rows, into `y`.
pub fn rows_forward(y: &mut [f32], x: &[f32], w: &[f32], b: Option<&[f32]>, k: usize, threads: Threads) {
    let o = w.len() / k;
    if let Some(b) = b {
        y.chunks_exact_mut(o).for_each(|row| row.copy_from_slice(b));
    }
    let (from, to) = (Layout::rows(0, k), Layout::rows(0, o));
    product((x.len() / k, o, k), (y, to), (x, from), (w, from.transposed()), b.is_some(), threads);
}

/// `dx = g · w`.
///
/// # Shapes
/// g [M, O], w [O, K] → [M, K]
pub fn grad_input(g: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let o = w.len() / k;
    let m = g.len() / o;
    let mut dx = pool::take(m * k);
    let (rows, threads) = shares(m);
    each(m * k, dx.chunks_mut(rows * k).zip(g.chunks(rows * o)).collect(), |(dx, g)| {
        let (from, to) = (Layout::rows(0, o), Layout::rows(0, k));
        product((g.len() / o, k, o), (dx, to), (g, from), (w, to), false, threads);
    });
    dx
}

/// `dw = gᵀ · x`.
///
/// # Shapes
/// g [M, O], x [M, K] → [O, K]
pub fn grad_weight(g: &[f32], x: &[f32], k: usize) -> Vec<f32> {
    let m = x.len() / k;
    let o = g.len() / m;
    let mut dw = pool::take(o * k);
    let gt = Layout::rows(0, o).transposed();
    let out = (dw.as_mut_slice(), Layout::rows(0, k));
    product((o, k, m), out, (g, gt), (x, Layout::rows(0, k)), false, Threads::All);
    dw
}

/// `db = Σ_m g`.
///
/// # Shapes
/// g [M, O] → [O]
pub fn grad_bias(g: &[f32], o: usize) -> Vec<f32> {
    let rows = (64 * 1024 / o).max(1);
    let parts = (g.len() / o).div_ceil(rows);
    let mut partial = vec![0.0; parts * o];
    let items: Vec<_> =
        cut(&mut partial, (0..parts).map(|_| o)).into_iter().zip(g.chunks(rows * o)).collect();
    each(g.len(), items, |(sum, g)| {
        simd::run(
            #[inline(always)]
            |_| {
                for row in g.chunks_exact(sum.len()) {
                    for (s, &v) in sum.iter_mut().zip(row) {
                        *s += v;
                    }
                }
            },
        );
    });
    sum_rows(&partial, o)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values};
    use super::*;

    #[test]
    fn forward_and_gradients_agree_with_sums() {
        for (m, k, o) in [(1, 1, 1), (5, 7, 3), (33, 17, 65), (130, 40, 19), (1100, 9, 33)] {
            let (x, w, b, g) = (values(1, m * k), values(2, o * k), values(3, o), values(4, m * o));
            let at = |v: &[f32], i: usize| f64::from(v[i]);
            let sum = |n: usize, f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>();
            let y: Vec<f64> = (0..m * o)
                .map(|i| at(&b, i % o) + sum(k, &|l| at(&x, i / o * k + l) * at(&w, i % o * k + l)))
                .collect();
            let dx: Vec<f64> =
                (0..m * k).map(|i| sum(o, &|l| at(&g, i / k * o + l) * at(&w, l * k + i % k))).collect();
            let dw: Vec<f64> =
                (0..o * k).map(|i| sum(m, &|l| at(&g, l * o + i / k) * at(&x, l * k + i % k))).collect();
            let db: Vec<f64> = (0..o).map(|i| sum(m, &|l| at(&g, l * o + i))).collect();
            assert_close("y", &forward(&x, &w, Some(&b), k), &y, 1e-6);
            assert_close("dx", &grad_input(&g, &w, k), &dx, 1e-6);
            assert_close("dw", &grad_weight(&g, &x, k), &dw, 1e-6);
            assert_close("db", &grad_bias(&g, o), &db, 1e-6);
        }
    }
}
