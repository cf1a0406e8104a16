//! Activations that wait for backward in half precision on a GPU: less memory, nearly the same gradients. A file of
//! its own, because the switch is the whole process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::{Device, Tensor, TensorData};
use tandem_core::kernel::form::{Forms, set_forms};
use tandem_core::kernel::gpu::memory_bytes;
use tandem_core::kernel::{self, Conv, GroupNormConfig, keep_half};
use tandem_core::params::host;

fn leaf<const D: usize>(seed: usize, shape: [usize; D], device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (((i + seed) * 37 % 101) as f32 - 50.3) / 60.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device).autodiff().require_grad()
}

/// Output and gradients of a small network that keeps activations of every kind, and the bytes in use between forward
/// and backward.
fn differentiated(device: &Device) -> (Vec<Vec<f32>>, u64) {
    let x = leaf(0, [2, 8, 16, 16], device);
    let (w, b) = (leaf(1, [8, 8, 3, 3], device), leaf(2, [8], device));
    let (gamma, beta) = (leaf(3, [8], device), leaf(4, [8], device));
    let (qkv, out) = (leaf(5, [96, 32], device), leaf(6, [32, 32], device));
    let norm = GroupNormConfig { groups: 4, eps: 1e-6, silu: true };
    let h = kernel::group_norm(x.clone(), gamma.clone(), beta, norm);
    let h = kernel::conv2d(h, w.clone(), Some(b), Conv::new(1, 1));
    let tokens = h.reshape([2, 64, 32]);
    let all: Tensor<3> = kernel::linear(tokens, qkv.clone(), None);
    let mixed = kernel::attention(all.reshape([2, 64, 3, 2, 16]));
    let y = kernel::gelu_tanh(kernel::linear(mixed, out.clone(), None));
    let value = host(y.clone());
    let kept = memory_bytes(device).map_or(0, |(used, _)| used);
    let grads = y.square().sum().backward();
    let parts = [
        x.grad(&grads).map(host),
        w.grad(&grads).map(host),
        gamma.grad(&grads).map(host),
        qkv.grad(&grads).map(host),
        out.grad(&grads).map(host),
    ];
    (std::iter::once(value).chain(parts.into_iter().map(Option::unwrap)).collect(), kept)
}

#[test]
fn gradients_hold_to_three_digits_and_memory_shrinks() {
    let Some(chosen) = support::adapter() else { return };
    set_forms(Forms::All);
    let (whole, bytes) = differentiated(&chosen.device);
    keep_half(true);
    let (half, half_bytes) = differentiated(&chosen.device);
    keep_half(false);
    assert_eq!(whole[0], half[0], "forward does not change");
    for (i, (whole, half)) in whole.iter().zip(&half).enumerate().skip(1) {
        let scale = whole.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let off = whole.iter().zip(half).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / scale;
        assert!(off < 3e-3, "gradient {i} is off by {off}");
        assert!(off > 0.0 || i == 4, "gradient {i} is the same: nothing was halved");
    }
    assert!(half_bytes < bytes, "{half_bytes} bytes in use instead of {bytes}");
    eprintln!("{}: {half_bytes} bytes wait in place of {bytes}", chosen.name);
}
