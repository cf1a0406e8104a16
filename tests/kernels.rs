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
            let (b1, b2) = (leaf(5, [hidden]), leaf(6, [out]));
            let run = |f: &dyn Fn(Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<2>| {
                let (x, w1, w2) = (leaf(1, [rows, inner]), leaf(2, [hidden, inner]), leaf(3, [out, hidden]));
                let y = f(x.clone(), w1.clone(), w2.clone());
                let grads = (y.clone() * leaf(4, [rows, out]).without_autodiff()).sum().backward();
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
fn layer_norm_with_weights_and_modulated() {
    use kernel::layer_norm::{layer_norm_reference, modulated_layer_norm_reference};
    for shape in [[1, 1, 2], [3, 5, 7], [2, 64, 130], [1, 300, 192]] {
        let [b, _, d] = shape;
        agree(
            &format!("{shape:?}, own weights"),
            (shape, [d], [d]),
            |x, gamma, beta| kernel::layer_norm(x, gamma, beta, 1e-5),
            |x, gamma, beta| layer_norm_reference(x, gamma, beta, 1e-5),
        );
        agree(
            &format!("{shape:?}, modulated"),
            (shape, [b, d], [b, d]),
            |x, shift, scale| kernel::modulated_layer_norm(x, shift, scale, 1e-6),
            |x, shift, scale| modulated_layer_norm_reference(x, shift, scale, 1e-6),
        );
    }
}

#[test]
fn attention_of_packed_projections() {
    for shape in [[1, 1, 3, 1, 1], [2, 5, 3, 3, 7], [2, 64, 3, 2, 64], [1, 150, 3, 2, 16]] {
        // The last two leaves prove that what surrounds the operation keeps its gradient.
        let around =
            |y: Tensor<3>, b: Tensor<1>, c: Tensor<1>| y * b.sum().unsqueeze::<3>() + c.unsqueeze::<3>();
        let width = shape[3] * shape[4];
        agree(
            &format!("{shape:?}"),
            (shape, [2], [width]),
            |qkv, b, c| around(kernel::attention(qkv), b, c),
            |qkv, b, c| around(kernel::attention::attention_reference(qkv), b, c),
        );
    }
}

#[test]
fn cosine_of_rows() {
    for (rows, width) in [(1, 2), (7, 5), (300, 112)] {
        let target = leaf(9, [rows, width]).without_autodiff();
        let sum = |y: Tensor<1>, b: Tensor<1>, c: Tensor<1>| y * b + c;
        agree(
            &format!("{rows} x {width}"),
            ([rows, width], [rows], [rows]),
            |f, b, c| sum(kernel::cosine_similarity(f, target.clone()), b, c),
            |f, b, c| sum(kernel::cosine::cosine_similarity_reference(f, target.clone()), b, c),
        );
    }
}

#[test]
fn optimizer_in_place() {
    use kernel::optimizer::{AdamW, Slot, adamw, adamw_reference, ema, ema_reference, global_norm};
    let config = AdamW { lr: 1e-2, betas: (0.9, 0.99), eps: 1e-8, weight_decay: 0.1 };
    let sizes = [1, 7, 40_000];
    let flat = |seed, n| leaf(seed, [n]).without_autodiff();
    let slots: Vec<Slot> = sizes
        .iter()
        .map(|&n| Slot { value: flat(1, n), grad: flat(2, n), m: flat(3, n), v: flat(4, n).square() })
        .collect();
    let grads: Vec<_> = slots.iter().map(|s| s.grad.clone()).collect();
    let norm = host(global_norm(&grads));
    compare("norm", &norm, &host(kernel::optimizer::global_norm_reference(&grads)), 1e-5 * norm[0]);
    let clip = kernel::optimizer::clip_factor(global_norm(&grads), 1.0);
    let before: Vec<_> = slots.iter().map(|s| host(s.value.clone())).collect();
    // The slots are shared with `theirs`: in place must not change what others hold.
    let ours = adamw(slots.clone(), config, 3, &clip, &None);
    for ((ours, theirs), before) in ours.iter().zip(&slots).zip(before) {
        assert_eq!(host(theirs.value.clone()), before, "a shared value was changed");
        let want = adamw_reference(theirs.clone(), config, 3, &clip);
        for (what, ours, want) in
            [("value", &ours.value, want.value), ("m", &ours.m, want.m), ("v", &ours.v, want.v)]
        {
            let want = host(want);
            let scale = want.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            compare(what, &host(ours.clone()), &want, 2e-6 * scale);
        }
    }
    let (averages, values): (Vec<_>, Vec<_>) = slots.iter().map(|s| (s.m.clone(), s.value.clone())).unzip();
    let want = ema_reference(averages.clone(), values.clone(), 0.9, &None);
    for (ours, want) in ema(averages, values, 0.9, &None).into_iter().zip(want) {
        compare("average", &host(ours), &host(want), 1e-6);
    }
}

#[test]
fn a_frozen_weight_keeps_no_input_and_the_gradient_is_right() {
    let (x, w) = (leaf(1, [6, 4]), leaf(2, [3, 4]).without_autodiff());
    let grad = |y: Tensor<2>| {
        let weights = leaf(4, y.dims()).without_autodiff();
        host(x.grad(&(y * weights).sum().backward()).unwrap())
    };
    let ours = grad(kernel::linear(x.clone(), w.clone(), None));
    compare("dx", &ours, &grad(kernel::linear::linear_reference(x.clone(), w, None)), 1e-5);
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
