//! GroupNorm, alone or followed by SiLU: the most frequent pair of the autoencoder, fused
//! because each pass over a feature map costs as much as the arithmetic.
//!
//! `y = silu?(gamma (x − mean_g) / sqrt(var_g + eps) + beta)`, with mean and biased variance
//! over the channels of a group and all positions (Wu & He 2018).

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::activation::silu;
use super::cpu::norm::{self, Shape};
use super::form::{Form, runs_on};
use super::gpu::norm as gpu;
use super::op::{Array, Kernel, View, apply3};

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
    if runs_on(&x, true) == Form::Reference {
        group_norm_reference(x, gamma, beta, config)
    } else {
        apply3(GroupNorm(config), x, gamma, beta)
    }
}

/// Inputs `x`, `gamma`, `beta`; saves mean and 1/σ of each group.
#[derive(Debug)]
struct GroupNorm(GroupNormConfig);

/// Shape and form of the norm of `x`.
pub(super) fn shape(config: GroupNormConfig, x: View) -> Shape {
    let GroupNormConfig { groups, eps, silu } = config;
    Shape { channels: x.shape[1], area: x.shape[2] * x.shape[3], groups, eps, silu }
}

impl Kernel for GroupNorm {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let (x, gamma, beta) = (inputs[0], inputs[1], inputs[2]);
        let (y, stats) = norm::group_norm(x.values, gamma.values, beta.values, shape(self.0, x));
        let count = stats.len();
        (Array::new(y, x.shape), vec![Array::new(stats, &[count])])
    }

    fn cpu_backward(&self, inputs: &[View], saved: &[View], grad: View, _: &[bool]) -> Vec<Option<Array>> {
        let (x, gamma, beta) = (inputs[0], inputs[1], inputs[2]);
        let weights = (x.values, gamma.values, beta.values);
        let (dx, dgamma, dbeta) =
            norm::group_norm_backward(weights, saved[0].values, grad.values, shape(self.0, x));
        [(dx, x.shape), (dgamma, gamma.shape), (dbeta, beta.shape)]
            .map(|(values, shape)| Some(Array::new(values, shape)))
            .into()
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let (y, stats) = gpu::forward(&inputs[0], &inputs[1], &inputs[2], self.0);
        (y, vec![stats])
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        _: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let [Some(x), Some(gamma), Some(beta)] = inputs else { unreachable!("backward keeps these inputs") };
        gpu::backward((x, gamma, beta), &saved[0], &grad, self.0).map(Some).into()
    }
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
