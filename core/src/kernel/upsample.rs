//! Nearest ×2 followed by a 3×3 convolution, the step up of every decoder, as one operation.
//!
//! Repeating pixels and then correlating with w₀ w₁ w₂ is a transposed convolution of stride 2 with the four taps
//! w₂, w₁ + w₂, w₀ + w₁, w₀ (per axis): each output pixel meets 2 × 2 input pixels instead of 3 × 3 copies, 2.25
//! times fewer products, and the enlarged map is never made. Borders agree, since zeros outside stay zeros.

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::conv::{self, Conv, conv2d};
use super::cpu::conv::{self as cpu, Geometry};
use super::form::{Form, runs_on};
use super::op::{Array, Kernel, View, apply3};
use super::resample::nearest_x2;

/// 3×3 convolution, one zero around, of `x` enlarged twice.
///
/// # Shapes
/// `x [B, I, H, W]`, `weight [O, I, 3, 3]`, `bias [O]` → `[B, O, 2H, 2W]`.
pub fn upsampled_conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let [_, _, kh, kw] = weight.dims();
    assert!((kh, kw) == (3, 3), "an upsampling convolution is 3 x 3, found {kh} x {kw}");
    match runs_on(&x, true) {
        Form::Reference => upsampled_conv2d_reference(x, weight, bias),
        Form::Cpu | Form::Wgsl => apply3(Upsampled, x, weight, bias),
    }
}

/// [`upsampled_conv2d`] in two steps.
pub fn upsampled_conv2d_reference(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    conv2d(nearest_x2(x), weight, Some(bias), Conv::new(1, 1))
}

/// Inputs `x`, `weight`, `bias`. The CPU form uses the four taps, or with many channels reads `x` as if it were
/// enlarged, as the GPU's does.
#[derive(Debug)]
struct Upsampled;

impl Kernel for Upsampled {
    /// As many as the convolution of the enlarged map has: what is saved shows as speed.
    fn flops(&self, shapes: &[Vec<usize>]) -> u64 {
        let (x, w) = (&shapes[0], &shapes[1]);
        2 * (x[0] * 4 * x[2] * x[3] * w.iter().product::<usize>()) as u64
    }

    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let (x, weight, bias) = (inputs[0], inputs[1], inputs[2]);
        let g = geometry(x, weight);
        let y = match enlarged(&g) {
            Some(c) => cpu::enlarged::forward(x.values, weight.values, bias.values, &c),
            None => cpu::grad_input(x.values, &four_taps(weight), Some(bias.values), &g),
        };
        (Array::new(y, &[g.n, g.c_in, g.h, g.w]), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, wanted: &[bool]) -> Vec<Option<Array>> {
        let (x, weight) = (inputs[0], inputs[1]);
        let g = geometry(x, weight);
        let many = enlarged(&g);
        let dx = || match &many {
            Some(c) => cpu::enlarged::grad_input(grad.values, weight.values, c),
            None => cpu::forward(grad.values, &four_taps(weight), None, &g),
        };
        let dw = || match &many {
            Some(c) => cpu::enlarged::grad_weight(grad.values, x.values, c),
            None => three_taps(&cpu::grad_weight(x.values, grad.values, &g), &g),
        };
        let (dx, dw) = (|| Array::new(dx(), x.shape), || Array::new(dw(), weight.shape));
        let db = || Array::new(cpu::grad_bias(grad.values, g.c_in, g.h * g.w), &[g.c_in]);
        vec![wanted[0].then(dx), wanted[1].then(dw), wanted[2].then(db)]
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        conv::gpu_forward(Conv::new(1, 1), 2, inputs)
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        _: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        conv::gpu_backward(Conv::new(1, 1), 2, inputs, &grad, wanted)
    }

    fn halves(&self, index: usize) -> bool {
        index == 0
    }

    fn keeps(&self, index: usize) -> bool {
        index < 2
    }
}

/// The strided convolution whose transpose this is: it reads the large map and writes the small one.
fn geometry(x: View, weight: View) -> Geometry {
    let [n, c_out, h, w] = [x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3]];
    assert_eq!(c_out, weight.shape[1], "convolution: input channels");
    Geometry { n, c_in: weight.shape[0], h, w, c_out, kh: 4, kw: 4, stride: 2, pad: [1; 4] }
}

/// The same as a convolution of the enlarged map, where channels are many.
fn enlarged(g: &Geometry) -> Option<cpu::Correlation> {
    cpu::enlarged::suits(g.n, g.c_out, (g.oh(), g.ow()), g.c_in)
}

/// Which of the three taps each of the four sums.
const SUMS: [&[usize]; 4] = [&[2], &[1, 2], &[0, 1], &[0]];

/// Visits (index in `[I, O, 4, 4]`, index in `[O, I, 3, 3]`) of every term.
fn each_term(c_in: usize, c_out: usize, mut visit: impl FnMut(usize, usize)) {
    for (i, o) in (0..c_in).flat_map(|i| (0..c_out).map(move |o| (i, o))) {
        let (four, three) = ((i * c_out + o) * 16, (o * c_in + i) * 9);
        for (a, b) in (0..4).flat_map(|a| (0..4).map(move |b| (a, b))) {
            for (y, x) in SUMS[a].iter().flat_map(|y| SUMS[b].iter().map(move |x| (y, x))) {
                visit(four + a * 4 + b, three + y * 3 + x);
            }
        }
    }
}

/// `[I, O, 4, 4]` of weights `[O, I, 3, 3]`.
fn four_taps(weight: View) -> Vec<f32> {
    let (c_out, c_in) = (weight.shape[0], weight.shape[1]);
    let mut four = vec![0.0; c_in * c_out * 16];
    each_term(c_in, c_out, |to, from| four[to] += weight.values[from]);
    four
}

/// The gradient of `[O, I, 3, 3]` weights from that of the four taps `[I, O, 4, 4]`.
fn three_taps(four: &[f32], g: &Geometry) -> Vec<f32> {
    let mut three = vec![0.0; g.c_in * g.c_out * 9];
    each_term(g.c_out, g.c_in, |from, to| three[to] += four[from]);
    three
}
