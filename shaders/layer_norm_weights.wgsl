// Gradients of layer norm to shift and scale: sums over the rows of a stretch.
//
//   dshift[s, d] = sum grad,   dscale[s, d] = sum grad n
//
// One invocation for each (stretch, column). A stretch is a sample (modulated norm: the result), or
// a piece of all rows (weights of its own: column_sum adds the pieces). {{ wg }} invocations.
struct Info {
    columns: u32, // stretches x D
    width: u32,
    stretch: u32, // rows of a stretch
    rows: u32,
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>;      // [rows, D]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>;  // [rows, 2]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>;   // [rows, D]
@group(0) @binding(_) var<storage, read_write> dshift: array<f32>; // [stretches, D]
@group(0) @binding(_) var<storage, read_write> dscale: array<f32>; // [stretches, D]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let column = (workgroup.y * workgroups.x + workgroup.x) * WG + local;
    if (column >= info.columns) {
        return;
    }
    let first = column / info.width * info.stretch;
    let d = column % info.width;
    let end = min(first + info.stretch, info.rows);
    var sum = 0.0;
    var normal_sum = 0.0;
    for (var row = first; row < end; row++) {
        let g = grad[row * info.width + d];
        sum += g;
        normal_sum += g * (x[row * info.width + d] - stats[2u * row]) * stats[2u * row + 1u];
    }
    dshift[column] = sum;
    dscale[column] = normal_sum;
}
