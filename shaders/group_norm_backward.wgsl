// Gradient of group norm (with SiLU or without) to its input, and to gamma and beta per sample.
//
//   d = grad act'(gamma n + beta),  n = (x - mean) / sigma
//   dx = (gamma d - mean_g(gamma d) - n mean_g(gamma d n)) / sigma
//   gamma_sums[b, c] = sum d n, beta_sums[b, c] = sum d; column_sum adds the samples
//
// One workgroup for each (sample, group), as forward. {{ wg }} invocations; the channels of a group
// are reduced one after the other, so that each channel's sums need no atomics.
struct Info {
    groups: u32,
    size: u32,
    area: u32,
    group_channels: u32,
    channel_groups: u32,
    eps: f32,
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>;           // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma: array<f32>;       // [C]
@group(0) @binding(_) var<storage, read_write> beta: array<f32>;        // [C]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>;       // [B, G, 2]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>;        // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> dx: array<f32>;          // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma_sums: array<f32>; // [B, C]
@group(0) @binding(_) var<storage, read_write> beta_sums: array<f32>;  // [B, C]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = workgroup.y * workgroups.x + workgroup.x;
    if (group >= info.groups) {
        return;
    }
    let start = group * info.size;
    let mean = stats[2u * group];
    let scale = stats[2u * group + 1u];
    let channels = info.channel_groups * info.group_channels;
    let sample = group / info.channel_groups;
    let first_channel = (group % info.channel_groups) * info.group_channels;
    var sum = 0.0;        // of gamma d over the group
    var normal_sum = 0.0; // of gamma d n
    for (var j = 0u; j < info.group_channels; j++) {
        let c = first_channel + j;
        var d_sum = 0.0;
        var dn_sum = 0.0;
        for (var i = local; i < info.area; i += WG) {
            let at = start + j * info.area + i;
            let n = (x[at] - mean) * scale;
            let d = grad[at] * activate_slope(gamma[c] * n + beta[c], 0.0);
            d_sum += d;
            dn_sum += d * n;
        }
        d_sum = workgroup_sum(local, d_sum);
        dn_sum = workgroup_sum(local, dn_sum);
        if (local == 0u) {
            gamma_sums[sample * channels + c] = dn_sum;
            beta_sums[sample * channels + c] = d_sum;
        }
        sum += gamma[c] * d_sum;
        normal_sum += gamma[c] * dn_sum;
    }
    let count = f32(info.size);
    for (var i = local; i < info.size; i += WG) {
        let c = first_channel + i / info.area;
        let n = (x[start + i] - mean) * scale;
        let d = gamma[c] * grad[start + i] * activate_slope(gamma[c] * n + beta[c], 0.0);
        dx[start + i] = (d - sum / count - n * normal_sum / count) * scale;
    }
}
