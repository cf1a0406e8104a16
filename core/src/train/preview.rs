//! What is shown of a run: reconstructions of held-out pictures and a person's own, with maps of their
//! latents and of what the teacher sees, and samples of the averaged transformer from noise and labels that never change.

use burn::tensor::{Device, Tensor, TensorData};

use super::batches::pictures;
use super::maps::{MapColours, latent_maps, teacher_maps};
use super::trainer::Trainer;
use crate::error::Result;
use crate::eval::{LatentStructure, psnr};
use crate::kernel::profile::phase;
use crate::params::host;
use crate::run::Rgb8;
use crate::run::picture::{byte_from_model_value, grid};
use crate::sample::noise::{Stream, normal, rng};
use crate::sample::{SampleConfig, Sampler, Solver, sample};
use crate::sit::Sit;
use crate::vae::Vae;

/// Held-out pictures on which PSNR is measured.
const MEASURED: usize = 64;
const BACKGROUND: [u8; 3] = [255; 3];
/// Between the pictures of a preview, and around.
pub const GAP_PX: usize = 2;

/// Pictures and figures of one moment.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Rows of pictures, held-out ones and then a person's own: the pictures, their reconstructions, maps
    /// of their latents and, with a teacher, of its features.
    pub reconstructions: Rgb8,
    /// Grid of samples; absent when no transformer is trained.
    pub samples: Option<Rgb8>,
    /// Mean PSNR of held-out pictures, in dB.
    pub psnr: f64,
    /// Side of the training pictures.
    pub image_px: usize,
    /// How much structure the latents of the held-out pictures carry.
    pub latents: LatentStructure,
}

/// Pictures that went through the autoencoder.
struct RoundTrip {
    /// Planar bytes, `[N, 3, px, px]`.
    pictures: Vec<u8>,
    /// The same of the reconstructions.
    decoded: Vec<u8>,
    /// `[N, C, h, w]`.
    latents: Vec<f32>,
    shape: [usize; 4],
}

impl Trainer {
    /// Makes the previews; bases that are missing in `colours` are fitted.
    ///
    /// # Errors
    /// Latents or features that are not finite.
    pub fn preview(&self, colours: &mut MapColours) -> Result<Preview> {
        let (reconstructions, psnr, latents) = self.reconstructions(colours)?;
        let samples = self.config.method.trains_sit().then(|| self.samples());
        let image_px = self.config.data.image_px;
        Ok(Preview { reconstructions, samples, psnr, image_px, latents })
    }

    fn round_trip(&self, planar: Vec<u8>) -> RoundTrip {
        let px = self.batches().dataset().image_px();
        let x = pictures(&planar, planar.len() / (3 * px * px), px, self.device());
        let z = self.networks.vae.encode(x).mode();
        let decoded = host(self.networks.vae.decode(z.clone()));
        let decoded = decoded.iter().map(|&v| byte_from_model_value(v)).collect();
        let shape = z.dims();
        RoundTrip { pictures: planar, decoded, latents: host(z), shape }
    }

    fn reconstructions(&self, colours: &mut MapColours) -> Result<(Rgb8, f64, LatentStructure)> {
        let (split, picks) = self.held_out(MEASURED);
        let (count, px) = (picks.len(), self.batches().dataset().image_px());
        let size = 3 * px * px;
        let held = self.round_trip(self.batches().split_pictures(split, &picks));
        let mut decibels = 0.0;
        for (a, b) in held.pictures.chunks_exact(size).zip(held.decoded.chunks_exact(size)) {
            decibels += psnr(a, b)?;
        }
        let mean = decibels / count.max(1) as f64;
        let structure = LatentStructure::measure(&held.latents, held.shape)?;
        let shown = self.with_own(&held, self.config.preview.pinned.min(count));
        let columns = shown.shape[0];
        let fitted = (held.latents.as_slice(), held.shape);
        let maps = latent_maps(fitted, (&shown.latents, shown.shape), px, &mut colours.latents)?;
        let planar =
            |all: &[u8]| all.chunks_exact(size).map(|p| Rgb8::from_planar_u8(p, px, px)).collect::<Vec<_>>();
        let mut cells = [planar(&shown.pictures), planar(&shown.decoded), maps].concat();
        if let Some(teacher) = self.batches().teacher() {
            let seen = (held.pictures.as_slice(), shown.pictures.as_slice());
            cells.extend(teacher_maps(teacher, seen, px, &mut colours.teacher_basis, self.device())?);
        }
        Ok((grid(&cells, columns, GAP_PX, BACKGROUND, scale(px)), mean, structure))
    }

