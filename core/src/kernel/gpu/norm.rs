//! Group norm with or without SiLU: `shaders/group_norm.wgsl` and its backward, and where groups are few and large
//! `shaders/group_norm_sums.wgsl` and `shaders/group_norm_parts.wgsl` with theirs.

use burn::backend::wgpu::CubeTensor;

use super::is_software;
use super::launch::{Number, Program, Shader, dims, empty, shader};
use crate::kernel::form::is_card;
use crate::kernel::group_norm::GroupNormConfig;

static FORWARD: Shader = shader!("group_norm", "workgroup_sum", "activation");
static BACKWARD: Shader = shader!("group_norm_backward", "workgroup_sum", "activation");
static SUMS: Shader = shader!("group_norm_sums", "workgroup_sum", "channel_part");
static PARTS: Shader = shader!("group_norm_parts", "workgroup_sum", "activation", "channel_part");
static SUMS_BACKWARD: Shader =
    shader!("group_norm_sums_backward", "workgroup_sum", "activation", "channel_part");
static PARTS_BACKWARD: Shader =
    shader!("group_norm_parts_backward", "workgroup_sum", "activation", "channel_part");
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
/// Invocations of a part of a large group.
const PART: u32 = 256;
/// Groups that keep a graphics card busy, one workgroup for each.
const BUSY: usize = 128;
/// Values from which on a group is large.
const LARGE: usize = 8192;
/// Workgroups that large groups are cut into, where that leaves each [`SHORT`] values.
const CUTS: usize = 1024;
/// Values that a workgroup should have at least.
const SHORT: usize = 1024;

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
        all.extend([&PARTS, &SUMS_BACKWARD, &PARTS_BACKWARD].map(|shader| program(shader, silu, PART)));
    }
    all.push(program(&SUMS, false, PART));
    all
}

/// How the channels of few and large groups are cut: parts of a channel, workgroups, and the uniform. `None`
/// where one workgroup for each group serves better.
fn cuts(x: &CubeTensor, config: GroupNormConfig) -> Option<(usize, usize, [Number; 7])> {
    let [b, c, h, w] = dims(x);
    let (channels, area) = (c / config.groups, h * w);
    if !is_card(&x.device) || b * config.groups >= BUSY || channels * area < LARGE {
        return None;
    }
    let parts = (CUTS / (b * c)).min(area / SHORT).max(1);
    let workgroups = b * c * parts;
    let numbers = [
        workgroups.into(),
        parts.into(),
        area.div_ceil(parts).into(),
        area.into(),
        c.into(),
        channels.into(),
        config.eps.into(),
    ];
    Some((parts, workgroups, numbers))
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
    if let Some((_, workgroups, numbers)) = cuts(x, config) {
        let sums = empty(x, &[workgroups, 2]);
        program(&SUMS, false, PART).launch(workgroups, &[x, &sums], &numbers);
        let buffers = [x, gamma, beta, &sums, &y, &stats];
        program(&PARTS, config.silu, PART).launch(workgroups, &buffers, &numbers);
        return (y, stats);
    }
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
    let cuts = cuts(x, config);
    let rows = b * cuts.as_ref().map_or(1, |(parts, ..)| *parts);
    let (gamma_sums, beta_sums) = (empty(x, &[rows, c]), empty(x, &[rows, c]));
    if let Some((_, workgroups, numbers)) = cuts {
        let buffers = [x, gamma, beta, stats, grad, &gamma_sums, &beta_sums];
        program(&SUMS_BACKWARD, config.silu, PART).launch(workgroups, &buffers, &numbers);
        let buffers = [x, gamma, beta, stats, grad, &gamma_sums, &beta_sums, &dx];
        program(&PARTS_BACKWARD, config.silu, PART).launch(workgroups, &buffers, &numbers);
    } else {
        let buffers = [x, gamma, beta, stats, grad, &dx, &gamma_sums, &beta_sums];
        program(&BACKWARD, config.silu, wg).launch(groups, &buffers, &numbers);
    }
    let (dgamma, dbeta) = (empty(x, &[c]), empty(x, &[c]));
    column_sums(&gamma_sums, &dgamma, Some((&beta_sums, &dbeta)));
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
