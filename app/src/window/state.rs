//! All that the window knows. [`AppState::apply`] is the only writer; it needs no window.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_core::config::Config;
use tandem_core::engine;

use super::explorer_state::{ExplorerState, OpenedModel};
use super::figures;
use super::history::{History, Mark, When};
use super::message::{Answered, Closing, DataPeek, Event, Level, OpenedRun, RunCard};
use super::prefs::Prefs;
use super::sheet::{Sheet, SheetKey};

/// Bytes of preview pictures that are kept.
const SHEETS_BYTES: usize = 192 << 20;
/// Lines of the log that are kept.
const LOG_LINES: usize = 5000;

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

/// A run that is open in the window.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its folder.
    pub path: PathBuf,
    /// Its configuration.
    pub config: Option<Config>,
    /// Metrics and marks.
    pub history: History,
    /// Steps of its previews, by name.
    pub previews: BTreeMap<String, BTreeSet<u64>>,
}

impl Run {
    /// The folder's name.
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(|| self.path.display().to_string(), |n| n.to_string_lossy().into_owned())
    }

    /// The key of a preview.
    pub fn sheet_key(&self, name: &str, step: u64) -> SheetKey {
        SheetKey { run: self.path.clone(), name: name.into(), step }
    }

    /// The side of its pictures, as far as known.
    pub fn image_px(&self) -> usize {
        self.config.as_ref().map_or(0, |config| config.data.image_px)
    }
}

/// Preview pictures that were read or made, the oldest forgotten first.
#[derive(Debug, Default)]
pub struct Sheets {
    held: BTreeMap<SheetKey, Result<Arc<Sheet>, String>>,
    /// Oldest first.
    order: VecDeque<SheetKey>,
    bytes: usize,
}

impl Sheets {
    fn keep(&mut self, key: SheetKey, sheet: Result<Arc<Sheet>, String>) {
        self.retain(|other| *other != key);
        self.bytes += size(&sheet);
        self.order.push_back(key.clone());
        self.held.insert(key, sheet);
        while self.bytes > SHEETS_BYTES && self.order.len() > 2 {
            if let Some(oldest) = self.order.pop_front()
                && let Some(sheet) = self.held.remove(&oldest)
            {
                self.bytes -= size(&sheet);
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(&SheetKey) -> bool) {
        self.held.retain(|key, _| keep(key));
        self.order.retain(keep);
        self.bytes = self.held.values().map(size).sum();
    }
}

fn size(sheet: &Result<Arc<Sheet>, String>) -> usize {
    sheet.as_ref().map_or(0, |sheet| sheet.bytes())
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// Seconds since the window opened.
    pub at_s: f64,
    /// How much it matters.
    pub level: Level,
    /// The line.
    pub text: String,
}

/// Everything on screen comes from here.
#[derive(Debug, Default)]
pub struct AppState {
    /// Seconds since the window opened; set before each frame.
    pub now_s: f64,
    /// Settings.
    pub prefs: Prefs,
    /// Runs on disk; none yet while they are looked for.
    pub cards: Option<Vec<RunCard>>,
    /// Open runs.
    pub open: Vec<Run>,
    /// The one that is shown.
    pub view: Option<PathBuf>,
    /// The engine.
    pub live: Live,
    /// Sources that were looked at, the newest last.
    pub data: Option<DataPeek>,
    /// The source that is being looked at.
    pub peeking: Option<String>,
    /// Answers to questions, newest.
    pub samples: Option<Arc<Answered>>,
    /// The newest denoising path.
    pub path: Option<Arc<Answered>>,
    /// Number of the question that waits for an answer.
    pub waiting: Option<u64>,
    /// What happened, oldest first.
    pub log: VecDeque<LogLine>,
    /// The newest warning or error that nobody has put away.
    pub notice: Option<(Level, String)>,
    /// Folders and their bytes.
    pub places: Vec<(String, PathBuf, u64)>,
    /// How far closing is.
    pub closing: Closing,
    /// Preview pictures.
    pub sheets: Sheets,
    /// The latent explorer.
    pub explorer: ExplorerState,
}

impl AppState {
    /// The run that is shown.
    pub fn run(&self) -> Option<&Run> {
        self.run_at(self.view.as_deref()?)
    }

    /// The open run in `path`.
    pub fn run_at(&self, path: &Path) -> Option<&Run> {
        self.open.iter().find(|run| run.path == path)
    }

    /// Whether the run shown can be asked for pictures.
    pub fn answers(&self) -> bool {
        let ready = matches!(self.live.status, Status::Running | Status::Paused | Status::Looking);
        ready && self.view.is_some() && self.view == self.live.folder
    }

    /// Whether an engine answers questions about latents: of the run it trains or looks at, or of an
    /// opened autoencoder.
    pub fn explores(&self) -> bool {
        matches!(self.live.status, Status::Running | Status::Paused | Status::Looking)
    }

    /// A preview, if it was read; an error says why it cannot be.
    pub fn sheet(&self, key: &SheetKey) -> Option<&Result<Arc<Sheet>, String>> {
        self.sheets.held.get(key)
    }

    /// Takes in one fact.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Engine(event) => self.apply_engine(event),
            Event::EngineStarting => {
                self.live = Live { status: Status::Starting, ..Live::default() };
                (self.samples, self.path, self.waiting) = (None, None, None);
                self.explorer.begin(None);
            }
            // A look just ends; there is nothing to save.
            Event::EngineStopping if self.live.status == Status::Looking => {}
            Event::EngineStopping => self.live.status = Status::Stopping,
            Event::EngineClosed => self.engine_closed(),
            Event::Runs(cards) => self.cards = Some(cards),
            Event::Opened(run) => self.opened(*run),
            Event::Sheet(key, sheet) => self.keep_sheet(key, sheet),
            Event::Asked(question) => self.waiting = Some(question.id),
            Event::Answer(answered) => self.answered(answered),
            Event::Explorer(event) => self.explorer.apply(event),
            Event::Peeking(source) => self.peeking = Some(source),
            Event::Data(peek) => {
                if self.peeking.as_deref() == Some(peek.source.as_str()) {
                    self.peeking = None;
                }
                self.data = Some(*peek);
            }
            Event::Places(places) => self.places = places,
            Event::Notice(level, text) => self.say(level, text),
            Event::NoticeRead => self.notice = None,
            Event::Prefs(prefs) => self.prefs = *prefs,
            Event::View(path) => self.show(path),
            Event::Close(path) => self.close(&path),
            Event::Closing(closing) => self.closing = closing,
            // These belong to the panels, which keep what is typed.
            Event::Picked(..) | Event::Identified(_) => {}
        }
    }

