//! Softmax attention on packed projections, forward and backward, one head and a tile of queries at a
//! time: scores live in a few hundred kilobytes of scratch and are never stored (after Dao et al. 2022).
//!
//! Forward keeps `lse = log Σ exp(score)` of each query, from which backward makes the weights anew.
//! With weights `P`, `dP = dO Vᵀ` and `D = Σ P dP` of a query: `dS = P (dP − D)`, `dQ = dS K / √d`,
//! `dK = dSᵀ Q / √d`, `dV = Pᵀ dO`.

use super::gemm::{Layout, Threads, product};
use super::parallel::each;
use super::pool;
use super::simd;

/// Queries taken at once: the scores of a tile stay in the second-level cache.
const TILE: usize = 64;

/// Axis lengths of packed projections `[B, N, 3, H, d]`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub batch: usize,
    pub tokens: usize,
    pub heads: usize,
    pub head: usize,
}

impl Shape {
    /// Values from one token to the next.
    fn pitch(&self) -> usize {
        3 * self.heads * self.head
    }

    /// Part 0 (queries), 1 (keys) or 2 (values) of a head, from token `first` on.
    fn part(&self, part: usize, batch: usize, head: usize, first: usize) -> Layout {
        let start = ((batch * self.tokens + first) * 3 + part) * self.heads + head;
        Layout::rows(start * self.head, self.pitch())
    }

    fn scale(&self) -> f32 {
        (self.head as f32).powf(-0.5)
    }
}

/// `(out, lse)`: `softmax(Q Kᵀ / √d) V` of every head, and the logarithm of each softmax's sum.
///
/// # Shapes
/// qkv [B, N, 3, H, d] → [B, N, H·d], [B, N, H]
pub fn forward(qkv: &[f32], s: Shape) -> (Vec<f32>, Vec<f32>) {
    let Shape { batch, tokens, heads, head } = s;
    let width = heads * head;
    let (mut out, mut lse) = (pool::take(batch * tokens * width), pool::take(batch * tokens * heads));
    let images = out.chunks_mut(tokens * width).zip(lse.chunks_mut(tokens * heads)).enumerate();
    let items = images.flat_map(|(b, (out, lse))| {
        let tiles = out.chunks_mut(TILE * width).zip(lse.chunks_mut(TILE * heads)).enumerate();
        tiles.map(move |(tile, parts)| (b, tile * TILE, parts))
    });
    each(qkv.len(), items.collect(), |(b, first, (out, lse))| {
        let rows = out.len() / width;
        let mut scores = vec![0.0; rows * tokens];
        for h in 0..heads {
            let (q, k) = (s.part(0, b, h, first), s.part(1, b, h, 0).transposed());
            let square = Layout::rows(0, tokens);
            product((rows, tokens, head), (&mut scores, square), (qkv, q), (qkv, k), false, Threads::One);
            softmax(&mut scores, tokens, s.scale(), |row, value| lse[row * heads + h] = value);
            let (v, to) = (s.part(2, b, h, 0), Layout::rows(h * head, width));
            product((rows, head, tokens), (out, to), (&scores, square), (qkv, v), false, Threads::One);
        }
    });
    (out, lse)
}

/// Rows of scores become weights; `sum` hears of each row's log Σ exp.
fn softmax(scores: &mut [f32], tokens: usize, scale: f32, mut sum: impl FnMut(usize, f32)) {
    simd::run(
        #[inline(always)]
        |fused| {
            for (index, row) in scores.chunks_exact_mut(tokens).enumerate() {
                let most = simd::max(row) * scale;
                let total = simd::map_sum(
                    row,
                    #[inline(always)]
                    |x| simd::exp(fused, fused.mul_add(x, scale, -most)),
                );
                let share = 1.0 / total;
                for x in row.iter_mut() {
                    *x *= share;
                }
                sum(index, most + total.ln());
            }
        },
    );
}

