//! GroupNorm, alone or followed by SiLU: the most frequent pair of the autoencoder, fused
//! because each pass over a feature map costs as much as the arithmetic.
//!
//! `y = silu?(gamma (x − mean_g) / sqrt(var_g + eps) + beta)`, with mean and biased variance
//! over the channels of a group and all positions (Wu & He 2018).

use burn::tensor::Tensor;

use super::activation::silu;

/// What a group norm does besides its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormConfig {
    /// Number of channel groups; divides the channel count.
    pub groups: usize,
    /// Added to the variance (1e-6 in every published autoencoder).
    pub eps: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Group norm of `x`, then SiLU when configured.
///
/// # Shapes
/// `x [B, C, H, W]`, `gamma [C]`, `beta [C]` → `[B, C, H, W]`.
pub fn group_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, config: GroupNormConfig) -> Tensor<4> {
    let channels = x.dims()[1];
    assert!(channels.is_multiple_of(config.groups), "{channels} channels in {} groups", config.groups);
    group_norm_reference(x, gamma, beta, config)
}

/// [`group_norm`] in plain tensor operations.
pub fn group_norm_reference(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    config: GroupNormConfig,
) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    let x = x.reshape([b, config.groups, c / config.groups * h * w]);
    let mean = x.clone().mean_dim(2);
    let centred = x - mean;
    let var = centred.clone().square().mean_dim(2);
    let normal = (centred / (var + config.eps).sqrt()).reshape([b, c, h, w]);
    let y = normal * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1]);
    if config.silu { silu(y) } else { y }
}
