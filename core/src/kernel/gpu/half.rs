//! Activations that wait for backward in half precision: `shaders/half_pack.wgsl` and `half_unpack.wgsl`.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Program, Shader, empty, len, shader};

static PACK: Shader = shader!("half_pack");
static UNPACK: Shader = shader!("half_unpack");

const WG: u32 = 64;
/// Values of an invocation.
const EACH: usize = 4;

fn program(shader: &'static Shader) -> Program {
    Program::new(shader, &[("wg", WG)])
}

pub fn variants() -> Vec<Program> {
    [&PACK, &UNPACK].map(program).to_vec()
}

fn groups(values: usize) -> usize {
    (values / EACH).div_ceil(WG as usize)
}

/// `x` as halves, two in a value's place; `None` where its length is no multiple of 4.
pub fn pack(x: &CubeTensor) -> Option<CubeTensor> {
    let values = len(x);
    if values == 0 || !values.is_multiple_of(EACH) {
        return None;
    }
    let packed = empty(x, &[values / 2]);
    program(&PACK).launch(groups(values), &[x, &packed], &[(values / EACH).into()]);
    Some(packed)
}

/// What [`pack`] made, in f32 and `shape`.
pub fn unpack(packed: &CubeTensor, shape: &[usize]) -> CubeTensor {
    let x = empty(packed, shape);
    program(&UNPACK).launch(groups(len(&x)), &[packed, &x], &[(len(&x) / EACH).into()]);
    x
}
