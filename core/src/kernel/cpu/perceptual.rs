//! The distance of one LPIPS layer and its gradient: positions run along the lanes, so that the norms over
//! channels are sums of rows.

use super::parallel::each;
use super::pool;
use super::simd;

/// Added to every norm.
const EPS: f32 = 1e-10;

/// `d_n = mean_p Σ_c w_c (b/|b| − a/|a|)²`, norms over channels.
///
/// # Shapes
/// a, b [B, C, P], w [C] → [B]
pub fn forward(a: &[f32], b: &[f32], w: &[f32], positions: usize) -> Vec<f32> {
    assert_eq!(a.len(), b.len(), "a and b differ in length");
    let image = w.len() * positions;
    let mut d = vec![0.0; a.len() / image];
    let items = d.iter_mut().zip(a.chunks_exact(image).zip(b.chunks_exact(image))).collect();
    each(a.len(), items, |(d, (a, b))| {
        simd::run(
            #[inline(always)]
            |_| {
                let (one_a, one_b) = (reciprocal_norms(a, positions), reciprocal_norms(b, positions));
                let mut sums = vec![0.0_f32; positions];
                for ((a, b), &w) in a.chunks_exact(positions).zip(b.chunks_exact(positions)).zip(w) {
                    for p in 0..positions {
                        let difference = b[p] * one_b[p] - a[p] * one_a[p];
                        sums[p] += w * difference * difference;
                    }
                }
                *d = (simd::sum1(&sums, |v| v) / positions as f64) as f32;
            },
        );
    });
    d
}

/// The gradient of b: with `u = b/|b|` and `t = 2 w (u − a/|a|) g / P`, it is `(t − u (t · u)) / |b|`.
///
/// # Shapes
/// g [B] → [B, C, P]
pub fn backward(a: &[f32], b: &[f32], w: &[f32], g: &[f32], positions: usize) -> Vec<f32> {
    let image = w.len() * positions;
    let mut db = pool::take(b.len());
    let items =
        db.chunks_exact_mut(image).zip(a.chunks_exact(image).zip(b.chunks_exact(image))).zip(g).collect();
    each(a.len(), items, |((db, (a, b)), &g)| {
        simd::run(
            #[inline(always)]
            |_| {
                let (one_a, one_b) = (reciprocal_norms(a, positions), reciprocal_norms(b, positions));
                let factor = 2.0 * g / positions as f32;
                let mut along = vec![0.0_f32; positions];
                let rows = a.chunks_exact(positions).zip(b.chunks_exact(positions));
                for (((a, b), db), &w) in rows.zip(db.chunks_exact_mut(positions)).zip(w) {
                    for p in 0..positions {
                        let u = b[p] * one_b[p];
                        let t = factor * w * (u - a[p] * one_a[p]);
                        db[p] = t;
                        along[p] += t * u;
                    }
                }
                for (b, db) in b.chunks_exact(positions).zip(db.chunks_exact_mut(positions)) {
                    for p in 0..positions {
                        db[p] = (db[p] - b[p] * one_b[p] * along[p]) * one_b[p];
                    }
                }
            },
        );
    });
    db
}

/// `1 / (√Σ_c x² + ε)` at each position.
#[inline(always)]
fn reciprocal_norms(x: &[f32], positions: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f32; positions];
    for row in x.chunks_exact(positions) {
        for (sum, &v) in sums.iter_mut().zip(row) {
            *sum += v * v;
        }
    }
    for sum in &mut sums {
        *sum = 1.0 / (sum.sqrt() + EPS);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values};
    use super::*;

    fn exact(a: &[f32], b: &[f64], w: &[f32], positions: usize) -> Vec<f64> {
        let image = w.len() * positions;
        let norm =
            |at: &dyn Fn(usize) -> f64| (0..w.len()).map(|c| at(c).powi(2)).sum::<f64>().sqrt() + 1e-10;
        (0..a.len() / image)
            .map(|n| {
                let one = |p: usize| {
                    let at = |c: usize| n * image + c * positions + p;
                    let (na, nb) = (norm(&|c| f64::from(a[at(c)])), norm(&|c| b[at(c)]));
                    let difference = |c: usize| b[at(c)] / nb - f64::from(a[at(c)]) / na;
                    (0..w.len()).map(|c| f64::from(w[c]) * difference(c).powi(2)).sum::<f64>()
                };
                (0..positions).map(one).sum::<f64>() / positions as f64
            })
            .collect()
    }

    #[test]
    fn distance_and_gradient_agree_with_the_definition() {
        for (n, c, p) in [(1, 1, 1), (2, 3, 5), (3, 17, 49), (4, 64, 225)] {
            let (a, b, w, g) = (values(1, n * c * p), values(2, n * c * p), values(3, c), values(4, n));
            let wide: Vec<f64> = b.iter().map(|&v| f64::from(v)).collect();
            assert_close("d", &forward(&a, &b, &w, p), &exact(&a, &wide, &w, p), 2e-6);
            let got = backward(&a, &b, &w, &g, p);
            for i in (0..b.len()).step_by(b.len().div_ceil(7)) {
                let at = |by: f64| {
                    let mut moved = wide.clone();
                    moved[i] += by;
                    let d = exact(&a, &moved, &w, p);
                    d.iter().zip(&g).map(|(d, &g)| d * f64::from(g)).sum::<f64>()
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let scale = f64::from(got.iter().fold(1e-3_f32, |m, v| m.max(v.abs())));
                assert!((f64::from(got[i]) - slope).abs() < 1e-3 * scale, "{} against {slope}", got[i]);
                assert!((f64::from(got[i]) + 0.01 * scale - slope).abs() > 1e-3 * scale, "cannot fail");
            }
        }
    }

    #[test]
    fn a_position_without_features_gives_finite_numbers() {
        let d = forward(&[1.0, 0.0], &[0.0, 0.0], &[0.5, 0.5], 1);
        assert_eq!(d, [0.5]);
        assert!(backward(&[1.0, 0.0], &[0.0; 2], &[0.5; 2], &[1.0], 1).iter().all(|v| v.is_finite()));
    }
}
