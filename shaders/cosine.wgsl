// Cosine of feature rows, what REPA maximises:
//
//   cos = f.t / (max(|f|, 1e-12) max(|t|, 1e-12))
//
// LANES invocations share a row (1 on a software adapter). {{ wg }} invocations in all.
struct Info {
    rows: u32,
    width: u32,
}

@group(0) @binding(_) var<storage, read_write> f: array<f32>;       // [M, D]
@group(0) @binding(_) var<storage, read_write> t: array<f32>;       // [M, D] the teacher's, constant
@group(0) @binding(_) var<storage, read_write> cosine: array<f32>;  // [M]
@group(0) @binding(_) var<storage, read_write> inverse: array<f32>; // [M, 2] 1/|f|, 1/|t|
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
    let start = min(row, info.rows - 1u) * info.width;
    var ff = 0.0;
    var tt = 0.0;
    var ft = 0.0;
    for (var i = lane; i < info.width; i += LANES) {
        let a = f[start + i];
        let b = t[start + i];
        ff += a * a;
        tt += b * b;
        ft += a * b;
    }
    let f_inverse = 1.0 / max(sqrt(row_sum(local, ff)), 1e-12);
    let t_inverse = 1.0 / max(sqrt(row_sum(local, tt)), 1e-12);
    let product = row_sum(local, ft);
    if (row < info.rows && lane == 0u) {
        cosine[row] = product * f_inverse * t_inverse;
        inverse[2u * row] = f_inverse;
        inverse[2u * row + 1u] = t_inverse;
    }
}
