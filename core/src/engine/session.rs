//! One session of a run: its steps, what a person asks for meanwhile, and its end.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Roads;
use super::explore::{self, Models};
use super::latents::{self, Outlet};
use super::looking;
use super::message::{Command, Event, Start};
use super::opening::open;
use super::recorder::Recorder;
use crate::config::{Config, TrainSection, is_live};
use crate::device::Chosen;
use crate::error::{Error, Result};
use crate::explore::Desk;
use crate::memory::Memory;
use crate::params::num_weights;
use crate::run::Change;
use crate::run::changes::REFIT;
use crate::train::maps::MapColours;
use crate::train::{Pinned, Trainer};

/// Pause between looks at the commands while training holds.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// How often, and after what pauses, the last state is offered to a disk that refuses it.
const LAST_TRIES: u32 = 13;
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Opens what `start` names and trains to the end, or until told to stop.
pub fn run(start: Start, commands: &Receiver<Command>, events: &Sender<Event>, roads: Roads) -> Result<()> {
    match &start {
        Start::Look { folder, device } => {
            return looking::at_run(folder, *device, commands, (events, &roads));
        }
        Start::Explore { model, px, device } => {
            return looking::at_model(model, *px, *device, commands, (events, &roads));
        }
        Start::New { .. } | Start::Resume { .. } => {}
    }
    let mut session = open(start, events, roads)?;
    session.announce();
    if session.train(commands)? == Ending::Abandoned { Ok(()) } else { session.finish(commands) }
}

/// How training came to its end.
#[derive(Debug, PartialEq)]
enum Ending {
    Done,
    Abandoned,
}

/// A run in this process.
pub(super) struct Session<'a> {
    pub recorder: Recorder<'a>,
    pub trainer: Trainer,
    pub chosen: Chosen,
    /// What earlier sessions knew, kept up to date.
    pub kept: RunState,
    /// Held-out PSNR of the last preview, dB.
    pub psnr: Option<f64>,
    /// When the last steps ended.
    pub rate: Vec<Instant>,
    pub began: Instant,
    /// Steps that were done before.
    pub first_step: u64,
    /// Step of the newest checkpoint on disk.
    pub saved: Option<u64>,
    /// Whether something changed since then that only a checkpoint keeps.
    pub unsaved: bool,
    /// Where only the newest counts.
    pub roads: Roads,
    /// The configuration file as of the last checkpoint.
    pub saved_config: String,
    pub memory: Memory,
    /// Update over weight of the last step before a preview, by network.
    pub ratios: Vec<(&'static str, f64)>,
    /// Answers questions about latents.
    pub desk: Desk,
}

/// What a checkpoint knows beside the trainer.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct RunState {
    /// Seconds of training.
    pub trained_s: f64,
    /// Pictures seen.
    pub images: u64,
    /// Colours of the maps.
    #[serde(flatten)]
    pub colours: MapColours,
}

