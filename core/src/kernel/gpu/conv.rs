//! Convolution on the tiled product: `shaders/conv.wgsl` and its two backward kernels.

use burn::backend::wgpu::CubeTensor;

use super::gemm::{CONV, CONV_INPUT_BACKWARD, CONV_WEIGHT_BACKWARD, Plan, Size};
use super::launch::{Number, Program, dims, empty};
use super::linear::added;
use super::pointwise::{nearest_x2_backward, numbered};
use crate::kernel::Conv;
use crate::kernel::cpu::activation::Activation;

/// A convolution's geometry.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    batch: usize,
    inputs: usize,
    outputs: usize,
    /// Of the input as stored.
    height: usize,
    width: usize,
    kernel: (usize, usize),
    conv: Conv,
    /// 2 when the input is read through nearest ×2.
    up: usize,
}

impl Geometry {
    /// Of `x [B, I, H, W]` and `weight [O, I, kh, kw]`.
    pub fn new(x: &CubeTensor, weight: &CubeTensor, conv: Conv, up: usize) -> Self {
        let ([batch, inputs, height, width], [outputs, _, kh, kw]) = (dims(x), dims(weight));
        Self { batch, inputs, outputs, height, width, kernel: (kh, kw), conv, up }
    }

    fn out(&self) -> (usize, usize) {
        let Conv { stride, pad: [top, left, bottom, right], .. } = self.conv;
        let side = |size: usize, pad: usize, kernel: usize| (size * self.up + pad - kernel) / stride + 1;
        (side(self.height, top + bottom, self.kernel.0), side(self.width, left + right, self.kernel.1))
    }

    fn taps(&self) -> usize {
        self.inputs * self.kernel.0 * self.kernel.1
    }

    /// The uniform of all three kernels, for an input of `height × width`.
    fn numbers(&self, (height, width): (usize, usize), plan: &Plan) -> [Number; 12] {
        let [top, left, ..] = self.conv.pad;
        let (oh, ow) = self.out();
        let counts = [self.batch, self.inputs, self.outputs, height, width, oh, ow, top, left];
        let mut numbers = [Number::Real(0.0); 12];
        let plan = [plan.splits, plan.k_split];
        for (number, count) in numbers.iter_mut().zip(counts.into_iter().chain(plan)) {
            *number = count.into();
        }
        numbers
    }

    fn values(&self) -> [(&'static str, u32); 4] {
        let (kh, kw) = self.kernel;
        [("kh", kh as u32), ("kw", kw as u32), ("stride", self.conv.stride as u32), ("up", self.up as u32)]
    }

    /// `[B, O, H', W']` of the input, the weight and, if there are any, bias and activation.
    pub fn forward(
        &self,
        x: &CubeTensor,
        weight: &CubeTensor,
        bias: Option<&CubeTensor>,
        activation: Option<Activation>,
    ) -> CubeTensor {
        let (oh, ow) = self.out();
        let size = Size { m: self.outputs, n: self.batch * oh * ow, k: self.taps(), phases: 1 };
        let plan = Plan::new(size, false, x);
        let y = empty(x, &[self.batch, self.outputs, oh, ow]);
        let (act, slope) = numbered(activation);
        let mut values = self.values().to_vec();
        values.extend([("a_along_k", 1), ("bias", bias.is_some().into()), ("act", act)]);
        values.extend(fetching(&plan, self.inputs));
        let mut buffers = vec![x, weight];
        buffers.extend(bias);
        buffers.push(&y);
        let mut numbers = self.numbers((self.height, self.width), &plan);
        numbers[11] = slope.into();
        plan.program(&CONV, &values).launch(plan.groups, &buffers, &numbers);
        y
    }

    /// Gradient of the input.
    pub fn grad_input(&self, grad: &CubeTensor, weight: &CubeTensor) -> CubeTensor {
        let (h, w) = (self.height * self.up, self.width * self.up);
        let s = self.conv.stride;
        let k = self.outputs * self.kernel.0.div_ceil(s) * self.kernel.1.div_ceil(s);
        let n = self.batch * h.div_ceil(s) * w.div_ceil(s);
        let plan = Plan::new(Size { m: self.inputs, n, k, phases: s * s }, false, grad);
        let dx = empty(grad, &[self.batch, self.inputs, h, w]);
        let mut values = self.values().to_vec();
        values.extend(fetching(&plan, self.outputs));
        let program = plan.program(&CONV_INPUT_BACKWARD, &values);
        program.launch(plan.groups, &[grad, weight, &dx], &self.numbers((h, w), &plan));
        if self.up == 2 { nearest_x2_backward(&dx) } else { dx }
    }

    /// Gradient of the weight, and of the bias where wanted.
    pub fn grad_weight(
        &self,
        grad: &CubeTensor,
        x: &CubeTensor,
        bias: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        let (oh, ow) = self.out();
        let size = Size { m: self.outputs, n: self.taps(), k: self.batch * oh * ow, phases: 1 };
        let plan = Plan::new(size, true, grad);
        let parts = empty(grad, &[plan.splits, self.outputs, self.taps()]);
        let sums = bias.then(|| empty(grad, &[plan.splits, self.outputs]));
        let mut values = self.values().to_vec();
        values.extend([("a_along_k", 1), ("b_along_k", 1), ("row_sums", bias.into())]);
        let mut buffers = vec![x, grad, &parts];
        buffers.extend(&sums);
        let numbers = self.numbers((self.height, self.width), &plan);
        plan.program(&CONV_WEIGHT_BACKWARD, &values).launch(plan.groups, &buffers, &numbers);
        let shape = [self.outputs, self.inputs, self.kernel.0, self.kernel.1];
        added(parts, &shape, sums, plan.splits)
    }
}

/// How the picture is fetched: tap by tap where `channels` come in fours, and from places held through all steps
/// where the tile lets an invocation hold them.
fn fetching(plan: &Plan, channels: usize) -> [(&'static str, u32); 2] {
    [("taps_outer", channels.is_multiple_of(4).into()), ("fixed", plan.is_fixed().into())]
}

/// All kernels at the window sizes and strides of our models.
pub(super) fn variants_of(plan: &Plan) -> Vec<Program> {
    let mut all = Vec::new();
    for (kernel, stride) in [(1, 1), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (11, 4)] {
        let window = [("kh", kernel), ("kw", kernel), ("stride", stride)];
        for up in [1, 2] {
            for with in [0, 1] {
                let reading = [("up", up), ("a_along_k", 1)];
                let forward =
                    [&window[..], &reading, &[("bias", with)], &fetching(plan, 4 - with as usize)].concat();
                let backward = [&window[..], &reading, &[("b_along_k", 1), ("row_sums", with)]].concat();
                all.push(plan.program(&CONV, &forward));
                all.push(plan.program(&CONV_WEIGHT_BACKWARD, &backward));
            }
        }
        for fours in [1, 4] {
            all.push(plan.program(&CONV_INPUT_BACKWARD, &[&window[..], &fetching(plan, fours)].concat()));
        }
        let mut relu = window.to_vec();
        relu.extend([("up", 1), ("a_along_k", 1), ("bias", 1), ("act", 3)]);
        relu.extend(fetching(plan, 4));
        all.push(plan.program(&CONV, &relu));
    }
    all
}
