//! One session of a run: from device and data to the last checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::message::{Command, Event, Start};
use super::report;
use crate::config::Config;
use crate::data::{DataSource, Dataset};
use crate::device::{self, Chosen};
use crate::error::{Error, Result};
use crate::eval::pca::PcaBasis;
use crate::formats::open_vae;
use crate::params::num_weights;
use crate::run::{
    Checkpoint, EventWriter, MetricsLog, Retention, Row, RunFolder, disk::write_atomically, prune,
};
use crate::train::restored::{newest, vae_of_checkpoint};
use crate::train::{StepReport, Trainer};

/// Pause between looks at the commands while training holds.
const POLL: Duration = Duration::from_millis(50);
/// Steps over which the rate is averaged.
const RATE_STEPS: usize = 20;

/// Opens what `start` names and trains to the end, or until told to stop.
pub fn run(start: Start, commands: &Receiver<Command>, events: &Sender<Event>) -> Result<()> {
    let mut session = Session::open(start, events)?;
    session.announce();
    session.train(commands)?;
    session.finish()
}

struct Session<'a> {
    events: &'a Sender<Event>,
    folder: RunFolder,
    trainer: Trainer,
    chosen: Chosen,
    metrics: MetricsLog,
    board: Option<EventWriter>,
    basis: Option<PcaBasis>,
    psnr: Option<f64>,
    /// Seconds and pictures of earlier sessions and of this one.
    trained_s: f64,
    images: u64,
    rate: Vec<Instant>,
    began: Instant,
    first_step: u64,
    saved: Option<u64>,
}

/// What a checkpoint knows beside the trainer.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct RunState {
    trained_s: f64,
    images: u64,
    basis: Option<PcaBasis>,
}

/// Where a session writes.
enum Place {
    Fresh { out: Option<PathBuf>, name: String },
    Existing(RunFolder, Box<Checkpoint>),
}

impl<'a> Session<'a> {
    fn open(start: Start, events: &'a Sender<Event>) -> Result<Self> {
        let (mut config, place, choice) = match start {
            Start::New { config, out, name, device } => (*config, Place::Fresh { out, name }, device),
            Start::Resume { folder, steps, device } => {
                let folder = RunFolder::open_for_training(&folder)?;
                let (config, checkpoint) = reopen(&folder, steps, events)?;
                (config, Place::Existing(folder, Box::new(checkpoint)), device)
            }
        };
        // A device or data that fail must not leave an empty run behind.
        let chosen = device::choose(choice)?;
        let start_from = match &place {
            Place::Existing(_, checkpoint) => Some(vae_of_checkpoint(checkpoint, &config, &chosen.device)?),
            Place::Fresh { .. } if config.vae.init_from.is_empty() => None,
            Place::Fresh { .. } => {
                let vae = open_vae(Path::new(&config.vae.init_from), &chosen.device)?.vae;
                config.adopt_vae(vae.config())?;
                Some(vae)
            }
        };
        let dataset = Arc::new(Dataset::open(&source_of(&config), config.data.image_px)?);
        let (folder, checkpoint) = match place {
            Place::Fresh { out, name } => (RunFolder::create(out.as_deref(), &name)?, None),
            Place::Existing(folder, checkpoint) => (folder, Some(*checkpoint)),
        };
        for problem in dataset.problems() {
            let _ = events.send(Event::Warning(format!("skipped {problem}")));
        }
        let step = checkpoint.as_ref().map_or(0, |c| c.step);
        let text = config.to_toml()?;
        let mut trainer = Trainer::new(config, dataset, &chosen, start_from, folder.path(), step)?;
        // This file makes the folder a run: last, so that a run that cannot start is none.
        write_atomically(&folder.config_path(), text.as_bytes())?;
        let mut kept = RunState::default();
        if let Some(checkpoint) = &checkpoint {
            trainer.restore(checkpoint)?;
            kept = serde_json::from_value(checkpoint.state["run"].clone()).unwrap_or_default();
        }
        let metrics = match checkpoint {
            Some(_) => MetricsLog::resume(&folder.metrics_path(), step)?,
            None => MetricsLog::new(&folder.metrics_path()),
        };
        let board = if step > 0 {
            EventWriter::resume(folder.path(), step)
        } else {
            EventWriter::create(folder.path())
        };
        Ok(Self {
            events,
            chosen,
            metrics,
            board: board.ok(),
            basis: kept.basis,
            psnr: None,
            trained_s: kept.trained_s,
            images: kept.images,
            rate: Vec::new(),
            began: Instant::now(),
            first_step: step,
            saved: (step > 0).then_some(step),
            trainer,
            folder,
        })
    }

    fn tell(&self, event: Event) {
        // A listener that went away does not stop training.
        let _ = self.events.send(event);
    }

