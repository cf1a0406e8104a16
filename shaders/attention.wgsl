// Softmax attention without stored scores: softmax(q kT / sqrt(d)) v for every head, in one reading
// of keys and values (Dao et al. 2022, with the running maximum of Milakov & Gimelshein 2018).
//
// One invocation for each query; its query and result stay in registers. {{ wg }} queries of one head
// share tiles of {{ keys }} keys and values in workgroup memory, read by all in step.
// Bounds: tokens that do not fill a tile are masked; head width is a multiple of 4, at most 128.
struct Info {
    tiles: u32,      // query tiles of a head
    groups: u32,     // B H tiles: the number of workgroups
    tokens: u32,     // N
    heads: u32,      // H
    scale: f32,      // 1 / sqrt(d)
}

@group(0) @binding(_) var<storage, read_write> qkv: array<vec4<f32>>; // [B, N, 3, H, d]
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;   // [B, N, H, d]
@group(0) @binding(_) var<storage, read_write> lse: array<f32>;       // [B, H, N] log of the sum of exp
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;
const KEYS: u32 = {{ keys }}u;
const D4: u32 = {{ d4 }}u; // d / 4

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
    let row = sample * info.tokens + min(token, info.tokens - 1u);
    let width = info.heads * D4;
    let mine = row * 3u * width + head * D4;
#for i in d4
    let q{{ i }} = qkv[mine + {{ i }}u] * info.scale;
    var o{{ i }} = vec4<f32>(0.0);
#end
    var highest = -3.0e38;
    var sum = 0.0;
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
#for i in d4
            s4 += q{{ i }} * keys[at + {{ i }}u];
#end
            let s = s4.x + s4.y + s4.z + s4.w;
            if (s > highest) {
                let shrink = exp(highest - s);
                highest = s;
                sum *= shrink;
#for i in d4
                o{{ i }} *= shrink;
#end
            }
            let weight = exp(s - highest);
            sum += weight;
#for i in d4
            o{{ i }} += weight * values[at + {{ i }}u];
#end
        }
        workgroupBarrier();
    }
    if (!exists) {
        return;
    }
    lse[(sample * info.heads + head) * info.tokens + token] = highest + log(sum);
    let out = row * width + head * D4;
#for i in d4
    y[out + {{ i }}u] = o{{ i }} / sum;
#end
}