    /// The first `count` held-out pictures and a person's own.
    fn with_own(&self, held: &RoundTrip, count: usize) -> RoundTrip {
        let each = |values: usize| values / held.shape[0].max(1) * count;
        let mut shown = RoundTrip {
            pictures: held.pictures[..each(held.pictures.len())].to_vec(),
            decoded: held.decoded[..each(held.decoded.len())].to_vec(),
            latents: held.latents[..each(held.latents.len())].to_vec(),
            shape: held.shape,
        };
        shown.shape[0] = count + self.pinned().len();
        if !self.pinned().is_empty() {
            let own = self.round_trip(self.pinned().planar());
            shown.pictures.extend(own.pictures);
            shown.decoded.extend(own.decoded);
            shown.latents.extend(own.latents);
        }
        shown
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
        let seed = self.config.train.seed;
        let all = draw_samples(&self.networks.vae, sit, &labels, seed, config, self.device());
        let columns = (labels.len() as f64).sqrt().ceil() as usize;
        grid(&all, columns, GAP_PX, BACKGROUND, scale(self.config.data.image_px))
    }
}

/// Pictures drawn at once, at most.
const SAMPLE_BATCH: usize = 32;

/// Pictures of `labels`; picture `n` starts from noise of (seed, n) alone, so results do not depend
/// on how many are drawn together.
pub fn draw_samples(
    vae: &Vae,
    sit: &Sit,
    labels: &[usize],
    seed: u64,
    config: SampleConfig,
    device: &Device,
) -> Vec<Rgb8> {
    let sampler = Sampler { vae, sit, config, seed, device };
    let mut all = Vec::new();
    for labels in labels.chunks(SAMPLE_BATCH) {
        let drawn = sampler.draw(all.len() as u64, labels);
        let [_, channels, h, w] = drawn.dims();
        let drawn = phase("reads", || host(drawn));
        all.extend(drawn.chunks_exact(channels * h * w).map(|p| Rgb8::from_planar_f32(p, h, w)));
    }
    all
}

/// The way of one picture, that of (seed, index) in [`draw_samples`], from noise to data: for each
/// step the predicted clean picture, and the state itself, both decoded. The stochastic solver's way
/// is shown by Euler's.
pub fn draw_path(
    vae: &Vae,
    sit: &Sit,
    label: usize,
    (seed, index): (u64, usize),
    config: SampleConfig,
    device: &Device,
) -> (Vec<Rgb8>, Vec<Rgb8>) {
    let (c, s) = (sit.config().in_channels, sit.config().input_size);
    let noise = normal(&mut rng(seed, Stream::Sample(index as u64)), c * s * s);
    let start = Tensor::from_data(TensorData::new(noise, [1, c, s, s]), device);
    let solver = if config.solver == Solver::Heun { Solver::Heun } else { Solver::Euler };
    let mut states = Vec::new();
    let draw = |_| Tensor::zeros([1, c, s, s], device);
    let end =
        sample(sit, start, &[label], SampleConfig { solver, ..config }, draw, |x| states.push(x.clone()));
    // Heun looks at a trial state between two steps, but not after the last.
    let stride = if solver == Solver::Heun { 2 } else { 1 };
    let mut states: Vec<_> = states.into_iter().step_by(stride).collect();
    let mut clean: Vec<_> = (0..states.len())
        .map(|i| {
            let t = 1.0 - i as f64 / config.steps as f64;
            predicted_clean(sit, states[i].clone(), t, label, config)
        })
        .collect();
    states.push(end.clone());
    clean.push(end);
    let decode = |z: Vec<Tensor<4>>| {
        let all = z.chunks(SAMPLE_BATCH).flat_map(|z| {
            let decoded = vae.decode(sit.latent_norm.denormalize(Tensor::cat(z.to_vec(), 0)));
            let [_, channels, h, w] = decoded.dims();
            let values = host(decoded);
            values.chunks_exact(channels * h * w).map(|p| Rgb8::from_planar_f32(p, h, w)).collect::<Vec<_>>()
        });
        all.collect()
    };
    (decode(clean), decode(states))
}

/// The data that state `x_t` and its (guided) velocity point to: with x_t = αx + σn and
/// v = α'x + σ'n, x = (σ'x_t − σv) / (ασ' − α'σ).
fn predicted_clean(sit: &Sit, x_t: Tensor<4>, t: f64, label: usize, config: SampleConfig) -> Tensor<4> {
    let guided = config.cfg > 1.0 && (config.interval.0..=config.interval.1).contains(&t);
    let v = sit.velocity(x_t.clone(), &[t as f32], &[label]);
    let v = if guided {
        let free = sit.velocity(x_t.clone(), &[t as f32], &[sit.config().null_label()]);
        free.clone() + (v - free) * config.cfg
    } else {
        v
    };
    let ((alpha, sigma), (d_alpha, d_sigma)) =
        (config.path.coefficients(t as f32), config.path.slopes(t as f32));
    (x_t * d_sigma - v * sigma) / (alpha * d_sigma - d_alpha * sigma)
}

/// Small pictures are enlarged so that a person sees them: how many times.
pub fn scale(px: usize) -> usize {
    (96 / px).max(1)
}
