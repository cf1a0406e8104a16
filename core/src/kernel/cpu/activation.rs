//! Elementwise activations, forward and backward from the saved input.
//!
//! GELU in its tanh form (Hendrycks & Gimpel 2016) is written `x · σ(2u)` with
//! `u = √(2/π) (x + 0.044715 x³)`: the same function, since `½ (1 + tanh u) = σ(2u)`, without the cancellation.

use super::parallel::{PART, each};
use super::pool;
use super::simd::{self, Fused};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x · σ(x)`
    Silu,
    /// GELU, tanh approximation.
    GeluTanh,
    /// `x` above 0, else 0.
    Relu,
    /// `x` above 0, `slope · x` below.
    LeakyRelu(f32),
    /// `x` between 0 and 6, the nearer of them outside.
    Relu6,
}

/// `y = f(x)`, same length.
pub fn forward(x: &[f32], activation: Activation) -> Vec<f32> {
    let mut y = pool::take(x.len());
    let parts = y.chunks_mut(PART).zip(x.chunks(PART)).collect();
    each(x.len(), parts, |(y, x)| apply(x, y, activation));
    y
}

/// `dx = g · f'(x)`; at a kink the derivative from below, as PyTorch.
pub fn backward(x: &[f32], g: &[f32], activation: Activation) -> Vec<f32> {
    assert_eq!(x.len(), g.len(), "x and g differ in length");
    let mut dx = pool::take(x.len());
    let parts = dx.chunks_mut(PART).zip(x.chunks(PART).zip(g.chunks(PART))).collect();
    each(x.len(), parts, |(dx, (x, g))| {
        dx.copy_from_slice(g);
        apply_backward(x, dx, None, activation);
    });
    dx
}

/// [`forward`] into `y`, on this thread.
pub fn apply(x: &[f32], y: &mut [f32], activation: Activation) {
    match activation {
        Activation::Silu => map(x, y, silu),
        Activation::GeluTanh => map(x, y, gelu),
        Activation::Relu => map(x, y, |_, x| if x < 0.0 { 0.0 } else { x }),
        Activation::LeakyRelu(slope) => map(x, y, move |_, x| if x < 0.0 { slope * x } else { x }),
        Activation::Relu6 => map(x, y, |_, x| {
            let above = if x < 0.0 { 0.0 } else { x };
            if above > 6.0 { 6.0 } else { above }
        }),
    }
}

/// [`backward`] in place of `g`, on this thread; also puts `f(x)` into `value` where that is wanted.
pub fn apply_backward(x: &[f32], g: &mut [f32], value: Option<&mut [f32]>, activation: Activation) {
    match activation {
        Activation::Silu => map_back(x, g, |fused, x, g| g * silu_slope(fused, x)),
        Activation::GeluTanh => map_back(x, g, |fused, x, g| g * gelu_slope(fused, x)),
        // Chosen, not multiplied: nothing of an infinite g gets through a closed ReLU.
        Activation::Relu => map_back(x, g, |_, x, g| if x > 0.0 { g } else { 0.0 }),
        Activation::LeakyRelu(slope) => map_back(x, g, move |_, x, g| if x > 0.0 { g } else { slope * g }),
        Activation::Relu6 => map_back(x, g, |_, x, g| if x > 0.0 && x < 6.0 { g } else { 0.0 }),
    }
    if let Some(value) = value {
        apply(x, value, activation);
    }
}

/// `x · σ(x)`.
#[inline(always)]
pub fn silu(fused: Fused, x: f32) -> f32 {
    x / (1.0 + simd::exp(fused, -x))
}

/// d/dx of [`silu`]: `σ (1 + x (1 − σ))`.
#[inline(always)]
pub fn silu_slope(fused: Fused, x: f32) -> f32 {
    let s = simd::sigmoid(fused, x);
    s * fused.mul_add(x, 1.0 - s, 1.0)
}

const TWICE_SQRT_2_PI: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gelu(fused: Fused, x: f32) -> f32 {
    let u = TWICE_SQRT_2_PI * x * fused.mul_add(CUBIC * x, x, 1.0);
    x / (1.0 + simd::exp(fused, -u))
}

#[inline(always)]
fn gelu_slope(fused: Fused, x: f32) -> f32 {
    let square = x * x;
    let u = TWICE_SQRT_2_PI * x * fused.mul_add(CUBIC, square, 1.0);
    let e = simd::exp(fused, -u);
    let s = 1.0 / (1.0 + e);
    let du = TWICE_SQRT_2_PI * fused.mul_add(3.0 * CUBIC, square, 1.0);
    // σ + x σ (1 − σ) u'; far out x·u' is huge while 1 − σ is exactly 0, and never infinite for finite x² .
    // 1 − σ as e·σ: the difference would lose the digits that x·u' brings back.
    s * fused.mul_add(x * du, e * s, 1.0)
}

#[inline(always)]
fn map(x: &[f32], y: &mut [f32], f: impl Fn(Fused, f32) -> f32) {
    simd::run(
        #[inline(always)]
        |fused| {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = f(fused, x);
            }
        },
    );
}

#[inline(always)]
fn map_back(x: &[f32], g: &mut [f32], f: impl Fn(Fused, f32, f32) -> f32) {
    simd::run(
        #[inline(always)]
        |fused| {
            for (g, &x) in g.iter_mut().zip(x) {
                *g = f(fused, x, *g);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values};
    use super::*;

    fn exact(x: f64, activation: Activation) -> f64 {
        match activation {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::GeluTanh => {
                let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + u.tanh())
            }
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu(slope) => x.max(0.0) + f64::from(slope) * x.min(0.0),
            Activation::Relu6 => x.clamp(0.0, 6.0),
        }
    }

    const ALL: [Activation; 5] = [
        Activation::Silu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::LeakyRelu(0.2),
        Activation::Relu6,
    ];

    #[test]
    fn values_and_slopes_agree_with_the_formulas() {
        for n in [1, 15, 33, 70_001] {
            let x: Vec<f32> = values(5, n).iter().map(|v| v * 9.0).collect();
            let g = values(6, n);
            for f in ALL {
                let y: Vec<f64> = x.iter().map(|&v| exact(f64::from(v), f)).collect();
                let slope = |v: f64| match f {
                    // A difference quotient is wrong across a kink.
                    Activation::Relu => f64::from(u8::from(v > 0.0)),
                    Activation::LeakyRelu(slope) if v <= 0.0 => f64::from(slope),
                    Activation::LeakyRelu(_) => 1.0,
                    Activation::Relu6 => f64::from(u8::from(v > 0.0 && v < 6.0)),
                    _ => (exact(v + 1e-6, f) - exact(v - 1e-6, f)) / 2e-6,
                };
                let dx: Vec<f64> =
                    x.iter().zip(&g).map(|(&x, &g)| f64::from(g) * slope(f64::from(x))).collect();
                assert_close("y", &forward(&x, f), &y, 5e-7);
                assert_close("dx", &backward(&x, &g, f), &dx, 1e-6);
            }
        }
    }

    #[test]
    fn far_inputs_saturate_and_nan_stays_nan() {
        for f in ALL {
            let y = forward(&[-1e4, 1e4, f32::NAN], f);
            let dx = backward(&[-1e4, 1e4, f32::NAN], &[1.0; 3], f);
            assert!(y[..2].iter().chain(&dx[..2]).all(|v| v.is_finite()), "{f:?} {y:?} {dx:?}");
            assert!(y[2].is_nan(), "{f:?} hides a NaN");
        }
    }
}
