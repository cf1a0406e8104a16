//! Cosine similarity of feature rows and its gradient.
//!
//! With `n = max(|f|, 1e-12)`: `cos = f·t / (n |t|)`, `df = g (t̂ − cos f̂) / n`; a row shorter than
//! 1e-12 is divided by a constant, so the second term falls away.

use super::parallel::{PART, each};
use super::pool;
use super::simd;

const MIN_NORM: f32 = 1e-12;

/// `(cos, norms)`; `norms [M, 2]` keeps the clamped lengths of both rows.
///
/// # Shapes
/// f, t [M, D] → [M], [M, 2]
pub fn forward(f: &[f32], t: &[f32], d: usize) -> (Vec<f32>, Vec<f32>) {
    assert_eq!(f.len(), t.len(), "f and t differ in length");
    let rows = (PART / d).max(1);
    let (mut cos, mut norms) = (vec![0.0; f.len() / d], vec![0.0; f.len() / d * 2]);
    let outputs = cos.chunks_mut(rows).zip(norms.chunks_mut(2 * rows));
    let items = outputs.zip(f.chunks(rows * d).zip(t.chunks(rows * d))).collect();
    each(f.len(), items, |((cos, norms), (f, t))| {
        simd::run(
            #[inline(always)]
            |_| {
                let rows = f.chunks_exact(d).zip(t.chunks_exact(d));
                for ((cos, norms), (f, t)) in cos.iter_mut().zip(norms.chunks_exact_mut(2)).zip(rows) {
                    norms[0] = length(f);
                    norms[1] = length(t);
                    *cos = simd::sum2(f, t, |f, t| f * t) as f32 / norms[0] / norms[1];
                }
            },
        );
    });
    (cos, norms)
}

#[inline(always)]
fn length(row: &[f32]) -> f32 {
    let root = simd::sum1(row, |v| v * v).sqrt() as f32;
    // A comparison, not `max`: that would drop a NaN.
    if root < MIN_NORM { MIN_NORM } else { root }
}

/// `df` from what [`forward`] was given and gave, and the gradient `g [M]` of each cosine.
pub fn backward(f: &[f32], t: &[f32], norms: &[f32], g: &[f32], d: usize) -> Vec<f32> {
    let rows = (PART / d).max(1);
    let mut df = pool::take(f.len());
    let inputs = f.chunks(rows * d).zip(t.chunks(rows * d));
    let inputs = inputs.zip(norms.chunks(2 * rows).zip(g.chunks(rows)));
    let items = df.chunks_mut(rows * d).zip(inputs).collect();
    each(f.len(), items, |(df, ((f, t), (norms, g)))| {
        simd::run(
            #[inline(always)]
            |fused| {
                let rows = df.chunks_exact_mut(d).zip(f.chunks_exact(d)).zip(t.chunks_exact(d));
                for (((df, f), t), (norms, &g)) in rows.zip(norms.chunks_exact(2).zip(g)) {
                    let (n, along) = (norms[0], g / norms[0] / norms[1]);
                    let cos = simd::sum2(f, t, |f, t| f * t) as f32 / n / norms[1];
                    let back = if n > MIN_NORM { -g * cos / n / n } else { 0.0 };
                    for ((df, &f), &t) in df.iter_mut().zip(f).zip(t) {
                        *df = fused.mul_add(along, t, back * f);
                    }
                }
            },
        );
    });
    df
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values, wide};
    use super::*;

    fn exact(f: &[f64], t: &[f64], d: usize) -> Vec<f64> {
        let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        let rows = f.chunks_exact(d).zip(t.chunks_exact(d));
        rows.map(|(f, t)| f.iter().zip(t).map(|(a, b)| a * b).sum::<f64>() / length(f) / length(t)).collect()
    }

    #[test]
    fn value_and_gradient_agree_with_finite_differences() {
        for (m, d) in [(1, 1), (3, 5), (40, 33)] {
            let (f, t, g) = (values(1, m * d), values(2, m * d), values(3, m));
            let (cos, norms) = forward(&f, &t, d);
            assert_close("cos", &cos, &exact(&wide(&f), &wide(&t), d), 1e-6);
            const STEP: f64 = 1e-6;
            let along = |i: usize, step: f64| {
                let mut moved = wide(&f);
                moved[i] += step;
                exact(&moved, &wide(&t), d).iter().zip(&g).map(|(c, &g)| c * f64::from(g)).sum::<f64>()
            };
            let want: Vec<f64> =
                (0..m * d).map(|i| (along(i, STEP) - along(i, -STEP)) / (2.0 * STEP)).collect();
            // A row of one value is all direction: its gradient is rounding alone.
            let tolerance = if d == 1 { 2.0 } else { 1e-5 };
            assert_close("df", &backward(&f, &t, &norms, &g, d), &want, tolerance);
        }
    }

    #[test]
    fn a_row_of_zeros_has_a_finite_value() {
        let (cos, norms) = forward(&[0.0; 3], &[1.0, 2.0, 2.0], 3);
        assert_eq!(cos, [0.0]);
        assert!(backward(&[0.0; 3], &[1.0, 2.0, 2.0], &norms, &[1e-20], 3).iter().all(|v| v.is_finite()));
        assert!(forward(&[f32::NAN], &[1.0], 1).0[0].is_nan());
    }
}
