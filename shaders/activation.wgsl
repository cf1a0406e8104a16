// A pointwise nonlinearity: y = act(x). Which one is a template value (shared/activation.wgsl).
//
// One invocation for each value. {{ wg }} invocations: memory-bound, any multiple of 64 serves.
struct Info {
    count: u32,
    slope: f32, // of leaky ReLU
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [count]
@group(0) @binding(_) var<storage, read_write> y: array<f32>; // [count]
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
    y[i] = activate(x[i], info.slope);
}
