//! Group norm with or without SiLU: `shaders/group_norm.wgsl` and its backward.

use burn::backend::wgpu::CubeTensor;

use super::is_software;
use super::launch::{Number, Program, Shader, dims, empty, shader};
use crate::kernel::group_norm::GroupNormConfig;

static FORWARD: Shader = shader!("group_norm", "workgroup_sum", "activation");
static BACKWARD: Shader = shader!("group_norm_backward", "workgroup_sum", "activation");
static COLUMN_SUM: Shader = shader!("column_sum");

/// Invocations that share a group of `size` values: few where a barrier is dear, many where a group is
/// large and invocations are cheap.
fn invocations(x: &CubeTensor, size: usize) -> u32 {
    match size {
        _ if is_software(&x.device) => 32,
        0..2048 => 64,
        _ => 256,
    }
}

/// Invocations of the pointwise kernels.
const WIDE: u32 = 64;

fn program(shader: &'static Shader, silu: bool, wg: u32) -> Program {
    Program::new(shader, &[("wg", wg), ("act", silu.into())])
}

fn column_sum_program(two: bool) -> Program {
    Program::new(&COLUMN_SUM, &[("wg", WIDE), ("two", two.into())])
}

pub fn variants() -> Vec<Program> {
    let mut all: Vec<_> = [false, true].map(column_sum_program).into();
    for silu in [false, true] {
        for wg in [32, 64, 256] {
            all.extend([program(&FORWARD, silu, wg), program(&BACKWARD, silu, wg)]);
        }
    }
    all
}

/// Workgroups, invocations and the uniform of both directions.
fn shape(x: &CubeTensor, config: GroupNormConfig) -> (usize, u32, [Number; 6]) {
    let [b, c, h, w] = dims(x);
    let channels = c / config.groups;
    let groups = b * config.groups;
    let area = h * w;
    let numbers: [Number; 6] = [
        groups.into(),
        (channels * area).into(),
        area.into(),
        channels.into(),
        config.groups.into(),
        config.eps.into(),
    ];
    (groups, invocations(x, channels * area), numbers)
}

/// `x [B, C, H, W]` → output, and mean and 1/σ of each group `[B·G, 2]`.
pub fn forward(
    x: &CubeTensor,
    gamma: &CubeTensor,
    beta: &CubeTensor,
    config: GroupNormConfig,
) -> (CubeTensor, CubeTensor) {
    let (groups, wg, numbers) = shape(x, config);
    let (y, stats) = (empty(x, &dims::<4>(x)), empty(x, &[groups, 2]));
    program(&FORWARD, config.silu, wg).launch(groups, &[x, gamma, beta, &y, &stats], &numbers);
    (y, stats)
}

/// Gradients of `x`, `gamma`, `beta`.
pub fn backward(
    (x, gamma, beta): (&CubeTensor, &CubeTensor, &CubeTensor),
    stats: &CubeTensor,
    grad: &CubeTensor,
    config: GroupNormConfig,
) -> [CubeTensor; 3] {
    let (groups, wg, numbers) = shape(x, config);
    let [b, c, _, _] = dims(x);
    let dx = empty(x, &dims::<4>(x));
    let (by_sample, by_sample2) = (empty(x, &[b, c]), empty(x, &[b, c]));
    let buffers = [x, gamma, beta, stats, grad, &dx, &by_sample, &by_sample2];
    program(&BACKWARD, config.silu, wg).launch(groups, &buffers, &numbers);
    let (dgamma, dbeta) = (empty(x, &[c]), empty(x, &[c]));
    column_sums(&by_sample, &dgamma, Some((&by_sample2, &dbeta)));
    [dx, dgamma, dbeta]
}

/// Adds the rows of `x` into `sum`, and those of a second matrix of as many rows.
pub fn column_sums(x: &CubeTensor, sum: &CubeTensor, second: Option<(&CubeTensor, &CubeTensor)>) {
    let count = |t: &CubeTensor| super::launch::len(t);
    let columns = count(sum);
    let columns2 = second.map_or(0, |(_, sum2)| count(sum2));
    let rows = count(x) / columns.max(1);
    let mut buffers = vec![x, sum];
    buffers.extend(second.iter().flat_map(|(x2, sum2)| [*x2, *sum2]));
    let groups = (columns + columns2).div_ceil(WIDE as usize);
    let numbers: [Number; 3] = [columns.into(), rows.into(), columns2.into()];
    column_sum_program(second.is_some()).launch(groups, &buffers, &numbers);
}
