//! Two linear maps with an activation between, a few hundred rows at a time: the activated values exist
//! only while those rows are worked on. Forward keeps the hidden layer before the activation; backward
//! makes value and slope of it in one pass.

use super::activation::{self, Activation};
use super::gemm::{Layout, product};
use super::linear;
use super::parallel::{each, with_scratch};
use super::pool;

/// Weights as in PyTorch's `nn.Linear`: w1 [F, K], b1 [F], w2 [O, F], b2 [O].
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    pub w1: &'a [f32],
    pub b1: &'a [f32],
    pub w2: &'a [f32],
    pub b2: &'a [f32],
}

impl Weights<'_> {
    /// K, F and O.
    fn widths(&self) -> (usize, usize, usize) {
        let (f, o) = (self.b1.len(), self.b2.len());
        assert!(self.w1.len().is_multiple_of(f) && self.w2.len() == f * o, "weights of an MLP");
        (self.w1.len() / f, f, o)
    }
}

/// `(y, h)`: `h = x w1ᵀ + b1`, `y = act(h) w2ᵀ + b2`.
///
/// # Shapes
/// x [M, K] → [M, O], [M, F]
pub fn forward(x: &[f32], weights: Weights, activation: Activation) -> (Vec<f32>, Vec<f32>) {
    let (k, f, o) = weights.widths();
    let m = x.len() / k;
    let (mut y, mut h) = (pool::take(m * o), pool::take(m * f));
    // Where there are few rows, the threads share the products instead.
    let (rows, threads) = linear::shares(m);
    let items = y.chunks_mut(rows * o).zip(h.chunks_mut(rows * f)).zip(x.chunks(rows * k)).collect();
    each(m * f, items, |((y, h), x)| {
        linear::rows_forward(h, x, weights.w1, Some(weights.b1), k, threads);
        with_scratch(h.len(), |active| {
            activation::apply(h, active, activation);
            linear::rows_forward(y, active, weights.w2, Some(weights.b2), f, threads);
        });
    });
    (y, h)
}

/// Gradients of [`forward`]; those of the weights (w1, b1, w2, b2) only where asked for.
#[derive(Debug)]
pub struct Gradients {
    pub x: Vec<f32>,
    pub weights: Option<[Vec<f32>; 4]>,
}

/// Backward from what [`forward`] was given and gave; `x` is read for the weights alone.
///
/// # Shapes
/// x [M, K], h [M, F], g [M, O]
pub fn backward(
    x: &[f32],
    h: &[f32],
    (w1, w2): (&[f32], &[f32]),
    g: &[f32],
    f: usize,
    activation: Activation,
    train: bool,
) -> Gradients {
    let m = h.len() / f;
    let (k, o) = (w1.len() / f, w2.len() / f);
    let mut dx = pool::take(m * k);
    let (rows, threads) = linear::shares(m);
    let back = |dx: &mut [f32], dh: &mut [f32], active: Option<&mut [f32]>, h: &[f32], g: &[f32]| {
        let m = h.len() / f;
        let (wide, narrow, out) = (Layout::rows(0, f), Layout::rows(0, k), Layout::rows(0, o));
        product((m, f, o), (dh, wide), (g, out), (w2, wide), false, threads);
        activation::apply_backward(h, dh, active, activation);
        product((m, k, f), (dx, narrow), (dh, wide), (w1, narrow), false, threads);
    };
    let outputs = dx.chunks_mut(rows * k).zip(h.chunks(rows * f)).zip(g.chunks(rows * o));
    if !train {
        each(m * f, outputs.collect(), |((dx, h), g)| {
            with_scratch(h.len(), |dh| back(dx, dh, None, h, g));
        });
        return Gradients { x: dx, weights: None };
    }
    let (mut dh, mut active) = (pool::take(m * f), pool::take(m * f));
    let hidden = dh.chunks_mut(rows * f).zip(active.chunks_mut(rows * f));
    each(m * f, outputs.zip(hidden).collect(), |(((dx, h), g), (dh, active))| {
        back(dx, dh, Some(active), h, g);
    });
    let weights = [
        linear::grad_weight(&dh, x, k),
        linear::grad_bias(&dh, f),
        linear::grad_weight(g, &active, f),
        linear::grad_bias(g, o),
    ];
    [dh, active].into_iter().for_each(pool::give);
    Gradients { x: dx, weights: Some(weights) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values, wide};
    use super::*;

    /// The same in steps of its own functions, which have tests of their own.
    fn composed(x: &[f32], w: Weights, g: &[f32], act: Activation) -> ([Vec<f32>; 2], [Vec<f32>; 5]) {
        let (k, f, o) = w.widths();
        let h = linear::forward(x, w.w1, Some(w.b1), k);
        let a = activation::forward(&h, act);
        let y = linear::forward(&a, w.w2, Some(w.b2), f);
        let dh = activation::backward(&h, &linear::grad_input(g, w.w2, f), act);
        let grads = [
            linear::grad_input(&dh, w.w1, k),
            linear::grad_weight(&dh, x, k),
            linear::grad_bias(&dh, f),
            linear::grad_weight(g, &a, f),
            linear::grad_bias(g, o),
        ];
        ([y, h], grads)
    }

    #[test]
    fn forward_and_gradients_agree_with_the_parts() {
        for (m, k, f, o) in [(1, 1, 1, 1), (7, 5, 9, 3), (1100, 12, 33, 17)] {
            for act in [Activation::GeluTanh, Activation::Silu, Activation::Relu] {
                let (x, g) = (values(1, m * k), values(2, m * o));
                let (w1, b1, w2, b2) = (values(3, f * k), values(4, f), values(5, f * o), values(6, o));
                let weights = Weights { w1: &w1, b1: &b1, w2: &w2, b2: &b2 };
                let ([y, h], want) = composed(&x, weights, &g, act);
                let (got_y, got_h) = forward(&x, weights, act);
                assert_close("y", &got_y, &wide(&y), 1e-6);
                assert_close("h", &got_h, &wide(&h), 1e-6);
                let got = backward(&x, &h, (&w1, &w2), &g, f, act, true);
                let all = std::iter::once(&got.x).chain(got.weights.iter().flatten());
                for ((name, got), want) in ["dx", "dw1", "db1", "dw2", "db2"].iter().zip(all).zip(&want) {
                    assert_close(name, got, &wide(want), 2e-6);
                }
                let frozen = backward(&[], &h, (&w1, &w2), &g, f, act, false);
                assert!(frozen.weights.is_none());
                assert_close("frozen dx", &frozen.x, &wide(&want[0]), 2e-6);
            }
        }
    }
}
