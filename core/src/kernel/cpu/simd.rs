//! Run-time choice of instruction set, elementary functions without branches, and sums in a fixed order.
//!
//! A kernel is a closure marked `#[inline(always)]` and given to [`run`]: it is compiled once for each
//! instruction set (AVX-512, AVX2, NEON, portable) and LLVM vectorises its loops. The closure receives
//! [`Fused`], which says whether the set has a fused multiply-add: without one `f32::mul_add` is a slow call
//! into libm.

use pulp::{Arch, Simd, WithSimd};

/// Whether the instruction set of the running kernel has a fused multiply-add; a constant after inlining.
#[derive(Clone, Copy, Debug)]
pub struct Fused(bool);

impl Fused {
    /// `a · b + c`.
    #[inline(always)]
    pub fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        if self.0 { a.mul_add(b, c) } else { a * b + c }
    }
}

struct Run<F>(F);

impl<R, F: FnOnce(Fused) -> R> WithSimd for Run<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> R {
        // On x86 registers of 8 lanes or more mean AVX2 + FMA; AArch64 always fuses.
        (self.0)(Fused(size_of::<S::f32s>() >= 32 || cfg!(target_arch = "aarch64")))
    }
}

/// Runs `kernel` (which must be `#[inline(always)]`) compiled for the best instruction set of this machine.
#[inline]
pub fn run<R>(kernel: impl FnOnce(Fused) -> R) -> R {
    Arch::new().dispatch(Run(kernel))
}

/// Which instruction set a kernel written for vectors of any width runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// The best of this machine.
    Best,
    /// Plain scalar code: what machines without a known set run, and tests everywhere.
    #[cfg_attr(not(test), allow(dead_code, reason = "named by tests; `Best` reaches it by itself"))]
    Portable,
}

impl Set {
    /// Runs `kernel`.
    #[inline]
    pub fn run<K: WithSimd>(self, kernel: K) -> K::Output {
        match self {
            Self::Best => Arch::new().dispatch(kernel),
            Self::Portable => kernel.with_simd(pulp::Scalar::new()),
        }
    }

    /// Numbers in a vector.
    pub fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _simd: S) -> usize {
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }
}

/// Independent partial sums of a reduction: two AVX-512 registers, four AVX2 registers.
const LANES: usize = 32;
/// Elements summed in `f32` before the total moves to `f64`.
const BLOCK: usize = 4096;

/// `e^x`: 2ⁿ · p(r) with x = n·ln 2 + r; relative error below 2e-7. Saturates at 2.4e38, 0 below −87.3.
#[inline(always)]
pub fn exp(fused: Fused, x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves the nearest integer in the low bits
    // Comparisons, not `min`/`max`: those would drop a NaN.
    let clamped = if x > 88.376_26 { 88.376_26 } else { x };
    let shifted = fused.mul_add(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fused.mul_add(n, -0.693_359_4, clamped);
    let r = fused.mul_add(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    p = fused.mul_add(p, r, 1.398_199_9e-3);
    p = fused.mul_add(p, r, 8.333_452e-3);
    p = fused.mul_add(p, r, 4.166_579_6e-2);
    p = fused.mul_add(p, r, 1.666_666_6e-1);
    p = fused.mul_add(p, r, 0.5);
    let p = fused.mul_add(p, r * r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.3 { 0.0 } else { p * scale }
}

/// The logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(fused: Fused, x: f32) -> f32 {
    1.0 / (1.0 + exp(fused, -x))
}

/// Adds the lanes pairwise.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ f(xᵢ)`.
#[inline(always)]
pub fn sum1(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0_f64;
    for block in x.chunks(BLOCK) {
        let mut lanes = [0.0_f32; LANES];
        let (body, tail) = block.as_chunks::<LANES>();
        for chunk in body {
            for i in 0..LANES {
                lanes[i] += f(chunk[i]);
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(tail) {
            *lane += f(value);
        }
        total += f64::from(fold(lanes));
    }
    total
}

/// The largest value; a NaN is passed over.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (body, tail) = x.as_chunks::<LANES>();
    for chunk in body {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(tail) {
        *lane = if value > *lane { value } else { *lane };
    }
    lanes.iter().fold(f32::NEG_INFINITY, |most, &lane| if lane > most { lane } else { most })
}

/// Replaces every value by `f` of it and adds them up, in `f32`: for rows of a few thousand.
#[inline(always)]
pub fn map_sum(x: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (body, tail) = x.as_chunks_mut::<LANES>();
    for chunk in body {
        for i in 0..LANES {
            chunk[i] = f(chunk[i]);
            lanes[i] += chunk[i];
        }
    }
    for (lane, value) in lanes.iter_mut().zip(tail) {
        *value = f(*value);
        *lane += *value;
    }
    fold(lanes)
}

/// `Σ f(xᵢ, yᵢ)`.
#[inline(always)]
pub fn sum2(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let mut total = 0.0_f64;
    for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
        let mut lanes = [0.0_f32; LANES];
        let ((x_body, x_tail), (y_body, y_tail)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
        for (x, y) in x_body.iter().zip(y_body) {
            for i in 0..LANES {
                lanes[i] += f(x[i], y[i]);
            }
        }
        for ((lane, &x), &y) in lanes.iter_mut().zip(x_tail).zip(y_tail) {
            *lane += f(x, y);
        }
        total += f64::from(fold(lanes));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(f: fn(Fused, f32) -> f32, exact: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let steps = 200_000;
        let x: Vec<f32> = (0..=steps).map(|i| from + (to - from) * i as f32 / steps as f32).collect();
        let y: Vec<f32> = run(
            #[inline(always)]
            |fused| x.iter().map(|&x| f(fused, x)).collect(),
        );
        let error = |(x, y): (&f32, &f32)| {
            let want = exact(f64::from(*x));
            (f64::from(*y) - want).abs() / want.abs().max(1e-30)
        };
        x.iter().zip(&y).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn exp_agrees_with_libm() {
        assert!(worst(exp, f64::exp, -80.0, 88.3) < 2e-7);
        assert!(worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -60.0, 60.0) < 4e-7);
        assert!(worst(exp, |x| x.exp() * 1.000_001, -1.0, 1.0) > 5e-7, "a perturbed target is rejected");
    }

    #[test]
    fn extremes_are_finite_and_nan_stays_nan() {
        for fused in [Fused(true), Fused(false)] {
            assert_eq!(exp(fused, -1000.0), 0.0);
            assert_eq!(exp(fused, f32::NEG_INFINITY), 0.0);
            assert!(exp(fused, 1000.0) > 2e38);
            assert!(exp(fused, f32::NAN).is_nan());
        }
    }

    #[test]
    fn largest_and_mapped_sum_agree_for_every_length() {
        for n in [1, 31, 32, 33, 200] {
            let mut x: Vec<f32> = (0..n).map(|i| ((i * 7) % 13) as f32 - 20.0).collect();
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let want: f32 = x.iter().map(|v| 2.0 * v).sum();
            assert_eq!(map_sum(&mut x, |v| 2.0 * v), want);
            assert!(x.iter().all(|v| v % 2.0 == 0.0));
        }
    }

    #[test]
    fn sums_agree_for_every_length() {
        for n in [0, 1, 31, 32, 33, 4096, 4129, 10_000] {
            let x: Vec<f32> = (0..n).map(|i| (i % 17) as f32).collect();
            let want: f64 = x.iter().map(|&v| f64::from(v)).sum();
            assert_eq!(sum1(&x, |v| v), want);
            assert_eq!(sum2(&x, &x, |a, b| a + b), 2.0 * want);
        }
    }
}
