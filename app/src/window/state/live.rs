//! The engine as the window knows it, and what its events change.

use std::path::PathBuf;

use tandem_core::config::Config;
use tandem_core::engine;

use super::super::explorer_state::OpenedModel;
use super::super::figures;
use super::super::history::{Mark, When};
use super::super::message::{Closing, Level};
use super::{AppState, Run};

/// What the engine is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Status {
    /// There is none.
    #[default]
    Idle,
    /// It reads data and makes networks.
    Starting,
    /// It trains.
    Running,
    /// It holds.
    Paused,
    /// It trains nothing and answers questions about a run.
    Looking,
    /// It was told to stop and saves.
    Stopping,
    /// It is done, or stopped and saved.
    Finished,
    /// It broke off.
    Failed(String),
}

impl Status {
    /// Whether an engine is there.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Paused | Self::Stopping)
    }
}

/// Figures of the engine.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// What it does.
    pub status: Status,
    /// The run it trains.
    pub folder: Option<PathBuf>,
    /// Device and why.
    pub device: String,
    /// Data, networks, caches.
    pub description: Vec<String>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Steps done.
    pub step: u64,
    /// Last step.
    pub steps: u64,
    /// Pictures a second.
    pub images_per_s: f64,
    /// Seconds left.
    pub eta_s: f64,
    /// Seconds trained.
    pub wall_s: f64,
    /// Memory of the process, bytes.
    pub memory_bytes: u64,
    /// Step of the last checkpoint.
    pub saved: Option<u64>,
}

impl AppState {
    /// Takes in what the engine said.
    pub(super) fn apply_engine(&mut self, event: engine::Event) {
        use engine::Event as E;
        match event {
            E::Started { folder, device, description, step, steps, config, classes } => {
                self.started(folder, *config, step, steps);
                self.say(Level::Info, format!("device {device}"));
                description.iter().for_each(|line| self.say(Level::Info, line.clone()));
                (self.live.device, self.live.description, self.live.classes) = (device, description, classes);
            }
            E::Step { step, steps, values, images_per_s, eta_s, skipped, wall_s, images, memory_bytes } => {
                let live = &mut self.live;
                (live.step, live.steps, live.images_per_s, live.eta_s) = (step, steps, images_per_s, eta_s);
                (live.wall_s, live.memory_bytes) = (wall_s, memory_bytes);
                let when = When { step, wall_s, images };
                self.measured(when, values.iter().map(|(name, value)| (*name, f64::from(*value))));
                if skipped {
                    self.say(Level::Warning, format!("step {step} was skipped: a value was not finite"));
                }
            }
            E::Preview { step, psnr, row } => {
                self.explorer.run_has_basis();
                let when = When { step, wall_s: row.wall_s, images: row.images };
                self.measured(when, row.values.iter().map(|(name, value)| (name.as_str(), *value)));
                self.say(Level::Info, format!("step {step}: held-out PSNR {psnr:.2} dB"));
            }
            E::Measured { step, values } => {
                let figures: Vec<_> =
                    values.iter().map(|(n, v)| format!("{n} {}", figures::value(*v))).collect();
                self.say(Level::Info, format!("step {step}: {}", figures.join("  ")));
                let last = self.live_run().and_then(|run| run.history.rows.last().copied());
                self.measured(When { step, ..last.unwrap_or_default() }, values.into_iter());
            }
            E::Saved { step, path } => {
                self.live.saved = Some(step);
                self.marked(step, Mark::Checkpoint, &format!("saved {}", path.display()));
            }
            E::Changed { step, setting, config } => {
                if let Some(run) = self.live_run() {
                    run.config = Some(*config);
                }
                self.marked(step, Mark::Changed(setting.clone()), &setting);
            }
            E::Refit { step } => self.marked(step, Mark::Refit, "colours of the maps fitted anew"),
            E::Looking { folder, device, step, config, classes } => {
                self.live.status = Status::Looking;
                (self.live.step, self.live.steps, self.live.saved) = (step, config.train.steps, Some(step));
                (self.live.device, self.live.classes, self.live.folder) =
                    (device, classes, Some(folder.clone()));
                self.say(Level::Info, format!("loaded the models of {}, step {step}", folder.display()));
            }
            E::Exploring { model, about, device, image_px } => {
                self.live.status = Status::Looking;
                self.live.device = device;
                self.say(Level::Info, format!("loaded {model}: {about}"));
                self.explorer.begin(Some(OpenedModel { name: model, about, image_px }));
            }
            // Answers come with their pictures made ready.
            E::Answered | E::Explored | E::Scattered => {}
            E::Warning(text) => self.say(Level::Warning, text),
            E::Paused => self.live.status = Status::Paused,
            E::Resumed => self.live.status = Status::Running,
            E::Finished { step, steps, images_per_s, .. } => {
                self.live.status = Status::Finished;
                (self.live.step, self.live.eta_s) = (step, 0.0);
                let word = if step < steps { "stopped and saved" } else { "finished" };
                self.say(
                    Level::Info,
                    format!("{word} at step {step} of {steps}, {images_per_s:.1} images/s"),
                );
            }
            E::Failed(reason) => {
                self.say(Level::Error, reason.clone());
                self.live.status = Status::Failed(reason);
            }
        }
    }

