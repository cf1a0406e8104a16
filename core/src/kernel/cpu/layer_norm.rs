//! Layer norm over the last axis, scaled and shifted by vectors that `span` rows share: all rows for a
//! learned scale, the tokens of one picture in adaLN (Peebles & Xie 2023).
//!
//! `y = x̂ (base + scale) + shift` with `x̂ = (x − mean) rstd`. With `s = g (base + scale)`,
//! `dx = rstd (s − mean(s) − x̂ mean(s x̂))`, `dscale = Σ g x̂` and `dshift = Σ g` over the span.

use super::parallel::{PART, cut, each, sum_rows};
use super::pool;
use super::simd::{self, Fused};

/// Form of a layer norm.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Length of a row.
    pub width: usize,
    /// Rows that share a scale and a shift.
    pub span: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Added to the scale: 1 for adaLN, else 0.
    pub base: f32,
}

impl Shape {
    /// Rows of each part of a span, so that threads share out even a single picture.
    fn parts(&self) -> impl Iterator<Item = usize> + Clone {
        let (span, rows) = (self.span, (PART / self.width).max(1));
        (0..span).step_by(rows).map(move |first| rows.min(span - first))
    }
}

/// `(y, stats)`, where `stats [M, 2]` holds mean and 1/σ of each row.
///
/// # Shapes
/// x [M, D], scale and shift [M / span, D] → [M, D]
pub fn forward(x: &[f32], scale: &[f32], shift: &[f32], s: Shape) -> (Vec<f32>, Vec<f32>) {
    let d = s.width;
    let spans = x.len() / (s.span * d);
    let (mut y, mut stats) = (pool::take(x.len()), pool::take(x.len() / d * 2));
    let rows: Vec<usize> = (0..spans).flat_map(|_| s.parts()).collect();
    let per_span = rows.len() / spans.max(1);
    let outputs = cut(&mut y, rows.iter().map(|r| r * d)).into_iter();
    let outputs = outputs.zip(cut(&mut stats, rows.iter().map(|r| r * 2)));
    let items = outputs.zip(pieces(x, &rows, d)).enumerate().collect();
    each(x.len(), items, |(index, ((y, stats), x))| {
        let at = index / per_span * d;
        let (scale, shift) = (&scale[at..at + d], &shift[at..at + d]);
        simd::run(
            #[inline(always)]
            |fused| {
                let rows = y.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(stats.chunks_exact_mut(2));
                for ((y, x), stats) in rows {
                    let (mean, rstd) = moments(x, s.eps);
                    (stats[0], stats[1]) = (mean, rstd);
                    for (((y, &x), &scale), &shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                        *y = fused.mul_add((x - mean) * rstd, s.base + scale, shift);
                    }
                }
            },
        );
    });
    (y, stats)
}

/// `(dx, dscale, dshift)` from what [`forward`] was given and gave.
pub fn backward(
    x: &[f32],
    scale: &[f32],
    stats: &[f32],
    g: &[f32],
    s: Shape,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    assert_eq!(x.len(), g.len(), "x and g differ in length");
    let d = s.width;
    let spans = x.len() / (s.span * d);
    let rows: Vec<usize> = (0..spans).flat_map(|_| s.parts()).collect();
    let per_span = rows.len() / spans.max(1);
    let mut dx = pool::take(x.len());
    // Of each part: Σ g x̂ and Σ g.
    let mut partial = vec![0.0; rows.len() * 2 * d];
    let outputs = cut(&mut dx, rows.iter().map(|r| r * d)).into_iter().zip(partial.chunks_exact_mut(2 * d));
    let inputs = pieces(x, &rows, d).zip(pieces(g, &rows, d)).zip(pieces(stats, &rows, 2));
    let items = outputs.zip(inputs).enumerate().collect();
    each(x.len(), items, |(index, ((dx, sums), ((x, g), stats)))| {
        let at = index / per_span * d;
        let (along, level) = sums.split_at_mut(d);
        simd::run(
            #[inline(always)]
            |fused| {
                let rows = dx.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(g.chunks_exact(d));
                for (((dx, x), g), stats) in rows.zip(stats.chunks_exact(2)) {
                    backward_row(fused, dx, (x, g), &scale[at..at + d], (along, level), stats, s.base);
                }
            },
        );
    });
    let mut folded = vec![0.0; spans * 2 * d];
    for (sums, parts) in folded.chunks_exact_mut(2 * d).zip(partial.chunks_exact(per_span * 2 * d)) {
        sums.copy_from_slice(&sum_rows(parts, 2 * d));
    }
    let half = |k: usize| -> Vec<f32> {
        folded.chunks_exact(2 * d).flat_map(|both| both[k * d..(k + 1) * d].iter().copied()).collect()
    };
    (dx, half(0), half(1))
}

