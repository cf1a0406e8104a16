// Sums of a large group for group norm, as far as one workgroup adds them.
//
//   partial[.., 0] = sum (x - x_0), partial[.., 1] = sum (x - x_0)^2,  x_0 the group's first value
//
// One workgroup for each part of a channel: with one for a whole group (group_norm.wgsl) a picture of
// 256 px would keep 32 workgroups busy and leave the rest of a card idle.
@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> partial_sums: array<f32>; // [B, C, parts, 2]
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
    let shift = x[part.group * info.group_channels * info.area];
    var sum = 0.0;
    var squares = 0.0;
    for (var i = part.begin + local; i < part.end; i += WG) {
        let v = x[i] - shift;
        sum += v;
        squares += v * v;
    }
    sum = workgroup_sum(local, sum);
    squares = workgroup_sum(local, squares);
    if (local == 0u) {
        partial_sums[2u * index] = sum;
        partial_sums[2u * index + 1u] = squares;
    }
}
