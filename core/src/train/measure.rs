//! What is measured while a run trains, every `eval.every` steps, into `metrics.jsonl`.
//!
//! Over `eval.num` held-out pictures, spread evenly:
//!
//! | name | what |
//! |---|---|
//! | `eval_psnr` | mean PSNR of reconstructions, dB |
//! | `eval_ssim` | mean SSIM; absent below 11 pixels |
//! | `eval_lpips` | mean LPIPS, sound form, at `loss.perceptual_px` |
//! | `eval_spatial_variance` | variance of latents over positions, mean over pictures and channels |
//! | `eval_total_variation` | mean absolute difference of neighbouring latents |
//! | `eval_effective_rank` | directions that the latent's channels really use |
//!
//! The last three are what collapses when the diffusion loss reaches the autoencoder.

use super::batches::pictures;
use super::trainer::Trainer;
use crate::data::Split;
use crate::error::Result;
use crate::eval::reconstruction::{Reconstruction, mean};

/// Pictures in work at once.
const BATCH: usize = 32;

impl Trainer {
    /// Measures the autoencoder on held-out pictures.
    ///
    /// # Errors
    /// Latents of no shape.
    pub fn measure(&self) -> Result<Vec<(&'static str, f64)>> {
        let (split, picks) = self.held_out(self.config.eval.num);
        let (lpips, input) = self.lpips();
        let px = self.batches().dataset().image_px();
        let mut found = Reconstruction::default();
        for chunk in picks.chunks(BATCH) {
            let planar = self.batches().split_pictures(split, chunk);
            let x = pictures(&planar, chunk.len(), px, self.device());
            found.add(&self.networks.vae, (lpips, input.px), x, &planar)?;
        }
        let structure = found.structure()?;
        let mut values = vec![
            ("eval_psnr", mean(&found.psnr)),
            ("eval_lpips", mean(&found.lpips)),
            ("eval_spatial_variance", structure.spatial_variance),
            ("eval_total_variation", structure.total_variation_mean),
            ("eval_effective_rank", structure.effective_rank),
        ];
        if !found.ssim.is_empty() {
            values.push(("eval_ssim", mean(&found.ssim)));
        }
        Ok(values)
    }

    /// At most `most` held-out pictures, evenly spread: their split and indices. Without held-out
    /// pictures (a set of one) the training ones must do.
    pub(super) fn held_out(&self, most: usize) -> (Split, Vec<usize>) {
        let dataset = self.batches().dataset();
        let split = if dataset.is_empty(Split::Held) { Split::Train } else { Split::Held };
        let count = dataset.len(split).min(most);
        (split, (0..count).map(|i| i * dataset.len(split) / count).collect())
    }
}
