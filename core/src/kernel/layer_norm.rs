//! LayerNorm over the last axis: with its own scale and shift, or modulated per sample
//! (adaLN, Peebles & Xie 2023): `y = norm(x) (1 + scale_b) + shift_b`.

use burn::tensor::Tensor;

/// Layer norm with learned `gamma` and `beta`.
///
/// # Shapes
/// `x [.., D]`, `gamma [D]`, `beta [D]` → `[.., D]`.
pub fn layer_norm<const R: usize>(x: Tensor<R>, gamma: Tensor<1>, beta: Tensor<1>, eps: f32) -> Tensor<R> {
    layer_norm_reference(x, gamma, beta, eps)
}

/// [`layer_norm`] in plain tensor operations.
pub fn layer_norm_reference<const R: usize>(
    x: Tensor<R>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f32,
) -> Tensor<R> {
    normalized(x, eps) * gamma.unsqueeze::<R>() + beta.unsqueeze::<R>()
}

/// Layer norm without weights, then one scale and shift for each sample.
///
/// # Shapes
/// `x [B, N, D]`, `shift [B, D]`, `scale [B, D]` → `[B, N, D]`.
pub fn modulated_layer_norm(x: Tensor<3>, shift: Tensor<2>, scale: Tensor<2>, eps: f32) -> Tensor<3> {
    modulated_layer_norm_reference(x, shift, scale, eps)
}

/// [`modulated_layer_norm`] in plain tensor operations.
pub fn modulated_layer_norm_reference(
    x: Tensor<3>,
    shift: Tensor<2>,
    scale: Tensor<2>,
    eps: f32,
) -> Tensor<3> {
    normalized(x, eps) * (scale + 1.0).unsqueeze_dim::<3>(1) + shift.unsqueeze_dim::<3>(1)
}

fn normalized<const R: usize>(x: Tensor<R>, eps: f32) -> Tensor<R> {
    let mean = x.clone().mean_dim(R - 1);
    let centred = x - mean;
    let var = centred.clone().square().mean_dim(R - 1);
    centred / (var + eps).sqrt()
}