impl Session<'_> {
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
        let TrainSection { batch, micro_batch, .. } = self.trainer.config.train;
        if micro_batch > 0 && micro_batch < batch {
            let parts = batch / micro_batch;
            description.push(format!("each batch of {batch} in {parts} parts of {micro_batch} at once"));
        }
        description.extend(self.trainer.batches().describe());
        self.recorder.tell(Event::Started {
            folder: self.recorder.folder.path().to_path_buf(),
            device: format!("{}: {}", self.chosen.name, self.chosen.reason),
            description,
            step: self.trainer.step_number(),
            steps: self.trainer.config.train.steps,
            config: Box::new(self.trainer.config.clone()),
            classes: self.trainer.batches().dataset().class_names().to_vec(),
        });
    }

    fn train(&mut self, commands: &Receiver<Command>) -> Result<Ending> {
        let mut paused = false;
        while self.trainer.step_number() < self.trainer.config.train.steps {
            match commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => break,
                Ok(Command::Abandon) => {
                    self.recorder.forget_after(self.saved.unwrap_or(0), &self.saved_config);
                    return Ok(Ending::Abandoned);
                }
                Ok(command) => {
                    self.obey(command, &mut paused);
                    continue;
                }
                Err(TryRecvError::Empty) if paused => {
                    if !self.answer() && !self.explore(latents::AT_REST) {
                        std::thread::sleep(latents::pause(&self.desk));
                    }
                    continue;
                }
                Err(TryRecvError::Empty) => {}
            }
            self.answer();
            self.explore(latents::IN_TRAINING);
            self.one_step()?;
        }
        Ok(Ending::Done)
    }

    /// Answers the newest question, if there is one.
    fn answer(&mut self) -> bool {
        let Some(question) = self.roads.questions.take() else { return false };
        let models = Models {
            vae: &self.trainer.networks.vae,
            sit: self.trainer.config.method.trains_sit().then(|| self.trainer.ema.model()),
            device: self.trainer.device(),
            step: self.trainer.step_number(),
        };
        self.roads.answers.put(explore::answer(&models, &question));
        self.recorder.tell(Event::Answered);
        self.rate.clear();
        true
    }

    /// Answers the newest question about latents and works on the scatter plot for about `budget`.
    fn explore(&mut self, budget: Duration) -> bool {
        let outlet = Outlet { roads: &self.roads, tell: &|event| self.recorder.tell(event) };
        latents::serve_moment(&mut self.desk, &outlet, &self.trainer.moment(), &self.kept, Some(budget))
    }

    fn obey(&mut self, command: Command, paused: &mut bool) {
        match command {
            Command::Pause => {
                *paused = true;
                self.recorder.tell(Event::Paused);
            }
            Command::Resume => {
                *paused = false;
                self.rate.clear();
                self.recorder.tell(Event::Resumed);
            }
            Command::Save => self.save(),
            Command::Preview => self.preview(),
            Command::Pin(paths) => self.pin_more(&paths),
            Command::Unpin(path) => {
                let mut images = self.trainer.config.preview.images.clone();
                images.retain(|image| Path::new(image) != path);
                self.show_images(&images);
            }
            Command::Refit => self.refit(),
            Command::Set(setting) => self.set(&setting),
            Command::Stop | Command::Abandon => {}
        }
    }

    /// Changes a live value and notes it in the run's configuration. Pictures that it pins are shown at
    /// once.
    fn set(&mut self, setting: &str) {
        let (config, pinned) = match self.changed(setting) {
            Ok(changed) => changed,
            Err(error) => return self.recorder.warn(error.to_string()),
        };
        self.trainer.reconfigure(config);
        self.recorder.config(&self.trainer.config);
        let step = self.trainer.step_number();
        self.recorder.change(&Change { step, setting: setting.into() });
        let config = Box::new(self.trainer.config.clone());
        self.recorder.tell(Event::Changed { step, setting: setting.into(), config });
        if let Some(pinned) = pinned {
            self.recorder.pinned(&pinned);
            self.trainer.pin(pinned);
            self.preview();
        }
    }

    /// The configuration with `setting`, and the pictures that it pins.
    fn changed(&self, setting: &str) -> Result<(Config, Option<Pinned>)> {
        let before = &self.trainer.config;
        let config = Config::parse(&before.to_toml()?, &[setting.into()], "set")?;
        let keys = config.differences(before)?;
        if let Some(key) = keys.iter().find(|key| !is_live(key)) {
            return Err(Error::Config(format!("{key} cannot change while a run is on")));
        }
        if !keys.iter().any(|key| key == "preview.images") {
            return Ok((config, None));
        }
        let config = config.with_absolute_paths()?;
        let known = self.trainer.pinned();
        let pinned = Pinned::read(&config.preview.images, config.data.image_px, known)?;
        Ok((config, Some(pinned)))
    }

    /// Pins pictures beside those that are; each that cannot be read gives a line.
    fn pin_more(&mut self, paths: &[PathBuf]) {
        let px = self.trainer.config.data.image_px;
        let mut images = self.trainer.config.preview.images.clone();
        for path in paths {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let image = absolute.to_string_lossy().into_owned();
            match Pinned::read(std::slice::from_ref(&image), px, self.trainer.pinned()) {
                Ok(_) if images.contains(&image) => {}
                Ok(_) => images.push(image),
                Err(error) => self.recorder.warn(format!("not pinned: {error}")),
            }
        }
        self.show_images(&images);
    }

    fn show_images(&mut self, images: &[String]) {
        if images != self.trainer.config.preview.images {
            self.set(&format!("preview.images={}", json!(images)));
        }
    }

    /// Fits the colours of the maps anew, and shows them.
    fn refit(&mut self) {
        (self.kept.colours, self.unsaved) = (MapColours::default(), true);
        let step = self.trainer.step_number();
        self.recorder.change(&Change { step, setting: REFIT.into() });
        self.recorder.tell(Event::Refit { step });
        self.preview();
    }

    fn one_step(&mut self) -> Result<()> {
        let began = Instant::now();
        let next = self.trainer.step_number() + 1;
        let Config { train, preview, .. } = &self.trainer.config;
        let previews = next == train.steps || preview.every > 0 && next.is_multiple_of(preview.every);
        // Weights are not changed in place while a copy is held, so this costs one step's copies.
        let before = previews.then(|| self.trainer.networks.clone());
        let outlet = Outlet { roads: &self.roads, tell: &|event| self.recorder.tell(event) };
        let (desk, kept) = (&mut self.desk, &self.kept);
        let reports = self.trainer.step_with(&mut |moment| {
            latents::serve_moment(desk, &outlet, moment, kept, None);
        });
        self.kept.trained_s += began.elapsed().as_secs_f64();
        self.kept.images += self.per_step();
        if let Some(before) = before {
            self.ratios = explore::update_ratios(&before, &self.trainer.networks);
        }
        self.report_all(reports)?;
        if let Some(error) = self.trainer.take_trouble() {
            self.recorder.warn(format!("{error}; what is not cached is computed again"));
        }
        self.note_time();
        let Config { train, preview, eval, .. } = &self.trainer.config;
        let step = self.trainer.step_number();
        let is_due = |every: u64| every > 0 && step < train.steps && step.is_multiple_of(every);
        let (preview_is_due, save_is_due) = (is_due(preview.every), is_due(train.checkpoint_every));
        let measure_is_due = is_due(eval.every);
        if preview_is_due {
            self.preview();
        }
        if measure_is_due {
            self.measure();
        }
        if save_is_due {
            // What the device has not told yet belongs before the checkpoint.
            let reports = self.trainer.flush();
            self.report_all(reports)?;
            self.save();
        }
        Ok(())
    }

    /// Writes a checkpoint. A disk that refuses is reported; the next save tries again.
    fn save(&mut self) {
        if !self.trainer.pinned().is_empty() && !self.recorder.folder.pinned_dir().is_dir() {
            self.recorder.pinned(self.trainer.pinned());
        }
        let checkpoint = self.trainer.checkpoint(json!(self.kept));
        if self.recorder.checkpoint(&checkpoint, &self.trainer.config) {
            (self.saved, self.unsaved) = (Some(checkpoint.step), false);
            self.saved_config = self.trainer.config.to_toml().unwrap_or_default();
        }
        self.rate.clear();
    }

    /// Whether the newest checkpoint is of this very state.
    fn is_saved(&self) -> bool {
        self.saved == Some(self.trainer.step_number()) && !self.unsaved
    }

    /// Saves the last state. No later save would try again, so this one waits for a disk that
    /// refuses, a minute or until told to stop.
    fn save_last(&mut self, commands: &Receiver<Command>) {
        for attempt in 1..=LAST_TRIES {
            if self.is_saved() {
                return;
            }
            self.save();
            if self.is_saved() || attempt == LAST_TRIES {
                return;
            }
            if attempt == 1 {
                self.recorder.warn(
                    "the last state waits a minute for the disk; make room, or stop again to give it up",
                );
            }
            match commands.recv_timeout(LAST_PAUSE) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Last reports, previews and checkpoint.
    fn finish(&mut self, commands: &Receiver<Command>) -> Result<()> {
        let reports = self.trainer.flush();
        self.report_all(reports)?;
        let (step, steps) = (self.trainer.step_number(), self.trainer.config.train.steps);
        let elapsed = self.began.elapsed().as_secs_f64();
        if step == steps && step > self.first_step {
            self.preview();
            if self.trainer.config.eval.every > 0 {
                self.measure();
            }
        }
        self.save_last(commands);
        self.recorder.report(&self.trainer.config, &self.chosen.name);
        let folder = self.recorder.folder.path().to_path_buf();
        if !self.is_saved() {
            return Err(Error::Training(format!(
                "the last state (step {step}) could not be saved in {}; see the warnings above",
                folder.display()
            )));
        }
        self.recorder.tell(Event::Finished {
            step,
            steps,
            folder,
            psnr: self.psnr,
            images_per_s: (step - self.first_step) as f64 * self.per_step() as f64 / elapsed.max(1e-9),
            waited_s: self.trainer.waited().as_secs_f64(),
        });
        Ok(())
    }
}
