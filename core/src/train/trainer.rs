//! The trainer: networks, averages, optimizers and data of a run, one step at a time.
//!
//! A loss or gradient that is not finite never reaches the weights: on the CPU the step is dropped
//! before anything changes, on a GPU a [`Gate`] decides on the device, and the host hears of it
//! with the next read (`reports.rs`).

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::batches::Batches;
use super::draws::Draws;
use super::ema::Ema;
use super::latent_store::LatentStore;
use super::norms::Norms;
use super::open;
use super::optim::OptimizerState;
use super::outcome::StepOutcome;
use super::pinned::Pinned;
use super::reports::{Reports, StepReport, read_scalars};
use super::step::{self, Networks, StepContext};
use super::teacher_metrics::TeacherMetrics;
use crate::align::Teacher;
use crate::config::{Config, LossSection, TrainSection};
use crate::data::{Batch, Dataset, Loader};
use crate::device::Chosen;
use crate::error::{Error, Result};
use crate::kernel::optimizer::Gate;
use crate::kernel::{KeptBuffers, keep_half, profile, threads};
use crate::sit::Sit;
use crate::vae::Vae;
use crate::vae::discriminator::Discriminator;
use crate::vae::loss::PerceptualInput;
use crate::vae::perceptual::Lpips;

/// Optimizer states of the three networks.
#[derive(Clone, Debug)]
pub struct Optimizers {
    /// Of the autoencoder.
    pub vae: OptimizerState,
    /// Of the transformer.
    pub sit: OptimizerState,
    /// Of the discriminator.
    pub discriminator: OptimizerState,
}

/// The models of a trainer as they were before a step, seen between its parts.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Configuration.
    pub config: &'a Config,
    /// The trained networks.
    pub networks: &'a Networks,
    /// The averaged transformer.
    pub ema: &'a Ema,
    /// The frozen teachers.
    pub teachers: &'a [Teacher],
    /// Where the tensors live.
    pub device: &'a Device,
    /// Steps done.
    pub step: u64,
}

/// Everything that trains.
pub struct Trainer {
    /// Configuration; weights of losses and learning rates may change while training runs.
    pub config: Config,
    /// The trained networks.
    pub networks: Networks,
    /// The averaged transformer.
    pub ema: Ema,
    /// Optimizer states.
    pub optimizers: Optimizers,
    pub(super) batches: Batches,
    pinned: Pinned,
    /// The same as those of `batches`; they share their values.
    teachers: Vec<Teacher>,
    context: StepContext,
    loader: Loader,
    device: Device,
    reads_each_step: bool,
    step: u64,
    reports: Reports,
    /// Last, so that every tensor is dropped before.
    _buffers: KeptBuffers,
}

impl Trainer {
    /// Fresh networks for `config` on a device, ready for step `first_step`; caches that do not fit
    /// in memory go to `folder`. `frozen` is the autoencoder to start from, or to keep.
    ///
    /// # Errors
    /// A configuration that does not fit the data or the teacher, or embedded weights that fail.
    pub fn new(
        config: Config,
        dataset: Arc<Dataset>,
        chosen: &Chosen,
        start_from: Option<Vae>,
        folder: &Path,
        first_step: u64,
    ) -> Result<Self> {
        let device = chosen.device.clone();
        keep_half(config.train.half_activations);
        let method = config.method;
        if !method.trains_vae() && start_from.is_none() {
            return Err(Error::Config(format!(
                "method {} keeps its autoencoder as it is: name a trained one with --vae MODEL",
                method.name()
            )));
        }
        let teachers = open::teachers(&config, &device)?;
        let z_dims = teachers.iter().map(Teacher::channels).collect();
        let sit_config = config.sit_config(dataset.class_names().len(), z_dims)?;
        let seed = config.train.seed;
        let mut sit = Sit::new(&sit_config, seed, &device)?;
        sit.train_positions(config.sit.train_positions);
        sit.checkpoint_gradients(config.train.gradient_checkpointing);
        let mut vae = match &start_from {
            Some(vae) => vae.clone(),
            None => Vae::new(&config.vae_config(), seed, &device)?,
        };
        vae.checkpoint_gradients(config.train.gradient_checkpointing);
        let frozen = if method.trains_vae() { None } else { Some(vae.clone()) };
        let disc = &config.discriminator;
        let discriminator = Discriminator::new(disc.width, disc.layers, seed, &device);
        let flip = config.data.flip;
        let names = TeacherMetrics::of(&teachers);
        let seen = teachers.clone();
        let batches = Batches::new(dataset.clone(), device.clone(), flip, teachers, frozen, folder)?;
        if start_from.is_some() && first_step == 0 {
            let (mean, std) = match (&vae.config().latents_mean, &vae.config().latents_std) {
                (Some(mean), Some(std)) => (narrowed(mean), narrowed(std)),
                _ => batches.latent_stats(&vae),
            };
            sit.latent_norm.set_stats(&mean, &std);
        }
        let LossSection { perceptual_network, perceptual_weights, .. } = &config.loss;
        let lpips = open::perceptual(*perceptual_network, perceptual_weights, &device)?;
        let input = PerceptualInput { px: config.loss.perceptual_px, range: config.loss.perceptual_range };
        let micro = config.train.accumulate as u64;
        let loader = Loader::new(dataset, config.train.batch, seed, flip, first_step * micro);
        let networks = Networks { vae, sit, discriminator };
        Ok(Self {
            ema: Ema::new(&networks.sit),
            optimizers: Optimizers {
                vae: OptimizerState::new(&networks.vae),
                sit: OptimizerState::new(&networks.sit),
                discriminator: OptimizerState::new(&networks.discriminator),
            },
            context: StepContext {
                method,
                path: config.sit.path,
                weights: config.loss_weights(),
                lpips: (lpips, input),
                counts_frozen_pass: config.discriminator.count_frozen_pass,
                teachers: names,
            },
            networks,
            batches,
            pinned: Pinned::default(),
            teachers: seen,
            loader,
            device,
            reads_each_step: chosen.is_cpu,
            step: first_step,
            reports: Reports::default(),
            config,
            _buffers: KeptBuffers,
        })
    }

