//! The update of the weights: AdamW (Loshchilov & Hutter 2019) in the order of PyTorch's
//! `torch.optim.AdamW`, the running average of the weights, and the sum of squares that clipping needs.

use super::parallel::{PART, each};
use super::simd;
use rayon::prelude::*;

/// Constants of one AdamW step.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    pub weight_decay: f32,
    /// Steps taken, this one included: the first is 1.
    pub step: u32,
    /// Factor on the gradient: 1, or that of clipping.
    pub grad_scale: f32,
}

/// One step in place: `p ← p (1 − lr·wd) − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)`; all slices the same length.
pub fn adamw_step(param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], c: AdamW) {
    assert!(param.len() == grad.len() && m.len() == grad.len() && v.len() == grad.len(), "lengths differ");
    let power = |beta: f32| f64::from(beta).powi(i32::try_from(c.step).unwrap_or(i32::MAX));
    let keep = (1.0 - f64::from(c.lr) * f64::from(c.weight_decay)) as f32;
    let rate = (f64::from(c.lr) / (1.0 - power(c.beta1))) as f32;
    let unbias = (1.0 / (1.0 - power(c.beta2)).sqrt()) as f32;
    let parts = param.chunks_mut(PART).zip(grad.chunks(PART)).zip(m.chunks_mut(PART)).zip(v.chunks_mut(PART));
    each(grad.len(), parts.collect(), |(((param, grad), m), v)| {
        simd::run(
            #[inline(always)]
            |fused| {
                for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(m).zip(v) {
                    let g = g * c.grad_scale;
                    *m = fused.mul_add(1.0 - c.beta1, g, c.beta1 * *m);
                    *v = fused.mul_add((1.0 - c.beta2) * g, g, c.beta2 * *v);
                    let denominator = fused.mul_add(v.sqrt(), unbias, c.eps);
                    *p = fused.mul_add(*p, keep, -(rate * *m / denominator));
                }
            },
        );
    });
}

/// `average ← decay · average + (1 − decay) · param`.
pub fn ema(average: &mut [f32], param: &[f32], decay: f32) {
    assert_eq!(average.len(), param.len(), "lengths differ");
    let parts = average.chunks_mut(PART).zip(param.chunks(PART)).collect();
    each(param.len(), parts, |(average, param)| {
        simd::run(
            #[inline(always)]
            |fused| {
                for (a, &p) in average.iter_mut().zip(param) {
                    *a = fused.mul_add(1.0 - decay, p - *a, *a);
                }
            },
        );
    });
}

/// `Σ x²`.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let part = |x: &[f32]| {
        simd::run(
            #[inline(always)]
            |_| simd::sum1(x, |v| v * v),
        )
    };
    if x.len() < 4 * PART {
        return x.chunks(PART).map(part).sum();
    }
    let parts: Vec<f64> = x.par_chunks(PART).map(part).collect();
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values, wide};
    use super::*;

    #[test]
    fn adamw_agrees_with_pytorchs_order_over_three_steps() {
        for n in [1, 33, 70_003] {
            let (mut p, mut m, mut v) = (values(1, n), vec![0.0; n], vec![0.0; n]);
            let (mut pw, mut mw, mut vw) = (wide(&p), vec![0.0; n], vec![0.0; n]);
            for step in 1..=3 {
                let g = values(u64::from(step) + 7, n);
                let c = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, step, grad_scale: 0.5 };
                adamw_step(&mut p, &g, &mut m, &mut v, c);
                for i in 0..n {
                    let g = f64::from(g[i]) * 0.5;
                    pw[i] *= 1.0 - 1e-2 * 0.1;
                    mw[i] = 0.9 * mw[i] + 0.1 * g;
                    vw[i] = 0.999 * vw[i] + 0.001 * g * g;
                    let denominator = vw[i].sqrt() / (1.0 - 0.999_f64.powi(step as i32)).sqrt() + 1e-8;
                    pw[i] -= 1e-2 / (1.0 - 0.9_f64.powi(step as i32)) * mw[i] / denominator;
                }
            }
            // 1 − 0.999 in f32 is off by 5e-5, which the unbiased square root carries to 1e-5 of a step.
            assert_close("p", &p, &pw, 2e-6);
            assert_close("m", &m, &mw, 1e-6);
            assert_close("v", &v, &vw, 1e-4);
        }
    }

    #[test]
    fn average_and_squares_agree() {
        for n in [1, 31, 100_001] {
            let (mut a, p) = (values(1, n), values(2, n));
            let want: Vec<f64> = a.iter().zip(&p).map(|(&a, &p)| 0.99 * f64::from(a) + 0.01 * f64::from(p)).collect();
            ema(&mut a, &p, 0.99);
            assert_close("average", &a, &want, 1e-6);
            let want = p.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
            assert!((sum_of_squares(&p) - want).abs() <= 1e-6 * want);
        }
    }
}
