// Gradient of the LPIPS layer distance to b:
//
//   e_c = 2 w_c (b_c / m - a_c / (|a| + 1e-10)) grad / (H W),   m = |b| + 1e-10
//   db_c = e_c / m - b_c / (|b| m^2) sum_k e_k b_k              (second term 0 where |b| = 0)
//
// One invocation for each position, two readings, as forward. {{ wg }} invocations.
struct Info {
    count: u32,
    area: u32,
    channels: u32,
}

@group(0) @binding(_) var<storage, read_write> a: array<f32>;      // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> b: array<f32>;      // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> weight: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> norms: array<f32>;  // [B, H, W, 2]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>;   // [B]
@group(0) @binding(_) var<storage, read_write> db: array<f32>;     // [B, C, H, W]
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
    let start = i / info.area * info.channels * info.area + i % info.area;
    let factor = 2.0 * grad[i / info.area] / f32(info.area);
    let a_factor = 1.0 / (norms[2u * i] + 1e-10);
    let b_norm = norms[2u * i + 1u];
    let b_factor = 1.0 / (b_norm + 1e-10);
    var along = 0.0;
    for (var c = 0u; c < info.channels; c++) {
        let v = b[start + c * info.area];
        along += weight[c] * (v * b_factor - a[start + c * info.area] * a_factor) * v;
    }
    let pull = select(factor * along * b_factor * b_factor / b_norm, 0.0, b_norm <= 0.0);
    for (var c = 0u; c < info.channels; c++) {
        let v = b[start + c * info.area];
        let e = factor * weight[c] * (v * b_factor - a[start + c * info.area] * a_factor);
        db[start + c * info.area] = e * b_factor - v * pull;
    }
}
