//! Operations that touch each value once, and pictures for the screen.

use burn::tensor::Tensor;
use tandem_core::kernel;
use tandem_core::kernel::form::{Forms, set_forms};
use tandem_core::params::host;

use crate::parity::{agree, leaf, values};
use crate::support::{self, compare};

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
fn activations_pointwise() {
    for shape in [[1, 1], [3, 67], [40, 1025]] {
        let sum = |a: Tensor<2>, b: Tensor<2>, c: Tensor<2>| a + b + c;
        agree(
            &format!("silu, gelu, leaky relu of {shape:?}, relu of six at most"),
            (shape, shape, shape),
            |a, b, c| {
                let capped = kernel::relu6(c.clone() * 5.0);
                sum(kernel::silu(a), kernel::gelu_tanh(b), kernel::leaky_relu(c, 0.2) + capped)
            },
            |a, b, c| {
                use kernel::activation::{gelu_tanh_reference, leaky_relu_reference, silu_reference};
                let capped = (c.clone() * 5.0).clamp(0.0, 6.0);
                sum(silu_reference(a), gelu_tanh_reference(b), leaky_relu_reference(c, 0.2) + capped)
            },
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
fn more_workgroups_than_one_dimension_holds() {
    let count = 65_536 * 64 + 5;
    agree(
        &format!("{count} values"),
        ([count], [1], [1]),
        |a, _, _| kernel::silu(a),
        |a, _, _| kernel::activation::silu_reference(a),
    );
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
fn a_gate_or_branch_off_the_tape_costs_the_others_no_gradient() {
    set_forms(Forms::All);
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
