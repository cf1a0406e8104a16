//! Pixels for the screen: `shaders/rgba.wgsl`.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Number, Program, Shader, dims, empty, shader};

static RGBA: Shader = shader!("rgba");

const WG: u32 = 64;

fn program(projected: bool) -> Program {
    Program::new(&RGBA, &[("wg", WG), ("projected", projected.into())])
}

pub fn variants() -> Vec<Program> {
    vec![program(false), program(true)]
}

/// `[B, C, H, W]`, projected onto three components when there is a `basis`, as words of four bytes in a
/// tensor `[B, H, W]` whose type does not matter.
pub fn rgba(x: &CubeTensor, basis: Option<&CubeTensor>) -> CubeTensor {
    let [b, c, h, w] = dims(x);
    let pixels = empty(x, &[b, h, w]);
    let mut buffers = vec![x];
    buffers.extend(basis);
    buffers.push(&pixels);
    let numbers: [Number; 3] = [(b * h * w).into(), (h * w).into(), c.into()];
    program(basis.is_some()).launch((b * h * w).div_ceil(WG as usize), &buffers, &numbers);
    pixels
}
