// Gradients of the terms of loss.wgsl, times the gradient of the mean (one number) and `factor`.
//
// One invocation for each value. {{ wg }} invocations: memory-bound.
struct Info {
    count: u32,
    slope: f32,
    factor: f32, // 1 / count for a mean
}

@group(0) @binding(_) var<storage, read_write> a: array<f32>;    // [count]
#if two_1
@group(0) @binding(_) var<storage, read_write> b: array<f32>;    // [count]
#end
@group(0) @binding(_) var<storage, read_write> grad: array<f32>; // [1]
@group(0) @binding(_) var<storage, read_write> da: array<f32>;   // [count]
#if db_1
@group(0) @binding(_) var<storage, read_write> db: array<f32>;   // [count]
#end
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
    let g = grad[0] * info.factor;
#if term_1
    let d = g * sign(a[i] - b[i]);
    da[i] = d;
#end
#if term_2
    let d = g * 2.0 * (a[i] - b[i]);
    da[i] = d;
#end
#if term_3
    da[i] = select(0.0, g * info.slope, 1.0 + info.slope * a[i] > 0.0);
#end
#if term_4
    da[i] = g * a[i];
    let d = g * 0.5 * (1.0 - exp(b[i])); // with the sign of the line below
#end
#if db_1
    db[i] = -d;
#end
}
