// Halves, two in a word, as values again.
//
// One invocation for four values. {{ wg }} invocations: memory-bound.
struct Info {
    count: u32, // values / 4
}

@group(0) @binding(_) var<storage, read_write> x: array<vec2<u32>>; // [count]
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>; // [count]
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
    let words = x[i];
    y[i] = vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
