//! From loader batches to what a step needs: pictures on the device, teacher features, latents of
//! a frozen autoencoder; the last two computed once for each picture.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::cache::{ImageCache, Precision};
use super::latent_store::LatentStore;
use super::step::Examples;
use crate::align::Teacher;
use crate::data::{Batch, Dataset, Split};
use crate::error::{Error, Result};
use crate::params::host;
use crate::vae::Vae;

/// Pictures encoded to measure the statistics of latents.
const STATS_IMAGES: usize = 512;
const STATS_BATCH: usize = 32;
/// Pictures that go through a frozen network at once.
const AT_ONCE: usize = 8;

/// Makes examples of batches.
pub struct Batches {
    dataset: Arc<Dataset>,
    device: Device,
    teachers: Vec<(Teacher, ImageCache)>,
    latents: Option<(Vae, ImageCache)>,
}

impl Batches {
    /// For `dataset` on `device`; `teachers` give features, `frozen` latents. Caches that do not
    /// fit in memory go to `folder`.
    ///
    /// # Errors
    /// When a cache file cannot be made.
    pub fn new(
        dataset: Arc<Dataset>,
        device: Device,
        flip: bool,
        teachers: Vec<Teacher>,
        frozen: Option<Vae>,
        folder: &Path,
    ) -> Result<Self> {
        let (images, px) = (dataset.len(Split::Train), dataset.image_px());
        let cache = |(k, teacher): (usize, Teacher)| -> Result<(Teacher, ImageCache)> {
            let values = teacher.grid() * teacher.grid() * teacher.channels();
            let spill = folder.join(format!("teacher-features-{k}.cache"));
            let cache = ImageCache::new(images, flip, values, Precision::Half, &spill)?;
            Ok((teacher, cache))
        };
        let teachers = teachers.into_iter().enumerate().map(cache).collect::<Result<_>>()?;
        let latents = match frozen {
            Some(vae) => {
                let side = px / vae.config().downsampling();
                let values = 2 * vae.config().latent_channels * side * side;
                let spill = folder.join("latents.cache");
                Some((vae, ImageCache::new(images, flip, values, Precision::Full, &spill)?))
            }
            None => None,
        };
        Ok(Self { dataset, device, teachers, latents })
    }

    /// Takes the latents of `store` instead of encoding.
    ///
    /// # Errors
    /// A store of other pictures or of another autoencoder, or a method that trains the autoencoder.
    pub fn use_encoded(&mut self, store: LatentStore) -> Result<()> {
        let Some((vae, cache)) = &mut self.latents else {
            return Err(Error::Config(
                "encoded latents are for methods that keep the autoencoder: --method repa or vanilla".into(),
            ));
        };
        store.check(&self.dataset, vae)?;
        *cache = ImageCache::encoded(store);
        Ok(())
    }

    /// What the caches hold when full, in words; empty without caches.
    pub fn describe(&self) -> Vec<String> {
        let line = |what: &str, cache: &ImageCache| {
            let place = if cache.on_disk() { "on disk" } else { "in memory" };
            format!("{what}: up to {:.1} MB {place}", cache.full_bytes() as f64 / 1e6)
        };
        let teachers = self.teachers.iter().map(|(teacher, cache)| {
            let (name, px) = (teacher.name(), teacher.input_px());
            line(&format!("features of {name} at {px} px"), cache)
        });
        teachers.chain(self.latents.iter().map(|(_, cache)| line("cached latents", cache))).collect()
    }

    /// What a disk refused to keep of the caches, told once for each.
    pub fn take_trouble(&mut self) -> Option<Error> {
        let teacher = self.teachers.iter_mut().find_map(|(_, cache)| cache.take_trouble());
        teacher.or_else(|| self.latents.as_mut().and_then(|(_, cache)| cache.take_trouble()))
    }

    /// The first teacher, if there is one.
    pub fn teacher(&self) -> Option<&Teacher> {
        self.teachers.first().map(|(teacher, _)| teacher)
    }

    /// The examples of a batch.
    pub fn examples(&mut self, batch: &Batch) -> Examples {
        self.examples_with(batch, &mut || {})
    }

