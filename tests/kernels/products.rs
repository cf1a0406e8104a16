//! Linear maps, convolutions and attention.

use burn::tensor::Tensor;
use tandem_core::kernel::{self, Conv};
use tandem_core::params::host;

use crate::parity::{agree, cpu_leaf};
use crate::support::compare;

#[test]
fn linear_with_bias() {
    for (rows, inner, out) in [(1, 1, 1), (7, 5, 3), (65, 33, 130), (300, 64, 128)] {
        agree(
            &format!("{rows} x {inner} -> {out}"),
            ([rows, inner], [out, inner], [out]),
            |x, w, b| kernel::linear(x, w, Some(b)),
            |x, w, b| kernel::linear::linear_reference(x, w, Some(b)),
        );
    }
}

#[test]
fn convolution_with_bias() {
    for (shape, out, size, conv) in [
        ([2, 3, 9, 7], 5, 3, Conv::new(1, 1)),
        ([2, 4, 8, 8], 4, 3, Conv::downsample()),
        ([3, 5, 6, 6], 2, 1, Conv::new(1, 0)),
        ([2, 3, 16, 16], 8, 4, Conv::new(2, 1)),
        ([1, 3, 35, 35], 4, 11, Conv::new(4, 2)),
        ([1, 2, 1, 1], 3, 3, Conv::new(1, 1)),
        ([9, 7, 3, 3], 6, 3, Conv::new(1, 1)),
        ([1, 17, 40, 70], 18, 3, Conv::new(1, 1)),
        ([2, 3, 9, 9], 3, 1, Conv::new(2, 0)),
        ([3, 64, 13, 10], 65, 3, Conv::new(1, 1)),
    ] {
        agree(
            &format!("{shape:?} -> {out}, {size}x{size}, {conv:?}"),
            (shape, [out, shape[1], size, size], [out]),
            |x, w, b| kernel::conv2d(x, w, Some(b), conv),
            |x, w, b| kernel::conv::conv2d_reference(x, w, Some(b), conv),
        );
    }
}

#[test]
fn mlp_of_two_maps() {
    use kernel::mlp::{Between, mlp_reference};
    for (rows, inner, hidden, out) in [(1, 1, 1, 1), (7, 5, 9, 3), (1100, 12, 40, 24)] {
        for between in [Between::GeluTanh, Between::Silu] {
            let (b1, b2) = (cpu_leaf(5, [hidden]), cpu_leaf(6, [out]));
            let run = |f: &dyn Fn(Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<2>| {
                let (x, w1, w2) =
                    (cpu_leaf(1, [rows, inner]), cpu_leaf(2, [hidden, inner]), cpu_leaf(3, [out, hidden]));
                let y = f(x.clone(), w1.clone(), w2.clone());
                let grads = (y.clone() * cpu_leaf(4, [rows, out]).without_autodiff()).sum().backward();
                let weights = [x, w1, w2].map(|t| host(t.grad(&grads).unwrap()));
                let biases = [&b1, &b2].map(|b| host(b.grad(&grads).unwrap()));
                [vec![host(y)], weights.to_vec(), biases.to_vec()].concat()
            };
            let ours = run(&|x, w1, w2| kernel::mlp(x, (w1, b1.clone()), (w2, b2.clone()), between));
            let theirs = run(&|x, w1, w2| mlp_reference(x, (w1, b1.clone()), (w2, b2.clone()), between));
            for ((part, mine), theirs) in ["y", "dx", "dw1", "dw2", "db1", "db2"].iter().zip(ours).zip(theirs)
            {
                let scale = theirs.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                compare(&format!("{rows} x {inner}, {between:?}: {part}"), &mine, &theirs, 2e-5 * scale);
            }
        }
    }
}

#[test]
fn a_frozen_weight_keeps_no_input_and_the_gradient_is_right() {
    let (x, w) = (cpu_leaf(1, [6, 4]), cpu_leaf(2, [3, 4]).without_autodiff());
    let grad = |y: Tensor<2>| {
        let weights = cpu_leaf(4, y.dims()).without_autodiff();
        host(x.grad(&(y * weights).sum().backward()).unwrap())
    };
    let ours = grad(kernel::linear(x.clone(), w.clone(), None));
    compare("dx", &ours, &grad(kernel::linear::linear_reference(x.clone(), w, None)), 1e-5);
}

#[test]
fn activations_at_the_end_of_products() {
    use kernel::Activation;
    use kernel::activated::activate;
    for activation in [Activation::Silu, Activation::GeluTanh, Activation::Relu, Activation::LeakyRelu(0.2)] {
        agree(
            &format!("linear, {activation:?}"),
            ([7, 5], [9, 5], [9]),
            |x, w, b| kernel::linear_activated(x, w, b, activation),
            |x, w, b| activate(kernel::linear::linear_reference(x, w, Some(b)), activation),
        );
        let conv = Conv::new(2, 1);
        agree(
            &format!("convolution, {activation:?}"),
            ([2, 3, 5, 6], [4, 3, 3, 3], [4]),
            |x, w, b| kernel::conv2d_activated(x, w, b, conv, activation),
            |x, w, b| activate(kernel::conv::conv2d_reference(x, w, Some(b), conv), activation),
        );
    }
}

#[test]
fn depthwise_convolution() {
    for (shape, size, stride, pad) in [
        ([2, 3, 9, 7], 3, 1, [1; 4]),
        ([1, 5, 8, 8], 3, 2, [0, 0, 1, 1]),
        ([3, 4, 9, 10], 5, 2, [1, 2, 2, 2]),
        ([1, 1, 1, 1], 3, 1, [1; 4]),
        ([2, 40, 33, 31], 5, 1, [2; 4]),
    ] {
        let conv = Conv { stride, pad, groups: shape[1] };
        agree(
            &format!("{shape:?}, {size}x{size}, {conv:?}"),
            (shape, [shape[1], 1, size, size], [shape[1]]),
            |x, w, b| kernel::conv2d(x, w, Some(b), conv),
            |x, w, b| kernel::conv::conv2d_reference(x, w, Some(b), conv),
        );
    }
}

#[test]
fn upsampling_convolution() {
    for (shape, out) in
        [([2, 3, 5, 7], 4), ([1, 1, 1, 1], 1), ([1, 4, 9, 9], 17), ([3, 16, 16, 16], 17), ([9, 4, 2, 3], 5)]
    {
        agree(
            &format!("{shape:?} -> {out}"),
            (shape, [out, shape[1], 3, 3], [out]),
            kernel::upsampled_conv2d,
            kernel::upsample::upsampled_conv2d_reference,
        );
    }
}

#[test]
fn attention_of_heads() {
    for (b, n, h, d) in [
        (1, 1, 1, 1),
        (1, 1, 1, 4),
        (2, 5, 3, 8),
        (1, 70, 2, 64),
        (1, 33, 1, 72),
        (1, 6, 1, 6),
        (1, 150, 2, 16),
    ] {
        agree(
            &format!("{b} x {n} tokens, {h} heads of {d}"),
            ([b, n, 3, h, d], [1], [1]),
            |qkv, p, q| kernel::attention(qkv) + (p + q).unsqueeze::<3>(),
            |qkv, p, q| kernel::attention::attention_reference(qkv) + (p + q).unsqueeze::<3>(),
        );
    }
}
