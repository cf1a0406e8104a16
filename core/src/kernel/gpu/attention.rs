//! Attention without stored scores: `shaders/attention.wgsl` and its two backward kernels.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Number, Program, Shader, dims, empty, shader};

static FORWARD: Shader = shader!("attention");
static QUERY_BACKWARD: Shader = shader!("attention_query_backward");
static KEY_BACKWARD: Shader = shader!("attention_key_backward");

/// Queries (or keys) of a workgroup.
const WG: u32 = 64;
/// Widest head: its query, result and gradient stay in registers.
pub const MAX_HEAD: usize = 128;

/// Whether the kernel serves heads of width `d`.
pub fn serves(d: usize) -> bool {
    d.is_multiple_of(4) && d <= MAX_HEAD
}

fn program(shader: &'static Shader, d: usize) -> Program {
    // Two tiles of `keys` vectors of d values: at most 16 KiB of workgroup memory, the least WebGPU has.
    let keys = if d > 64 { 12 } else { 24 };
    Program::new(shader, &[("wg", WG), ("keys", keys), ("d4", (d / 4) as u32)])
}

pub fn variants() -> Vec<Program> {
    let all = [&FORWARD, &QUERY_BACKWARD, &KEY_BACKWARD];
    [4, 32, 64, 72, MAX_HEAD].into_iter().flat_map(|d| all.map(|shader| program(shader, d))).collect()
}

fn numbers(qkv: &CubeTensor) -> (usize, [Number; 5]) {
    let [b, n, _, h, d] = dims(qkv);
    let tiles = n.div_ceil(WG as usize);
    let scale = (d as f32).powf(-0.5);
    (b * h * tiles, [tiles.into(), (b * h * tiles).into(), n.into(), h.into(), scale.into()])
}

/// `qkv [B, N, 3, H, d]` → output `[B, N, H·d]`, and the log of each row's sum of exponentials `[B, H, N]`.
pub fn forward(qkv: &CubeTensor) -> (CubeTensor, CubeTensor) {
    let [b, n, _, h, d] = dims(qkv);
    let (y, lse) = (empty(qkv, &[b, n, h * d]), empty(qkv, &[b, h, n]));
    let (groups, numbers) = numbers(qkv);
    program(&FORWARD, d).launch(groups, &[qkv, &y, &lse], &numbers);
    (y, lse)
}

/// Gradient of `qkv`.
pub fn backward(qkv: &CubeTensor, y: &CubeTensor, lse: &CubeTensor, grad: &CubeTensor) -> CubeTensor {
    let [b, n, three, h, d] = dims(qkv);
    let (dqkv, delta) = (empty(qkv, &[b, n, three, h, d]), empty(qkv, &[b, h, n]));
    let (groups, numbers) = numbers(qkv);
    program(&QUERY_BACKWARD, d).launch(groups, &[qkv, y, lse, grad, &dqkv, &delta], &numbers);
    program(&KEY_BACKWARD, d).launch(groups, &[qkv, lse, &delta, grad, &dqkv], &numbers);
    dqkv
}
