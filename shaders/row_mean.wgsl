// Sum of each row of a matrix, scaled: out[r] = factor sum_i x[r, i]; its root where `root` is 1.
//
// One workgroup for each row. {{ wg }} invocations.
struct Info {
    rows: u32,
    width: u32,
    factor: f32, // 1 / width for a mean
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>;   // [rows, width]
@group(0) @binding(_) var<storage, read_write> out: array<f32>; // [rows]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if (row >= info.rows) {
        return;
    }
    var sum = 0.0;
    for (var i = local; i < info.width; i += WG) {
        sum += x[row * info.width + i];
    }
    sum = workgroup_sum(local, sum);
    if (local == 0u) {
#if root_1
        out[row] = sqrt(sum * info.factor);
#else
        out[row] = sum * info.factor;
#end
    }
}
