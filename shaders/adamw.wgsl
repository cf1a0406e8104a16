// One AdamW step on {{ slots }} weights at once, in PyTorch's order of operations, with the gradients
// clipped to a global norm:
//
//   g = clip grad,  m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//   w = w (1 - lr decay) - lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//
// In place; a shut gate (a flag on the device) leaves everything as it was. A workgroup works on one
// weight; weights follow each other in the numbering of workgroups. As many weights in one launch
// as the adapter binds buffers. {{ wg }} invocations: memory-bound.
struct Info {
    lr: f32,   // lr / (1 - b1^t)
    keep: f32, // 1 - lr decay
    beta1: f32,
    beta2: f32,
    root: f32, // 1 / sqrt(1 - b2^t)
    eps: f32,
    gated: u32, // whether `gate` is one
    groups: u32,
#for i in slots
    count{{ i }}: u32, // values of weight {{ i }}
    end{{ i }}: u32, // first workgroup after it
#end
}

@group(0) @binding(_) var<storage, read_write> clip: array<f32>; // [1]
@group(0) @binding(_) var<storage, read_write> gate: array<f32>; // [1] 0 is shut
#for i in slots
@group(0) @binding(_) var<storage, read_write> w{{ i }}: array<f32>;
@group(0) @binding(_) var<storage, read_write> g{{ i }}: array<f32>;
@group(0) @binding(_) var<storage, read_write> m{{ i }}: array<f32>;
@group(0) @binding(_) var<storage, read_write> v{{ i }}: array<f32>;
#end
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;
const SPAN: u32 = {{ span }}u; // values of a workgroup

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = workgroup.y * workgroups.x + workgroup.x;
    let shut = info.gated == 1u && gate[0] == 0.0;
    if (group >= info.groups || shut) {
        return;
    }
    let factor = clip[0];
    var first = 0u;
#for i in slots
    if (group >= first && group < info.end{{ i }}) {
        let start = (group - first) * SPAN;
        let end = min(start + SPAN, info.count{{ i }});
        for (var k = start + local; k < end; k += WG) {
            let g = g{{ i }}[k] * factor;
            let m = m{{ i }}[k] * info.beta1 + g * (1.0 - info.beta1);
            let v = v{{ i }}[k] * info.beta2 + g * g * (1.0 - info.beta2);
            m{{ i }}[k] = m;
            v{{ i }}[k] = v;
            w{{ i }}[k] = w{{ i }}[k] * info.keep - m / (sqrt(v) * info.root + info.eps) * info.lr;
        }
    }
    first = info.end{{ i }};
#end
}
