// Gradients of gamma and beta of group norm (with SiLU or without) for large groups, as far as one workgroup
// adds them; column_sum adds the rest, group_norm_parts_backward needs them for the input's.
//
//   d = grad act'(gamma n + beta),  n = (x - mean) / sigma
//   gamma_sums = sum d n, beta_sums = sum d
//
// One workgroup for each part of a channel, as forward.
@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> beta: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>; // [B, G, 2]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma_sums: array<f32>; // [B, parts, C]
@group(0) @binding(_) var<storage, read_write> beta_sums: array<f32>; // [B, parts, C]
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
    let c = part.c;
    var d_sum = 0.0;
    var dn_sum = 0.0;
    for (var i = part.begin + local; i < part.end; i += WG) {
        let n = (x[i] - mean) * scale;
        let d = grad[i] * activate_slope(gamma[c] * n + beta[c], 0.0);
        d_sum += d;
        dn_sum += d * n;
    }
    d_sum = workgroup_sum(local, d_sum);
    dn_sum = workgroup_sum(local, dn_sum);
    if (local == 0u) {
        let row = (part.plane / info.channels) * info.parts + index % info.parts;
        gamma_sums[row * info.channels + c] = dn_sum;
        beta_sums[row * info.channels + c] = d_sum;
    }
}