/// The gradient of `qkv` from that of the output.
///
/// # Shapes
/// qkv [B, N, 3, H, d], lse [B, N, H], g [B, N, H·d] → [B, N, 3, H, d]
pub fn backward(qkv: &[f32], lse: &[f32], g: &[f32], s: Shape) -> Vec<f32> {
    let mut grad = pool::take(qkv.len());
    // The rows that belong to one head, token by token: query, key, value.
    let mut rows: Vec<Vec<&mut [f32]>> =
        (0..s.batch * s.heads).map(|_| Vec::with_capacity(3 * s.tokens)).collect();
    for (index, row) in grad.chunks_exact_mut(s.head).enumerate() {
        rows[index / (s.tokens * 3 * s.heads) * s.heads + index % s.heads].push(row);
    }
    each(qkv.len(), rows.into_iter().enumerate().collect(), |(index, rows)| {
        let made = head_backward(qkv, lse, g, s, (index / s.heads, index % s.heads));
        for (index, row) in rows.into_iter().enumerate() {
            let at = (index % 3 * s.tokens + index / 3) * s.head;
            row.copy_from_slice(&made[at..at + s.head]);
        }
    });
    grad
}

/// `[3, N, d]`: gradients of one head's queries, keys and values.
fn head_backward(qkv: &[f32], lse: &[f32], g: &[f32], s: Shape, (b, h): (usize, usize)) -> Vec<f32> {
    let Shape { tokens, heads, head, .. } = s;
    let mut made = vec![0.0; 3 * tokens * head];
    let (dq, rest) = made.split_at_mut(tokens * head);
    let (dk, dv) = rest.split_at_mut(tokens * head);
    let mut weights = vec![0.0; TILE.min(tokens) * tokens];
    let mut slopes = weights.clone();
    let (k, v) = (s.part(1, b, h, 0), s.part(2, b, h, 0));
    let (square, narrow) = (Layout::rows(0, tokens), Layout::rows(0, head));
    for first in (0..tokens).step_by(TILE) {
        let rows = TILE.min(tokens - first);
        let (weights, slopes) = (&mut weights[..rows * tokens], &mut slopes[..rows * tokens]);
        let q = s.part(0, b, h, first);
        let dout = Layout::rows(((b * tokens + first) * heads + h) * head, heads * head);
        let add = first > 0;
        // A single head (the autoencoder's, at batch 1) has the threads to itself.
        let threads = if s.batch * heads == 1 { Threads::All } else { Threads::One };
        product((rows, tokens, head), (weights, square), (qkv, q), (qkv, k.transposed()), false, threads);
        product((rows, tokens, head), (slopes, square), (g, dout), (qkv, v.transposed()), false, threads);
        score_gradients(weights, slopes, tokens, s.scale(), |row| {
            lse[(b * tokens + first + row) * heads + h]
        });
        let turned = square.transposed();
        product((tokens, head, rows), (dv, narrow), (weights, turned), (g, dout), add, threads);
        product((tokens, head, rows), (dk, narrow), (slopes, turned), (qkv, q), add, threads);
        let dq = &mut dq[first * head..(first + rows) * head];
        product((rows, head, tokens), (dq, narrow), (slopes, square), (qkv, k), false, threads);
    }
    made
}

