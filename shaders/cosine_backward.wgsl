// Gradient of the cosine of rows to f: df = grad (t / |t| - cos f / |f|) / |f|.
// Where |f| is clamped the norm is a constant, and the second term vanishes.
//
// One invocation for each value. {{ wg }} invocations: memory-bound.
struct Info {
    count: u32, // M D
    width: u32,
}

@group(0) @binding(_) var<storage, read_write> f: array<f32>;       // [M, D]
@group(0) @binding(_) var<storage, read_write> t: array<f32>;       // [M, D]
@group(0) @binding(_) var<storage, read_write> cosine: array<f32>;  // [M]
@group(0) @binding(_) var<storage, read_write> inverse: array<f32>; // [M, 2]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>;    // [M]
@group(0) @binding(_) var<storage, read_write> df: array<f32>;      // [M, D]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = (workgroup.y * workgroups.x + workgroup.x) * WG + local;
    if (i >= info.count) {
        return;
    }
    let row = i / info.width;
    let f_inverse = inverse[2u * row];
    let clamped = f_inverse >= 1e12;
    let along = select(cosine[row] * f[i] * f_inverse, 0.0, clamped);
    df[i] = grad[row] * (t[i] * inverse[2u * row + 1u] - along) * f_inverse;
}
