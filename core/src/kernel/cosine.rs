//! Cosine similarity of feature rows, the quantity REPA maximises.
//!
//! `cos = f·t / (max(|f|, 1e-12) max(|t|, 1e-12))` (repae/loss/losses.py: `mean_flat` of the
//! product of `F.normalize`d rows). The gradient goes to `f`; `t` is a frozen teacher's.

use burn::tensor::Tensor;

const MIN_NORM: f64 = 1e-12;

/// Cosine of each row of `f [M, D]` with the same row of `target [M, D]` → `[M]`.
/// `target` is a constant.
pub fn cosine_similarity(f: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    cosine_similarity_reference(f, target)
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
