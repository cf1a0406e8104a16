//! Linear map on the tiled product: `shaders/matmul.wgsl` in its three uses.

use burn::backend::wgpu::CubeTensor;

use super::gemm::{FORWARD, GRAD_INPUT, GRAD_WEIGHT, MATMUL, Plan, Size};
use super::launch::{Number, dims, empty};
use super::norm::column_sums;
use super::pointwise::numbered;
use crate::kernel::cpu::activation::Activation;

fn numbers(size: Size, plan: &Plan, slope: f32) -> [Number; 6] {
    let Size { m, n, k, .. } = size;
    [m.into(), n.into(), k.into(), plan.splits.into(), plan.k_split.into(), slope.into()]
}

fn vectors(rows: &[usize]) -> (&'static str, u32) {
    ("vec", rows.iter().all(|n| n.is_multiple_of(4)).into())
}

/// `act(x Wᵀ + bias)` of `x [M, K]`, `weight [O, K]`, `bias [O]` → `[M, O]`, and what was before the
/// activation if there is one.
pub fn forward(
    x: &CubeTensor,
    weight: &CubeTensor,
    bias: Option<&CubeTensor>,
    activation: Option<Activation>,
) -> (CubeTensor, Option<CubeTensor>) {
    let ([m, k], [n, _]) = (dims(x), dims(weight));
    let size = Size { m, n, k, phases: 1 };
    let plan = Plan::new(size, false, x);
    let (act, slope) = numbered(activation);
    let y = empty(x, &[m, n]);
    let before = activation.map(|_| empty(x, &[m, n]));
    let mut values = FORWARD.to_vec();
    values.extend([vectors(&[k]), ("bias", bias.is_some().into()), ("act", act)]);
    values.push(("saves", before.is_some().into()));
    let mut buffers = vec![x, weight];
    buffers.extend(bias);
    buffers.push(&y);
    buffers.extend(&before);
    plan.program(&MATMUL, &values).launch(plan.groups, &buffers, &numbers(size, &plan, slope));
    (y, before)
}

/// Gradient of `x`: `grad W`.
pub fn grad_input(grad: &CubeTensor, weight: &CubeTensor) -> CubeTensor {
    let ([m, k], [_, n]) = (dims(grad), dims(weight));
    let size = Size { m, n, k, phases: 1 };
    let plan = Plan::new(size, false, grad);
    let dx = empty(grad, &[m, n]);
    let mut values = GRAD_INPUT.to_vec();
    values.push(vectors(&[k, n]));
    plan.program(&MATMUL, &values).launch(plan.groups, &[grad, weight, &dx], &numbers(size, &plan, 0.0));
    dx
}

/// Gradient of `weight`: `gradᵀ x`; and of the bias where wanted, from the same reading of `grad`.
pub fn grad_weight(grad: &CubeTensor, x: &CubeTensor, bias: bool) -> (CubeTensor, Option<CubeTensor>) {
    let ([k, m], [_, n]) = (dims(grad), dims(x));
    let size = Size { m, n, k, phases: 1 };
    let plan = Plan::new(size, true, grad);
    let parts = empty(grad, &[plan.splits, m, n]);
    let sums = bias.then(|| empty(grad, &[plan.splits, m]));
    let mut values = GRAD_WEIGHT.to_vec();
    values.extend([vectors(&[m, n]), ("row_sums", bias.into())]);
    let mut buffers = vec![grad, x, &parts];
    buffers.extend(&sums);
    plan.program(&MATMUL, &values).launch(plan.groups, &buffers, &numbers(size, &plan, 0.0));
    added(parts, &[m, n], sums, plan.splits)
}

/// Gradient of the bias alone: the column sums of `grad`.
pub fn grad_bias(grad: &CubeTensor) -> CubeTensor {
    let [_, outputs] = dims(grad);
    let db = empty(grad, &[outputs]);
    column_sums(grad, &db, None);
    db
}

/// Adds the parts that splits left, of a weight's gradient in `shape` and of its bias'.
pub(super) fn added(
    parts: CubeTensor,
    shape: &[usize],
    sums: Option<CubeTensor>,
    splits: usize,
) -> (CubeTensor, Option<CubeTensor>) {
    let dw = empty_or(&parts, shape, splits);
    let db = sums.as_ref().map(|sums| empty_or(sums, &shape[..1], splits));
    if splits > 1 {
        let second = sums.as_ref().zip(db.as_ref());
        column_sums(&parts, &dw, second);
    }
    (dw, db)
}

/// `parts` itself as `shape` when there is one part, else a new tensor.
fn empty_or(parts: &CubeTensor, shape: &[usize], splits: usize) -> CubeTensor {
    if splits > 1 {
        return empty(parts, shape);
    }
    let (client, device) = (parts.client.clone(), parts.device.clone());
    CubeTensor::new_contiguous(client, device, shape.to_vec().into(), parts.handle.clone(), parts.dtype)
}
