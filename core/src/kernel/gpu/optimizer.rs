//! AdamW, moving averages and the global norm over many tensors in few launches: `shaders/adamw.wgsl`,
//! `ema.wgsl`, `squares.wgsl`. As many tensors in one launch as the adapter binds buffers.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Number, Program, Shader, empty, len, shader};
use super::loss::root_of_sum;
use crate::kernel::optimizer::AdamW;

static ADAMW: Shader = shader!("adamw");
static EMA: Shader = shader!("ema");
static SQUARES: Shader = shader!("squares", "workgroup_sum");

const WG: u32 = 64;
/// Values of a workgroup.
const SPAN: usize = 1024;
/// Most tensors in one launch, whatever the adapter binds: a shader for each number is compiled.
const MAX_SLOTS: usize = 16;

fn program(shader: &'static Shader, slots: usize) -> Program {
    Program::new(shader, &[("wg", WG), ("span", SPAN as u32), ("slots", slots as u32)])
}

pub fn variants() -> Vec<Program> {
    let all = [&ADAMW, &EMA, &SQUARES];
    [1, 2, 3, 7, MAX_SLOTS].into_iter().flat_map(|slots| all.map(|shader| program(shader, slots))).collect()
}

/// How many tensors of `buffers` buffers each fit a launch that binds `others` beside them.
fn slots(like: &CubeTensor, buffers: usize, others: usize) -> usize {
    let bindings = like.client.properties().hardware.max_bindings as usize;
    (bindings.saturating_sub(others) / buffers).clamp(1, MAX_SLOTS)
}

/// Counts and last workgroups of the tensors of a launch, and all its workgroups.
fn spread(lens: impl Iterator<Item = usize>) -> (Vec<Number>, usize) {
    let mut numbers = Vec::new();
    let mut end = 0;
    for len in lens {
        end += len.div_ceil(SPAN);
        numbers.extend([Number::from(len), Number::from(end)]);
    }
    (numbers, end)
}

/// A weight on its way: value, gradient, first and second moment. Value and moments are changed in
/// place, so nobody else may hold them.
pub struct Slot {
    /// The weight.
    pub value: CubeTensor,
    /// Its gradient.
    pub grad: CubeTensor,
    /// First moment.
    pub m: CubeTensor,
    /// Second moment.
    pub v: CubeTensor,
}

/// One AdamW step, number `step`, in place.
pub fn adamw(all: &[Slot], config: AdamW, step: i32, clip: &CubeTensor, gate: Option<&CubeTensor>) {
    let AdamW { lr, betas: (beta1, beta2), eps, weight_decay } = config;
    let real = |v: f64| Number::Real(v as f32);
    for part in all.chunks(slots(clip, 4, 2)) {
        let (spread, groups) = spread(part.iter().map(|s| len(&s.value)));
        let mut numbers = vec![
            real(lr / (1.0 - beta1.powi(step))),
            real(1.0 - lr * weight_decay),
            real(beta1),
            real(beta2),
            real(1.0 / (1.0 - beta2.powi(step)).sqrt()),
            real(eps),
            usize::from(gate.is_some()).into(),
            groups.into(),
        ];
        numbers.extend(spread);
        let mut buffers = vec![clip, gate.unwrap_or(clip)];
        buffers.extend(part.iter().flat_map(|s| [&s.value, &s.grad, &s.m, &s.v]));
        program(&ADAMW, part.len()).launch(groups, &buffers, &numbers);
    }
}

/// `average = decay · average + (1 − decay) · value` for each pair, in place.
pub fn ema(pairs: &[(CubeTensor, CubeTensor)], decay: f64, gate: Option<&CubeTensor>) {
    let Some((first, _)) = pairs.first() else { return };
    for part in pairs.chunks(slots(first, 2, 1)) {
        let (spread, groups) = spread(part.iter().map(|(average, _)| len(average)));
        let mut numbers = vec![Number::Real(decay as f32), usize::from(gate.is_some()).into(), groups.into()];
        numbers.extend(spread);
        let mut buffers = vec![gate.unwrap_or(&part[0].1)];
        buffers.extend(part.iter().flat_map(|(average, value)| [average, value]));
        program(&EMA, part.len()).launch(groups, &buffers, &numbers);
    }
}

/// The Euclidean norm of all tensors together. → `[1]`
pub fn global_norm(all: &[CubeTensor]) -> Option<CubeTensor> {
    let first = all.first()?;
    let total: usize = all.iter().map(|t| len(t).div_ceil(SPAN)).sum();
    let sums = empty(first, &[total]);
    let mut offset = 0;
    for part in all.chunks(slots(first, 1, 1)) {
        let (spread, groups) = spread(part.iter().map(len));
        let mut numbers: Vec<Number> = vec![groups.into(), offset.into()];
        numbers.extend(spread);
        let mut buffers: Vec<_> = part.iter().collect();
        buffers.push(&sums);
        program(&SQUARES, part.len()).launch(groups, &buffers, &numbers);
        offset += groups;
    }
    Some(root_of_sum(&sums))
}
