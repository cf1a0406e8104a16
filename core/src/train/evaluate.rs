//! Judging a run after training: samples of its averaged transformer, reconstructions of pictures
//! that it never saw.

use std::ops::ControlFlow;

use burn::tensor::Device;

use super::batches::pictures;
use super::restored::Restored;
use crate::data::pixels::u8_truncated_from_f32;
use crate::data::stream::PictureStream;
use crate::error::{Error, Result};
use crate::eval::bootstrap::{Estimate, estimate_mean};
use crate::eval::comparison::Comparison;
use crate::eval::reconstruction::Reconstruction;
use crate::eval::{FeatureSet, Judge, LatentStructure};
use crate::params::host;
use crate::sample::{Labels, SampleConfig, Sampler};
use crate::vae::perceptual::Lpips;

/// Pictures in work at once.
pub const BATCH: usize = 32;

/// Hears how many pictures are done; breaking off ends the work with an error.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// Samples to draw.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Pictures.
    pub num: u64,
    /// Their classes.
    pub labels: Labels,
    /// How the path is followed.
    pub config: SampleConfig,
    /// Seed of noise and labels.
    pub seed: u64,
}

impl Draw {
    /// Draws pictures `from..num` of `restored` in batches: planar model values `[B, 3, px, px]`.
    ///
    /// # Errors
    /// What `take` gives, or when `progress` breaks off.
    pub fn each(
        &self,
        restored: &Restored,
        device: &Device,
        from: u64,
        progress: Progress,
        mut take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let Restored { vae, sit, .. } = restored;
        let sampler = Sampler { vae, sit, config: self.config, seed: self.seed, device };
        let mut done = from;
        while done < self.num {
            let count = (self.num - done).min(BATCH as u64);
            let labels: Vec<usize> = (done..done + count).map(|i| self.labels.label(i, self.seed)).collect();
            take(&host(sampler.draw(done, &labels)))?;
            done += count;
            go_on(progress(done))?;
        }
        Ok(())
    }

    /// Judges the drawn pictures as they would be written: bytes truncated.
    ///
    /// # Errors
    /// As [`Draw::each`].
    pub fn judged(
        &self,
        restored: &Restored,
        judge: &Judge,
        device: &Device,
        progress: Progress,
    ) -> Result<FeatureSet> {
        let px = restored.config.data.image_px;
        let mut set = FeatureSet::new(self.num as usize);
        self.each(restored, device, 0, progress, |values| {
            set.add(&judge.features(&u8_truncated_from_f32(values), px))
        })?;
        Ok(set)
    }
}

/// Judges pictures of a stream.
///
/// # Errors
/// A picture that cannot be read, or when `progress` breaks off.
pub fn judged_stream(stream: &PictureStream, judge: &Judge, progress: Progress) -> Result<FeatureSet> {
    let mut set = FeatureSet::new(stream.len());
    stream.each(BATCH, |planar| {
        set.add(&judge.features(planar, stream.px()))?;
        go_on(progress(set.count()))
    })?;
    Ok(set)
}

/// How well a run gives pictures back.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ReconstructionFigures {
    /// Pictures.
    pub num: usize,
    /// Peak signal-to-noise ratio, dB.
    pub psnr: Estimate,
    /// Structural similarity; absent below 11 pixels.
    pub ssim: Option<Estimate>,
    /// LPIPS (AlexNet, sound form).
    pub lpips: Estimate,
    /// Fréchet distance between pictures and their reconstructions; absent for a single one.
    pub frechet: Option<Estimate>,
    /// See [`LatentStructure`].
    pub spatial_variance: f64,
    /// Mean form.
    pub total_variation: f64,
    /// Directions that the latent's channels use.
    pub effective_rank: f64,
}

/// Encodes and decodes the pictures of `stream` with the run's autoencoder and compares.
///
/// # Errors
/// No pictures, one that cannot be read, or when `progress` breaks off.
pub fn reconstruct(
    restored: &Restored,
    stream: &PictureStream,
    judge: &Judge,
    lpips: &Lpips,
    device: &Device,
    progress: Progress,
) -> Result<ReconstructionFigures> {
    let (px, num) = (stream.px(), stream.len());
    let critic = (lpips, restored.config.loss.perceptual_px);
    let mut found = Reconstruction::default();
    let (mut originals, mut copies) = (FeatureSet::new(num), FeatureSet::new(num));
    stream.each(BATCH, |planar| {
        let x = pictures(planar, planar.len() / (3 * px * px), px, device);
        let recon = found.add(&restored.vae, critic, x, planar)?;
        originals.add(&judge.features(planar, px))?;
        copies.add(&judge.features(&u8_truncated_from_f32(&host(recon)), px))?;
        go_on(progress(copies.count()))
    })?;
    let LatentStructure { spatial_variance, total_variation_mean, effective_rank, .. } = found.structure()?;
    Ok(ReconstructionFigures {
        num,
        psnr: estimate_mean(&found.psnr),
        ssim: (!found.ssim.is_empty()).then(|| estimate_mean(&found.ssim)),
        lpips: estimate_mean(&found.lpips),
        frechet: if num > 1 { Some(Comparison::of(&copies, &originals)?.frechet) } else { None },
        spatial_variance,
        total_variation: total_variation_mean,
        effective_rank,
    })
}

/// Breaks off when `progress` says so.
pub(super) fn go_on(flow: ControlFlow<()>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped),
    }
}
