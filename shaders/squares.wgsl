// Sums of squares of {{ slots }} tensors at once: the way to a global norm, one number for each
// workgroup. row_mean adds them and takes the root.
//
// A workgroup works on one tensor, as in adamw. {{ wg }} invocations: memory-bound.
struct Info {
    groups: u32,
    offset: u32, // where this launch writes
#for i in slots
    count{{ i }}: u32, // values of tensor {{ i }}
    end{{ i }}: u32, // first workgroup after it
#end
}

#for i in slots
@group(0) @binding(_) var<storage, read_write> x{{ i }}: array<f32>;
#end
@group(0) @binding(_) var<storage, read_write> sums: array<f32>; // [workgroups of all launches]
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
    if (group >= info.groups) {
        return;
    }
    var sum = 0.0;
    var first = 0u;
#for i in slots
    if (group >= first && group < info.end{{ i }}) {
        let start = (group - first) * SPAN;
        let end = min(start + SPAN, info.count{{ i }});
        for (var k = start + local; k < end; k += WG) {
            sum += x{{ i }}[k] * x{{ i }}[k];
        }
    }
    first = info.end{{ i }};
#end
    sum = workgroup_sum(local, sum);
    if (local == 0u) {
        sums[info.offset + group] = sum;
    }
}
