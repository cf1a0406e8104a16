//! Gated residual `y = x + gate_b · h`, the way a SiT block adds its branches (adaLN-zero).

use burn::tensor::Tensor;

/// `x + gate · h`, one gate vector for each sample.
///
/// # Shapes
/// `x [B, N, D]`, `gate [B, D]`, `h [B, N, D]` → `[B, N, D]`.
pub fn gated_residual(x: Tensor<3>, gate: Tensor<2>, h: Tensor<3>) -> Tensor<3> {
    gated_residual_reference(x, gate, h)
}

/// [`gated_residual`] in plain tensor operations.
pub fn gated_residual_reference(x: Tensor<3>, gate: Tensor<2>, h: Tensor<3>) -> Tensor<3> {
    x + h * gate.unsqueeze_dim::<3>(1)
}
