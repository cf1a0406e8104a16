//! Every hand-written operation against its reference in plain tensor operations: value and
//! gradients, odd sizes and single elements, on the CPU.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::{Tensor, TensorData};
use support::compare;
use tandem_core::kernel::{self, Conv, GroupNormConfig};
use tandem_core::params::host;

fn values(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 4_194_304.0 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

fn leaf<const D: usize>(seed: u32, shape: [usize; D]) -> Tensor<D> {
    let data = TensorData::new(values(seed, shape.iter().product()), shape);
    Tensor::from_data(data, &tandem_core::device::cpu()).autodiff().require_grad()
}

/// Compares `ours` and `reference` of three leaves: outputs, and gradients of a weighted sum.
fn agree<const A: usize, const B: usize, const C: usize, const O: usize>(
    what: &str,
    shapes: ([usize; A], [usize; B], [usize; C]),
    ours: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>,
    reference: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>,
) {
    let run = |f: &dyn Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>| {
        let (a, b, c) = (leaf(1, shapes.0), leaf(2, shapes.1), leaf(3, shapes.2));
        let y = f(a.clone(), b.clone(), c.clone());
        let weights = leaf(4, y.dims()).without_autodiff();
        let grads = (y.clone() * weights).sum().backward();
        [host(y), host(a.grad(&grads).unwrap()), host(b.grad(&grads).unwrap()), host(c.grad(&grads).unwrap())]
    };
    let (mine, theirs) = (run(&ours), run(&reference));
    for ((part, mine), theirs) in ["y", "da", "db", "dc"].iter().zip(mine).zip(theirs) {
        let scale = theirs.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        compare(&format!("{what}: {part}"), &mine, &theirs, 2e-5 * scale);
    }
}

#[test]
fn group_norm_with_and_without_silu() {
    for silu in [false, true] {
        for (shape, groups) in
            [([2, 6, 5, 7], 3), ([1, 1, 1, 2], 1), ([3, 8, 33, 9], 8), ([9, 16, 32, 32], 8)]
        {
            let config = GroupNormConfig { groups, eps: 1e-6, silu };
            let c = shape[1];
            agree(
                &format!("{shape:?}, {groups} groups, silu {silu}"),
                (shape, [c], [c]),
                |x, gamma, beta| kernel::group_norm(x, gamma, beta, config),
                |x, gamma, beta| kernel::group_norm::group_norm_reference(x, gamma, beta, config),
            );
        }
    }
}

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
fn gated_residual_of_samples() {
    for shape in [[1, 1, 1], [3, 5, 7], [4, 64, 130]] {
        let [b, _, d] = shape;
        agree(
            &format!("{shape:?}"),
            (shape, [b, d], shape),
            kernel::gated_residual,
            kernel::gate::gated_residual_reference,
        );
    }
}

#[test]
fn activations_pointwise() {
    for shape in [[1, 1], [3, 67], [40, 1025]] {
        let sum = |a: Tensor<2>, b: Tensor<2>, c: Tensor<2>| a + b + c;
        agree(
            &format!("silu, gelu, leaky relu of {shape:?}"),
            (shape, shape, shape),
            |a, b, c| sum(kernel::silu(a), kernel::gelu_tanh(b), kernel::leaky_relu(c, 0.2)),
            |a, b, c| {
                use kernel::activation::{gelu_tanh_reference, leaky_relu_reference, silu_reference};
                sum(silu_reference(a), gelu_tanh_reference(b), leaky_relu_reference(c, 0.2))
            },
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
    for (shape, out) in [([2, 3, 5, 7], 4), ([1, 1, 1, 1], 1), ([3, 16, 16, 16], 17), ([9, 4, 2, 3], 5)] {
        agree(
            &format!("{shape:?} -> {out}"),
            (shape, [out, shape[1], 3, 3], [out]),
            kernel::upsampled_conv2d,
            kernel::upsample::upsampled_conv2d_reference,
        );
    }
}

#[test]
fn batch_norm_with_leaky_relu() {
    for (shape, slope) in [([2, 3, 5, 7], 0.2), ([3, 1, 1, 2], 1.0), ([9, 16, 16, 17], 0.2)] {
        let config = kernel::BatchNormConfig { eps: 1e-5, slope };
        let c = shape[1];
        agree(
            &format!("{shape:?}, slope {slope}"),
            (shape, [c], [c]),
            |x, gamma, beta| {
                let moments = kernel::batch_moments(x.clone());
                kernel::batch_norm(x, gamma, beta, moments, config)
            },
            |x, gamma, beta| kernel::batch_norm::batch_norm_reference(x, gamma, beta, config),
        );
        let x = leaf(1, shape).without_autodiff();
        let (mine, theirs) =
            (kernel::batch_moments(x.clone()), kernel::batch_norm::batch_moments_reference(x));
        compare(&format!("moments of {shape:?}"), &host(mine), &host(theirs), 1e-5);
    }
}

#[test]
fn perceptual_distance_of_a_layer() {
    use kernel::perceptual::{layer_distance, layer_distance_reference};
    for shape in [[1, 1, 1, 1], [2, 5, 3, 3], [3, 64, 15, 15]] {
        let weight = || leaf(9, [shape[1]]).without_autodiff();
        let real = || leaf(8, shape).without_autodiff();
        // Only the second map has a gradient: the other two leaves are added in.
        let with = |d: Tensor<1>, a: Tensor<1>, c: Tensor<1>| d + a + c;
        let rows = [shape[0]];
        agree(
            &format!("{shape:?}"),
            (rows, shape, rows),
            |a, b, c| with(layer_distance(real(), b, weight()), a, c),
            |a, b, c| with(layer_distance_reference(real(), b, weight()), a, c),
        );
    }
}
