//! The transforms of F(4, 3) and F(2, 5): four outputs of a three-tap correlation, or two of a five-tap one, from
//! six products (Winograd 1980; Lavin & Gray 2016), on vectors.
//!
//! With the points 0, ±a, ±b and ∞ the correlation is `y = Aᵀ [(G g) ⊙ (Bᵀ d)]`. Here a = √½ and b = √2: their
//! powers stay close to one, which loses half a digit less than the usual 1 and 2, and a²b² = 1 spares products.

use pulp::Simd;

const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
const B: f32 = std::f32::consts::SQRT_2;
/// `a²` and `b²`.
const AA: f32 = 0.5;
const BB: f32 = 2.0;
/// `a² + b²`
const SUM: f32 = 2.5;
/// One over the products of differences of the points: `1 / 2a²(a² − b²)` and `1 / 2b²(b² − a²)`.
const OVER_A: f32 = -1.0 / 1.5;
const OVER_B: f32 = 1.0 / 6.0;

/// `factor · x + y` with a constant.
#[inline(always)]
fn along<S: Simd>(simd: S, factor: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y)
}

#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), x)
}

/// `x + y` and `x − y`.
#[inline(always)]
fn both<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> [S::f32s; 2] {
    [simd.add_f32s(x, y), simd.sub_f32s(x, y)]
}

/// `Bᵀ d` of six inputs.
#[inline(always)]
pub fn window<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let even_a = along(simd, -BB, d[2], d[4]);
    let odd_a = times(simd, A, along(simd, -BB, d[1], d[3]));
    let even_b = along(simd, -AA, d[2], d[4]);
    let odd_b = times(simd, B, along(simd, -AA, d[1], d[3]));
    let [a, minus_a] = both(simd, even_a, odd_a);
    let [b, minus_b] = both(simd, even_b, odd_b);
    let zero = along(simd, -SUM, d[2], simd.add_f32s(d[0], d[4]));
    let infinite = along(simd, -SUM, d[3], simd.add_f32s(d[1], d[5]));
    [zero, a, minus_a, b, minus_b, infinite]
}

/// `Aᵀ m`: `M` outputs of six products.
#[inline(always)]
pub fn outputs<S: Simd, const M: usize>(simd: S, m: [S::f32s; 6]) -> [S::f32s; M] {
    let [even_a, odd_a] = both(simd, m[1], m[2]);
    let [even_b, odd_b] = both(simd, m[3], m[4]);
    let mut y = [m[0]; M];
    let (mut power_a, mut power_b) = (1.0, 1.0);
    for (k, y) in y.iter_mut().enumerate() {
        *y = match k {
            0 => simd.add_f32s(m[0], simd.add_f32s(even_a, even_b)),
            _ if k % 2 == 0 => along(simd, power_a, even_a, times(simd, power_b, even_b)),
            _ => along(simd, power_a, odd_a, times(simd, power_b, odd_b)),
        };
        (power_a, power_b) = (power_a * A, power_b * B);
    }
    y[M - 1] = simd.add_f32s(y[M - 1], m[5]);
    y
}

/// `G g` of `R` taps, an odd number.
#[inline(always)]
pub fn kernel<S: Simd, const R: usize>(simd: S, g: [S::f32s; R]) -> [S::f32s; 6] {
    let (mut even_a, mut even_b) = (g[R - 1], g[R - 1]);
    let (mut odd_a, mut odd_b) = (g[R - 2], g[R - 2]);
    for k in (0..R - 2).rev() {
        if k % 2 == 0 {
            (even_a, even_b) = (along(simd, AA, even_a, g[k]), along(simd, BB, even_b, g[k]));
        } else {
            (odd_a, odd_b) = (along(simd, AA, odd_a, g[k]), along(simd, BB, odd_b, g[k]));
        }
    }
    let [a, minus_a] = both(simd, times(simd, OVER_A, even_a), times(simd, OVER_A * A, odd_a));
    let [b, minus_b] = both(simd, times(simd, OVER_B, even_b), times(simd, OVER_B * B, odd_b));
    [g[0], a, minus_a, b, minus_b, g[R - 1]]
}

/// `A y`, the transpose of four [`outputs`]: six from their gradients.
#[inline(always)]
pub fn spread<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
    let even_a = along(simd, AA, y[2], y[0]);
    let odd_a = along(simd, A * AA, y[3], times(simd, A, y[1]));
    let even_b = along(simd, BB, y[2], y[0]);
    let odd_b = along(simd, B * BB, y[3], times(simd, B, y[1]));
    let [a, minus_a] = both(simd, even_a, odd_a);
    let [b, minus_b] = both(simd, even_b, odd_b);
    [y[0], a, minus_a, b, minus_b, y[3]]
}

/// `Gᵀ u`, the transpose of [`kernel`] of three taps: their gradients.
#[inline(always)]
pub fn taps<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
    let [even_a, odd_a] = both(simd, times(simd, OVER_A, u[1]), times(simd, OVER_A, u[2]));
    let [even_b, odd_b] = both(simd, times(simd, OVER_B, u[3]), times(simd, OVER_B, u[4]));
    [
        simd.add_f32s(u[0], simd.add_f32s(even_a, even_b)),
        along(simd, A, odd_a, times(simd, B, odd_b)),
        along(simd, AA, even_a, along(simd, BB, even_b, u[5])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs_are_the_correlation<const M: usize, const R: usize>(g: [f32; R]) {
        let (simd, d) = (pulp::Scalar::new(), [0.3, -1.2, 0.8, 2.0, -0.7, 1.1]);
        let (window, kernel) = (window(simd, d), kernel(simd, g));
        let y: [f32; M] = outputs(simd, std::array::from_fn(|i| window[i] * kernel[i]));
        for (i, y) in y.into_iter().enumerate() {
            let want: f32 = (0..R).map(|k| d[i + k] * g[k]).sum();
            assert!((y - want).abs() < 2e-6, "output {i}: {y} against {want}");
            assert!((y + 1e-4 - want).abs() > 2e-6, "cannot fail");
        }
    }

    #[test]
    fn both_forms_are_the_correlation() {
        outputs_are_the_correlation::<4, 3>([0.5, -0.25, 1.5]);
        outputs_are_the_correlation::<2, 5>([0.5, -0.25, 1.5, 0.75, -1.0]);
    }

    #[test]
    fn the_backward_transforms_are_transposes() {
        let simd = pulp::Scalar::new();
        let (m, y) = ([0.4, -1.0, 0.3, 0.9, 2.0, -0.6], [1.0, -0.5, 0.25, 2.0]);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (left, right) = (dot(&outputs::<_, 4>(simd, m), &y), dot(&m, &spread(simd, y)));
        assert!((left - right).abs() < 1e-5, "{left} against {right}");
        let g = [0.7, -1.3, 0.2];
        let (left, right) = (dot(&kernel(simd, g), &m), dot(&g, &taps(simd, m)));
        assert!((left - right).abs() < 1e-5, "{left} against {right}");
    }
}
