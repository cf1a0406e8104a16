//! Pointwise nonlinearities. burn's own go through scalar `expf` and `tanhf` on the CPU, which
//! cost a fifth of a training step; these have SIMD forms.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::cpu::activation::{self as cpu, Activation};
use super::form::{Form, runs_on};
use super::gpu::pointwise as gpu;
use super::op::{Array, Kernel, View, apply1};

/// `x · sigmoid(x)`.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if has_form(&x) { apply1(Pointwise(Activation::Silu), x) } else { silu_reference(x) }
}

/// [`silu`] in plain tensor operations.
pub fn silu_reference<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() * burn::tensor::activation::sigmoid(x)
}

/// GELU in its tanh form: `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if has_form(&x) { apply1(Pointwise(Activation::GeluTanh), x) } else { gelu_tanh_reference(x) }
}

/// [`gelu_tanh`] in plain tensor operations.
pub fn gelu_tanh_reference<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let cube = x.clone() * x.clone() * x.clone();
    let inner = (x.clone() + cube * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt();
    x * 0.5 * (inner.tanh() + 1.0)
}

/// GELU in its exact form, `x Φ(x)`; teachers only.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    burn::tensor::activation::gelu(x)
}

/// `x` where positive, else `slope · x`.
pub fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
    if has_form(&x) {
        apply1(Pointwise(Activation::LeakyRelu(slope)), x)
    } else {
        leaky_relu_reference(x, slope)
    }
}

/// [`leaky_relu`] in plain tensor operations.
pub fn leaky_relu_reference<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
    x.clone().clamp_min(0.0) + x.clamp_max(0.0) * slope
}

/// `max(x, 0)`.
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if has_form(&x) { apply1(Pointwise(Activation::Relu), x) } else { burn::tensor::activation::relu(x) }
}

/// `max(x, 0)`, 6 at most.
pub fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if has_form(&x) { apply1(Pointwise(Activation::Relu6), x) } else { x.clamp(0.0, 6.0) }
}

fn has_form<const D: usize>(x: &Tensor<D>) -> bool {
    runs_on(x, true) != Form::Reference
}

/// A nonlinearity applied to each value.
#[derive(Debug)]
struct Pointwise(Activation);

impl Kernel for Pointwise {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        (Array::new(cpu::forward(inputs[0].values, self.0), inputs[0].shape), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, _: &[bool]) -> Vec<Option<Array>> {
        vec![Some(Array::new(cpu::backward(inputs[0].values, grad.values, self.0), grad.shape))]
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        (gpu::activation(&inputs[0], self.0), Vec::new())
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        _: &[CubeTensor],
        grad: CubeTensor,
        _: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        vec![inputs[0].as_ref().map(|x| gpu::activation_backward(x, &grad, self.0))]
    }
}
