//! Batch norm followed by a leaky ReLU, forward and backward, one channel of one picture at a time.
//!
//! With `x̂ = (x − mean) rstd`, `u = γ x̂ + β`, `y = leaky(u)` and `du = g leaky'(u)`:
//! `dγ = Σ du x̂`, `dβ = Σ du`, `dx = γ rstd (du − mean(du) − x̂ mean(du x̂))`, means over pictures and positions.

use super::parallel::each;
use super::pool;
use super::simd;

/// Shape and form.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub channels: usize,
    pub area: usize,
    pub eps: f32,
    /// Below zero `y = slope · u`.
    pub slope: f32,
}

/// Per channel of the batch: its mean, then its biased variance, `[2, C]`.
pub fn moments(x: &[f32], channels: usize, area: usize) -> Vec<f32> {
    let count = (x.len() / channels) as f64;
    let sums = per_channel(x, channels, area, |_, plane| {
        simd::run(
            #[inline(always)]
            |_| simd::sum1(plane, |v| v),
        )
    });
    let mean: Vec<f32> = sums.into_iter().map(|sum| (sum / count) as f32).collect();
    let sums = per_channel(x, channels, area, |c, plane| {
        let mean = mean[c];
        simd::run(
            #[inline(always)]
            |_| simd::sum1(plane, |v| (v - mean) * (v - mean)),
        )
    });
    let var: Vec<f32> = sums.into_iter().map(|sum| (sum / count) as f32).collect();
    mean.into_iter().chain(var).collect()
}

/// A sum over every plane, added over the pictures in order.
fn per_channel(
    x: &[f32],
    channels: usize,
    area: usize,
    sum: impl Fn(usize, &[f32]) -> f64 + Sync + Send,
) -> Vec<f64> {
    let mut all = vec![0.0; x.len() / area];
    let items = all.chunks_mut(channels).zip(x.chunks(channels * area)).collect();
    each(x.len(), items, |(out, x): (&mut [f64], &[f32])| {
        for (c, (out, plane)) in out.iter_mut().zip(x.chunks_exact(area)).enumerate() {
            *out = sum(c, plane);
        }
    });
    (0..channels).map(|c| all.iter().skip(c).step_by(channels).sum()).collect()
}

/// `u = scale · x + shift` of each channel: `(scale, shift)`.
fn affine(weights: &[f32], moments: &[f32], s: Shape) -> Vec<(f32, f32)> {
    (0..s.channels)
        .map(|c| {
            let scale = weights[c] * rstd(moments, s, c);
            (scale, weights[s.channels + c] - moments[c] * scale)
        })
        .collect()
}

fn rstd(moments: &[f32], s: Shape, c: usize) -> f32 {
    1.0 / (moments[s.channels + c] + s.eps).sqrt()
}

/// `y` of x with `weights` (γ, then β, `[2, C]`) and the batch's `moments`.
pub fn forward(x: &[f32], weights: &[f32], moments: &[f32], s: Shape) -> Vec<f32> {
    let affine = affine(weights, moments, s);
    let mut y = pool::take(x.len());
    let image = s.channels * s.area;
    each(x.len(), y.chunks_mut(image).zip(x.chunks(image)).collect(), |(y, x): (&mut [f32], &[f32])| {
        let planes = y.chunks_exact_mut(s.area).zip(x.chunks_exact(s.area));
        for ((y, x), &(scale, shift)) in planes.zip(&affine) {
            simd::run(
                #[inline(always)]
                |fused| {
                    for (y, &x) in y.iter_mut().zip(x) {
                        let u = fused.mul_add(x, scale, shift);
                        *y = if u < 0.0 { s.slope * u } else { u };
                    }
                },
            );
        }
    });
    y
}

/// `(dx, [dγ, dβ])`.
pub fn backward(x: &[f32], weights: &[f32], moments: &[f32], g: &[f32], s: Shape) -> (Vec<f32>, Vec<f32>) {
    let affine = affine(weights, moments, s);
    let image = s.channels * s.area;
    // dx first holds du.
    let mut dx = pool::take(x.len());
    let items = dx.chunks_mut(image).zip(x.chunks(image).zip(g.chunks(image))).collect();
    each(x.len(), items, |(du, (x, g)): (&mut [f32], (&[f32], &[f32]))| {
        let planes = x.chunks_exact(s.area).zip(g.chunks_exact(s.area));
        for ((du, (x, g)), &(scale, shift)) in du.chunks_exact_mut(s.area).zip(planes).zip(&affine) {
            simd::run(
                #[inline(always)]
                |fused| {
                    for ((du, &x), &g) in du.iter_mut().zip(x).zip(g) {
                        let u = fused.mul_add(x, scale, shift);
                        *du = if u > 0.0 { g } else { s.slope * g };
                    }
                },
            );
        }
    });
    let mut sums = vec![[0.0_f64; 2]; x.len() / s.area];
    let items: Vec<_> = sums.chunks_mut(s.channels).zip(x.chunks(image).zip(dx.chunks(image))).collect();
    each(x.len(), items, |(sums, (x, du))| {
        for (c, (sums, (x, du))) in
            sums.iter_mut().zip(x.chunks_exact(s.area).zip(du.chunks_exact(s.area))).enumerate()
        {
            let (mean, rstd) = (moments[c], rstd(moments, s, c));
            *sums = simd::run(
                #[inline(always)]
                |_| [simd::sum2(du, x, |du, x| du * ((x - mean) * rstd)), simd::sum1(du, |v| v)],
            );
        }
    });
    let total = |c: usize, k: usize| sums.iter().skip(c).step_by(s.channels).map(|s| s[k]).sum::<f64>();
    let totals: Vec<[f64; 2]> = (0..s.channels).map(|c| [total(c, 0), total(c, 1)]).collect();
    let count = (x.len() / s.channels) as f64;
    each(x.len(), dx.chunks_mut(image).zip(x.chunks(image)).collect(), |(dx, x): (&mut [f32], &[f32])| {
        for (c, (dx, x)) in dx.chunks_exact_mut(s.area).zip(x.chunks_exact(s.area)).enumerate() {
            let (mean, rstd) = (moments[c], rstd(moments, s, c));
            let [along, level] = totals[c].map(|t| (t / count) as f32);
            let gain = weights[c] * rstd;
            simd::run(
                #[inline(always)]
                |_| {
                    for (dx, &x) in dx.iter_mut().zip(x) {
                        *dx = gain * (*dx - level - (x - mean) * rstd * along);
                    }
                },
            );
        }
    });
    let grads = totals.iter().map(|t| t[0] as f32).chain(totals.iter().map(|t| t[1] as f32)).collect();
    (dx, grads)
}
