//! PSNR, SSIM, MS-SSIM and the structure of latents (golden `metrics.safetensors`), and the rounding
//! of previews (golden `resize.safetensors`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use support::Golden;
use tandem_core::eval::{LatentStructure, SsimCovariance, ms_ssim, psnr, ssim};
use tandem_core::run::picture::byte_from_model_value;

/// Calls `measure` with each pair of pictures of two golden batches `[N, C, H, W]`.
fn each_pair(
    golden: &Golden,
    names: [&str; 2],
    measure: impl Fn(&[u8], &[u8], [usize; 3]) -> f64,
) -> Vec<f32> {
    let shape = golden.shape(names[0]);
    let [a, b] = names.map(|name| golden.bytes(name));
    let picture: [usize; 3] = shape[1..].try_into().unwrap();
    let size = picture.iter().product();
    a.chunks_exact(size).zip(b.chunks_exact(size)).map(|(a, b)| measure(a, b, picture) as f32).collect()
}

#[test]
fn golden_psnr_and_ssim() {
    let golden = Golden::open("metrics.safetensors");
    let names = ["image0", "image1"];
    golden.check_values("psnr", &each_pair(&golden, names, |a, b, _| psnr(a, b).unwrap()), 1.0);
    let similar =
        |covariance| each_pair(&golden, names, move |a, b, shape| ssim(a, b, shape, covariance).unwrap());
    golden.check_values("ssim", &similar(SsimCovariance::Population), 1.0);
    golden.check_values("ssim_sample_covariance", &similar(SsimCovariance::Sample), 1.0);
}

#[test]
fn golden_ms_ssim() {
    let golden = Golden::open("metrics.safetensors");
    let names = ["ms_image0", "ms_image1"];
    let found = each_pair(&golden, names, |a, b, shape| ms_ssim(a, b, shape).unwrap());
    golden.check_values("ms_ssim", &found, 1.0);
}

#[test]
fn golden_latent_structure() {
    let golden = Golden::open("metrics.safetensors");
    let shape: [usize; 4] = golden.shape("latents").try_into().unwrap();
    let found = LatentStructure::measure(golden.values("latents"), shape).unwrap();
    golden.check_values("spatial_variance", &[found.spatial_variance as f32], 1.0);
    golden.check_values("total_variation_sum", &[found.total_variation_sum as f32], 1.0);
    golden.check_values("total_variation_mean", &[found.total_variation_mean as f32], 1.0);
    assert!(found.effective_rank > 1.0 && found.effective_rank <= shape[1] as f64);
}

#[test]
fn golden_preview_rounding() {
    let golden = Golden::open("resize.safetensors");
    let found: Vec<u8> = golden.values("u8.in").iter().copied().map(byte_from_model_value).collect();
    golden.check_bytes("u8.rounded", &found);
}
