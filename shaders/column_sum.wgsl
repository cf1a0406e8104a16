// Sums the rows of a matrix: out[d] = sum_r x[r, d]; of two matrices of as many rows in one launch where
// there are two. The last step of weight gradients that were first summed in parts.
//
// One invocation for each column, neighbours read neighbours. {{ wg }} invocations: the matrices
// are small, this is about having few launches.
struct Info {
    columns: u32,
    rows: u32,
    columns2: u32,
    pad: u32,
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [rows, columns]
@group(0) @binding(_) var<storage, read_write> sum: array<f32>; // [columns]
#if two_1
@group(0) @binding(_) var<storage, read_write> x2: array<f32>; // [rows, columns2]
@group(0) @binding(_) var<storage, read_write> sum2: array<f32>; // [columns2]
#end
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let column = (workgroup.y * workgroups.x + workgroup.x) * WG + local;
    var total = 0.0;
    if (column < info.columns) {
        for (var row = 0u; row < info.rows; row++) {
            total += x[row * info.columns + column];
        }
        sum[column] = total;
        return;
    }
#if two_1
    let column2 = column - info.columns;
    if (column2 < info.columns2) {
        for (var row = 0u; row < info.rows; row++) {
            total += x2[row * info.columns2 + column2];
        }
        sum2[column2] = total;
    }
#end
}
