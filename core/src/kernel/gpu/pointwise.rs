//! What touches each value once: activations, the gated residual, nearest ×2.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Number, Program, Shader, dims, empty, len, shader};
use crate::kernel::cpu::activation::Activation;

static ACTIVATION: Shader = shader!("activation", "activation");
static ACTIVATION_BACKWARD: Shader = shader!("activation_backward", "activation");
static GATED: Shader = shader!("gated_residual");
static GATED_BACKWARD: Shader = shader!("gated_residual_backward");
static NEAREST: Shader = shader!("nearest_x2");
static NEAREST_BACKWARD: Shader = shader!("nearest_x2_backward");

const WG: u32 = 64;

fn plain(shader: &'static Shader) -> Program {
    Program::new(shader, &[("wg", WG)])
}

fn groups(values: usize) -> usize {
    values.div_ceil(WG as usize)
}

/// Number of the activation in `shaders/shared/activation.wgsl`, and its slope.
pub fn numbered(activation: Option<Activation>) -> (u32, f32) {
    match activation {
        None => (0, 0.0),
        Some(Activation::Silu) => (1, 0.0),
        Some(Activation::GeluTanh) => (2, 0.0),
        Some(Activation::Relu) => (3, 0.0),
        Some(Activation::LeakyRelu(slope)) => (3, slope),
        Some(Activation::Relu6) => (4, 0.0),
    }
}

pub fn variants() -> Vec<Program> {
    let mut all: Vec<_> =
        [&GATED, &GATED_BACKWARD, &NEAREST, &NEAREST_BACKWARD].into_iter().map(plain).collect();
    for act in 0..5 {
        all.push(Program::new(&ACTIVATION, &[("wg", WG), ("act", act)]));
        all.push(Program::new(&ACTIVATION_BACKWARD, &[("wg", WG), ("act", act)]));
    }
    all
}

fn like(x: &CubeTensor) -> CubeTensor {
    empty(x, &x.meta.shape().iter().copied().collect::<Vec<_>>())
}

/// `act(x)`.
pub fn activation(x: &CubeTensor, activation: Activation) -> CubeTensor {
    let (act, slope) = numbered(Some(activation));
    let y = like(x);
    let program = Program::new(&ACTIVATION, &[("wg", WG), ("act", act)]);
    program.launch(groups(len(x)), &[x, &y], &[len(x).into(), slope.into()]);
    y
}

/// `grad · act'(x)`.
pub fn activation_backward(x: &CubeTensor, grad: &CubeTensor, activation: Activation) -> CubeTensor {
    let (act, slope) = numbered(Some(activation));
    let dx = like(x);
    let program = Program::new(&ACTIVATION_BACKWARD, &[("wg", WG), ("act", act)]);
    program.launch(groups(len(x)), &[x, grad, &dx], &[len(x).into(), slope.into()]);
    dx
}

/// `x + gate · h` of `[B, N, D]` with `gate [B, D]`.
pub fn gated_residual(x: &CubeTensor, gate: &CubeTensor, h: &CubeTensor) -> CubeTensor {
    let [b, n, d] = dims(h);
    let y = like(h);
    let numbers: [Number; 3] = [(b * n * d).into(), d.into(), (n * d).into()];
    plain(&GATED).launch(groups(b * n * d), &[x, gate, h, &y], &numbers);
    y
}

/// Gradients of `gate` and `h`.
pub fn gated_residual_backward(
    gate: &CubeTensor,
    h: &CubeTensor,
    grad: &CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let [b, n, d] = dims(h);
    let (dgate, dh) = (empty(h, &[b, d]), like(h));
    let numbers: [Number; 3] = [(b * d).into(), d.into(), n.into()];
    plain(&GATED_BACKWARD).launch(groups(b * d), &[gate, h, grad, &dgate, &dh], &numbers);
    (dgate, dh)
}

/// Every pixel of `[B, C, H, W]` as a 2×2 square.
pub fn nearest_x2(x: &CubeTensor) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    let y = empty(x, &[b, c, 2 * h, 2 * w]);
    let numbers: [Number; 3] = [len(&y).into(), (2 * w).into(), (2 * h).into()];
    plain(&NEAREST).launch(groups(len(&y)), &[x, &y], &numbers);
    y
}

/// Gradient of [`nearest_x2`]: the sum of each square of `grad [B, C, 2H, 2W]`.
pub fn nearest_x2_backward(grad: &CubeTensor) -> CubeTensor {
    let [b, c, h, w] = dims(grad);
    let dx = empty(grad, &[b, c, h / 2, w / 2]);
    plain(&NEAREST_BACKWARD).launch(groups(len(&dx)), &[grad, &dx], &[len(&dx).into(), (w / 2).into()]);
    dx
}
