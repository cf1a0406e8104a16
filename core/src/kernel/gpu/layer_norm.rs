//! Layer norm, modulated per sample or with weights of its own: `shaders/layer_norm.wgsl`, its
//! backward to the input and to the weights.

use burn::backend::wgpu::CubeTensor;

use super::is_software;
use super::launch::{Number, Program, Shader, empty, len, shader};
use super::norm::column_sums;

static FORWARD: Shader = shader!("layer_norm", "row_sum");
static BACKWARD: Shader = shader!("layer_norm_backward", "row_sum");
static WEIGHTS: Shader = shader!("layer_norm_weights");

const WG: u32 = 64;
/// Rows that are summed together on the way to gradients of shared weights.
const STRETCH: usize = 64;

/// How scale and shift meet the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows {
    /// Added to the scale: 1 when modulated.
    pub plus: f32,
    /// Rows that share a scale and shift: a sample's tokens, or all.
    pub shared: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// Invocations that share a row.
pub fn lanes(like: &CubeTensor) -> u32 {
    if is_software(&like.device) { 1 } else { 32 }
}

fn program(shader: &'static Shader, lanes: u32) -> Program {
    Program::new(shader, &[("wg", WG), ("lanes", lanes)])
}

pub fn variants() -> Vec<Program> {
    let both = [1, 32].map(|lanes| [program(&FORWARD, lanes), program(&BACKWARD, lanes)]);
    both.into_iter().flatten().chain([program(&WEIGHTS, 1)]).collect()
}

fn numbers(rows: usize, width: usize, r: Rows) -> [Number; 5] {
    [rows.into(), width.into(), r.shared.max(1).into(), r.eps.into(), r.plus.into()]
}

fn shape(x: &CubeTensor) -> (Vec<usize>, usize, usize) {
    let shape: Vec<usize> = x.meta.shape().iter().copied().collect();
    let width = shape.last().copied().unwrap_or(1);
    (shape, len(x) / width.max(1), width)
}

/// `x [.., D]`, `shift` and `scale [S, D]` → output, and mean and 1/σ of each row `[rows, 2]`.
pub fn forward(x: &CubeTensor, shift: &CubeTensor, scale: &CubeTensor, r: Rows) -> (CubeTensor, CubeTensor) {
    let (shape, rows, width) = shape(x);
    let (y, stats) = (empty(x, &shape), empty(x, &[rows, 2]));
    let lanes = lanes(x);
    let groups = rows.div_ceil((WG / lanes) as usize);
    program(&FORWARD, lanes).launch(groups, &[x, shift, scale, &y, &stats], &numbers(rows, width, r));
    (y, stats)
}

/// Gradient to `x`.
pub fn grad_input(
    x: &CubeTensor,
    scale: &CubeTensor,
    stats: &CubeTensor,
    grad: &CubeTensor,
    r: Rows,
) -> CubeTensor {
    let (shape, rows, width) = shape(x);
    let dx = empty(x, &shape);
    let lanes = lanes(x);
    let groups = rows.div_ceil((WG / lanes) as usize);
    let buffers = [x, scale, stats, grad, &dx];
    program(&BACKWARD, lanes).launch(groups, &buffers, &numbers(rows, width, r));
    dx
}

/// Gradients to shift and scale, in the shape of `shift`.
pub fn grad_weights(
    x: &CubeTensor,
    shift: &[usize],
    stats: &CubeTensor,
    grad: &CubeTensor,
    r: Rows,
) -> (CubeTensor, CubeTensor) {
    let (_, rows, width) = shape(x);
    let shared = r.shared >= rows && rows > STRETCH;
    let stretch = if shared { STRETCH } else { r.shared.max(1) };
    let parts = rows.div_ceil(stretch);
    let part_shape = if shared { vec![parts, width] } else { shift.to_vec() };
    let (dshift, dscale) = (empty(x, &part_shape), empty(x, &part_shape));
    let numbers: [Number; 4] = [(parts * width).into(), width.into(), stretch.into(), rows.into()];
    let groups = (parts * width).div_ceil(WG as usize);
    program(&WEIGHTS, 1).launch(groups, &[x, stats, grad, &dshift, &dscale], &numbers);
    if !shared {
        return (dshift, dscale);
    }
    let (shift_sum, scale_sum) = (empty(x, shift), empty(x, shift));
    column_sums(&dshift, &shift_sum, Some((&dscale, &scale_sum)));
    (shift_sum, scale_sum)
}