/// Pieces of `rows` rows of `width` values.
fn pieces<'a>(values: &'a [f32], rows: &'a [usize], width: usize) -> impl Iterator<Item = &'a [f32]> {
    rows.iter().scan(values, move |rest, rows| {
        let (piece, after) = rest.split_at(rows * width);
        *rest = after;
        Some(piece)
    })
}

/// Mean and 1/σ of a row, in two passes.
#[inline(always)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = (simd::sum1(x, |v| v) / count) as f32;
    let var = simd::sum1(x, |v| (v - mean) * (v - mean)) / count;
    (mean, (1.0 / (var + f64::from(eps)).sqrt()) as f32)
}

/// One row of `dx`; adds the row's share to Σ g x̂ and Σ g.
#[inline(always)]
fn backward_row(
    fused: Fused,
    dx: &mut [f32],
    (x, g): (&[f32], &[f32]),
    scale: &[f32],
    (along, level): (&mut [f32], &mut [f32]),
    stats: &[f32],
    base: f32,
) {
    let (mean, rstd) = (stats[0], stats[1]);
    let inputs = x.iter().zip(g).zip(scale);
    // dx first holds the gradient of x̂.
    for (((dx, along), level), ((&x, &g), &scale)) in
        dx.iter_mut().zip(along.iter_mut()).zip(level.iter_mut()).zip(inputs)
    {
        *along = fused.mul_add(g, (x - mean) * rstd, *along);
        *level += g;
        *dx = g * (base + scale);
    }
    let count = dx.len() as f64;
    let mean_s = (simd::sum1(dx, |s| s) / count) as f32;
    let mean_sx = (simd::sum2(dx, x, |s, x| s * ((x - mean) * rstd)) / count) as f32;
    for (dx, &x) in dx.iter_mut().zip(x) {
        *dx = rstd * (*dx - mean_s - (x - mean) * rstd * mean_sx);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values, wide};
    use super::*;

    fn exact(x: &[f64], scale: &[f64], shift: &[f64], s: Shape) -> Vec<f64> {
        let d = s.width;
        let mut y = Vec::new();
        for (i, row) in x.chunks_exact(d).enumerate() {
            let mean = row.iter().sum::<f64>() / d as f64;
            let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
            let at = i / s.span * d;
            y.extend((0..d).map(|j| {
                let normal = (row[j] - mean) / (var + f64::from(s.eps)).sqrt();
                normal * (f64::from(s.base) + scale[at + j]) + shift[at + j]
            }));
        }
        y
    }

    /// The gradient of `Σ g y` for `input`, by central differences.
    fn numeric(input: &[f64], g: &[f64], y: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        let along = |i: usize, step: f64| {
            let mut moved = input.to_vec();
            moved[i] += step;
            y(&moved).iter().zip(g).map(|(y, g)| y * g).sum::<f64>()
        };
        (0..input.len()).map(|i| (along(i, STEP) - along(i, -STEP)) / (2.0 * STEP)).collect()
    }

    #[test]
    fn forward_and_gradients_agree_with_finite_differences() {
        for (spans, span, width, base) in [(1, 1, 1, 0.0), (2, 3, 5, 1.0), (3, 4, 33, 1.0), (1, 7, 64, 0.0)] {
            let s = Shape { width, span, eps: 1e-3, base };
            let count = spans * span * width;
            let (x, g) = (values(1, count), values(2, count));
            let (scale, shift) = (values(3, spans * width), values(4, spans * width));
            let (wx, ws, wt, wg) = (wide(&x), wide(&scale), wide(&shift), wide(&g));
            let (y, stats) = forward(&x, &scale, &shift, s);
            assert_close("y", &y, &exact(&wx, &ws, &wt, s), 2e-6);
            let (dx, dscale, dshift) = backward(&x, &scale, &stats, &g, s);
            assert_close("dx", &dx, &numeric(&wx, &wg, |x| exact(x, &ws, &wt, s)), 1e-5);
            assert_close("dscale", &dscale, &numeric(&ws, &wg, |v| exact(&wx, v, &wt, s)), 1e-5);
            assert_close("dshift", &dshift, &numeric(&wt, &wg, |v| exact(&wx, &ws, v, s)), 1e-5);
        }
    }

    #[test]
    fn parts_of_a_large_span_are_added_up() {
        // 300 rows of 192 are cut into four parts.
        let s = Shape { width: 192, span: 300, eps: 1e-6, base: 1.0 };
        let (x, g, scale) = (values(1, 57_600), values(2, 57_600), values(3, 192));
        let (y, stats) = forward(&x, &scale, &scale, s);
        assert_close("y", &y, &exact(&wide(&x), &wide(&scale), &wide(&scale), s), 3e-6);
        let (_, _, dshift) = backward(&x, &scale, &stats, &g, s);
        let want: Vec<f64> =
            (0..192).map(|j| g.chunks_exact(192).map(|row| f64::from(row[j])).sum()).collect();
        assert_close("dshift", &dshift, &want, 1e-5);
    }
}
