//! 2-D convolution in NCHW with PyTorch's weight layout `[O, I, kh, kw]`.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::cpu::conv::{self as cpu, Geometry};
use super::cpu::depthwise;
use super::form::{Form, runs_on};
use super::gpu::conv as gpu;
use super::op::{Array, Kernel, View, apply2, apply3};

/// Stride and padding of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Step in both directions.
    pub stride: usize,
    /// Zeros added at `[top, left, bottom, right]`.
    pub pad: [usize; 4],
    /// Channel groups (the channel count for a depthwise convolution).
    pub groups: usize,
}

impl Conv {
    /// The same padding on all sides.
    pub const fn new(stride: usize, pad: usize) -> Self {
        Self { stride, pad: [pad; 4], groups: 1 }
    }

    /// diffusers' downsampling: stride 2, one zero at the bottom and the right, none elsewhere.
    pub const fn downsample() -> Self {
        Self { stride: 2, pad: [0, 0, 1, 1], groups: 1 }
    }
}

/// Convolution of `x` with `weight`.
///
/// # Shapes
/// `x [B, I, H, W]`, `weight [O, I / groups, kh, kw]`, `bias [O]` → `[B, O, H', W']`.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, conv: Conv) -> Tensor<4> {
    let depthwise = conv.groups == x.dims()[1] && conv.groups == weight.dims()[0];
    let form = match conv.groups {
        1 => runs_on(&x, true),
        _ if depthwise => runs_on(&x, false),
        _ => Form::Reference,
    };
    match (form, bias) {
        (Form::Reference, bias) => conv2d_reference(x, weight, bias, conv),
        (_, Some(bias)) => apply3(Conv2d(conv), x, weight, bias),
        (_, None) => apply2(Conv2d(conv), x, weight),
    }
}

pub(super) fn gpu_forward(conv: Conv, up: usize, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
    let (x, weight) = (&inputs[0], &inputs[1]);
    (gpu::Geometry::new(x, weight, conv, up).forward(x, weight, inputs.get(2), None), Vec::new())
}

pub(super) fn gpu_backward(
    conv: Conv,
    up: usize,
    inputs: &[Option<CubeTensor>],
    grad: &CubeTensor,
    wanted: &[bool],
) -> Vec<Option<CubeTensor>> {
    let [Some(x), Some(weight), ..] = inputs else { unreachable!("backward keeps these inputs") };
    let geometry = gpu::Geometry::new(x, weight, conv, up);
    let dx = wanted[0].then(|| geometry.grad_input(grad, weight));
    let wants_bias = wanted.get(2).copied().unwrap_or(false);
    if !wanted[1] && !wants_bias {
        return vec![dx, None, None];
    }
    let (dw, db) = geometry.grad_weight(grad, x, wants_bias);
    vec![dx, Some(dw), db]
}

/// Inputs `x`, `weight` and, if there are three, `bias`.
#[derive(Debug)]
struct Conv2d(Conv);

/// The shape of a convolution of `x` with `weight`.
pub(super) fn geometry(conv: Conv, x: View, weight: View) -> Geometry {
    let Conv { stride, pad, groups } = conv;
    let [n, c_in, h, w] = [x.shape[0], x.shape[1], x.shape[2], x.shape[3]];
    assert_eq!(c_in, weight.shape[1] * groups, "convolution: input channels");
    let [c_out, kh, kw] = [weight.shape[0], weight.shape[2], weight.shape[3]];
    Geometry { n, c_in, h, w, c_out, kh, kw, stride, pad }
}

/// Floating-point operations of a convolution of `x` with `w`, by their shapes.
pub(super) fn flops(conv: Conv, x: &[usize], w: &[usize]) -> u64 {
    let Conv { stride, pad, .. } = conv;
    let side = |at: usize| (x[at + 2] + pad[at] + pad[at + 2] - w[at + 2]) / stride + 1;
    2 * (x[0] * side(0) * side(1) * w.iter().product::<usize>()) as u64
}

impl Kernel for Conv2d {
    fn flops(&self, shapes: &[Vec<usize>]) -> u64 {
        flops(self.0, &shapes[0], &shapes[1])
    }

    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let (x, w, b) = (inputs[0], inputs[1], inputs.get(2).map(|b| b.values));
        let g = geometry(self.0, x, w);
        let y = if self.0.groups == 1 {
            cpu::forward(x.values, w.values, b, &g)
        } else {
            depthwise::forward(x.values, w.values, b, &g)
        };
        (Array::new(y, &[g.n, g.c_out, g.oh(), g.ow()]), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, wanted: &[bool]) -> Vec<Option<Array>> {
        let (x, w) = (inputs[0], inputs[1]);
        let g = geometry(self.0, x, w);
        let plain = self.0.groups == 1;
        let dx = || {
            let dx = if plain {
                cpu::grad_input(grad.values, w.values, None, &g)
            } else {
                depthwise::grad_input(grad.values, w.values, &g)
            };
            Array::new(dx, x.shape)
        };
        let dw = || {
            let grad_weight = if plain { cpu::grad_weight } else { depthwise::grad_weight };
            Array::new(grad_weight(grad.values, x.values, &g), w.shape)
        };
        let db = || Array::new(cpu::grad_bias(grad.values, g.c_out, g.oh() * g.ow()), &[g.c_out]);
        let mut grads = vec![wanted[0].then(dx), wanted[1].then(dw)];
        if let Some(&wanted) = wanted.get(2) {
            grads.push(wanted.then(db));
        }
        grads
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        gpu_forward(self.0, 1, inputs)
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        _: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        gpu_backward(self.0, 1, inputs, &grad, wanted)
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps(&self, index: usize) -> bool {
        index < 2
    }
}

/// [`conv2d`] by burn's own convolution.
pub fn conv2d_reference(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, conv: Conv) -> Tensor<4> {
    let Conv { stride, pad: [top, left, bottom, right], groups } = conv;
    let mut options = ConvOptions::new([stride; 2], [0; 2], [1; 2], groups);
    options.padding = [(top, bottom), (left, right)];
    burn::tensor::module::conv2d(x, weight, bias, options)
}
