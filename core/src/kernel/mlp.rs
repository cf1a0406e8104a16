//! Two linear maps with an activation between: `act(x W₁ᵀ + b₁) W₂ᵀ + b₂`, the MLP of a transformer block
//! and the first two layers of a projector. As one operation the activated hidden layer, the widest
//! tensor of a block, is neither written to memory nor kept for backward.

use burn::tensor::Tensor;

use super::activated::linear_activated;
use super::activation::{gelu_tanh, silu};
use super::cpu::activation::Activation;
use super::cpu::mlp::{self as cpu, Weights};
use super::form::{Form, runs_on};
use super::linear::linear;
use super::op::{Array, Kernel, View, apply5};

/// What stands between the two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// GELU in its tanh form.
    GeluTanh,
    /// `x · sigmoid(x)`.
    Silu,
}

/// `act(x W₁ᵀ + b₁) W₂ᵀ + b₂`, each map a weight and a bias.
///
/// # Shapes
/// `x [.., K]`, weights `[F, K]` and `[O, F]`, biases `[F]` and `[O]` → `[.., O]`.
pub fn mlp<const D: usize>(
    x: Tensor<D>,
    first: (Tensor<2>, Tensor<1>),
    second: (Tensor<2>, Tensor<1>),
    between: Between,
) -> Tensor<D> {
    match runs_on(&x, true) {
        Form::Cpu => {}
        Form::Wgsl => {
            let hidden = linear_activated(x, first.0, first.1, between.activation());
            return linear(hidden, second.0, Some(second.1));
        }
        Form::Reference => return mlp_reference(x, first, second, between),
    }
    let mut dims = x.dims();
    let ([hidden, inner], [out, wide]) = (first.0.dims(), second.0.dims());
    assert!(
        dims[D - 1] == inner && hidden == wide,
        "mlp: {dims:?} through [{hidden}, {inner}], [{out}, {wide}]"
    );
    let rows = dims.iter().product::<usize>() / inner;
    let x = x.reshape([rows, inner]);
    dims[D - 1] = out;
    let y: Tensor<2> = apply5(Mlp(between), x, first.0, first.1, second.0, second.1);
    y.reshape(dims)
}

/// [`mlp`] as linear maps and an activation of their own.
pub fn mlp_reference<const D: usize>(
    x: Tensor<D>,
    first: (Tensor<2>, Tensor<1>),
    second: (Tensor<2>, Tensor<1>),
    between: Between,
) -> Tensor<D> {
    let hidden = linear(x, first.0, Some(first.1));
    let active = match between {
        Between::GeluTanh => gelu_tanh(hidden),
        Between::Silu => silu(hidden),
    };
    linear(active, second.0, Some(second.1))
}

/// Inputs `x [M, K]`, `w1`, `b1`, `w2`, `b2`; saves the hidden layer before its activation.
#[derive(Debug)]
struct Mlp(Between);

impl Between {
    fn activation(self) -> Activation {
        match self {
            Self::GeluTanh => Activation::GeluTanh,
            Self::Silu => Activation::Silu,
        }
    }
}

impl Kernel for Mlp {
    fn flops(&self, shapes: &[Vec<usize>]) -> u64 {
        let (rows, weights) = (shapes[0][0], [&shapes[1], &shapes[3]]);
        weights.iter().map(|w| 2 * (rows * w[0] * w[1]) as u64).sum()
    }

    fn backward_flops(&self, forward: u64, wanted: &[bool]) -> u64 {
        // One product for each map's input, one for its weight.
        forward * if wanted[1] { 2 } else { 1 }
    }

    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let [w1, b1, w2, b2] = [1, 2, 3, 4].map(|i| inputs[i].values);
        let (rows, hidden, out) = (inputs[0].shape[0], b1.len(), b2.len());
        let weights = Weights { w1, b1, w2, b2 };
        let (y, h) = cpu::forward(inputs[0].values, weights, self.0.activation());
        (Array::new(y, &[rows, out]), vec![Array::new(h, &[rows, hidden])])
    }

    fn cpu_backward(
        &self,
        inputs: &[View],
        saved: &[View],
        grad: View,
        wanted: &[bool],
    ) -> Vec<Option<Array>> {
        let [rows, hidden, out] = [grad.shape[0], saved[0].shape[1], grad.shape[1]];
        let (w1, w2) = (inputs[1].values, inputs[3].values);
        let inner = w1.len() / hidden;
        let train = wanted[1..].contains(&true);
        let (x, h) = (inputs[0].values, saved[0].values);
        let made = cpu::backward(x, h, (w1, w2), grad.values, hidden, self.0.activation(), train);
        let shapes: [&[usize]; 4] = [&[hidden, inner], &[hidden], &[out, hidden], &[out]];
        let mut grads = vec![Some(Array::new(made.x, &[rows, inner]))];
        match made.weights {
            Some(all) => grads.extend(all.into_iter().zip(shapes).map(|(v, s)| Some(Array::new(v, s)))),
            None => grads.extend([const { None }; 4]),
        }
        grads
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps_for(&self, index: usize, wanted: &[bool]) -> bool {
        match index {
            0 => wanted[1..].contains(&true),
            1 | 3 => true,
            _ => false,
        }
    }
}
