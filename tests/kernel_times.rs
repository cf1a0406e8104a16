//! What each GPU kernel is worth: time, launches and bytes, forward and backward together, against the same
//! in plain tensor operations, alternating in one run. A measurement, not a contract:
//! `cargo test --release --workspace --test kernel_times -- --ignored --nocapture`. The adapter is the first
//! software one, or what `TANDEM_ADAPTER` names; `VK_ICD_FILENAMES` picks another driver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "a measurement that prints"
)]

mod support;

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use tandem_core::kernel::form::{Forms, on_hardware, set_forms};
use tandem_core::kernel::gpu::meter::{Launches, Meter};
use tandem_core::kernel::optimizer::{AdamW, Slot, adamw, ema, global_norm};
use tandem_core::kernel::{self, Conv, GroupNormConfig};
use tandem_core::params::host;

const REPETITIONS: usize = 3;

fn leaf<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device).autodiff().require_grad()
}

/// Runs `work` with plain operations and with kernels in turn, and prints a row of the table.
fn row(what: &str, work: &dyn Fn()) {
    let mut seconds = [f64::INFINITY; 2];
    let mut launches = [Launches::default(), Launches::default()];
    for repetition in 0..=REPETITIONS {
        for (i, plain) in [true, false].into_iter().enumerate() {
            set_forms(if plain { Forms::Plain } else { Forms::Chosen });
            let meter = Meter::start();
            let began = Instant::now();
            work();
            let elapsed = began.elapsed().as_secs_f64();
            launches[i] = meter.finish();
            // The first compiles.
            if repetition > 0 {
                seconds[i] = seconds[i].min(elapsed);
            }
        }
    }
    let [plain, ours] = seconds.map(|s| s * 1e3);
    eprintln!(
        "| {what} | {plain:.1} | {ours:.1} | {:.2} | {} | {} | {:.0} |",
        plain / ours,
        launches[0].total,
        launches[1].total,
        launches[1].our_bytes as f64 / 1024.0
    );
}

/// Value and gradients of a function of three leaves, waited for.
fn differentiated<const A: usize, const B: usize, const C: usize, const O: usize>(
    device: &Device,
    shapes: ([usize; A], [usize; B], [usize; C]),
    f: impl Fn(Tensor<A>, Tensor<B>, Tensor<C>) -> Tensor<O>,
) -> impl Fn() {
    let (a, b, c) = (leaf(shapes.0, device), leaf(shapes.1, device), leaf(shapes.2, device));
    move || {
        let grads = f(a.clone(), b.clone(), c.clone()).sum().backward();
        // A sum is read: reading a picture would be most of the time.
        let last = a.grad(&grads).map(|g| host(g.sum())).or_else(|| b.grad(&grads).map(|g| host(g.sum())));
        assert!(last.is_some_and(|values| values[0].is_finite()));
    }
}

fn convolutions(device: &Device) {
    for (what, x, out, size, conv) in [
        ("convolution 3x3, 16 to 16 at 32 px", [4, 16, 32, 32], 16, 3, Conv::new(1, 1)),
        ("convolution 3x3, 32 to 32 at 16 px", [4, 32, 16, 16], 32, 3, Conv::new(1, 1)),
        ("convolution 3x3, 64 to 64 at 8 px", [4, 64, 8, 8], 64, 3, Conv::new(1, 1)),
        ("convolution 3x3 stride 2, 32 at 16 px", [4, 32, 16, 16], 32, 3, Conv::downsample()),
        ("convolution 1x1, 16 to 32 at 16 px", [4, 16, 16, 16], 32, 1, Conv::new(1, 0)),
        ("convolution 4x4 stride 2, 3 to 16 at 32 px", [4, 3, 32, 32], 16, 4, Conv::new(2, 1)),
        ("convolution 11x11 stride 4, 3 to 64 at 64 px", [4, 3, 64, 64], 64, 11, Conv::new(4, 2)),
    ] {
        let shapes = (x, [out, x[1], size, size], [out]);
        row(what, &differentiated(device, shapes, move |x, w, b| kernel::conv2d(x, w, Some(b), conv)));
    }
    row(
        "nearest x2 + convolution 3x3, 32 at 8 px",
        &differentiated(device, ([4, 32, 8, 8], [32, 32, 3, 3], [32]), kernel::upsampled_conv2d),
    );
}

fn linears(device: &Device) {
    for (rows, inner, out) in [(256, 128, 384), (256, 128, 512), (256, 512, 128), (4, 128, 768)] {
        let shapes = ([rows, inner], [out, inner], [out]);
        let linear = |x, w, b| kernel::linear(x, w, Some(b));
        row(&format!("linear {rows} x {inner} to {out}"), &differentiated(device, shapes, linear));
    }
}

