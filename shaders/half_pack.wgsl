// Values as halves, two in a word: half of the memory for what waits for backward.
//
// One invocation for four values. {{ wg }} invocations: memory-bound. Any adapter can do it:
// pack2x16float asks for no 16-bit arithmetic. Values beyond the range of a half become its largest.
struct Info {
    count: u32, // values / 4
}

@group(0) @binding(_) var<storage, read_write> x: array<vec4<f32>>; // [count]
@group(0) @binding(_) var<storage, read_write> y: array<vec2<u32>>; // [count]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;
const LARGEST: vec4<f32> = vec4<f32>(65504.0);

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
    let v = clamp(x[i], -LARGEST, LARGEST);
    y[i] = vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw));
}
