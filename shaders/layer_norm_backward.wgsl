// Gradient of layer norm to its input.
//
//   d = grad (scale_s + plus),   dx = (d - mean(d) - n mean(d n)) / sigma
//
// LANES invocations share a row, {{ wg }} in all, as forward.
struct Info {
    rows: u32,
    width: u32,
    shared_rows: u32,
    eps: f32,
    plus: f32,
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>;     // [rows, D]
@group(0) @binding(_) var<storage, read_write> scale: array<f32>; // [S, D]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>; // [rows, 2]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>;  // [rows, D]
@group(0) @binding(_) var<storage, read_write> dx: array<f32>;    // [rows, D]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;
const LANES: u32 = {{ lanes }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let wanted = (workgroup.y * workgroups.x + workgroup.x) * (WG / LANES) + local / LANES;
    let lane = local % LANES;
    let row = min(wanted, info.rows - 1u);
    let start = row * info.width;
    let weights = row / info.shared_rows * info.width;
    let mean = stats[2u * row];
    let factor = stats[2u * row + 1u];
    var sum = 0.0;
    var normal_sum = 0.0;
    for (var i = lane; i < info.width; i += LANES) {
        let d = grad[start + i] * (scale[weights + i] + info.plus);
        sum += d;
        normal_sum += d * (x[start + i] - mean) * factor;
    }
    let count = f32(info.width);
    sum = row_sum(local, sum) / count;
    normal_sum = row_sum(local, normal_sum) / count;
    if (wanted >= info.rows) {
        return;
    }
    for (var i = lane; i < info.width; i += LANES) {
        let d = grad[start + i] * (scale[weights + i] + info.plus);
        let n = (x[start + i] - mean) * factor;
        dx[start + i] = (d - sum - n * normal_sum) * factor;
    }
}
