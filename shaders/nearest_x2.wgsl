// Every pixel becomes a 2 x 2 square.
//
// One invocation for each pixel written. {{ wg }} invocations: memory-bound.
struct Info {
    count: u32, // B C 2H 2W
    width: u32, // 2W
    height: u32, // 2H
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [B, C, H, W]
@group(0) @binding(_) var<storage, read_write> y: array<f32>; // [B, C, 2H, 2W]
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
    let column = i % info.width;
    let row = i / info.width % info.height;
    let plane = i / (info.width * info.height);
    y[i] = x[(plane * (info.height / 2u) + row / 2u) * (info.width / 2u) + column / 2u];
}