    fn started(&mut self, folder: PathBuf, config: Config, step: u64, steps: u64) {
        self.live.status = Status::Running;
        (self.live.step, self.live.steps) = (step, steps);
        self.live.saved = (step > 0).then_some(step);
        match self.open.iter_mut().find(|run| run.path == folder) {
            Some(run) => {
                run.history.cut_after(step);
                run.previews.values_mut().for_each(|steps| steps.retain(|s| *s <= step));
                run.config = Some(config);
            }
            None => self.open.push(Run { path: folder.clone(), config: Some(config), ..Run::default() }),
        }
        self.sheets.retain(|key| key.run != folder || key.step <= step);
        self.live.folder = Some(folder.clone());
        self.say(Level::Info, format!("run {}", folder.display()));
        self.show(folder);
    }

    /// The engine's thread is gone.
    pub(super) fn engine_closed(&mut self) {
        if matches!(self.live.status, Status::Starting | Status::Running | Status::Paused) {
            let reason = "the engine ended without a word; the last checkpoint is whole".to_string();
            self.say(Level::Error, reason.clone());
            self.live.status = Status::Failed(reason);
        } else if self.live.status == Status::Looking {
            self.live.status = Status::Idle;
        } else if self.live.status == Status::Stopping {
            self.live.status = Status::Finished;
        }
        (self.waiting, self.explorer.waiting) = (None, None);
        if self.closing == Closing::Saving {
            self.closing = Closing::Now;
        }
    }

    /// The run that trains has measured something.
    fn measured<'a>(&mut self, when: When, values: impl Iterator<Item = (&'a str, f64)>) {
        if let Some(run) = self.live_run() {
            run.history.push(when, values);
        }
    }

    /// Something happened to the run that trains.
    fn marked(&mut self, step: u64, mark: Mark, words: &str) {
        if let Some(run) = self.live_run() {
            run.history.mark(step, mark);
        }
        self.say(Level::Info, format!("step {step}: {words}"));
    }

    fn live_run(&mut self) -> Option<&mut Run> {
        let folder = self.live.folder.as_ref()?;
        self.open.iter_mut().find(|run| run.path == *folder)
    }

    /// Where `run` is: as the engine says that trains it or last did, else as its own log says.
    pub fn progress_of(&self, run: &Run) -> Live {
        let engines = !matches!(self.live.status, Status::Idle | Status::Looking);
        if engines && self.live.folder.as_ref() == Some(&run.path) {
            return self.live.clone();
        }
        let last = run.history.rows.last().copied().unwrap_or_default();
        let saved = run.history.marks.iter().filter(|(_, mark)| *mark == Mark::Checkpoint);
        Live {
            step: last.step,
            steps: run.config.as_ref().map_or(last.step, |config| config.train.steps),
            wall_s: last.wall_s,
            saved: saved.map(|(step, _)| *step).max(),
            ..Live::default()
        }
    }

    /// One line that says where training is.
    pub fn headline(&self) -> String {
        let Live { status, step, steps, images_per_s, eta_s, .. } = &self.live;
        let at = format!("step {} of {}", figures::count(*step), figures::count(*steps));
        match status {
            Status::Idle => "Nothing is training".into(),
            Status::Starting => "Reading pictures and making networks…".into(),
            Status::Running if *images_per_s > 0.0 => {
                format!("{at} · {images_per_s:.1} images/s · {} left", figures::duration(*eta_s))
            }
            Status::Running => at,
            Status::Paused => format!("Paused at {at}"),
            Status::Looking => format!("Drawing from step {}", figures::count(*step)),
            Status::Stopping => format!("Stopping at {at} and saving…"),
            Status::Finished if step == steps => format!("Finished, {at}"),
            Status::Finished => format!("Stopped and saved at {at}"),
            Status::Failed(_) => format!("Failed at {at}"),
        }
    }
}
