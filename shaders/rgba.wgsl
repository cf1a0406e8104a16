// Pixels for the screen, four bytes each in one word (red lowest): a third of what the values weigh on their
// way to the host.
//
//   pictures   value (v + 1) / 2 of each of three channels
//   latents    (c.(z - mean) - low) / (high - low) along three principal components c
//
// then clamped to [0, 1], times 255, rounded. A component without range is mid grey.
// One invocation for each pixel. {{ wg }} invocations: memory-bound.
struct Info {
    count: u32, // B H W
    area: u32, // H W
    channels: u32,
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [B, C, H, W]
#if projected_1
@group(0) @binding(_) var<storage, read_write> basis: array<f32>; // [C] mean, [3, C] components, [3] low, [3] high
#end
@group(0) @binding(_) var<storage, read_write> pixels: array<u32>; // [B, H, W]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

fn share(start: u32, component: u32) -> f32 {
#if projected_1
    var along = 0.0;
    for (var c = 0u; c < info.channels; c++) {
        let weight = basis[(component + 1u) * info.channels + c];
        along += weight * (x[start + c * info.area] - basis[c]);
    }
    let low = basis[4u * info.channels + component];
    let high = basis[4u * info.channels + 3u + component];
    return select(0.5, (along - low) / (high - low), high > low);
#else
    return (x[start + component * info.area] + 1.0) / 2.0;
#end
}

fn byte(start: u32, component: u32) -> u32 {
    return u32(clamp(share(start, component), 0.0, 1.0) * 255.0 + 0.5);
}

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
    pixels[i] = byte(start, 0u) | byte(start, 1u) << 8u | byte(start, 2u) << 16u | 0xff000000u;
}
