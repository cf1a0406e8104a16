// Gradient of nearest x2: each pixel gets the sum of its square.
//
// One invocation for each pixel written. {{ wg }} invocations: memory-bound.
struct Info {
    count: u32, // B C H W
    width: u32, // W
}

@group(0) @binding(_) var<storage, read_write> grad: array<f32>; // [B, C, 2H, 2W]
@group(0) @binding(_) var<storage, read_write> dx: array<f32>;   // [B, C, H, W]
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
    let at = i / info.width * info.width * 4u + i % info.width * 2u;
    let below = at + info.width * 2u;
    dx[i] = grad[at] + grad[at + 1u] + grad[below] + grad[below + 1u];
}
