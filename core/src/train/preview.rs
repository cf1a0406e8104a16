//! What is shown of a run: reconstructions of pinned held-out pictures with the PCA map of their
//! latents, and samples of the averaged transformer from noise and labels that never change.

use burn::tensor::{Tensor, TensorData};

use super::batches::pictures;
use super::draws::{Stream, normal, rng};
use super::trainer::Trainer;
use crate::data::Split;
use crate::eval::{pca::PcaBasis, psnr};
use crate::params::host;
use crate::run::Rgb8;
use crate::run::picture::grid;
use crate::sample::{SampleConfig, Solver, sample};
use crate::sit::Sit;
use crate::vae::Vae;

/// Held-out pictures on which PSNR is measured.
const MEASURED: usize = 64;
const BACKGROUND: [u8; 3] = [255; 3];
const GAP_PX: usize = 2;

/// Pictures and figures of one moment.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Rows of pinned pictures, their reconstructions, and PCA maps of their latents.
    pub reconstructions: Rgb8,
    /// Grid of samples; absent when no transformer is trained.
    pub samples: Option<Rgb8>,
    /// Mean PSNR of held-out pictures, in dB.
    pub psnr: f64,
}

impl Trainer {
    /// Makes the previews; `basis` is fitted the first time and then kept.
    pub fn preview(&self, basis: &mut Option<PcaBasis>) -> Preview {
        let (reconstructions, psnr) = self.reconstructions(basis);
        let samples = self.config.method.trains_sit().then(|| self.samples());
        Preview { reconstructions, samples, psnr }
    }

    fn reconstructions(&self, basis: &mut Option<PcaBasis>) -> (Rgb8, f64) {
        let dataset = self.batches().dataset();
        // Without held-out pictures (a set of one) the training ones must do.
        let split = if dataset.is_empty(Split::Held) { Split::Train } else { Split::Held };
        let count = dataset.len(split).min(MEASURED);
        let picks: Vec<_> = (0..count).map(|i| i * dataset.len(split) / count).collect();
        let px = dataset.image_px();
        let planar = self.batches().split_pictures(split, &picks);
        let x = pictures(&planar, count, px, self.device());
        let z = self.networks.vae.encode(x.clone()).mode();
        let recon = host(self.networks.vae.decode(z.clone()));
        let x = host(x);
        let size = 3 * px * px;
        let decibels = x.chunks_exact(size).zip(recon.chunks_exact(size)).map(|(a, b)| psnr(b, a));
        let mean = decibels.sum::<f64>() / count.max(1) as f64;
        let shown = self.config.preview.pinned.min(count);
        let maps = latent_maps(z, shown, px, basis);
        let rows = [&x, &recon].map(|all| {
            all.chunks_exact(size).take(shown).map(|p| Rgb8::from_planar_f32(p, px, px)).collect::<Vec<_>>()
        });
        let [originals, reconstructed] = rows;
        let all: Vec<_> = originals.into_iter().chain(reconstructed).chain(maps).collect();
        (grid(&all, shown, GAP_PX, BACKGROUND, scale(px)), mean)
    }

    fn samples(&self) -> Rgb8 {
        let preview = &self.config.preview;
        let config = SampleConfig {
            solver: Solver::Euler,
            steps: preview.sample_steps,
            cfg: preview.cfg,
            interval: (0.0, 1.0),
            path: self.config.sit.path,
        };
        let sit = self.ema.model();
        let classes = sit.config().num_classes;
        let labels: Vec<_> = (0..preview.samples).map(|i| i % classes).collect();
        let (c, s) = (sit.config().in_channels, sit.config().input_size);
        let mut rng = rng(self.config.train.seed, Stream::Preview);
        let noise = TensorData::new(normal(&mut rng, labels.len() * c * s * s), [labels.len(), c, s, s]);
        let all = sampled_pictures(&self.networks.vae, sit, Tensor::from_data(noise, self.device()), &labels, config);
        let columns = (labels.len() as f64).sqrt().ceil() as usize;
        grid(&all, columns, GAP_PX, BACKGROUND, scale(self.config.data.image_px))
    }
}

/// Samples as pictures: integrates, denormalises with the transformer's own statistics, decodes.
pub fn sampled_pictures(
    vae: &Vae,
    sit: &Sit,
    noise: Tensor<4>,
    labels: &[usize],
    config: SampleConfig,
) -> Vec<Rgb8> {
    let draw = |_| noise.zeros_like();
    let z = sit.latent_norm.denormalize(sample(sit, noise.clone(), labels, config, draw, |_| {}));
    let decoded = vae.decode(z);
    let [_, channels, h, w] = decoded.dims();
    host(decoded).chunks_exact(channels * h * w).map(|p| Rgb8::from_planar_f32(p, h, w)).collect()
}

/// PCA maps of the first latents, enlarged to `px`.
fn latent_maps(z: Tensor<4>, shown: usize, px: usize, basis: &mut Option<PcaBasis>) -> Vec<Rgb8> {
    let [_, channels, h, w] = z.dims();
    let values = host(z);
    let basis = basis.get_or_insert_with(|| PcaBasis::fit(&values, channels, h * w));
    let colours = basis.rgb(&values[..shown * channels * h * w], h * w);
    colours.chunks_exact(3 * h * w).map(|map| Rgb8::from_planar_u8(map, h, w).enlarged(px / w)).collect()
}

/// Small pictures are enlarged so that a person sees them.
fn scale(px: usize) -> usize {
    (96 / px).max(1)
}
