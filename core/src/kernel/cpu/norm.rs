//! Group norm with SiLU, forward and backward: each group is read while it is in the cache.
//!
//! With `x̂ = (x − mean) rstd` and `y = silu?(γ x̂ + β)`, the gradient of `u = γ x̂ + β` is
//! `g silu'(u)`, and `dx = rstd (γ du − mean(γ du) − x̂ mean(γ du x̂))` over the group.

use super::activation::{silu, silu_slope};
use super::parallel::each;
use super::pool;
use super::simd::{self, Fused};

/// Shape and form of a group norm.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub channels: usize,
    pub area: usize,
    pub groups: usize,
    pub eps: f32,
    pub silu: bool,
}

impl Shape {
    fn group(&self) -> usize {
        self.channels / self.groups * self.area
    }
}

/// One group of `y` from its `x`, its channels' weights and its statistics.
#[inline(always)]
fn normalize(
    fused: Fused,
    (x, y): (&[f32], &mut [f32]),
    (gamma, beta): (&[f32], &[f32]),
    (mean, rstd): (f32, f32),
    s: Shape,
) {
    for (c, (y, x)) in y.chunks_exact_mut(s.area).zip(x.chunks_exact(s.area)).enumerate() {
        let scale = gamma[c] * rstd;
        let shift = beta[c] - mean * scale;
        // Loops, not `for_each`: a closure handed on is compiled apart, without the instruction
        // set of this one, and its multiply-add becomes a call into libm.
        if s.silu {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = silu(fused, fused.mul_add(x, scale, shift));
            }
        } else {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = fused.mul_add(x, scale, shift);
            }
        }
    }
}

/// `y` again, to the bit, from what [`group_norm`] was given and the statistics that it gave.
pub fn normalized((x, gamma, beta): (&[f32], &[f32], &[f32]), stats: &[f32], s: Shape) -> Vec<f32> {
    let mut y = pool::take(x.len());
    let groups = x.chunks_exact(s.group()).zip(stats.chunks_exact(2));
    let items: Vec<_> = y.chunks_exact_mut(s.group()).zip(groups).enumerate().collect();
    each(x.len(), items, |(index, (y, (x, stats)))| {
        let first = index % s.groups * (s.channels / s.groups);
        simd::run(
            #[inline(always)]
            |fused| normalize(fused, (x, y), (&gamma[first..], &beta[first..]), (stats[0], stats[1]), s),
        );
    });
    y
}

/// `(y, stats)`, where `stats [N, G, 2]` holds mean and 1/σ of each group.
pub fn group_norm(x: &[f32], gamma: &[f32], beta: &[f32], s: Shape) -> (Vec<f32>, Vec<f32>) {
    let mut y = pool::take(x.len());
    let mut stats = vec![0.0; x.len() / s.group() * 2];
    let items: Vec<_> = y
        .chunks_exact_mut(s.group())
        .zip(x.chunks_exact(s.group()))
        .zip(stats.chunks_exact_mut(2))
        .enumerate()
        .collect();
    each(x.len(), items, |(index, ((y, x), stats))| {
        let first = index % s.groups * (s.channels / s.groups);
        simd::run(
            #[inline(always)]
            |fused| {
                let count = x.len() as f64;
                let mean = (simd::sum1(x, |v| v) / count) as f32;
                let var = simd::sum1(x, |v| (v - mean) * (v - mean)) / count;
                let rstd = (1.0 / (var + f64::from(s.eps)).sqrt()) as f32;
                (stats[0], stats[1]) = (mean, rstd);
                normalize(fused, (x, y), (&gamma[first..], &beta[first..]), (mean, rstd), s);
            },
        );
    });
    (y, stats)
}

/// `(dx, dgamma, dbeta)` from what [`group_norm`] was given and gave.
pub fn group_norm_backward(
    (x, gamma, beta): (&[f32], &[f32], &[f32]),
    stats: &[f32],
    g: &[f32],
    s: Shape,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let per_group = s.channels / s.groups;
    let batch = x.len() / (s.channels * s.area);
    let mut dx = pool::take(x.len());
    // Σ du x̂ and Σ du of each channel of each sample.
    let mut sums = vec![[0.0f64; 2]; batch * s.channels];
    let items: Vec<_> = dx
        .chunks_exact_mut(s.group())
        .zip(x.chunks_exact(s.group()).zip(g.chunks_exact(s.group())))
        .zip(stats.chunks_exact(2).zip(sums.chunks_exact_mut(per_group)))
        .enumerate()
        .collect();
    each(x.len(), items, |(index, ((dx, (x, g)), (stats, sums)))| {
        let first = index % s.groups * per_group;
        let (mean, rstd) = (stats[0], stats[1]);
        simd::run(
            #[inline(always)]
            |fused| {
                // dx first holds du, the gradient ahead of SiLU.
                let (mut along, mut level) = (0.0, 0.0);
                for (c, sums) in sums.iter_mut().enumerate() {
                    let plane = c * s.area..(c + 1) * s.area;
                    let (du, x, g) = (&mut dx[plane.clone()], &x[plane.clone()], &g[plane]);
                    let scale = gamma[first + c] * rstd;
                    let shift = beta[first + c] - mean * scale;
                    if s.silu {
                        for ((du, &x), &g) in du.iter_mut().zip(x).zip(g) {
                            *du = g * silu_slope(fused, fused.mul_add(x, scale, shift));
                        }
                    } else {
                        du.copy_from_slice(g);
                    }
                    let normal = simd::sum2(du, x, |du, x| du * ((x - mean) * rstd));
                    let plain = simd::sum1(du, |du| du);
                    *sums = [normal, plain];
                    along += normal * f64::from(gamma[first + c]);
                    level += plain * f64::from(gamma[first + c]);
                }
                let count = dx.len() as f64;
                let (along, level) = ((along / count) as f32, (level / count) as f32);
                for (c, (dx, x)) in dx.chunks_exact_mut(s.area).zip(x.chunks_exact(s.area)).enumerate() {
                    let gamma = gamma[first + c];
                    for (dx, &x) in dx.iter_mut().zip(x) {
                        let normal = (x - mean) * rstd;
                        *dx = rstd * (gamma * *dx - level - normal * along);
                    }
                }
            },
        );
    });
    let total = |k: usize| -> Vec<f32> {
        (0..s.channels).map(|c| (0..batch).map(|n| sums[n * s.channels + c][k]).sum::<f64>() as f32).collect()
    };
    (dx, total(0), total(1))
}
