//! Group norm, SiLU and the convolution that reads them as one operation, for the memory: the map between them, half
//! of what a residual block would keep for backward, is made again from the norm's input by one pass over it.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::conv::{self, Conv, conv2d, conv2d_reference};
use super::cpu::conv as cpu_conv;
use super::cpu::{norm as cpu_norm, pool};
use super::form::{Form, runs_on};
use super::gpu::norm as gpu_norm;
use super::group_norm::{self, GroupNormConfig, group_norm, group_norm_reference};
use super::op::{Array, Kernel, View, apply5};

/// `conv(silu?(norm(x)))`.
///
/// # Shapes
/// `x [B, I, H, W]`, norm's `gamma [I]`, `beta [I]`, convolution's `weight [O, I, kh, kw]`, `bias [O]` →
/// `[B, O, H', W']`.
pub fn normed_conv2d(
    x: Tensor<4>,
    (gamma, beta): (Tensor<1>, Tensor<1>),
    norm: GroupNormConfig,
    (weight, bias): (Tensor<4>, Tensor<1>),
    conv: Conv,
) -> Tensor<4> {
    let channels = x.dims()[1];
    assert!(channels.is_multiple_of(norm.groups), "{channels} channels in {} groups", norm.groups);
    if conv.groups != 1 || runs_on(&x, true) == Form::Reference {
        return conv2d(group_norm(x, gamma, beta, norm), weight, Some(bias), conv);
    }
    apply5(NormedConv { norm, conv }, x, gamma, beta, weight, bias)
}

/// [`normed_conv2d`] in plain tensor operations.
pub fn normed_conv2d_reference(
    x: Tensor<4>,
    (gamma, beta): (Tensor<1>, Tensor<1>),
    norm: GroupNormConfig,
    (weight, bias): (Tensor<4>, Tensor<1>),
    conv: Conv,
) -> Tensor<4> {
    conv2d_reference(group_norm_reference(x, gamma, beta, norm), weight, Some(bias), conv)
}

/// Inputs `x`, `gamma`, `beta`, `weight`, `bias`; saves mean and 1/σ of each group.
#[derive(Debug)]
struct NormedConv {
    norm: GroupNormConfig,
    conv: Conv,
}

impl Kernel for NormedConv {
    fn flops(&self, shapes: &[Vec<usize>]) -> u64 {
        conv::flops(self.conv, &shapes[0], &shapes[3])
    }

    fn backward_flops(&self, forward: u64, wanted: &[bool]) -> u64 {
        // One product for the norm's output, one for the weight.
        forward * if wanted[3] { 2 } else { 1 }
    }

    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let [x, gamma, beta, weight, bias] = [0, 1, 2, 3, 4].map(|i| inputs[i]);
        let (normal, stats) =
            cpu_norm::group_norm(x.values, gamma.values, beta.values, group_norm::shape(self.norm, x));
        let g = conv::geometry(self.conv, x, weight);
        let y = cpu_conv::forward(&normal, weight.values, Some(bias.values), &g);
        pool::give(normal);
        let count = stats.len();
        (Array::new(y, &[g.n, g.c_out, g.oh(), g.ow()]), vec![Array::new(stats, &[count])])
    }

    fn cpu_backward(
        &self,
        inputs: &[View],
        saved: &[View],
        grad: View,
        wanted: &[bool],
    ) -> Vec<Option<Array>> {
        let [x, gamma, beta, weight] = [0, 1, 2, 3].map(|i| inputs[i]);
        let (s, g) = (group_norm::shape(self.norm, x), conv::geometry(self.conv, x, weight));
        let of_norm = (x.values, gamma.values, beta.values);
        let dw = wanted[3].then(|| {
            let normal = cpu_norm::normalized(of_norm, saved[0].values, s);
            let dw = cpu_conv::grad_weight(grad.values, &normal, &g);
            pool::give(normal);
            Array::new(dw, weight.shape)
        });
        let db = wanted[4]
            .then(|| Array::new(cpu_conv::grad_bias(grad.values, g.c_out, g.oh() * g.ow()), &[g.c_out]));
        if !wanted[..3].contains(&true) {
            return vec![None, None, None, dw, db];
        }
        let du = cpu_conv::grad_input(grad.values, weight.values, None, &g);
        let (dx, dgamma, dbeta) = cpu_norm::group_norm_backward(of_norm, saved[0].values, &du, s);
        pool::give(du);
        let [dx, dgamma, dbeta] = [(dx, x.shape), (dgamma, gamma.shape), (dbeta, beta.shape)]
            .map(|(values, shape)| Some(Array::new(values, shape)));
        vec![dx, dgamma, dbeta, dw, db]
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let [x, gamma, beta, weight, bias] = [0, 1, 2, 3, 4].map(|i| &inputs[i]);
        let (normal, stats) = gpu_norm::forward(x, gamma, beta, self.norm);
        let (y, _) = conv::gpu_forward(self.conv, 1, &[normal, weight.clone(), bias.clone()]);
        (y, vec![stats])
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let [Some(x), Some(gamma), Some(beta), weight, _] = inputs else {
            unreachable!("backward keeps these inputs")
        };
        let (normal, _) = gpu_norm::forward(x, gamma, beta, self.norm);
        let of_conv = [Some(normal), weight.clone()];
        let wants_x = wanted[..3].contains(&true);
        let mut grads = conv::gpu_backward(self.conv, 1, &of_conv, &grad, &[wants_x, wanted[3], wanted[4]]);
        let du = grads[0].take();
        let of_norm = du.map(|du| gpu_norm::backward((x, gamma, beta), &saved[0], &du, self.norm));
        let of_norm = of_norm.map_or([const { None }; 3], |grads| grads.map(Some));
        of_norm.into_iter().chain(grads.into_iter().skip(1)).collect()
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps(&self, index: usize) -> bool {
        index < 4
    }
}
