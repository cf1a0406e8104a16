// A loss that ends as one number: partial[g] = sum over a stretch of term(a, b).
// row_mean adds the partial sums. Which term is a template value:
//   1  |a - b|                    mean absolute error
//   2  (a - b)^2                  mean squared error
//   3  relu(1 + slope a)          hinge (b unused: the same tensor is bound)
//   4  (a^2 + e^b - 1 - b) / 2    KL divergence of N(a, e^b) from the standard normal
//
// {{ parts }} workgroups of {{ wg }} at most, each walking the values in strides: enough to fill a
// device, few enough that one workgroup ends the sum.
struct Info {
    count: u32,
    parts: u32,
    slope: f32,
}

@group(0) @binding(_) var<storage, read_write> a: array<f32>;    // [count]
#if two_1
@group(0) @binding(_) var<storage, read_write> b: array<f32>;    // [count]
#end
@group(0) @binding(_) var<storage, read_write> sums: array<f32>; // [parts]
@group(0) @binding(_) var<uniform> info: Info;

const WG: u32 = {{ wg }}u;

fn term(i: u32) -> f32 {
#if term_1
    return abs(a[i] - b[i]);
#end
#if term_2
    let e = a[i] - b[i];
    return e * e;
#end
#if term_3
    return max(1.0 + info.slope * a[i], 0.0);
#end
#if term_4
    return 0.5 * (a[i] * a[i] + exp(b[i]) - 1.0 - b[i]);
#end
}

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let part = workgroup.x;
    var sum = 0.0;
    for (var i = part * WG + local; i < info.count; i += info.parts * WG) {
        sum += term(i);
    }
    sum = workgroup_sum(local, sum);
    if (local == 0u) {
        sums[part] = sum;
    }
}
