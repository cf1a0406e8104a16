// Group norm, alone or followed by SiLU, of large groups whose sums group_norm_sums.wgsl has found in parts.
//
//   y = act(gamma_c (x - mean_g) / sqrt(var_g + eps) + beta_c)      (Wu & He 2018)
//
// One workgroup for each part of a channel; each adds the few sums of its whole group again, which is
// cheaper than a launch of its own. The group's first workgroup writes its statistics.
@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> beta: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> partial_sums: array<f32>; // [B, C, parts, 2]
@group(0) @binding(_) var<storage, read_write> y: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>; // [B, G, 2] mean, 1/sigma
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
    let parts = info.group_channels * info.parts;
    let first = group * parts;
    var sum = 0.0;
    var squares = 0.0;
    for (var i = local; i < parts; i += WG) {
        sum += partial_sums[2u * (first + i)];
        squares += partial_sums[2u * (first + i) + 1u];
    }
    let count = f32(info.group_channels * info.area);
    let offset = workgroup_sum(local, sum) / count;
    let variance = max(workgroup_sum(local, squares) / count - offset * offset, 0.0);
    let mean = x[group * info.group_channels * info.area] + offset;
    let scale = 1.0 / sqrt(variance + info.eps);
    if (local == 0u && index == first) {
        stats[2u * group] = mean;
        stats[2u * group + 1u] = scale;
    }
    let c = part.c;
    let factor = scale * gamma[c];
    for (var i = part.begin + local; i < part.end; i += WG) {
        y[i] = activate((x[i] - mean) * factor + beta[c], 0.0);
    }
}
