//! Softmax attention on packed projections: `softmax(q kᵀ / √d) v` for every head.
//!
//! Queries, keys and values stay in the layout their one linear map gives, so nothing is
//! permuted or copied, and scores are never stored for the whole batch.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::gpu::attention as gpu;
use super::op::{Form, Kernel, apply1, runs_on};

/// Attention of `qkv [B, N, 3, H, d]` → `[B, N, H·d]`, scale `d^-½`.
pub fn attention(qkv: Tensor<5>) -> Tensor<3> {
    let served = gpu::serves(qkv.dims()[4]);
    if runs_on(&qkv, served) == Form::Wgsl { apply1(Attention, qkv) } else { attention_reference(qkv) }
}

/// Input `qkv`; saves the output and the log of each row's sum of exponentials.
#[derive(Debug)]
struct Attention;

impl Kernel for Attention {
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
