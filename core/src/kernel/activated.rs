//! A linear map or a convolution together with the activation that follows it.
//!
//! On a GPU the activation is the end of the product's own launch: its input is in registers there,
//! and need not be read again. Elsewhere it is the two operations after each other.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

pub use super::cpu::activation::Activation;
use super::form::{Form, runs_on};
use super::gpu::{conv, linear, pointwise};
use super::op::{Kernel, apply3};
use super::{Conv, activation, conv2d};

/// `act(x Wᵀ + b)`.
///
/// # Shapes
/// `x [.., K]`, `weight [O, K]`, `bias [O]` → `[.., O]`.
pub fn linear_activated<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    activation: Activation,
) -> Tensor<D> {
    if runs_on(&x, true) != Form::Wgsl {
        return activate(super::linear(x, weight, Some(bias)), activation);
    }
    let mut dims = x.dims();
    let [out, inner] = weight.dims();
    assert_eq!(dims[D - 1], inner, "linear: input {dims:?} against weight [{out}, {inner}]");
    let rows = dims.iter().product::<usize>() / inner;
    dims[D - 1] = out;
    let y: Tensor<2> = apply3(ActivatedLinear(activation), x.reshape([rows, inner]), weight, bias);
    y.reshape(dims)
}

/// `act(conv(x) + b)`; fused where the activation is a (leaky) ReLU, whose gradient needs its output only.
///
/// # Shapes
/// `x [B, I, H, W]`, `weight [O, I, kh, kw]`, `bias [O]` → `[B, O, H', W']`.
pub fn conv2d_activated(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    conv: Conv,
    activation: Activation,
) -> Tensor<4> {
    let fused = conv.groups == 1 && matches!(activation, Activation::Relu | Activation::LeakyRelu(_));
    if runs_on(&x, fused) == Form::Wgsl {
        apply3(ActivatedConv(conv, activation), x, weight, bias)
    } else {
        activate(conv2d(x, weight, Some(bias), conv), activation)
    }
}

/// `act(x)`.
pub fn activate<const D: usize>(x: Tensor<D>, by: Activation) -> Tensor<D> {
    match by {
        Activation::Silu => activation::silu(x),
        Activation::GeluTanh => activation::gelu_tanh(x),
        Activation::Relu => activation::relu(x),
        Activation::LeakyRelu(slope) => activation::leaky_relu(x, slope),
        Activation::Relu6 => activation::relu6(x),
    }
}

/// Inputs `x [M, K]`, `weight`, `bias`; saves what was before the activation.
#[derive(Debug)]
struct ActivatedLinear(Activation);

impl Kernel for ActivatedLinear {
    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let (y, before) = linear::forward(&inputs[0], &inputs[1], inputs.get(2), Some(self.0));
        (y, before.into_iter().collect())
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        let [Some(x), Some(weight), ..] = inputs else { unreachable!("backward keeps these inputs") };
        let grad = pointwise::activation_backward(&saved[0], &grad, self.0);
        let dx = wanted[0].then(|| linear::grad_input(&grad, weight));
        if !wanted[1] && !wanted[2] {
            return vec![dx, None, None];
        }
        let (dw, db) = linear::grad_weight(&grad, x, wanted[2]);
        vec![dx, Some(dw), db]
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps(&self, index: usize) -> bool {
        index < 2
    }
}

/// Inputs `x`, `weight`, `bias`; saves the output.
#[derive(Debug)]
struct ActivatedConv(Conv, Activation);

impl Kernel for ActivatedConv {
    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let geometry = conv::Geometry::new(x, weight, self.0, 1);
        let y = geometry.forward(x, weight, inputs.get(2), Some(self.1));
        (y.clone(), vec![y])
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        // A (leaky) ReLU keeps the sign: its output tells its slope.
        let grad = pointwise::activation_backward(&saved[0], &grad, self.1);
        super::conv::gpu_backward(self.0, 1, inputs, &grad, wanted)
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps(&self, index: usize) -> bool {
        index < 2
    }
}