    fn announce(&self) {
        let networks = &self.trainer.networks;
        let millions = |n: usize| format!("{:.2} M", n as f64 / 1e6);
        let mut description = vec![
            self.trainer.batches().dataset().describe(),
            format!(
                "{}: autoencoder {}, transformer {}, discriminator {}",
                self.trainer.config.method.name(),
                millions(num_weights(&networks.vae)),
                millions(num_weights(&networks.sit)),
                millions(num_weights(&networks.discriminator)),
            ),
        ];
        description.extend(self.trainer.batches().describe());
        self.tell(Event::Started {
            folder: self.folder.path().to_path_buf(),
            device: format!("{}: {}", self.chosen.name, self.chosen.reason),
            description,
            step: self.trainer.step_number(),
            steps: self.trainer.config.train.steps,
        });
    }

    fn train(&mut self, commands: &Receiver<Command>) -> Result<()> {
        let mut paused = false;
        while self.trainer.step_number() < self.trainer.config.train.steps {
            match commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => break,
                Ok(command) => {
                    self.obey(command, &mut paused);
                    continue;
                }
                Err(TryRecvError::Empty) if paused => {
                    std::thread::sleep(POLL);
                    continue;
                }
                Err(TryRecvError::Empty) => {}
            }
            self.one_step()?;
        }
        Ok(())
    }

    fn obey(&mut self, command: Command, paused: &mut bool) {
        match command {
            Command::Pause => {
                *paused = true;
                self.tell(Event::Paused);
            }
            Command::Resume => {
                *paused = false;
                self.rate.clear();
                self.tell(Event::Resumed);
            }
            Command::Save => self.save(),
            Command::Preview => self.preview(),
            Command::Set(setting) => self.set(&setting),
            Command::Stop => {}
        }
    }

    /// Changes a live value and notes it in the run's configuration.
    fn set(&mut self, setting: &str) {
        let changed =
            self.trainer.config.to_toml().and_then(|text| Config::parse(&text, &[setting.into()], "set"));
        match changed {
            Ok(config) => {
                let frozen = (&self.trainer.config.vae, &self.trainer.config.sit, &self.trainer.config.data);
                if frozen != (&config.vae, &config.sit, &config.data) {
                    return self.tell(Event::Warning(format!("{setting}: cannot change while a run is on")));
                }
                self.trainer.reconfigure(config);
                let text = self.trainer.config.to_toml().unwrap_or_default();
                self.warn_if(write_atomically(&self.folder.config_path(), text.as_bytes()));
                self.tell(Event::Warning(format!("step {}: {setting}", self.trainer.step_number())));
            }
            Err(error) => self.tell(Event::Warning(error.to_string())),
        }
    }

    fn one_step(&mut self) -> Result<()> {
        let began = Instant::now();
        let reports = match self.trainer.step() {
            Ok(reports) => reports,
            Err(error) => {
                let last = self.saved.map_or("none yet".into(), |step| format!("step {step}"));
                return Err(Error::Training(format!("{error} (last checkpoint: {last})")));
            }
        };
        self.trained_s += began.elapsed().as_secs_f64();
        let Config { train, preview, .. } = &self.trainer.config;
        self.images += (train.batch * train.accumulate) as u64;
        let (checkpoint_every, preview_every, steps) = (train.checkpoint_every, preview.every, train.steps);
        self.rate.push(Instant::now());
        if self.rate.len() > RATE_STEPS + 1 {
            self.rate.remove(0);
        }
        for report in reports {
            self.report(report);
        }
        let step = self.trainer.step_number();
        if step < steps && step.is_multiple_of(preview_every) {
            self.preview();
        }
        if step < steps && step.is_multiple_of(checkpoint_every) {
            self.save();
        }
        Ok(())
    }

    /// Pictures a second over the last steps.
    fn images_per_s(&self) -> f64 {
        let train = &self.trainer.config.train;
        let span = match (self.rate.first(), self.rate.last()) {
            (Some(first), Some(last)) if self.rate.len() > 1 => (*last - *first).as_secs_f64(),
            _ => return 0.0,
        };
        ((self.rate.len() - 1) * train.batch * train.accumulate) as f64 / span.max(1e-9)
    }

    fn report(&mut self, report: StepReport) {
        let train = &self.trainer.config.train;
        let (steps, every) = (train.steps, train.metrics_every);
        let per_step = (train.batch * train.accumulate) as f64;
        let images_per_s = self.images_per_s();
        if report.step.is_multiple_of(every) || report.skipped {
            let values = report.values.iter().map(|(name, v)| (name.to_string(), f64::from(*v)));
            let row = Row {
                step: report.step,
                wall_s: self.trained_s,
                images: self.images,
                values: values.collect(),
            };
            let logged = self.metrics.append(&row);
            self.warn_if(logged);
            let scalars = report.values.iter().map(|(name, v)| (*name, f64::from(*v)));
            let written = self.board.as_mut().map(|board| board.scalars(report.step, scalars));
            self.warn_if(written.unwrap_or(Ok(())));
        }
        let left = steps.saturating_sub(report.step) as f64;
        let eta_s = if images_per_s > 0.0 { left * per_step / images_per_s } else { 0.0 };
        let StepReport { step, values, skipped } = report;
        self.tell(Event::Step { step, steps, values, images_per_s, eta_s, skipped });
    }

    fn preview(&mut self) {
        let step = self.trainer.step_number();
        let preview = match self.trainer.preview(&mut self.basis) {
            Ok(preview) => preview,
            Err(error) => return self.warn_if(Err(error)),
        };
        let made = std::fs::create_dir_all(self.folder.previews_dir())
            .map_err(|e| Error::io("create", self.folder.previews_dir(), e));
        self.warn_if(made);
        let pictures =
            [("reconstructions", Some(&preview.reconstructions)), ("samples", preview.samples.as_ref())];
        for (name, picture) in pictures {
            let Some(picture) = picture else { continue };
            self.warn_if(picture.save_png(&self.folder.preview_path(name, step)));
            let shown = picture.png_bytes().and_then(|png| match &mut self.board {
                Some(board) => board.image(step, name, &png, picture.width, picture.height),
                None => Ok(()),
            });
            self.warn_if(shown);
        }
        let row = Row {
            step,
            wall_s: self.trained_s,
            images: self.images,
            values: [("psnr_held_out".to_string(), preview.psnr)].into(),
        };
        let logged = self.metrics.append(&row);
        self.warn_if(logged);
        let written = self.board.as_mut().map(|b| b.scalars(step, [("psnr_held_out", preview.psnr)]));
        self.warn_if(written.unwrap_or(Ok(())));
        self.psnr = Some(preview.psnr);
        self.rate.clear();
        self.tell(Event::Preview { step, psnr: preview.psnr });
    }

    /// Writes a checkpoint. A disk that refuses is reported; the next save tries again.
    fn save(&mut self) {
        let state = RunState { trained_s: self.trained_s, images: self.images, basis: self.basis.clone() };
        let checkpoint = self.trainer.checkpoint(json!(state));
        let train = &self.trainer.config.train;
        let retention = Retention { keep_last: train.keep_last, keep_every: train.keep_every };
        let made = std::fs::create_dir_all(self.folder.path())
            .map_err(|e| Error::io("create", self.folder.path(), e));
        let saved = made.and_then(|()| checkpoint.save(self.folder.path()));
        match saved {
            Ok(path) => {
                self.saved = Some(checkpoint.step);
                self.tell(Event::Saved { step: checkpoint.step, path });
                self.warn_if(prune(self.folder.path(), &retention, &[]).map(|_| ()));
            }
            Err(error) => {
                self.tell(Event::Warning(format!("{error}; training goes on, the next save tries again")));
            }
        }
        self.rate.clear();
    }

    fn warn_if(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.tell(Event::Warning(format!("{error}; training goes on")));
        }
    }

    /// Last reports, previews and checkpoint.
    fn finish(&mut self) -> Result<()> {
        for report in self.trainer.flush()? {
            self.report(report);
        }
        let (step, steps) = (self.trainer.step_number(), self.trainer.config.train.steps);
        let elapsed = self.began.elapsed().as_secs_f64();
        if step == steps {
            self.preview();
        }
        if self.saved != Some(step) {
            self.save();
        }
        let report = report::of_run(&self.folder, &self.trainer.config, &self.chosen.name);
        self.warn_if(report);
        let done = (step - self.first_step) as f64
            * (self.trainer.config.train.batch * self.trainer.config.train.accumulate) as f64;
        self.tell(Event::Finished {
            step,
            steps,
            folder: self.folder.path().to_path_buf(),
            psnr: self.psnr,
            images_per_s: done / elapsed.max(1e-9),
            waited_s: self.trainer.waited().as_secs_f64(),
        });
        if self.saved == Some(step) {
            return Ok(());
        }
        Err(Error::Training(format!(
            "the last state (step {step}) could not be saved in {}; see the warnings above",
            self.folder.path().display()
        )))
    }
}

fn source_of(config: &Config) -> DataSource {
    match config.data.source.as_str() {
        "embedded" => DataSource::Embedded,
        path => DataSource::Path(path.into()),
    }
}

/// Configuration and newest whole checkpoint of a run that goes on, perhaps to another last step.
fn reopen(folder: &RunFolder, steps: Option<u64>, events: &Sender<Event>) -> Result<(Config, Checkpoint)> {
    let (mut config, checkpoint) = newest(folder, |broken| {
        let line = format!("passed over {}: {}", broken.path.display(), broken.reason);
        let _ = events.send(Event::Warning(line));
    })?;
    config.train.steps = steps.unwrap_or(config.train.steps);
    Ok((config, checkpoint))
}
