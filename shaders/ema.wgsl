// Moving average of {{ slots }} tensors at once: a = decay a + (1 - decay) w, in place.
// A shut gate (a flag on the device) leaves the averages as they were.
//
// A workgroup works on one tensor, as in adamw. {{ wg }} invocations: memory-bound.
struct Info {
    decay: f32,
    gated: u32, // whether `gate` is one
    groups: u32,
#for i in slots
    count{{ i }}: u32, // values of tensor {{ i }}
    end{{ i }}: u32, // first workgroup after it
#end
}

@group(0) @binding(_) var<storage, read_write> gate: array<f32>; // [1] 0 is shut
#for i in slots
@group(0) @binding(_) var<storage, read_write> a{{ i }}: array<f32>;
@group(0) @binding(_) var<storage, read_write> w{{ i }}: array<f32>;
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
    var first = 0u;
#for i in slots
    if (group >= first && group < info.end{{ i }}) {
        let start = (group - first) * SPAN;
        let end = min(start + SPAN, info.count{{ i }});
        for (var k = start + local; k < end; k += WG) {
            a{{ i }}[k] = a{{ i }}[k] * info.decay + w{{ i }}[k] * (1.0 - info.decay);
        }
    }
    first = info.end{{ i }};
#end
}