    fn apply_engine(&mut self, event: engine::Event) {
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
                if let Some(run) = self.live_run() {
                    let when = When { step, wall_s, images };
                    run.history.push(when, values.iter().map(|(name, value)| (*name, f64::from(*value))));
                }
                if skipped {
                    self.say(Level::Warning, format!("step {step} was skipped: a value was not finite"));
                }
            }
            E::Preview { step, psnr, row } => {
                self.explorer.run_has_basis();
                if let Some(run) = self.live_run() {
                    let when = When { step, wall_s: row.wall_s, images: row.images };
                    run.history.push(when, row.values.iter().map(|(name, value)| (name.as_str(), *value)));
                }
                self.say(Level::Info, format!("step {step}: held-out PSNR {psnr:.2} dB"));
            }
            E::Measured { step, values } => {
                let figures: Vec<_> =
                    values.iter().map(|(n, v)| format!("{n} {}", figures::value(*v))).collect();
                self.say(Level::Info, format!("step {step}: {}", figures.join("  ")));
                if let Some(run) = self.live_run() {
                    let when = When { step, ..run.history.rows.last().copied().unwrap_or_default() };
                    run.history.push(when, values.into_iter());
                }
            }
            E::Saved { step, path } => {
                self.live.saved = Some(step);
                if let Some(run) = self.live_run() {
                    run.history.mark(step, Mark::Checkpoint);
                }
                self.say(Level::Info, format!("step {step}: saved {}", path.display()));
            }
            E::Changed { step, setting, config } => {
                if let Some(run) = self.live_run() {
                    run.history.mark(step, Mark::Changed(setting.clone()));
                    run.config = Some(*config);
                }
                self.say(Level::Info, format!("step {step}: {setting}"));
            }
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

    fn engine_closed(&mut self) {
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

    fn live_run(&mut self) -> Option<&mut Run> {
        let folder = self.live.folder.as_ref()?;
        self.open.iter_mut().find(|run| run.path == *folder)
    }

    fn opened(&mut self, opened: OpenedRun) {
        let OpenedRun { path, config, history, previews } = opened;
        let mut run = Run { path: path.clone(), config, history, ..Run::default() };
        for (name, step) in previews {
            run.previews.entry(name).or_default().insert(step);
        }
        match self.open.iter_mut().find(|run| run.path == path) {
            // What the engine told is newer than what the disk says.
            Some(_) if self.live.status.is_live() && self.live.folder.as_ref() == Some(&path) => {}
            Some(old) => *old = run,
            None => self.open.push(run),
        }
        self.show(path);
    }

    fn show(&mut self, path: PathBuf) {
        self.prefs.last_run = Some(path.clone());
        self.view = Some(path);
    }

    fn close(&mut self, path: &Path) {
        if self.live.status.is_live() && self.live.folder.as_deref() == Some(path) {
            return self.say(Level::Warning, "a run that trains stays open".into());
        }
        self.open.retain(|run| run.path != path);
        self.sheets.retain(|key| key.run != path);
        if self.view.as_deref() == Some(path) {
            self.view = self.open.last().map(|run| run.path.clone());
        }
    }

    fn answered(&mut self, answered: Arc<Answered>) {
        if self.waiting == Some(answered.answer.id) {
            self.waiting = None;
        }
        if let Some(problem) = &answered.answer.problem {
            self.say(Level::Warning, problem.clone());
        } else if answered.states.is_some() {
            self.path = Some(answered);
        } else {
            self.samples = Some(answered);
        }
    }

    fn keep_sheet(&mut self, key: SheetKey, sheet: Result<Arc<Sheet>, String>) {
        if matches!(&sheet, Err(reason) if reason.is_empty()) {
            // Overtaken while it waited.
            return self.sheets.retain(|other| *other != key);
        }
        if let Some(run) = self.open.iter_mut().find(|run| run.path == key.run) {
            run.previews.entry(key.name.clone()).or_default().insert(key.step);
        }
        self.sheets.keep(key, sheet);
    }

    fn say(&mut self, level: Level, text: String) {
        if level != Level::Info {
            self.notice = Some((level, text.clone()));
        }
        self.log.push_back(LogLine { at_s: self.now_s, level, text });
        if self.log.len() > LOG_LINES {
            self.log.pop_front();
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
