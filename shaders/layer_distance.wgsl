// The distance of one LPIPS layer at each position (Zhang et al. 2018, eq. 1):
//
//   d[b, p] = sum_c w_c (b_c / (|b| + 1e-10) - a_c / (|a| + 1e-10))^2
//
// One invocation for each position; channels are a plane apart, so neighbours read neighbours. Two
// readings: norms, then the sum. row_mean averages over positions. {{ wg }} invocations.
struct Info {
    count: u32, // B H W
    area: u32,  // H W
    channels: u32,
}

@group(0) @binding(_) var<storage, read_write> a: array<f32>;        // [B, C, H, W], constant
@group(0) @binding(_) var<storage, read_write> b: array<f32>;        // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> weight: array<f32>;   // [C], constant
@group(0) @binding(_) var<storage, read_write> distance: array<f32>; // [B, H, W]
@group(0) @binding(_) var<storage, read_write> norms: array<f32>;    // [B, H, W, 2] |a|, |b|
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
    var aa = 0.0;
    var bb = 0.0;
    for (var c = 0u; c < info.channels; c++) {
        let u = a[start + c * info.area];
        let v = b[start + c * info.area];
        aa += u * u;
        bb += v * v;
    }
    let a_norm = sqrt(aa);
    let b_norm = sqrt(bb);
    let a_factor = 1.0 / (a_norm + 1e-10);
    let b_factor = 1.0 / (b_norm + 1e-10);
    var sum = 0.0;
    for (var c = 0u; c < info.channels; c++) {
        let e = b[start + c * info.area] * b_factor - a[start + c * info.area] * a_factor;
        sum += weight[c] * e * e;
    }
    distance[i] = sum;
    norms[2u * i] = a_norm;
    norms[2u * i + 1u] = b_norm;
}