fn fused(device: &Device) {
    let norm = GroupNormConfig { groups: 8, eps: 1e-6, silu: true };
    for x in [[4, 16, 32, 32], [4, 64, 8, 8]] {
        let c = x[1];
        row(
            &format!("group norm + SiLU {x:?}"),
            &differentiated(device, (x, [c], [c]), move |x, g, b| kernel::group_norm(x, g, b, norm)),
        );
    }
    let tokens = [4, 64, 128];
    row(
        "layer norm + modulate [4, 64, 128]",
        &differentiated(device, (tokens, [4, 128], [4, 128]), |x, a, b| {
            kernel::modulated_layer_norm(x, a, b, 1e-6)
        }),
    );
    row(
        "gated residual [4, 64, 128]",
        &differentiated(device, (tokens, [4, 128], tokens), kernel::gated_residual),
    );
    row("GELU [256, 512]", &differentiated(device, ([256, 512], [1], [1]), |x, _, _| kernel::gelu_tanh(x)));
    row(
        "attention, 64 tokens, 2 heads of 64",
        &differentiated(device, ([4, 64, 3, 2, 64], [1], [1]), |x, _, _| kernel::attention(x)),
    );
    row(
        "cosine [256, 112]",
        &differentiated(device, ([256, 112], [256, 112], [1]), |f, t, _| kernel::cosine_similarity(f, t)),
    );
    let features = [4, 64, 15, 15];
    row(
        "LPIPS layer [4, 64, 15, 15]",
        &differentiated(device, (features, features, [64]), |a, b, w| {
            kernel::perceptual::layer_distance(a.without_autodiff(), b, w.without_autodiff())
        }),
    );
    let picture = [4, 3, 32, 32];
    row(
        "L1 [4, 3, 32, 32]",
        &differentiated(device, (picture, picture, [1]), |a, b, _| kernel::loss::absolute_error(a, b)),
    );
}

fn optimizer(device: &Device) {
    let weights = 24;
    let flat = || leaf([16_384], device).without_autodiff();
    let slot = || Slot { value: flat(), grad: flat(), m: flat(), v: flat().square() };
    let config = AdamW { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 };
    row("norm, clip, AdamW, EMA of 24 weights of 16384", &|| {
        let slots: Vec<_> = (0..weights).map(|_| slot()).collect();
        let norm = global_norm(&slots.iter().map(|s| s.grad.clone()).collect::<Vec<_>>());
        let clip = kernel::optimizer::clip_factor(norm, 1.0);
        let gate = Some(clip.clone().is_finite().all());
        let slots = adamw(slots, config, 1, &clip, &gate);
        let averages = (0..weights).map(|_| flat()).collect();
        let values = slots.iter().map(|s| s.value.clone()).collect();
        let last = ema(averages, values, 0.99, &gate).pop();
        assert!(last.is_some_and(|average| host(average)[0].is_finite()));
    });
}

/// Shapes that fill a graphics card: the autoencoder at 256 px, SiT-XL/2 on eight pictures.
fn large(device: &Device) {
    for (c, px, out, conv) in [
        (128, 256, 128, Conv::new(1, 1)),
        (256, 128, 256, Conv::new(1, 1)),
        (512, 64, 512, Conv::new(1, 1)),
        (128, 256, 128, Conv::downsample()),
    ] {
        let shapes = ([1, c, px, px], [out, c, 3, 3], [out]);
        let what = format!("convolution 3x3 stride {}, {c} to {out} at {px} px", conv.stride);
        row(&what, &differentiated(device, shapes, move |x, w, b| kernel::conv2d(x, w, Some(b), conv)));
    }
    for (rows, inner, out) in [(2048, 1152, 3456), (2048, 1152, 4608), (2048, 4608, 1152)] {
        let shapes = ([rows, inner], [out, inner], [out]);
        let linear = |x, w, b| kernel::linear(x, w, Some(b));
        row(&format!("linear {rows} x {inner} to {out}"), &differentiated(device, shapes, linear));
    }
    row(
        "attention, 8 x 256 tokens, 16 heads of 72",
        &differentiated(device, ([8, 256, 3, 16, 72], [1], [1]), |x, _, _| kernel::attention(x)),
    );
    let norm = GroupNormConfig { groups: 32, eps: 1e-6, silu: true };
    row(
        "group norm + SiLU [1, 128, 256, 256]",
        &differentiated(device, ([1, 128, 256, 256], [128], [128]), move |x, g, b| {
            kernel::group_norm(x, g, b, norm)
        }),
    );
    let tokens = [8, 256, 1152];
    row(
        "layer norm + modulate [8, 256, 1152]",
        &differentiated(device, (tokens, [8, 1152], [8, 1152]), |x, a, b| {
            kernel::modulated_layer_norm(x, a, b, 1e-6)
        }),
    );
}

#[test]
#[ignore = "a measurement of minutes"]
fn table_of_kernels() {
    let chosen = support::adapter().expect("an adapter");
    eprintln!("{}", chosen.name);
    eprintln!("| forward and backward | plain, ms | kernel, ms | gain | launches | | KiB bound |");
    eprintln!("|---|---|---|---|---|---|---|");
    fused(&chosen.device);
    optimizer(&chosen.device);
    linears(&chosen.device);
    convolutions(&chosen.device);
    if on_hardware(&leaf([1], &chosen.device)) {
        large(&chosen.device);
    }
    set_forms(Forms::Chosen);
}
