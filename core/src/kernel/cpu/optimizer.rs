//! AdamW, moving averages and the global norm over all weights of a model at once: each value is read and
//! written once, in place, in parts that the threads share.

use super::parallel::{PART, each};
use super::simd;

/// One weight on its way through AdamW; all slices equally long.
#[derive(Debug)]
pub struct Weight<'a> {
    pub value: &'a mut [f32],
    pub m: &'a mut [f32],
    pub v: &'a mut [f32],
    pub grad: &'a [f32],
}

/// The constants of one step of AdamW.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Factor on gradients (the clip).
    pub clip: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// `√(1 − β₂ᵗ)`.
    pub root: f32,
    /// `lr / (1 − β₁ᵗ)`.
    pub rate: f32,
    /// `1 − lr · weight decay`.
    pub decay: f32,
}

/// One step: decay, moments, `value −= rate · m / (√v / root + eps)`.
pub fn adamw(weights: Vec<Weight>, rule: Rule) {
    let total = weights.iter().map(|w| w.grad.len()).sum();
    let parts = weights.into_iter().flat_map(|w| {
        assert!([w.value.len(), w.m.len(), w.v.len()] == [w.grad.len(); 3], "lengths of a weight differ");
        let moments = w.m.chunks_mut(PART).zip(w.v.chunks_mut(PART));
        w.value.chunks_mut(PART).zip(moments).zip(w.grad.chunks(PART))
    });
    let (rise1, rise2) = (1.0 - rule.beta1, 1.0 - rule.beta2);
    each(total, parts.collect(), |((value, (m, v)), grad)| {
        simd::run(
            #[inline(always)]
            |_| {
                let moments = m.iter_mut().zip(v.iter_mut());
                for ((value, (m, v)), &grad) in value.iter_mut().zip(moments).zip(grad) {
                    let grad = grad * rule.clip;
                    *m = *m * rule.beta1 + grad * rise1;
                    *v = *v * rule.beta2 + grad * grad * rise2;
                    let denominator = v.sqrt() / rule.root + rule.eps;
                    *value = *value * rule.decay - *m / denominator * rule.rate;
                }
            },
        );
    });
}

/// `average = decay · average + (1 − decay) · value` of every pair.
pub fn ema(pairs: Vec<(&mut [f32], &[f32])>, decay: f32) {
    let total = pairs.iter().map(|(_, value)| value.len()).sum();
    let parts = pairs.into_iter().flat_map(|(average, value)| {
        assert_eq!(average.len(), value.len(), "average and value differ in length");
        average.chunks_mut(PART).zip(value.chunks(PART))
    });
    let rise = 1.0 - decay;
    each(total, parts.collect(), |(average, value)| {
        simd::run(
            #[inline(always)]
            |_| {
                for (average, &value) in average.iter_mut().zip(value) {
                    *average = *average * decay + value * rise;
                }
            },
        );
    });
}

/// The sum of all squares, added up in a fixed order.
pub fn sum_of_squares(all: &[&[f32]]) -> f64 {
    let parts: Vec<&[f32]> = all.iter().flat_map(|values| values.chunks(PART)).collect();
    let mut sums = vec![0.0_f64; parts.len()];
    let total = all.iter().map(|values| values.len()).sum();
    each(total, sums.iter_mut().zip(parts).collect(), |(sum, part)| {
        *sum = simd::run(
            #[inline(always)]
            |_| simd::sum1(part, |v| v * v),
        );
    });
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values, wide};
    use super::*;

    #[test]
    fn weights_move_as_the_formula_says() {
        let rule = Rule { clip: 0.7, beta1: 0.9, beta2: 0.99, eps: 1e-6, root: 0.3, rate: 0.05, decay: 0.98 };
        for sizes in [vec![1], vec![3, 0, 40_000], vec![20_000, 20_000]] {
            let make = |seed: u64| -> Vec<Vec<f32>> {
                sizes.iter().enumerate().map(|(i, &n)| values(seed + 10 * i as u64, n)).collect()
            };
            let (mut value, mut m, grad) = (make(1), make(2), make(3));
            let mut v: Vec<Vec<f32>> =
                make(4).into_iter().map(|v| v.iter().map(|x| x * x).collect()).collect();
            let before: Vec<_> = [&value, &m, &v, &grad].map(|all| wide(&all.concat())).into();
            let slots = value.iter_mut().zip(&mut m).zip(v.iter_mut().zip(&grad));
            adamw(slots.map(|((value, m), (v, grad))| Weight { value, m, v, grad }).collect(), rule);
            let wide_rule = [rule.clip, rule.beta1, rule.beta2, rule.eps, rule.root, rule.rate, rule.decay];
            let [clip, beta1, beta2, eps, root, rate, decay] = wide_rule.map(f64::from);
            let at = |list: usize, i: usize| before[list][i];
            let count = before[0].len();
            let new_m = |i: usize| at(1, i) * beta1 + at(3, i) * clip * (1.0 - beta1);
            let new_v = |i: usize| at(2, i) * beta2 + (at(3, i) * clip).powi(2) * (1.0 - beta2);
            let moved = |i: usize| at(0, i) * decay - new_m(i) / (new_v(i).sqrt() / root + eps) * rate;
            assert_close("m", &m.concat(), &(0..count).map(new_m).collect::<Vec<_>>(), 1e-6);
            assert_close("v", &v.concat(), &(0..count).map(new_v).collect::<Vec<_>>(), 1e-6);
            assert_close("value", &value.concat(), &(0..count).map(moved).collect::<Vec<_>>(), 1e-6);
        }
    }

    #[test]
    fn averages_follow_and_squares_add_up() {
        let (mut average, value) = (values(1, 50_000), values(2, 50_000));
        let want: Vec<f64> =
            wide(&average).iter().zip(wide(&value)).map(|(a, v)| a * 0.75 + v * 0.25).collect();
        ema(vec![(&mut average, &value)], 0.75);
        assert_close("average", &average, &want, 1e-6);
        let squares: f64 = wide(&value).iter().map(|v| v * v).sum();
        let (head, tail) = value.split_at(17_001);
        assert_close("squares", &[sum_of_squares(&[head, tail, &[]]) as f32], &[squares], 1e-6);
        assert_eq!(sum_of_squares(&[]), 0.0);
    }
}
