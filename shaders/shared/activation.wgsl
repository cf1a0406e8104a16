// Pointwise nonlinearities by number, chosen when the shader is built: 0 none, 1 SiLU,
// 2 GELU (tanh form), 3 leaky ReLU with `slope` (ReLU where it is 0), 4 ReLU of 6 at most.
fn sigmoid(v: f32) -> f32 {
    return 1.0 / (1.0 + exp(-v));
}

// x/2 (1 + tanh(u)) = x sigmoid(2u): the same function without overflow or cancellation.
fn gelu_gate(v: f32) -> f32 {
    return sigmoid(1.5957691216 * (v + 0.044715 * v * v * v));
}

fn activate(v: f32, slope: f32) -> f32 {
#if act_1
    return v * sigmoid(v);
#end
#if act_2
    return v * gelu_gate(v);
#end
#if act_3
    return select(slope * v, v, v > 0.0);
#end
#if act_4
    return clamp(v, 0.0, 6.0);
#end
#if act_0
    return v;
#end
}

// d activate(v) / dv
fn activate_slope(v: f32, slope: f32) -> f32 {
#if act_1
    let s = sigmoid(v);
    return s * (1.0 + v * (1.0 - s));
#end
#if act_2
    let s = gelu_gate(v);
    return s + v * s * (1.0 - s) * 1.5957691216 * (1.0 + 0.134145 * v * v);
#end
#if act_3
    return select(slope, 1.0, v > 0.0);
#end
#if act_4
    return select(0.0, 1.0, (v > 0.0) & (v < 6.0));
#end
#if act_0
    return 1.0;
#end
}