    /// [`examples`](Self::examples), calling `between` whenever a few pictures went through a teacher.
    pub fn examples_with(&mut self, batch: &Batch, between: &mut dyn FnMut()) -> Examples {
        let px = self.dataset.image_px();
        let count = batch.labels.len();
        let images = pictures(&batch.images, count, px, &self.device);
        let mut features = Vec::new();
        for (teacher, cache) in &mut self.teachers {
            let record = |images: Tensor<4>| host(teacher.features(images));
            let values = cached(cache, batch, px, &self.device, record, between);
            let shape = [count, teacher.grid() * teacher.grid(), teacher.channels()];
            features.push(Tensor::from_data(TensorData::new(values, shape), &self.device));
        }
        let mut moments = None;
        if let Some((vae, cache)) = &mut self.latents {
            let (z, side) = (vae.config().latent_channels, px / vae.config().downsampling());
            let record = |images: Tensor<4>| {
                let posterior = vae.encode(images);
                host(Tensor::cat(vec![posterior.mean.clone(), posterior.std()], 1))
            };
            let values = cached(cache, batch, px, &self.device, record, between);
            let both =
                Tensor::<4>::from_data(TensorData::new(values, [count, 2 * z, side, side]), &self.device);
            moments = Some((both.clone().narrow(1, 0, z), both.narrow(1, z, z)));
        }
        Examples { images, moments, labels: batch.labels.clone(), features }
    }

    /// Mean and standard deviation of each latent channel: what the autoencoder knows of them, else
    /// measured on samples of the posteriors of a part of the training pictures.
    pub fn latent_stats(&self, vae: &Vae) -> (Vec<f32>, Vec<f32>) {
        if let (Some(mean), Some(std)) = (&vae.config().latents_mean, &vae.config().latents_std) {
            let single = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
            return (single(mean), single(std));
        }
        let (px, total) = (self.dataset.image_px(), self.dataset.len(Split::Train));
        let count = total.min(STATS_IMAGES);
        let picks: Vec<_> = (0..count).map(|i| i * total / count).collect();
        let channels = vae.config().latent_channels;
        let (mut sum, mut squares, mut number) = (vec![0.0f64; channels], vec![0.0f64; channels], 0usize);
        for chunk in picks.chunks(STATS_BATCH) {
            let images = self.split_pictures(Split::Train, chunk);
            let posterior = vae.encode(pictures(&images, chunk.len(), px, &self.device));
            let [_, _, h, w] = posterior.mean.dims();
            number += chunk.len() * h * w;
            let (mean, var) = (host(posterior.mean.clone()), host(posterior.var()));
            let planes = mean.chunks_exact(h * w).zip(var.chunks_exact(h * w));
            for (i, (mean, var)) in planes.enumerate() {
                sum[i % channels] += mean.iter().map(|&v| f64::from(v)).sum::<f64>();
                let second = mean.iter().zip(var).map(|(&m, &v)| f64::from(m).powi(2) + f64::from(v));
                squares[i % channels] += second.sum::<f64>();
            }
        }
        let mean: Vec<f64> = sum.iter().map(|s| s / number as f64).collect();
        let std =
            squares.iter().zip(&mean).map(|(s, m)| (s / number as f64 - m * m).max(1e-12).sqrt() as f32);
        let std = std.collect();
        (mean.into_iter().map(|m| m as f32).collect(), std)
    }

    /// Planar u8 of pictures of a split.
    pub fn split_pictures(&self, split: Split, indices: &[usize]) -> Vec<u8> {
        let px = self.dataset.image_px();
        let mut all = vec![0; indices.len() * 3 * px * px];
        for (planar, &index) in all.chunks_exact_mut(3 * px * px).zip(indices) {
            crate::data::pixels::planar_from_hwc(&self.dataset.image(split, index), px, false, planar);
        }
        all
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }
}

/// u8 planar pictures as `[B, 3, px, px]` in [−1, 1].
pub fn pictures(planar: &[u8], count: usize, px: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = planar.iter().map(|&p| f32::from(p) / 127.5 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [count, 3, px, px]), device)
}

/// The records of a batch from the cache, after `record` made those that were missing.
fn cached(
    cache: &mut ImageCache,
    batch: &Batch,
    px: usize,
    device: &Device,
    record: impl Fn(Tensor<4>) -> Vec<f32>,
    between: &mut dyn FnMut(),
) -> Vec<f32> {
    let keys: Vec<_> = batch.indices.iter().copied().zip(batch.flipped.iter().copied()).collect();
    let mut records: Vec<_> = keys.iter().map(|&(index, flipped)| cache.get(index, flipped)).collect();
    let missing: Vec<usize> = (0..keys.len()).filter(|&i| records[i].is_none()).collect();
    // A few at a time, whoever waits: which pictures go together decides nothing but the time it takes.
    for missing in missing.chunks(AT_ONCE) {
        let size = 3 * px * px;
        let planar: Vec<u8> =
            missing.iter().flat_map(|&i| &batch.images[i * size..(i + 1) * size]).copied().collect();
        let values = record(pictures(&planar, missing.len(), px, device));
        for (&i, values) in missing.iter().zip(values.chunks_exact(values.len() / missing.len())) {
            records[i] = Some(cache.put(keys[i].0, keys[i].1, values));
        }
        between();
    }
    records.into_iter().flatten().flatten().collect()
}
