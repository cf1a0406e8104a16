//! Cosine similarity of feature rows, the quantity REPA maximises.
//!
//! `cos = f·t / (max(|f|, 1e-12) max(|t|, 1e-12))` (repae/loss/losses.py: `mean_flat` of the
//! product of `F.normalize`d rows). The gradient goes to `f`; `t` is a frozen teacher's.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::cpu::cosine as cpu;
use super::form::{Form, runs_on};
use super::gpu::cosine as gpu;
use super::op::{Array, Kernel, View, apply2};

const MIN_NORM: f64 = 1e-12;

/// Cosine of each row of `f [M, D]` with the same row of `target [M, D]` → `[M]`.
/// `target` is a constant.
pub fn cosine_similarity(f: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    if runs_on(&f, true) != Form::Reference {
        apply2(Cosine, f, target)
    } else {
        cosine_similarity_reference(f, target)
    }
}

/// Inputs `f` and `target`; saves the lengths of both rows (on a GPU cosines and inverse lengths).
#[derive(Debug)]
struct Cosine;

impl Kernel for Cosine {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let [f, target] = [inputs[0], inputs[1]];
        let (cos, norms) = cpu::forward(f.values, target.values, f.shape[1]);
        (Array::new(cos, &f.shape[..1]), vec![Array::new(norms, &[f.shape[0], 2])])
    }

    fn cpu_backward(&self, inputs: &[View], saved: &[View], grad: View, _: &[bool]) -> Vec<Option<Array>> {
        let [f, target] = [inputs[0], inputs[1]];
        let df = cpu::backward(f.values, target.values, saved[0].values, grad.values, f.shape[1]);
        vec![Some(Array::new(df, f.shape)), None]
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let (cosine, inverse) = gpu::forward(&inputs[0], &inputs[1]);
        (cosine.clone(), vec![cosine, inverse])
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        _: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let [Some(f), Some(target)] = inputs else { unreachable!("backward keeps these inputs") };
        vec![Some(gpu::backward((f, target), (&saved[0], &saved[1]), &grad)), None]
    }
}

/// [`cosine_similarity`] in plain tensor operations.
pub fn cosine_similarity_reference(f: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let rows = f.dims()[0];
    (unit(f) * unit(target)).sum_dim(1).reshape([rows])
}

fn unit(x: Tensor<2>) -> Tensor<2> {
    let norm = (x.clone().square().sum_dim(1) + 1e-30).sqrt().clamp_min(MIN_NORM);
    x / norm
}
