//! 2-D convolution in NCHW with PyTorch's weight layout `[O, I, kh, kw]`.

use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::cpu::conv::{self as cpu, Geometry};
use super::cpu::depthwise;
use super::op::{Array, Form, Kernel, View, apply2, apply3, runs_on};

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
    let form = if conv.groups == 1 || depthwise { runs_on(&x, false) } else { Form::Reference };
    match (form, bias) {
        (Form::Cpu, Some(bias)) => apply3(Conv2d(conv), x, weight, bias),
        (Form::Cpu, None) => apply2(Conv2d(conv), x, weight),
        (_, bias) => conv2d_reference(x, weight, bias, conv),
    }
}

/// Inputs `x`, `weight` and, if there are three, `bias`.
#[derive(Debug)]
struct Conv2d(Conv);

impl Conv2d {
    fn geometry(&self, x: View, weight: View) -> Geometry {
        let Conv { stride, pad, .. } = self.0;
        let [n, c_in, h, w] = [x.shape[0], x.shape[1], x.shape[2], x.shape[3]];
        assert_eq!(c_in, weight.shape[1] * self.0.groups, "convolution: input channels");
        Geometry {
            n,
            c_in,
            h,
            w,
            c_out: weight.shape[0],
            kh: weight.shape[2],
            kw: weight.shape[3],
            stride,
            pad,
        }
    }
}

impl Kernel for Conv2d {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let (x, w, b) = (inputs[0], inputs[1], inputs.get(2).map(|b| b.values));
        let g = self.geometry(x, w);
        let y = if self.0.groups == 1 {
            cpu::forward(x.values, w.values, b, &g)
        } else {
            depthwise::forward(x.values, w.values, b, &g)
        };
        (Array::new(y, &[g.n, g.c_out, g.oh(), g.ow()]), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, wanted: &[bool]) -> Vec<Option<Array>> {
        let (x, w) = (inputs[0], inputs[1]);
        let g = self.geometry(x, w);
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
