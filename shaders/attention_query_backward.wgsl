// Gradient of attention to the queries, and the dot products that the key side needs too.
//
//   p = exp(s - lse),  delta = dy.y,  ds = p (dy.v - delta),  dq = sum_k ds k / sqrt(d)
//
// Scores are computed anew from queries and keys. One invocation for each query, {{ wg }} of one
// head in step over tiles of {{ keys }} keys and values, as forward.
struct Info {
    tiles: u32,
    groups: u32,
    tokens: u32,
    heads: u32,
    scale: f32,
}

@group(0) @binding(_) var<storage, read_write> qkv: array<vec4<f32>>;  // [B, N, 3, H, d]
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;    // [B, N, H, d]
@group(0) @binding(_) var<storage, read_write> lse: array<f32>;        // [B, H, N]
@group(0) @binding(_) var<storage, read_write> grad: array<vec4<f32>>; // [B, N, H, d]
@group(0) @binding(_) var<storage, read_write> dqkv: array<vec4<f32>>; // [B, N, 3, H, d], part 0 written
@group(0) @binding(_) var<storage, read_write> delta: array<f32>;      // [B, H, N]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;
const KEYS: u32 = {{ keys }}u;
const D4: u32 = {{ d4 }}u;

var<workgroup> keys: array<vec4<f32>, KEYS * D4>;
var<workgroup> values: array<vec4<f32>, KEYS * D4>;

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
    let inside = min(token, info.tokens - 1u);
    let row = sample * info.tokens + inside;
    let width = info.heads * D4;
    let mine = row * 3u * width + head * D4;
    let out = row * width + head * D4;
    let statistic = (sample * info.heads + head) * info.tokens + inside;
    let log_sum = lse[statistic];
    var delta4 = vec4<f32>(0.0);
#for i in d4
    let q{{ i }} = qkv[mine + {{ i }}u] * info.scale;
    let g{{ i }} = grad[out + {{ i }}u];
    var dq{{ i }} = vec4<f32>(0.0);
    delta4 += g{{ i }} * y[out + {{ i }}u];
#end
    let own_delta = delta4.x + delta4.y + delta4.z + delta4.w;
    for (var start = 0u; start < info.tokens; start += KEYS) {
        let count = min(KEYS, info.tokens - start);
        for (var e = local; e < count * D4; e += WG) {
            let key = (sample * info.tokens + start + e / D4) * 3u * width + head * D4 + e % D4;
            keys[e] = qkv[key + width];
            values[e] = qkv[key + 2u * width];
        }
        workgroupBarrier();
        for (var j = 0u; j < count; j++) {
            let at = j * D4;
            var s4 = vec4<f32>(0.0);
            var dp4 = vec4<f32>(0.0);
#for i in d4
            s4 += q{{ i }} * keys[at + {{ i }}u];
            dp4 += g{{ i }} * values[at + {{ i }}u];
#end
            let weight = exp(s4.x + s4.y + s4.z + s4.w - log_sum);
            let ds = weight * (dp4.x + dp4.y + dp4.z + dp4.w - own_delta);
#for i in d4
            dq{{ i }} += ds * keys[at + {{ i }}u];
#end
        }
        workgroupBarrier();
    }
    if (!exists) {
        return;
    }
    delta[statistic] = own_delta;
#for i in d4
    dqkv[mine + {{ i }}u] = dq{{ i }} * info.scale;
#end
}
