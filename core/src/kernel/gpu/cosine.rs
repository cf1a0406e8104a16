//! Cosine of rows: `shaders/cosine.wgsl` and its backward.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Program, Shader, dims, empty, shader};
use super::layer_norm::lanes;

static FORWARD: Shader = shader!("cosine", "row_sum");
static BACKWARD: Shader = shader!("cosine_backward");

const WG: u32 = 64;

fn program(shader: &'static Shader, lanes: u32) -> Program {
    Program::new(shader, &[("wg", WG), ("lanes", lanes)])
}

pub fn variants() -> Vec<Program> {
    vec![program(&FORWARD, 1), program(&FORWARD, 32), program(&BACKWARD, 1)]
}

/// `f` and `target [M, D]` → cosines `[M]`, and the inverse norms of both `[M, 2]`.
pub fn forward(f: &CubeTensor, target: &CubeTensor) -> (CubeTensor, CubeTensor) {
    let [rows, width] = dims(f);
    let (cosine, inverse) = (empty(f, &[rows]), empty(f, &[rows, 2]));
    let lanes = lanes(f);
    let groups = rows.div_ceil((WG / lanes) as usize);
    let buffers = [f, target, &cosine, &inverse];
    program(&FORWARD, lanes).launch(groups, &buffers, &[rows.into(), width.into()]);
    (cosine, inverse)
}

/// Gradient of `f`.
pub fn backward(
    (f, target): (&CubeTensor, &CubeTensor),
    (cosine, inverse): (&CubeTensor, &CubeTensor),
    grad: &CubeTensor,
) -> CubeTensor {
    let [rows, width] = dims(f);
    let df = empty(f, &[rows, width]);
    let groups = (rows * width).div_ceil(WG as usize);
    let buffers = [f, target, cosine, inverse, grad, &df];
    program(&BACKWARD, 1).launch(groups, &buffers, &[(rows * width).into(), width.into()]);
    df
}