/// Scores become weights, and gradients of weights become gradients of `Q Kᵀ`.
fn score_gradients(
    weights: &mut [f32],
    slopes: &mut [f32],
    tokens: usize,
    scale: f32,
    lse: impl Fn(usize) -> f32,
) {
    simd::run(
        #[inline(always)]
        |fused| {
            let rows = weights.chunks_exact_mut(tokens).zip(slopes.chunks_exact_mut(tokens));
            for (index, (weights, slopes)) in rows.enumerate() {
                let lse = lse(index);
                // A loop, not `for_each`: its closure would be compiled apart, for the portable set.
                for x in weights.iter_mut() {
                    *x = simd::exp(fused, fused.mul_add(*x, scale, -lse));
                }
                let mean = simd::sum2(weights, slopes, |p, dp| p * dp) as f32;
                for (slope, &weight) in slopes.iter_mut().zip(weights.iter()) {
                    *slope = weight * (*slope - mean) * scale;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values, wide};
    use super::*;

    fn exact(qkv: &[f64], s: Shape) -> Vec<f64> {
        let at = |b: usize, n: usize, part: usize, h: usize, i: usize| {
            qkv[(((b * s.tokens + n) * 3 + part) * s.heads + h) * s.head + i]
        };
        let mut out = vec![0.0; s.batch * s.tokens * s.heads * s.head];
        for (row, out) in out.chunks_exact_mut(s.head).enumerate() {
            let (h, n, b) = (row % s.heads, row / s.heads % s.tokens, row / s.heads / s.tokens);
            let score = |m: usize| {
                let dot: f64 = (0..s.head).map(|i| at(b, n, 0, h, i) * at(b, m, 1, h, i)).sum();
                (dot / (s.head as f64).sqrt()).exp()
            };
            let scores: Vec<f64> = (0..s.tokens).map(score).collect();
            let total: f64 = scores.iter().sum();
            for (i, out) in out.iter_mut().enumerate() {
                *out = (0..s.tokens).map(|m| scores[m] / total * at(b, m, 2, h, i)).sum();
            }
        }
        out
    }

    #[test]
    fn forward_and_gradient_agree_with_finite_differences() {
        for (batch, tokens, heads, head) in [(1, 1, 1, 1), (2, 5, 3, 4), (1, 9, 2, 7)] {
            let s = Shape { batch, tokens, heads, head };
            let qkv = values(1, batch * tokens * s.pitch());
            let g = values(2, batch * tokens * heads * head);
            let (out, lse) = forward(&qkv, s);
            assert_close("out", &out, &exact(&wide(&qkv), s), 2e-6);
            let grad = backward(&qkv, &lse, &g, s);
            const STEP: f64 = 1e-5;
            let along = |i: usize, step: f64| {
                let mut moved = wide(&qkv);
                moved[i] += step;
                exact(&moved, s).iter().zip(&g).map(|(y, &g)| y * f64::from(g)).sum::<f64>()
            };
            let want: Vec<f64> =
                (0..qkv.len()).map(|i| (along(i, STEP) - along(i, -STEP)) / (2.0 * STEP)).collect();
            assert_close("grad", &grad, &want, 1e-5);
        }
    }

    #[test]
    fn tiles_of_queries_agree_with_the_whole() {
        // 150 tokens are cut into tiles of 64, 64 and 22.
        let s = Shape { batch: 2, tokens: 150, heads: 2, head: 16 };
        let qkv: Vec<f32> = values(3, 2 * 150 * s.pitch()).iter().map(|v| v * 2.0).collect();
        let (out, lse) = forward(&qkv, s);
        assert_close("out", &out, &exact(&wide(&qkv), s), 3e-6);
        // Weights of a query add up to one, so equal gradients for all values pass through to values alone.
        let grad = backward(&qkv, &lse, &vec![1.0; out.len()], s);
        let value = |part: usize| {
            grad.chunks_exact(16).enumerate().filter(move |(i, _)| i / 2 % 3 == part).flat_map(|(_, v)| v)
        };
        let total: f64 = value(2).map(|&v| f64::from(v)).sum();
        assert!((total / out.len() as f64 - 1.0).abs() < 1e-5, "values receive {total}");
    }

    #[test]
    fn large_scores_stay_finite_and_nan_stays_nan() {
        let s = Shape { batch: 1, tokens: 3, heads: 1, head: 2 };
        let mut qkv: Vec<f32> = values(4, 18).iter().map(|v| v * 1e4).collect();
        let (out, lse) = forward(&qkv, s);
        assert!(out.iter().chain(&lse).all(|v| v.is_finite()), "{out:?} {lse:?}");
        assert!(backward(&qkv, &lse, &[1.0; 6], s).iter().all(|v| v.is_finite()));
        qkv[0] = f32::NAN;
        assert!(forward(&qkv, s).0[0].is_nan());
    }
}
