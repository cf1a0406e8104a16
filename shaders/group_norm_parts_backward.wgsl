// Gradient of group norm (with SiLU or without) to its input, for large groups whose sums
// group_norm_sums_backward.wgsl has found in parts.
//
//   d = grad act'(gamma n + beta),  n = (x - mean) / sigma
//   dx = (gamma d - mean_g(gamma d) - n mean_g(gamma d n)) / sigma
//
// One workgroup for each part of a channel; each adds the few sums of its whole group again.
@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> beta: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>; // [B, G, 2]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma_sums: array<f32>; // [B, parts, C]
@group(0) @binding(_) var<storage, read_write> beta_sums: array<f32>; // [B, parts, C]
@group(0) @binding(_) var<storage, read_write> dx: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = workgroup.y * workgroups.x + workgroup.x;
    if (index >= info.workgroups) {
        return;
    }
    let part = part_at(index);
    let group = part.group;
    let mean = stats[2u * group];
    let scale = stats[2u * group + 1u];
    let rows = (part.plane / info.channels) * info.parts;
    let first_channel = group * info.group_channels % info.channels;
    var sum = 0.0;        // of gamma d over the group
    var normal_sum = 0.0; // of gamma d n
    for (var i = local; i < info.group_channels * info.parts; i += WG) {
        let other = first_channel + i / info.parts;
        let at = (rows + i % info.parts) * info.channels + other;
        sum += gamma[other] * beta_sums[at];
        normal_sum += gamma[other] * gamma_sums[at];
    }
    let count = f32(info.group_channels * info.area);
    sum = workgroup_sum(local, sum) / count;
    normal_sum = workgroup_sum(local, normal_sum) / count;
    let c = part.c;
    for (var i = part.begin + local; i < part.end; i += WG) {
        let n = (x[i] - mean) * scale;
        let d = gamma[c] * grad[i] * activate_slope(gamma[c] * n + beta[c], 0.0);
        dx[i] = (d - sum - n * normal_sum) * scale;
    }
}
