//! Linear map `y = x Wᵀ + b` over the last axis, weights in PyTorch's layout `[O, K]`.
//!
//! The input is flattened to `[M, K]` first: a batched product would turn the weight gradient
//! into a batched product and a sum, ten times slower.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::cpu;
use super::form::{Form, runs_on};
use super::gpu::linear as gpu;
use super::op::{Array, Kernel, View, apply2, apply3};

/// `x Wᵀ + b`.
///
/// # Shapes
/// `x [.., K]`, `weight [O, K]`, `bias [O]` → `[.., O]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let mut dims = x.dims();
    let [out, inner] = weight.dims();
    assert_eq!(dims[D - 1], inner, "linear: input {dims:?} against weight [{out}, {inner}]");
    let rows = dims.iter().product::<usize>() / inner;
    let x = x.reshape([rows, inner]);
    dims[D - 1] = out;
    let y = match (runs_on(&x, true), bias) {
        (Form::Reference, bias) => linear_reference(x, weight, bias),
        (_, Some(bias)) => apply3(Linear, x, weight, bias),
        (_, None) => apply2(Linear, x, weight),
    };
    y.reshape(dims)
}

/// Inputs `x [M, K]`, `weight [O, K]` and, if there are three, `bias [O]`.
#[derive(Debug)]
struct Linear;

impl Kernel for Linear {
    fn flops(&self, shapes: &[Vec<usize>]) -> u64 {
        2 * (shapes[0][0] * shapes[1][0] * shapes[1][1]) as u64
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps_for(&self, index: usize, wanted: &[bool]) -> bool {
        // x serves the weight's gradient, the weight x's; the bias serves none.
        [wanted[1], wanted[0], false][index]
    }

    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let (x, w) = (inputs[0], inputs[1]);
        let y = cpu::linear::forward(x.values, w.values, inputs.get(2).map(|b| b.values), x.shape[1]);
        (Array::new(y, &[x.shape[0], w.shape[0]]), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, wanted: &[bool]) -> Vec<Option<Array>> {
        let (x, w) = (inputs[0], inputs[1]);
        let [rows, out] = [grad.shape[0], grad.shape[1]];
        // Only what a wanted gradient reads was kept.
        let inner = w.shape.get(1).or(x.shape.get(1)).copied().unwrap_or_default();
        let dx = || Array::new(cpu::linear::grad_input(grad.values, w.values, inner), &[rows, inner]);
        let dw = || Array::new(cpu::linear::grad_weight(grad.values, x.values, inner), &[out, inner]);
        let db = || Array::new(cpu::linear::grad_bias(grad.values, out), &[out]);
        let mut grads = vec![wanted[0].then(dx), wanted[1].then(dw)];
        if let Some(&wanted) = wanted.get(2) {
            grads.push(wanted.then(db));
        }
        grads
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        (gpu::forward(&inputs[0], &inputs[1], inputs.get(2), None).0, Vec::new())
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        _: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let wants = |index: usize| wanted.get(index).copied().unwrap_or(false);
        // Only what a wanted gradient reads was kept.
        let dx = inputs[1].as_ref().filter(|_| wants(0)).map(|weight| gpu::grad_input(&grad, weight));
        let x = inputs[0].as_ref().filter(|_| wants(1));
        let (dw, db) = match x.map(|x| gpu::grad_weight(&grad, x, wants(2))) {
            Some((dw, db)) => (Some(dw), db),
            None => (None, wants(2).then(|| gpu::grad_bias(&grad))),
        };
        vec![dx, dw, db]
    }
}

/// [`linear`] on `[M, K]` in plain tensor operations.
pub fn linear_reference(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(weight.transpose());
    match bias {
        Some(bias) => y + bias.unsqueeze::<2>(),
        None => y,
    }
}
