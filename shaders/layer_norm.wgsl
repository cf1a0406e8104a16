// Layer norm over the last axis, then a scale and a shift that a stretch of rows shares.
//
//   y = n (scale_s + plus) + shift_s,   n = (x - mean) / sqrt(var + eps)
//
// Modulated (adaLN): one scale and shift for each sample, plus = 1. With weights of its own: one
// for all rows, plus = 0. LANES invocations share a row: 1 on a software adapter (no barrier), more
// on hardware, so that a row is read in one piece. {{ wg }} invocations in all.
struct Info {
    rows: u32,
    width: u32,
    shared_rows: u32, // rows that share a scale and shift
    eps: f32,
    plus: f32,
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>;     // [rows, D]
@group(0) @binding(_) var<storage, read_write> shift: array<f32>; // [S, D]
@group(0) @binding(_) var<storage, read_write> scale: array<f32>; // [S, D]
@group(0) @binding(_) var<storage, read_write> y: array<f32>;     // [rows, D]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>; // [rows, 2] mean, 1/sigma
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;
const LANES: u32 = {{ lanes }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = (workgroup.y * workgroups.x + workgroup.x) * (WG / LANES) + local / LANES;
    let lane = local % LANES;
    let exists = row < info.rows;
    let start = min(row, info.rows - 1u) * info.width;
    let first = x[start];
    var sum = 0.0;
    var squares = 0.0;
    for (var i = lane; i < info.width; i += LANES) {
        let v = x[start + i] - first;
        sum += v;
        squares += v * v;
    }
    let count = f32(info.width);
    let offset = row_sum(local, sum) / count;
    let variance = max(row_sum(local, squares) / count - offset * offset, 0.0);
    let mean = first + offset;
    let factor = 1.0 / sqrt(variance + info.eps);
    if (!exists) {
        return;
    }
    if (lane == 0u) {
        stats[2u * row] = mean;
        stats[2u * row + 1u] = factor;
    }
    let weights = row / info.shared_rows * info.width;
    for (var i = lane; i < info.width; i += LANES) {
        let n = (x[start + i] - mean) * factor;
        y[start + i] = n * (scale[weights + i] + info.plus) + shift[weights + i];
    }
}