    /// Takes latents that `tandem cache` encoded instead of encoding.
    ///
    /// # Errors
    /// Latents of other pictures or another autoencoder, or a method that trains the autoencoder.
    pub fn use_encoded(&mut self, store: LatentStore) -> Result<()> {
        self.batches.use_encoded(store)
    }

    /// Steps done.
    pub fn step_number(&self) -> u64 {
        self.step
    }

    /// The data and what is cached of it.
    pub fn batches(&self) -> &Batches {
        &self.batches
    }

    /// The frozen perceptual network.
    pub fn lpips(&self) -> (&Lpips, PerceptualInput) {
        (&self.context.lpips.0, self.context.lpips.1)
    }

    /// A person's own pictures, shown in the previews.
    pub fn pinned(&self) -> &Pinned {
        &self.pinned
    }

    /// Shows `pinned` in the previews from now on.
    pub fn pin(&mut self, pinned: Pinned) {
        self.pinned = pinned;
    }

    /// What a disk refused to keep of the caches, told once for each.
    pub fn take_trouble(&mut self) -> Option<Error> {
        self.batches.take_trouble()
    }

    /// Where the tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Total time that training waited for pictures.
    pub fn waited(&self) -> std::time::Duration {
        self.loader.waited()
    }

    /// Takes over changed weights of losses and learning rates.
    pub fn reconfigure(&mut self, config: Config) {
        self.context.weights = config.loss_weights();
        self.config = config;
    }

    /// One step of training. Reports come back when they have been read: at once on the CPU, every
    /// `metrics_every` steps on a GPU.
    ///
    /// # Errors
    /// When pictures cannot be read, or after three non-finite steps in a row.
    pub fn step(&mut self) -> Result<Vec<StepReport>> {
        self.step_with(&mut |_| {})
    }

