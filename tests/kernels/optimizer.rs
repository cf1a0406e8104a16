//! The optimizer's passes over all weights.

use tandem_core::kernel;
use tandem_core::params::host;

use crate::parity::{cpu_leaf, leaf};
use crate::support::{self, compare};

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
