//! Group, layer and batch norms, alone and with what stands behind them.

use burn::tensor::Device;
use tandem_core::kernel::form::{Forms, set_forms};
use tandem_core::kernel::{self, Conv, GroupNormConfig};
use tandem_core::params::host;

use crate::parity::{agree, cpu_leaf, leaf};
use crate::support::{self, compare};

/// Few and large groups, cut into parts on a card, among them.
const GROUPS: [([usize; 4], usize); 6] = [
    ([2, 6, 5, 7], 3),
    ([1, 1, 1, 2], 1),
    ([3, 8, 33, 9], 8),
    ([9, 16, 32, 32], 8),
    ([2, 6, 63, 67], 3),
    ([1, 260, 6, 6], 1),
];

#[test]
fn group_norm_with_and_without_silu() {
    for silu in [false, true] {
        for (shape, groups) in GROUPS {
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
fn group_norm_silu_and_convolution_in_one() {
    use kernel::normed_conv::{normed_conv2d, normed_conv2d_reference};
    set_forms(Forms::All);
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
