// Group norm, alone or followed by SiLU.
//
//   y = act(gamma_c (x - mean_g) / sqrt(var_g + eps) + beta_c)      (Wu & He 2018)
//
// One workgroup for each (sample, group): its channels lie side by side in NCHW, so a group is one
// stretch of memory. Two readings of it: sums about the first value (so that nothing cancels when
// the mean is large), then the result. The second reading finds it in cache. {{ wg }} invocations:
// a group of our presets has 512 to 4096 values, eight or more for each.
struct Info {
    groups: u32,         // samples x channel groups: the number of workgroups
    size: u32,           // values in a group
    area: u32,           // H W
    group_channels: u32, // channels in a group
    channel_groups: u32, // groups of a sample
    eps: f32,
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>;     // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> gamma: array<f32>; // [C]
@group(0) @binding(_) var<storage, read_write> beta: array<f32>;  // [C]
@group(0) @binding(_) var<storage, read_write> y: array<f32>;     // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> stats: array<f32>; // [B, G, 2] mean, 1/sigma
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
    let shift = x[start];
    var sum = 0.0;
    var squares = 0.0;
    for (var i = local; i < info.size; i += WG) {
        let v = x[start + i] - shift;
        sum += v;
        squares += v * v;
    }
    let count = f32(info.size);
    let offset = workgroup_sum(local, sum) / count;
    let variance = max(workgroup_sum(local, squares) / count - offset * offset, 0.0);
    let mean = shift + offset;
    let scale = 1.0 / sqrt(variance + info.eps);
    if (local == 0u) {
        stats[2u * group] = mean;
        stats[2u * group + 1u] = scale;
    }
    let first_channel = (group % info.channel_groups) * info.group_channels;
    for (var i = local; i < info.size; i += WG) {
        let c = first_channel + i / info.area;
        y[start + i] = activate((x[start + i] - mean) * scale * gamma[c] + beta[c], 0.0);
    }
}
