// Sum of `value` over the LANES invocations that share a row. Needs `WG`, and `LANES` dividing it.
var<workgroup> partial: array<f32, WG>;

fn row_sum(local: u32, value: f32) -> f32 {
#if lanes_1
    return value;
#else
    partial[local] = value;
    workgroupBarrier();
    let first = local - local % LANES;
    var sum = 0.0;
    for (var lane = 0u; lane < LANES; lane++) {
        sum += partial[first + lane];
    }
    workgroupBarrier();
    return sum;
#end
}