    /// The models as they are.
    pub fn moment(&self) -> Moment<'_> {
        let Self { config, networks, ema, teachers, device, step, .. } = self;
        Moment { config, networks, ema, teachers, device, step: *step }
    }

    /// [`step`](Self::step), calling `between` with the models as they were before the step, between the
    /// step's parts. The result is the same.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_with(&mut self, between: &mut (dyn FnMut(&Moment<'_>) + Send)) -> Result<Vec<StepReport>> {
        let outcome = self.gradients(between)?;
        let device = self.device.clone();
        let norms = profile::phase("gradient norms", || threads::inside(&device, || Norms::of(&outcome)));
        let mut names: Vec<_> = outcome.losses.iter().map(|(name, _)| *name).collect();
        let mut scalars: Vec<_> = outcome.losses.iter().map(|(_, value)| value.clone()).collect();
        names.extend(norms.named().map(|(name, _)| name));
        scalars.extend(norms.named().map(|(_, norm)| norm.clone()));
        self.step += 1;
        if self.reads_each_step {
            let values = profile::phase("reads", || read_scalars(scalars));
            let finite = values.iter().all(|v| v.is_finite());
            if finite {
                profile::phase("optimizer", || {
                    threads::inside(&device, || self.apply(outcome, norms, &None));
                });
            }
            let values = names.into_iter().zip(values).collect();
            return self.reports.told(vec![StepReport { step: self.step, values, skipped: !finite }]);
        }
        let all = Tensor::cat(scalars, 0);
        let gate = Some(all.clone().is_finite().all());
        profile::phase("optimizer", || self.apply(outcome, norms, &gate));
        self.reports.wait(self.step, names, all);
        if self.step.is_multiple_of(self.config.train.metrics_every) { self.flush() } else { Ok(Vec::new()) }
    }

    /// Gradients and losses of all pictures of a step, averaged; changes no weight. Each batch goes through the
    /// networks in micro-batches, with the draws that the whole batch would have.
    fn gradients(&mut self, between: &mut (dyn FnMut(&Moment<'_>) + Send)) -> Result<StepOutcome> {
        let TrainSection { batch, accumulate, micro_batch, .. } = self.config.train;
        let at_once = if micro_batch == 0 { batch } else { micro_batch };
        let (mut sum, mut count) = (None, 0);
        for number in 0..accumulate as u64 {
            let batch = profile::phase("data", || self.loader.next())?;
            let number = self.step * accumulate as u64 + number;
            let draws = profile::phase("data", || self.draws(number, batch.labels.len()));
            for (batch, draws) in batch.parts(at_once).into_iter().zip(draws.parts(at_once)) {
                let outcome = self.micro_step(&batch, &draws, between);
                count += 1;
                match &mut sum {
                    None => sum = Some(outcome),
                    Some(sum) => sum.add(outcome),
                }
            }
        }
        let mut outcome = sum.unwrap_or_default();
        outcome.average(count);
        Ok(outcome)
    }

    /// Gradients and losses of one micro-batch.
    fn micro_step(
        &mut self,
        batch: &Batch,
        draws: &Draws,
        between: &mut (dyn FnMut(&Moment<'_>) + Send),
    ) -> StepOutcome {
        let moment = Moment {
            config: &self.config,
            networks: &self.networks,
            ema: &self.ema,
            teachers: &self.teachers,
            device: &self.device,
            step: self.step,
        };
        let mut between = || between(&moment);
        let batches = &mut self.batches;
        let examples = profile::phase("data", || batches.examples_with(batch, &mut between));
        between();
        step::run_with(&self.networks, &self.context, &examples, draws, &mut between)
    }

    /// Reads the reports that are still on the device: one transfer.
    ///
    /// # Errors
    /// After three non-finite steps in a row.
    pub fn flush(&mut self) -> Result<Vec<StepReport>> {
        self.reports.flush()
    }

    /// Computes what is cached of the pictures of the next `steps` steps, without training on them.
    ///
    /// # Errors
    /// When pictures cannot be read.
    pub fn warm_caches(&mut self, steps: u64) -> Result<()> {
        let Config { train, data, .. } = &self.config;
        let first = self.step * train.accumulate as u64;
        let dataset = self.batches.dataset().clone();
        let mut loader = Loader::new(dataset, train.batch, train.seed, data.flip, first);
        for _ in 0..steps * train.accumulate as u64 {
            self.batches.examples(&loader.next()?);
        }
        Ok(())
    }

    fn draws(&self, number: u64, batch: usize) -> Draws {
        let (sit, vae) = (self.networks.sit.config(), self.networks.vae.config());
        let shape = [batch, vae.latent_channels, sit.input_size, sit.input_size];
        let Config { sit, train, .. } = &self.config;
        Draws::new(train.seed, number, shape, (sit.path, sit.weighting), sit.label_dropout, &self.device)
    }

    /// Lets a step's gradients and statistics into the weights.
    fn apply(&mut self, mut outcome: StepOutcome, norms: Norms, gate: &Gate) {
        let optim = &self.config.optim;
        let done = self.step - 1;
        let factor = optim.schedule.factor(done, self.config.train.steps, optim.warmup_steps);
        let rule = |lr: f64| (optim.max_grad_norm, self.config.adamw(lr * factor));
        let Networks { vae, sit, discriminator } = &mut self.networks;
        let states = &mut self.optimizers;
        if let (Some(grads), Some(norm)) = (outcome.vae.take(), norms.vae) {
            states.vae.update(vae, grads, norm, rule(optim.vae_lr), gate);
        }
        if let (Some(grads), Some(norm)) = (outcome.discriminator.take(), norms.discriminator) {
            states.discriminator.update(discriminator, grads, norm, rule(optim.discriminator_lr), gate);
        }
        if let (Some(grads), Some(norm)) = (outcome.sit.take(), norms.sit) {
            states.sit.update(sit, grads, norm, rule(optim.sit_lr), gate);
        }
        outcome.absorb(&mut self.networks, gate);
        if self.config.method.trains_sit() {
            self.ema.update(&self.networks.sit, self.config.ema_decay(done), gate);
        }
    }
}

fn narrowed(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}
