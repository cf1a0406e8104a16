//! Pictures through an autoencoder: to latents, from latents, there and back; and how close the
//! reconstruction is to its original.

use burn::tensor::{Device, Tensor, TensorData};

use super::image_quality::{SsimCovariance, psnr, ssim};
use crate::data::Picture;
use crate::data::pixels::u8_rounded_from_f32;
use crate::error::Result;
use crate::params::host;
use crate::vae::perceptual::{InputRange, Lpips};
use crate::vae::{LatentConvention, Vae};

/// LPIPS' backbones need this many pixels a side.
const LPIPS_MIN_PX: usize = 32;
/// Larger pictures would take more memory for LPIPS than for the reconstruction.
const LPIPS_MAX_PIXELS: usize = 4 << 20;

/// Latents of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// `[z, h, w]`.
    pub shape: [usize; 3],
    /// Means, which are the most likely latents.
    pub mean: Vec<f32>,
    /// Standard deviations of the posterior, never normalised.
    pub std: Vec<f32>,
}

/// The posterior of a picture; the means normalised by the model's statistics if asked for.
pub fn encode(vae: &Vae, picture: &Picture, normalize: bool, device: &Device) -> Encoded {
    let posterior = vae.encode(on_device(picture, device));
    let z = match normalize {
        true => vae.normalize_latents(posterior.mode(), LatentConvention::default()),
        false => posterior.mode(),
    };
    let [_, c, h, w] = z.dims();
    Encoded { shape: [c, h, w], mean: host(z), std: host(posterior.std()) }
}

/// The picture of `latents` `[z, h, w]`, as planar values about [−1, 1] with height and width.
pub fn decode(
    vae: &Vae,
    latents: &[f32],
    [c, h, w]: [usize; 3],
    normalized: bool,
    device: &Device,
) -> (Vec<f32>, usize, usize) {
    let z = Tensor::<4>::from_data(TensorData::new(latents.to_vec(), [1, c, h, w]), device);
    let z = match normalized {
        true => vae.denormalize_latents(z, LatentConvention::default()),
        false => z,
    };
    let decoded = vae.decode(z);
    let [_, _, height, width] = decoded.dims();
    (host(decoded), height, width)
}

/// A picture through the autoencoder and back: planar values about [−1, 1].
pub fn reconstruct(vae: &Vae, picture: &Picture, device: &Device) -> Vec<f32> {
    host(vae.forward(on_device(picture, device), None))
}

fn on_device(picture: &Picture, device: &Device) -> Tensor<4> {
    let shape = [1, 3, picture.height, picture.width];
    Tensor::from_data(TensorData::new(picture.values(), shape), device)
}

/// Figures of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Peak signal-to-noise ratio in dB, of 8-bit pictures.
    pub psnr: f64,
    /// Structural similarity; none under 11 pixels a side.
    pub ssim: Option<f64>,
    /// LPIPS of values in [−1, 1]; none for very small or very large pictures.
    pub lpips: Option<f64>,
}

/// Compares `recon`, planar `[3, H, W]` of values about [−1, 1], with its original.
///
/// # Errors
/// When they differ in size.
pub fn measure(original: &Picture, recon: &[f32], lpips: &Lpips, device: &Device) -> Result<Figures> {
    let (h, w) = (original.height, original.width);
    let bytes = u8_rounded_from_f32(recon);
    let ssim = ssim(&original.planar, &bytes, [3, h, w], SsimCovariance::Population).ok();
    let looks = h.min(w) >= LPIPS_MIN_PX && h * w <= LPIPS_MAX_PIXELS;
    let distance = looks.then(|| {
        let on = |values: Vec<f32>| Tensor::<4>::from_data(TensorData::new(values, [1, 3, h, w]), device);
        let clamped = recon.iter().map(|v| v.clamp(-1.0, 1.0)).collect();
        let features = |values: Vec<f32>| lpips.features(on(values), InputRange::Sound);
        host(lpips.distance(&features(original.values()), features(clamped))).first().copied()
    });
    Ok(Figures { psnr: psnr(&original.planar, &bytes)?, ssim, lpips: distance.flatten().map(f64::from) })
}
