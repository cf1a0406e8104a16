//! Every hand-written operation against its reference in plain tensor operations: value and
//! gradients, odd sizes and single elements, on the CPU and on a software Vulkan adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::{Device, Tensor, TensorData};
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

fn leaf<const D: usize>(seed: u32, shape: [usize; D], device: &Device) -> Tensor<D> {
    let data = TensorData::new(values(seed, shape.iter().product()), shape);
    Tensor::from_data(data, device).autodiff().require_grad()
}

/// Compares `ours` and `reference` of three leaves: outputs, and gradients of a weighted sum.
fn agree<const A: usize, const B: usize, const C: usize, const O: usize>(
    what: &str,
    shapes: ([usize; A], [usize; B], [usize; C]),
    ours: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>,
    reference: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>,
) {
    let run = |f: &dyn Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>, device: &Device| {
        let (a, b, c) = (leaf(1, shapes.0, device), leaf(2, shapes.1, device), leaf(3, shapes.2, device));
        let y = f(a.clone(), b.clone(), c.clone());
        let weights = leaf(4, y.dims(), device).without_autodiff();
        let grads = (y.clone() * weights).sum().backward();
        let grad = |g: Option<Vec<f32>>| g.unwrap_or_default();
        let (da, db, dc) = (a.grad(&grads).map(host), b.grad(&grads).map(host), c.grad(&grads).map(host));
        [host(y), grad(da), grad(db), grad(dc)]
    };
    let theirs = run(&reference, &tandem_core::device::cpu());
    for (name, device) in support::devices() {
        let mine = run(&ours, &device);
        for ((part, mine), theirs) in ["y", "da", "db", "dc"].iter().zip(mine).zip(&theirs) {
            // A constant has no gradient in a kernel; the reference gives it one.
            if mine.is_empty() && *part != "y" {
                continue;
            }
            let scale = theirs.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            compare(&format!("{name}, {what}: {part}"), &mine, theirs, 2e-5 * scale);
        }
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
fn layer_norms_modulated_and_with_weights() {
    for shape in [[1, 1, 1], [3, 5, 7], [2, 70, 130]] {
        let [b, _, d] = shape;
        agree(
            &format!("modulated, {shape:?}"),
            (shape, [b, d], [b, d]),
            |x, shift, scale| kernel::modulated_layer_norm(x, shift, scale, 1e-3),
            |x, shift, scale| kernel::layer_norm::modulated_layer_norm_reference(x, shift, scale, 1e-3),
        );
        agree(
            &format!("with weights, {shape:?}"),
            (shape, [d], [d]),
            |x, gamma, beta| kernel::layer_norm(x, gamma, beta, 1e-3),
            |x, gamma, beta| kernel::layer_norm::layer_norm_reference(x, gamma, beta, 1e-3),
        );
    }
}

#[test]
fn attention_of_heads() {
    for (b, n, h, d) in [(1, 1, 1, 4), (2, 5, 3, 8), (1, 70, 2, 64), (1, 33, 1, 72), (1, 6, 1, 6)] {
        agree(
            &format!("{b} x {n} tokens, {h} heads of {d}"),
            ([b, n, 3, h, d], [1], [1]),
            |qkv, p, q| kernel::attention(qkv) + (p + q).unsqueeze::<3>(),
            |qkv, p, q| kernel::attention::attention_reference(qkv) + (p + q).unsqueeze::<3>(),
        );
    }
}

#[test]
fn cosine_of_rows() {
    for shape in [[1, 1], [7, 5], [3, 130]] {
        let [rows, _] = shape;
        agree(
            &format!("{shape:?}"),
            (shape, shape, [rows]),
            |f, t, g| kernel::cosine_similarity(f, t) * g,
            |f, t, g| kernel::cosine::cosine_similarity_reference(f, t) * g,
        );
    }
}

#[test]
fn perceptual_distance_of_a_layer() {
    use kernel::perceptual::{layer_distance, layer_distance_reference};
    for shape in [[1, 1, 1, 1], [2, 5, 3, 4], [3, 17, 9, 9]] {
        let c = shape[1];
        agree(&format!("{shape:?}"), (shape, shape, [c]), layer_distance, layer_distance_reference);
    }
}

#[test]
fn convolution_of_a_doubled_picture() {
    use kernel::resample::nearest_x2_reference;
    for (shape, out, size, conv) in [
        ([2, 3, 5, 4], 5, 3, Conv::new(1, 1)),
        ([1, 2, 1, 1], 3, 3, Conv::new(1, 1)),
        ([1, 4, 9, 9], 17, 3, Conv::new(1, 1)),
    ] {
        agree(
            &format!("{shape:?} doubled -> {out}"),
            (shape, [out, shape[1], size, size], [out]),
            |x, w, b| kernel::conv2d_of_doubled(x, w, Some(b), conv),
            |x, w, b| kernel::conv::conv2d_reference(nearest_x2_reference(x), w, Some(b), conv),
        );
    }
}

#[test]
fn nearest_doubling() {
    use kernel::resample::{nearest_x2, nearest_x2_reference};
    for shape in [[1, 1, 1, 1], [2, 3, 5, 7]] {
        agree(
            &format!("{shape:?}"),
            (shape, [1], [1]),
            |x, p, q| nearest_x2(x) + (p + q).unsqueeze::<4>(),
            |x, p, q| nearest_x2_reference(x) + (p + q).unsqueeze::<4>(),
        );
    }
}

#[test]
fn losses_that_end_as_a_number() {
    for shape in [[1, 1], [7, 5], [40, 1025]] {
        agree(
            &format!("{shape:?}"),
            (shape, shape, shape),
            |a, b, c| {
                let errors = kernel::loss::absolute_error(a.clone(), b.clone())
                    + kernel::loss::square_error(a.clone(), c.clone());
                errors + kernel::loss::hinge(b, -1.0) + kernel::loss::divergence(a, c)
            },
            |a, b, c| {
                let errors = (a.clone() - b.clone()).abs().mean() + (a.clone() - c.clone()).square().mean();
                let hinge = kernel::activation::relu((b * -1.0) + 1.0).mean();
                let rows = a.dims()[0] as f32;
                let divergence = (a.square() + c.clone().exp() - 1.0 - c).sum() * (0.5 / rows);
                errors + hinge + divergence
            },
        );
    }
}
