// Gradients of the gated residual: dh = grad gate_b, dgate_b = sum over tokens of grad h.
// (dx is grad itself and costs nothing.)
//
// One invocation for each (sample, column): it walks the tokens, so the sum needs neither atomics
// nor a second launch; neighbours read neighbours. {{ wg }} invocations.
struct Info {
    columns: u32, // B D
    width: u32,   // D
    tokens: u32,  // N
}

@group(0) @binding(_) var<storage, read_write> gate: array<f32>;  // [B, D]
@group(0) @binding(_) var<storage, read_write> h: array<f32>;     // [B, N, D]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>;  // [B, N, D]
@group(0) @binding(_) var<storage, read_write> dgate: array<f32>; // [B, D]
@group(0) @binding(_) var<storage, read_write> dh: array<f32>;    // [B, N, D]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let column = (workgroup.y * workgroups.x + workgroup.x) * WG + local;
    if (column >= info.columns) {
        return;
    }
    let sample = column / info.width;
    let d = column % info.width;
    let factor = gate[column];
    var sum = 0.0;
    for (var token = 0u; token < info.tokens; token++) {
        let at = (sample * info.tokens + token) * info.width + d;
        let g = grad[at];
        sum += g * h[at];
        dh[at] = g * factor;
    }
    dgate[column] = sum;
}
