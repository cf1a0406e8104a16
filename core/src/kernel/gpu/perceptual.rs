//! The distance of one LPIPS layer: `shaders/layer_distance.wgsl` and its backward.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Number, Program, Shader, dims, empty, shader};
use super::loss::row_means;

static FORWARD: Shader = shader!("layer_distance");
static BACKWARD: Shader = shader!("layer_distance_backward");

const WG: u32 = 64;

fn program(shader: &'static Shader) -> Program {
    Program::new(shader, &[("wg", WG)])
}

pub fn variants() -> Vec<Program> {
    vec![program(&FORWARD), program(&BACKWARD)]
}

/// `a` and `b [B, C, H, W]`, `weight [C]` → distances `[B]`, and the norms of both at each position.
pub fn forward(a: &CubeTensor, b: &CubeTensor, weight: &CubeTensor) -> (CubeTensor, CubeTensor) {
    let [batch, channels, h, w] = dims(b);
    let count = batch * h * w;
    let (by_position, norms) = (empty(b, &[batch, h * w]), empty(b, &[count, 2]));
    let numbers: [Number; 3] = [count.into(), (h * w).into(), channels.into()];
    let buffers = [a, b, weight, &by_position, &norms];
    program(&FORWARD).launch(count.div_ceil(WG as usize), &buffers, &numbers);
    (row_means(&by_position, batch, 1.0 / (h * w) as f32), norms)
}

/// Gradient of `b`.
pub fn backward(
    (a, b, weight): (&CubeTensor, &CubeTensor, &CubeTensor),
    norms: &CubeTensor,
    grad: &CubeTensor,
) -> CubeTensor {
    let [batch, channels, h, w] = dims(b);
    let count = batch * h * w;
    let db = empty(b, &[batch, channels, h, w]);
    let numbers: [Number; 3] = [count.into(), (h * w).into(), channels.into()];
    program(&BACKWARD).launch(count.div_ceil(WG as usize), &[a, b, weight, norms, grad, &db], &numbers);
    db
}
