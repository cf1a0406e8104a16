// Gradients of attention to keys and values.
//
//   dv = sum_q p dy,   dk = sum_q p (dy.v - delta) q / sqrt(d)
//
// One invocation for each key; {{ wg }} keys of one head in step over tiles of {{ keys }} queries with
// their gradients. `delta` comes from attention_query_backward.
struct Info {
    tiles: u32,
    groups: u32,
    tokens: u32,
    heads: u32,
    scale: f32,
}

@group(0) @binding(_) var<storage, read_write> qkv: array<vec4<f32>>;  // [B, N, 3, H, d]
@group(0) @binding(_) var<storage, read_write> lse: array<f32>;        // [B, H, N]
@group(0) @binding(_) var<storage, read_write> delta: array<f32>;      // [B, H, N]
@group(0) @binding(_) var<storage, read_write> grad: array<vec4<f32>>; // [B, N, H, d]
@group(0) @binding(_) var<storage, read_write> dqkv: array<vec4<f32>>; // [B, N, 3, H, d], parts 1, 2 written
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;
const QUERIES: u32 = {{ keys }}u;
const D4: u32 = {{ d4 }}u;

var<workgroup> queries: array<vec4<f32>, QUERIES * D4>;
var<workgroup> grads: array<vec4<f32>, QUERIES * D4>;
var<workgroup> numbers: array<vec2<f32>, QUERIES>; // lse, delta

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
    let head = group / info.tiles % info.heads;
    let sample = group / info.tiles / info.heads;
    let token = group % info.tiles * WG + local;
    let exists = token < info.tokens;
    let row = sample * info.tokens + min(token, info.tokens - 1u);
    let width = info.heads * D4;
    let mine = row * 3u * width + head * D4 + width;
#for i in d4
    let k{{ i }} = qkv[mine + {{ i }}u] * info.scale;
    let v{{ i }} = qkv[mine + width + {{ i }}u];
    var dk{{ i }} = vec4<f32>(0.0);
    var dv{{ i }} = vec4<f32>(0.0);
#end
    for (var start = 0u; start < info.tokens; start += QUERIES) {
        let count = min(QUERIES, info.tokens - start);
        for (var e = local; e < count * D4; e += WG) {
            let other = sample * info.tokens + start + e / D4;
            queries[e] = qkv[other * 3u * width + head * D4 + e % D4];
            grads[e] = grad[other * width + head * D4 + e % D4];
        }
        for (var e = local; e < count; e += WG) {
            let statistic = (sample * info.heads + head) * info.tokens + start + e;
            numbers[e] = vec2<f32>(lse[statistic], delta[statistic]);
        }
        workgroupBarrier();
        for (var j = 0u; j < count; j++) {
            let at = j * D4;
            var s4 = vec4<f32>(0.0);
            var dp4 = vec4<f32>(0.0);
#for i in d4
            s4 += k{{ i }} * queries[at + {{ i }}u];
            dp4 += v{{ i }} * grads[at + {{ i }}u];
#end
            let weight = exp(s4.x + s4.y + s4.z + s4.w - numbers[j].x);
            let ds = weight * (dp4.x + dp4.y + dp4.z + dp4.w - numbers[j].y);
#for i in d4
            dv{{ i }} += weight * grads[at + {{ i }}u];
            dk{{ i }} += ds * queries[at + {{ i }}u];
#end
        }
        workgroupBarrier();
    }
    if (!exists) {
        return;
    }
#for i in d4
    dqkv[mine + {{ i }}u] = dk{{ i }} * info.scale;
    dqkv[mine + width + {{ i }}u] = dv{{ i }};
#end
}
