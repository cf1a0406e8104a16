// Gated residual: y = x + gate_b h, one gate vector for each sample (adaLN-zero).
//
// One invocation for each value. {{ wg }} invocations: memory-bound.
struct Info {
    count: u32,  // B N D
    width: u32,  // D
    sample: u32, // N D
}

@group(0) @binding(_) var<storage, read_write> x: array<f32>;    // [B, N, D]
@group(0) @binding(_) var<storage, read_write> gate: array<f32>; // [B, D]
@group(0) @binding(_) var<storage, read_write> h: array<f32>;    // [B, N, D]
@group(0) @binding(_) var<storage, read_write> y: array<f32>;    // [B, N, D]
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
    let d = i % info.width;
    y[i] = x[i] + gate[i / info.sample * info.width + d] * h[i];
}
