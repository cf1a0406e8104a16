//! Linear map `y = x Wᵀ + b` over the last axis, weights in PyTorch's layout `[O, K]`.
//!
//! The input is flattened to `[M, K]` first: a batched product would turn the weight gradient
//! into a batched product and a sum, ten times slower.

use burn::tensor::Tensor;

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
    linear_reference(x, weight, bias).reshape(dims)
}

/// [`linear`] on `[M, K]` in plain tensor operations.
pub fn linear_reference(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(weight.transpose());
    match bias {
        Some(bias) => y + bias.unsqueeze::<2>(),
        None => y,
    }
}
