//! Losses that end as one number: `shaders/loss.wgsl`, `row_mean.wgsl` and the backward.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Number, Program, Shader, empty, len, shader};
use crate::kernel::loss::Term;

static TERMS: Shader = shader!("loss", "workgroup_sum");
static BACKWARD: Shader = shader!("loss_backward");
static ROW_MEAN: Shader = shader!("row_mean", "workgroup_sum");

const WG: u32 = 64;
/// Most workgroups that share a sum.
const PARTS: usize = 256;

/// Number of the term in `shaders/loss.wgsl`, and its slope.
fn numbered(term: Term) -> (u32, f32) {
    match term {
        Term::Absolute => (1, 0.0),
        Term::Square => (2, 0.0),
        Term::Hinge(slope) => (3, slope),
        Term::Divergence => (4, 0.0),
    }
}

fn terms_program(term: u32) -> Program {
    Program::new(
        &TERMS,
        &[("wg", WG), ("parts", PARTS as u32), ("term", term), ("two", u32::from(term != 3))],
    )
}

fn backward_program(term: u32, db: bool) -> Program {
    let values = [("wg", WG), ("term", term), ("two", u32::from(term != 3)), ("db", db.into())];
    Program::new(&BACKWARD, &values)
}

fn row_mean_program(root: bool) -> Program {
    Program::new(&ROW_MEAN, &[("wg", WG), ("root", root.into())])
}

pub fn variants() -> Vec<Program> {
    let mut all = vec![row_mean_program(false), row_mean_program(true)];
    for term in 1..=4 {
        all.extend([terms_program(term), backward_program(term, false)]);
        if term != 3 {
            all.push(backward_program(term, true));
        }
    }
    all
}

/// `factor · Σ` of each of `rows` rows of `x`. → `[rows]`
pub fn row_means(x: &CubeTensor, rows: usize, factor: f32) -> CubeTensor {
    let means = empty(x, &[rows]);
    let numbers: [Number; 3] = [rows.into(), (len(x) / rows.max(1)).into(), factor.into()];
    row_mean_program(false).launch(rows, &[x, &means], &numbers);
    means
}

/// `√Σx`. → `[1]`
pub fn root_of_sum(x: &CubeTensor) -> CubeTensor {
    let root = empty(x, &[1]);
    row_mean_program(true).launch(1, &[x, &root], &[1_usize.into(), len(x).into(), 1.0_f32.into()]);
    root
}

/// `factor · Σ term(a, b)`. → `[1]`
pub fn forward(a: &CubeTensor, b: Option<&CubeTensor>, term: Term, factor: f32) -> CubeTensor {
    let count = len(a);
    let parts = count.div_ceil(4 * WG as usize).clamp(1, PARTS);
    let sums = empty(a, &[parts]);
    let (number, slope) = numbered(term);
    let mut buffers = vec![a];
    buffers.extend(b);
    buffers.push(&sums);
    terms_program(number).launch(parts, &buffers, &[count.into(), parts.into(), slope.into()]);
    row_means(&sums, 1, factor)
}

/// Gradients of `a` and, where wanted, `b`.
pub fn backward(
    (a, b): (&CubeTensor, Option<&CubeTensor>),
    grad: &CubeTensor,
    (term, factor): (Term, f32),
    wants_b: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let shape: Vec<usize> = a.meta.shape().iter().copied().collect();
    let da = empty(a, &shape);
    let db = (wants_b && b.is_some()).then(|| empty(a, &shape));
    let (number, slope) = numbered(term);
    let mut buffers = vec![a];
    buffers.extend(b);
    buffers.extend([grad, &da]);
    buffers.extend(&db);
    let numbers: [Number; 3] = [len(a).into(), slope.into(), factor.into()];
    backward_program(number, db.is_some()).launch(len(a).div_ceil(WG as usize), &buffers, &numbers);
    (da, db)
}
