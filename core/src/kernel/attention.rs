//! Softmax attention on packed projections: `softmax(q kᵀ / √d) v` for every head.
//!
//! Queries, keys and values stay in the layout their one linear map gives, so nothing is
//! permuted or copied, and scores are never stored: backward makes them anew.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::cpu::attention::{self as cpu, Shape};
use super::form::{Form, on_hardware, runs_on};
use super::gpu::attention as gpu;
use super::op::{Array, Kernel, View, apply1};

/// Attention of `qkv [B, N, 3, H, d]` → `[B, N, H·d]`, scale `d^-½`.
pub fn attention(qkv: Tensor<5>) -> Tensor<3> {
    // Registers are memory on a software adapter, where stored scores are the lesser evil.
    let served = gpu::serves(qkv.dims()[4]) && on_hardware(&qkv);
    match runs_on(&qkv, served) {
        Form::Reference => attention_reference(qkv),
        Form::Cpu | Form::Wgsl => apply1(Attention, qkv),
    }
}

/// [`attention`] in plain tensor operations.
pub fn attention_reference(qkv: Tensor<5>) -> Tensor<3> {
    let [b, n, _, h, d] = qkv.dims();
    let part = |i: usize| -> Tensor<4> {
        qkv.clone().narrow(2, i, 1).reshape([b, n, h, d]).swap_dims(1, 2) // [B, H, N, d]
    };
    let (q, k, v) = (part(0), part(1), part(2));
    let scores = q.matmul(k.swap_dims(2, 3)) * (d as f64).powf(-0.5);
    let weights = burn::tensor::activation::softmax(scores, 3); // [B, H, N, N]
    weights.matmul(v).swap_dims(1, 2).reshape([b, n, h * d])
}

/// Input `qkv`; saves the logarithm of each softmax's sum (and the output, on a GPU).
#[derive(Debug)]
struct Attention;

fn shape(qkv: &[usize]) -> Shape {
    Shape { batch: qkv[0], tokens: qkv[1], heads: qkv[3], head: qkv[4] }
}

impl Kernel for Attention {
    fn flops(&self, shapes: &[Vec<usize>]) -> u64 {
        let Shape { batch, tokens, heads, head } = shape(&shapes[0]);
        4 * (batch * tokens * tokens * heads * head) as u64
    }

    fn backward_flops(&self, forward: u64, _: &[bool]) -> u64 {
        // Five products for forward's two.
        forward / 2 * 5
    }

    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let s = shape(inputs[0].shape);
        let (out, lse) = cpu::forward(inputs[0].values, s);
        let out = Array::new(out, &[s.batch, s.tokens, s.heads * s.head]);
        (out, vec![Array::new(lse, &[s.batch, s.tokens, s.heads])])
    }

    fn cpu_backward(&self, inputs: &[View], saved: &[View], grad: View, _: &[bool]) -> Vec<Option<Array>> {
        let qkv = inputs[0];
        let made = cpu::backward(qkv.values, saved[0].values, grad.values, shape(qkv.shape));
        vec![Some(Array::new(made, qkv.shape))]
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let (y, lse) = gpu::forward(&inputs[0]);
        (y.clone(), vec![y, lse])
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        _: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        vec![inputs[0].as_ref().map(|qkv| gpu::backward(qkv, &saved[0], &saved[1], &grad))]
    }
}
