//! Gated residual of the adaLN-Zero block (Peebles & Xie 2023): `y = x + gate · h`, the gate per picture.

use super::parallel::{PART, each};
use super::pool;
use super::simd;

/// `y = x + gate · h`.
///
/// # Shapes
/// x, h [B, N, D], gate [B, D] → [B, N, D]
pub fn forward(x: &[f32], h: &[f32], gate: &[f32], d: usize) -> Vec<f32> {
    assert_eq!(x.len(), h.len(), "x and h differ in length");
    let per_image = x.len() / (gate.len() / d);
    let mut y = pool::take(x.len());
    let images =
        y.chunks_mut(per_image).zip(x.chunks(per_image)).zip(h.chunks(per_image)).zip(gate.chunks(d));
    each(x.len(), images.collect(), |(((y, x), h), gate)| {
        simd::run(
            #[inline(always)]
            |fused| {
                let rows = y.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(h.chunks_exact(d));
                for ((y, x), h) in rows {
                    for (((y, &x), &h), &gate) in y.iter_mut().zip(x).zip(h).zip(gate) {
                        *y = fused.mul_add(gate, h, x);
                    }
                }
            },
        );
    });
    y
}

/// `y = x + h`, same length.
pub fn sum(x: &[f32], h: &[f32]) -> Vec<f32> {
    assert_eq!(x.len(), h.len(), "x and h differ in length");
    let mut y = pool::take(x.len());
    let parts = y.chunks_mut(PART).zip(x.chunks(PART).zip(h.chunks(PART))).collect();
    each(x.len(), parts, |(y, (x, h))| {
        simd::run(
            #[inline(always)]
            |_| {
                for (y, (&x, &h)) in y.iter_mut().zip(x.iter().zip(h)) {
                    *y = x + h;
                }
            },
        );
    });
    y
}

/// The branch's gradient `dh = gate · g`; that of x is g itself.
///
/// # Shapes
/// gate [B, D], g [B, N, D] → [B, N, D]
pub fn grad_branch(gate: &[f32], g: &[f32], tokens: usize, d: usize) -> Vec<f32> {
    assert_eq!(gate.len() * tokens, g.len(), "one gate for each image");
    let mut dh = pool::take(g.len());
    let images = dh.chunks_mut(tokens * d).zip(g.chunks(tokens * d)).zip(gate.chunks(d));
    each(g.len(), images.collect(), |((dh, g), gate)| {
        simd::run(
            #[inline(always)]
            |_| {
                for (dh, g) in dh.chunks_exact_mut(d).zip(g.chunks_exact(d)) {
                    for ((dh, &g), &gate) in dh.iter_mut().zip(g).zip(gate) {
                        *dh = gate * g;
                    }
                }
            },
        );
    });
    dh
}

/// The gate's gradient `dgate = Σ_n h · g`.
///
/// # Shapes
/// h, g [B, N, D] → [B, D]
pub fn grad_gate(h: &[f32], g: &[f32], tokens: usize, d: usize) -> Vec<f32> {
    assert_eq!(h.len(), g.len(), "h and g differ in length");
    let mut dgate = vec![0.0; g.len() / tokens];
    let images = dgate.chunks_mut(d).zip(h.chunks(tokens * d)).zip(g.chunks(tokens * d));
    each(g.len(), images.collect(), |((dgate, h), g)| {
        simd::run(
            #[inline(always)]
            |fused| {
                for (h, g) in h.chunks_exact(d).zip(g.chunks_exact(d)) {
                    for ((dgate, &h), &g) in dgate.iter_mut().zip(h).zip(g) {
                        *dgate = fused.mul_add(h, g, *dgate);
                    }
                }
            },
        );
    });
    dgate
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values};
    use super::*;

    #[test]
    fn forward_and_gradients_agree_with_the_formula() {
        for (b, n, d) in [(1, 1, 1), (3, 5, 17), (4, 64, 192)] {
            let len = b * n * d;
            let (x, h, g, gate) = (values(1, len), values(2, len), values(3, len), values(4, b * d));
            let at = |v: &[f32], i: usize| f64::from(v[i]);
            let gate_of = |i: usize| at(&gate, i / (n * d) * d + i % d);
            let y: Vec<f64> = (0..len).map(|i| at(&x, i) + gate_of(i) * at(&h, i)).collect();
            let dh: Vec<f64> = (0..len).map(|i| gate_of(i) * at(&g, i)).collect();
            let mut dgate = vec![0.0; b * d];
            for i in 0..len {
                dgate[i / (n * d) * d + i % d] += at(&h, i) * at(&g, i);
            }
            let plain: Vec<f64> = (0..len).map(|i| at(&x, i) + at(&h, i)).collect();
            assert_close("sum", &sum(&x, &h), &plain, 1e-6);
            assert_close("y", &forward(&x, &h, &gate, d), &y, 1e-6);
            assert_close("dh", &grad_branch(&gate, &g, n, d), &dh, 1e-6);
            assert_close("dgate", &grad_gate(&h, &g, n, d), &dgate, 2e-6);
        }
    }
}
