//! All that the window knows. [`AppState::apply`] is the only writer; it needs no window.

mod live;
mod sheets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_core::config::Config;

pub use live::{Live, Status};
pub use sheets::Sheets;

use super::explorer_state::ExplorerState;
use super::history::History;
use super::message::{Answered, Closing, DataPeek, Event, Level, OpenedRun, RunCard};
use super::prefs::Prefs;
use super::sheet::{Sheet, SheetKey};

/// Lines of the log that are kept.
const LOG_LINES: usize = 5000;

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
    /// The newest warning, error or answer that nobody has put away.
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

    /// Whether the run shown is the one that trains.
    pub fn trains_view(&self) -> bool {
        let trains = matches!(self.live.status, Status::Running | Status::Paused);
        trains && self.view.is_some() && self.view == self.live.folder
    }

    /// Whether an engine answers questions about latents: of the run it trains or looks at, or of an
    /// opened autoencoder.
    pub fn explores(&self) -> bool {
        matches!(self.live.status, Status::Running | Status::Paused | Status::Looking)
    }

    /// A preview, if it was read; an error says why it cannot be.
    pub fn sheet(&self, key: &SheetKey) -> Option<&Result<Arc<Sheet>, String>> {
        self.sheets.get(key)
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
            Event::Notice(level, text) => {
                // What is told so is an answer: it is shown even when it is good.
                self.notice = Some((level, text.clone()));
                self.say(level, text);
            }
            Event::NoticeRead => self.notice = None,
            Event::Prefs(prefs) => self.prefs = *prefs,
            Event::View(path) => self.show(path),
            Event::Close(path) => self.close(&path),
            Event::Closing(closing) => self.closing = closing,
            // These belong to the panels, which keep what is typed.
            Event::Chosen(..) | Event::Shot(..) | Event::NoDialog(_) | Event::Identified(_) => {}
        }
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
}
