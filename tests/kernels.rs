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
use tandem_core::kernel::op::{GpuForms, set_gpu_forms};
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

/// [`leaf`] on the CPU.
fn cpu_leaf<const D: usize>(seed: u32, shape: [usize; D]) -> Tensor<D> {
    leaf(seed, shape, &tandem_core::device::cpu())
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
    set_gpu_forms(GpuForms::All);
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
fn group_norm_silu_and_convolution_in_one() {
    use kernel::normed_conv::{normed_conv2d, normed_conv2d_reference};
    set_gpu_forms(GpuForms::All);
    for (shape, groups, out, conv) in [
        ([1, 1, 1, 2], 1, 1, Conv::new(1, 1)),
        ([2, 6, 5, 7], 3, 4, Conv::new(1, 1)),
        ([3, 16, 9, 9], 8, 17, Conv::new(1, 1)),
        ([2, 64, 12, 10], 8, 65, Conv::new(1, 1)),
        ([2, 4, 8, 8], 4, 4, Conv::downsample()),
    ] {
        let c = shape[1];
        for silu in [false, true] {
            let norm = GroupNormConfig { groups, eps: 1e-6, silu };
            let run = |device: &Device, reference: bool| {
                let (x, w) = (leaf(1, shape, device), leaf(4, [out, c, 3, 3], device));
                let [gamma, beta, b] = [(2, c), (3, c), (5, out)].map(|(seed, n)| leaf(seed, [n], device));
                let of_norm = (gamma.clone(), beta.clone());
                let form = if reference { normed_conv2d_reference } else { normed_conv2d };
                let y = form(x.clone(), of_norm, norm, (w.clone(), b.clone()), conv);
                let weights = leaf(6, y.dims(), device).without_autodiff();
                let grads = (y.clone() * weights).sum().backward();
                let flat = [gamma, beta, b].map(|v| host(v.grad(&grads).unwrap()));
                let maps = [host(y), host(x.grad(&grads).unwrap()), host(w.grad(&grads).unwrap())];
                [maps.to_vec(), flat.to_vec()].concat()
            };
            let theirs = run(&tandem_core::device::cpu(), true);
            for (name, device) in support::devices() {
                let ours = run(&device, false);
                for ((part, mine), theirs) in
                    ["y", "dx", "dw", "dgamma", "dbeta", "db"].iter().zip(ours).zip(&theirs)
                {
                    let scale = theirs.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                    compare(&format!("{name}, {shape:?}, silu {silu}: {part}"), &mine, theirs, 2e-5 * scale);
                }
            }
        }
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
fn residual_sum() {
    for shape in [[1, 1, 1], [3, 5, 7], [4, 64, 200]] {
        agree(
            &format!("{shape:?}"),
            (shape, shape, [1]),
            |x, h, _: Tensor<1>| kernel::residual(x, h),
            |x, h, _: Tensor<1>| x + h,
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
fn optimizer_in_place() {
    use kernel::optimizer::{AdamW, Slot, adamw, adamw_reference, ema, ema_reference, global_norm};
    let config = AdamW { lr: 1e-2, betas: (0.9, 0.99), eps: 1e-8, weight_decay: 0.1 };
    let sizes = [1, 7, 40_000];
    let flat = |seed, n| cpu_leaf(seed, [n]).without_autodiff();
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
    let (x, w) = (cpu_leaf(1, [6, 4]), cpu_leaf(2, [3, 4]).without_autodiff());
    let grad = |y: Tensor<2>| {
        let weights = cpu_leaf(4, y.dims()).without_autodiff();
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

#[test]
fn cosine_of_rows() {
    for shape in [[1, 1], [7, 5], [3, 130], [300, 112]] {
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

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let count = 65_536 * 64 + 5;
    agree(
        &format!("{count} values"),
        ([count], [1], [1]),
        |a, _, _| kernel::silu(a),
        |a, _, _| kernel::activation::silu_reference(a),
    );
}

/// Compares the gradient of `f` at a leaf of `shape` with central differences, on all devices.
fn differences_agree<const A: usize, const O: usize>(
    what: &str,
    shape: [usize; A],
    f: impl Fn(Tensor<A>) -> Tensor<O>,
) {
    const STEP: f32 = 1e-2;
    set_gpu_forms(GpuForms::All);
    for (name, device) in support::devices() {
        let point = values(1, shape.iter().product());
        let at = |values: Vec<f32>| Tensor::<A>::from_data(TensorData::new(values, shape), &device);
        let loss = |y: Tensor<O>| {
            let weights = leaf(4, y.dims(), &device).without_autodiff();
            (y * weights).sum()
        };
        let x = at(point.clone()).autodiff().require_grad();
        let gradient = host(x.grad(&loss(f(x.clone())).backward()).unwrap());
        let differences: Vec<f32> = (0..point.len())
            .map(|i| {
                let moved = |by: f32| {
                    let mut values = point.clone();
                    values[i] += by;
                    host(loss(f(at(values))))[0]
                };
                (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
            })
            .collect();
        let scale = differences.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        compare(&format!("{name}, {what}"), &gradient, &differences, 5e-3 * scale);
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let constant = |seed, shape: [usize; 2]| values(seed, shape[0] * shape[1]);
    let like = |x: &Tensor<2>, seed: u32| {
        let data = TensorData::new(constant(seed, x.dims()), x.dims());
        Tensor::<2>::from_data(data, &x.device().without_autodiff())
    };
    differences_agree("silu", [7], kernel::silu);
    differences_agree("gelu", [7], kernel::gelu_tanh);
    differences_agree("attention", [1, 3, 3, 1, 4], kernel::attention);
    differences_agree("cosine", [3, 5], |f| {
        let target = like(&f, 2);
        kernel::cosine_similarity(f, target)
    });
    differences_agree("square error", [3, 5], |a| {
        let b = like(&a, 2);
        kernel::loss::square_error(a, b)
    });
    differences_agree("divergence", [3, 5], |a| kernel::loss::divergence(a.clone(), a));
    differences_agree("linear with SiLU", [3, 5], |x| {
        let weight = like(&x, 2);
        let bias = weight.clone().sum_dim(1).reshape([3]);
        kernel::linear_activated(x, weight, bias, kernel::Activation::Silu)
    });
    differences_agree("layer norm", [3, 5], |x| {
        let row = like(&x, 2).narrow(0, 0, 1).reshape([5]);
        kernel::layer_norm(x, row.clone(), row, 1e-1)
    });
    differences_agree("group norm", [1, 4, 2, 2], |x| {
        let row = Tensor::<1>::ones([4], &x.device().without_autodiff());
        kernel::group_norm(x, row.clone(), row, GroupNormConfig { groups: 2, eps: 1e-1, silu: true })
    });
    differences_agree("convolution", [1, 2, 4, 3], |x| {
        let weight = Tensor::<4>::ones([2, 2, 3, 3], &x.device().without_autodiff());
        kernel::conv2d(x, weight, None, Conv::new(1, 1))
    });
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
fn optimizer_of_many_weights() {
    use kernel::optimizer::{AdamW, Slot, adamw, adamw_reference, clip_factor, ema, global_norm};
    let config = AdamW { lr: 1e-2, betas: (0.9, 0.99), eps: 1e-8, weight_decay: 0.1 };
    // More weights than any launch takes, none, one and many workgroups long.
    let sizes: Vec<usize> = (0..40).map(|i| [1, 7, 1024, 3001][i % 4]).collect();
    for (name, device) in support::devices() {
        let flat = |seed: usize, n: usize| leaf(seed as u32, [n], &device).without_autodiff();
        let slots = || -> Vec<Slot> {
            let slot = |(i, &n): (usize, &usize)| Slot {
                value: flat(i, n),
                grad: flat(i + 50, n),
                m: flat(i + 100, n),
                v: flat(i + 150, n).square(),
            };
            sizes.iter().enumerate().map(slot).collect()
        };
        let grads: Vec<_> = slots().into_iter().map(|s| s.grad).collect();
        let squares: f64 = grads.iter().flat_map(|g| host(g.clone())).map(|v| f64::from(v).powi(2)).sum();
        let norm = global_norm(&grads);
        compare(
            &format!("{name}: norm"),
            &host(norm.clone()),
            &[squares.sqrt() as f32],
            1e-5 * squares.sqrt() as f32,
        );
        let clip = clip_factor(norm, 1.0);
        for open in [None, Some(true), Some(false)] {
            let gate = open.map(|open| clip.clone().greater_scalar(if open { -1.0 } else { 1e9 }));
            let (before, held) = (slots(), slots());
            let shared = held.clone();
            let after = adamw(held, config, 3, &clip, &gate);
            for (i, (after, before)) in after.iter().zip(&before).enumerate() {
                let wanted = match open {
                    Some(false) => before.clone(),
                    _ => adamw_reference(before.clone(), config, 3, &clip),
                };
                for (what, ours, wanted) in [
                    ("value", &after.value, wanted.value),
                    ("m", &after.m, wanted.m),
                    ("v", &after.v, wanted.v),
                ] {
                    let what = format!("{name}: gate {open:?}, weight {i}, {what}");
                    let wanted = host(wanted);
                    let scale = wanted.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                    compare(&what, &host(ours.clone()), &wanted, 2e-6 * scale);
                }
                assert_eq!(
                    host(shared[i].value.clone()),
                    host(before.value.clone()),
                    "a shared weight changed"
                );
            }
            let averages: Vec<_> = before.iter().map(|s| s.m.clone()).collect();
            let now = after.iter().map(|s| s.value.clone()).collect();
            for (i, moved) in ema(averages.clone(), now, 0.9, &gate).into_iter().enumerate() {
                let blend = averages[i].clone() * 0.9 + after[i].value.clone() * 0.1;
                let wanted = if open == Some(false) { averages[i].clone() } else { blend };
                compare(&format!("{name}: gate {open:?}, average {i}"), &host(moved), &host(wanted), 1e-6);
            }
        }
    }
}

#[test]
fn pixels_of_pictures_and_latents() {
    use kernel::screen::{Projection, projected_rgba, projected_rgba_reference, rgba, rgba_reference};
    let bytes = |pixels: Vec<u8>| pixels.into_iter().map(f32::from).collect::<Vec<_>>();
    let (x, z) = (
        leaf(1, [2, 3, 5, 7], &tandem_core::device::cpu()),
        leaf(2, [3, 4, 1, 3], &tandem_core::device::cpu()),
    );
    let directions = values(3, 16);
    let projection = Projection {
        mean: &directions[..4],
        components: [&directions[4..8], &directions[8..12], &directions[12..]],
        low: [-1.0, 0.0, 1.0],
        high: [2.0, 0.5, 1.0],
    };
    let (pictures, colours) =
        (bytes(rgba_reference(x.clone())), bytes(projected_rgba_reference(z.clone(), &projection)));
    assert_eq!(&colours[2..4], &[128.0, 255.0], "no range is mid grey, alpha is full");
    for (name, device) in support::devices() {
        let (x, z) = (leaf(1, x.dims(), &device), leaf(2, z.dims(), &device));
        // A value between two bytes may round either way.
        compare(&format!("{name}: pictures"), &bytes(rgba(x)), &pictures, 1.0);
        compare(&format!("{name}: latents"), &bytes(projected_rgba(z, &projection)), &colours, 1.0);
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
        let x = cpu_leaf(1, shape).without_autodiff();
        let (mine, theirs) =
            (kernel::batch_moments(x.clone()), kernel::batch_norm::batch_moments_reference(x));
        compare(&format!("moments of {shape:?}"), &host(mine), &host(theirs), 1e-5);
    }
}

#[test]
fn a_gate_or_branch_off_the_tape_costs_the_others_no_gradient() {
    set_gpu_forms(GpuForms::All);
    for (name, device) in support::devices() {
        let (x, gate, h) =
            (leaf(1, [2, 3, 5], &device), leaf(2, [2, 5], &device), leaf(3, [2, 3, 5], &device));
        let weights = leaf(4, [2, 3, 5], &device).without_autodiff();
        let grads = |y: Tensor<3>| (y * weights.clone()).sum().backward();
        let frozen_gate = gate.clone().without_autodiff();
        let ours = grads(kernel::gated_residual(x.clone(), frozen_gate.clone(), h.clone()));
        let theirs = grads(kernel::gate::gated_residual_reference(x.clone(), frozen_gate, h.clone()));
        for (what, leaf) in [("dx", &x), ("dh", &h)] {
            let (ours, theirs) = (host(leaf.grad(&ours).unwrap()), host(leaf.grad(&theirs).unwrap()));
            compare(&format!("{name}: {what}"), &ours, &theirs, 1e-5);
        }
        let frozen = h.without_autodiff();
        let ours = grads(kernel::gated_residual(x.clone(), gate.clone(), frozen.clone()));
        let theirs = grads(kernel::gate::gated_residual_reference(x, gate.clone(), frozen));
        let (ours, theirs) = (host(gate.grad(&ours).unwrap()), host(gate.grad(&theirs).unwrap()));
        compare(&format!("{name}: dgate"), &ours, &theirs, 1e-5);
    }
}
