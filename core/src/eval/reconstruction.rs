//! How well an autoencoder gives pictures back, and how much structure its latents carry.
//!
//! Latents are the posterior's mode, as REPA-E measures. LPIPS is the sound form, whatever a run
//! trained with.

use burn::tensor::Tensor;

use super::image_quality::{SsimCovariance, psnr, ssim};
use super::latents::{LatentStructure, StructureSums};
use crate::data::pixels::u8_rounded_from_f32;
use crate::error::Result;
use crate::kernel::resample::{Filter, resize};
use crate::params::host;
use crate::vae::Vae;
use crate::vae::perceptual::{InputRange, Lpips};

/// Shortest side that SSIM's window fits in.
const SSIM_PX: usize = 11;

/// Means over pictures; each picture's own values for intervals.
#[derive(Debug, Clone, Default)]
pub struct Reconstruction {
    /// Peak signal-to-noise ratio of each picture, in dB.
    pub psnr: Vec<f64>,
    /// Structural similarity of each picture; none below 11 pixels.
    pub ssim: Vec<f64>,
    /// Perceptual distance of each picture.
    pub lpips: Vec<f64>,
    sums: StructureSums,
}

impl Reconstruction {
    /// Encodes and decodes pictures `x [B, 3, S, S]` in [−1, 1], whose bytes are `planar`, compares,
    /// and gives the reconstructions `[B, 3, S, S]`. `lpips` sees squares of the side beside it.
    ///
    /// # Errors
    /// When the latents do not have the shape of earlier ones.
    pub fn add(
        &mut self,
        vae: &Vae,
        (lpips, lpips_px): (&Lpips, usize),
        x: Tensor<4>,
        planar: &[u8],
    ) -> Result<Tensor<4>> {
        let z = vae.encode(x.clone()).mode();
        self.sums.add(&host(z.clone()), z.dims())?;
        let recon = vae.decode(z);
        let look = |x: Tensor<4>| lpips.features(resize(x, lpips_px, Filter::Bilinear), InputRange::Sound);
        let distance = lpips.distance(&look(x), look(recon.clone()));
        self.lpips.extend(host(distance).into_iter().map(f64::from));
        let [_, channels, height, width] = recon.dims();
        let bytes = u8_rounded_from_f32(&host(recon.clone()));
        let size = channels * height * width;
        for (a, b) in planar.chunks_exact(size).zip(bytes.chunks_exact(size)) {
            self.psnr.push(psnr(a, b)?);
            if height.min(width) >= SSIM_PX {
                self.ssim.push(ssim(a, b, [channels, height, width], SsimCovariance::Population)?);
            }
        }
        Ok(recon)
    }

    /// The structure of all latents seen.
    ///
    /// # Errors
    /// When none were.
    pub fn structure(&self) -> Result<LatentStructure> {
        self.sums.finish()
    }
}

/// Mean of values; NaN of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
