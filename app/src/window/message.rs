//! What the window hears and what it asks for.

use std::path::PathBuf;
use std::sync::Arc;

use tandem_core::config::Config;
use tandem_core::engine::Start;
use tandem_core::engine::{self, Answer, Question};
use tandem_core::explore::Wish;

use super::explorer_state::ExplorerEvent;
use super::history::History;
use super::identify::Kind;
use super::prefs::{Prefs, Tab};
use super::sheet::{Sheet, SheetKey};
use super::typed::PathWish;

/// A fact that reaches the state. Nothing else changes it.
#[derive(Debug)]
pub enum Event {
    /// The engine said something.
    Engine(engine::Event),
    /// An engine is being started.
    EngineStarting,
    /// The engine was told to end.
    EngineStopping,
    /// The engine's thread has ended.
    EngineClosed,
    /// Runs found on disk.
    Runs(Vec<RunCard>),
    /// A run was read.
    Opened(Box<OpenedRun>),
    /// A preview was read or made; an error says why not.
    Sheet(SheetKey, Result<Arc<Sheet>, String>),
    /// A question was answered.
    Answer(Arc<Answered>),
    /// A question went to the engine.
    Asked(Box<Question>),
    /// Something about the latent explorer.
    Explorer(ExplorerEvent),
    /// What a path or a name that was opened is.
    Identified(Kind),
    /// What a source of pictures holds.
    Data(Box<DataPeek>),
    /// A source of pictures is being looked at.
    Peeking(String),
    /// The person said a path.
    Chosen(PathWish, Vec<PathBuf>),
    /// A part of the window, as it was drawn, to be written under this name.
    Shot(String, Arc<egui::ColorImage>),
    /// The system showed no dialog.
    NoDialog(PathWish),
    /// Folders and what they hold, in bytes.
    Places(Vec<(String, PathBuf, u64)>),
    /// A line for the person.
    Notice(Level, String),
    /// The notice on top was read.
    NoticeRead,
    /// Settings changed.
    Prefs(Box<Prefs>),
    /// A run is to be shown, or is no longer.
    View(PathBuf),
    /// Take an opened run off the window.
    Close(PathBuf),
    /// The window was asked to close while training runs, or the question was answered.
    Closing(Closing),
}

/// An answer with its pictures ready to draw.
#[derive(Debug)]
pub struct Answered {
    /// What the engine said.
    pub answer: Answer,
    /// The pictures.
    pub pictures: Sheet,
    /// For a path, the noisy states.
    pub states: Option<Sheet>,
}

/// How far closing the window is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// Nobody asked.
    #[default]
    No,
    /// Asked; the person decides.
    Asked,
    /// The engine saves, then the window closes.
    Saving,
    /// Nothing holds it back.
    Now,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

/// What a card on the first page shows.
#[derive(Clone, Debug)]
pub struct RunCard {
    /// The run folder.
    pub path: PathBuf,
    /// Steps done and in all, as far as known.
    pub steps: (u64, Option<u64>),
    /// Method and data.
    pub about: String,
    /// Held-out PSNR, dB.
    pub psnr: Option<f64>,
    /// Seconds since it was last written.
    pub age_s: f64,
    /// Its newest picture.
    pub picture: Option<Arc<Sheet>>,
}

/// What a run folder holds, without pictures and tensors.
#[derive(Clone, Debug)]
pub struct OpenedRun {
    /// The run folder.
    pub path: PathBuf,
    /// Its configuration.
    pub config: Option<Config>,
    /// Its metrics and marks.
    pub history: History,
    /// Previews on disk: name and step.
    pub previews: Vec<(String, u64)>,
}

/// What a source of pictures holds.
#[derive(Clone, Debug)]
pub struct DataPeek {
    /// The source, as in `data.source`.
    pub source: String,
    /// Why it cannot be used.
    pub problem: Option<String>,
    /// Training and held-out pictures.
    pub counts: (usize, usize),
    /// Classes with their training pictures.
    pub classes: Vec<(String, usize)>,
    /// What is passed over, and why.
    pub left_out: Vec<String>,
    /// Some pictures.
    pub thumbs: Option<Arc<Sheet>>,
}

/// Something that a person picks with the system's dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A run folder to look at.
    Run,
    /// A folder of pictures.
    DataFolder,
    /// A zip of pictures.
    DataZip,
    /// Pictures of the person's own, to be shown with each preview.
    Pinned,
    /// A folder of any kind to open.
    Folder,
    /// A file of any kind to open: an autoencoder or a picture.
    File,
}

/// A file to write where the person says.
#[derive(Clone, Debug)]
pub enum Export {
    /// Text under a proposed name.
    Text(String, String),
    /// A part of the window, in points, as PNG under a proposed name.
    Shot(String, egui::Rect),
}

/// What a panel asks for.
#[derive(Debug)]
pub enum Command {
    /// Show a panel.
    Go(Tab),
    /// Start an engine.
    Train(Box<Start>),
    /// Tell the engine.
    Engine(engine::Command),
    /// Ask the engine for pictures.
    Ask(Box<Question>),
    /// Ask the engine about latents.
    Explore(Box<Wish>),
    /// Open whatever a path or a name means.
    OpenAny(String),
    /// Go back to the last checkpoint and train on from there.
    BackToCheckpoint,
    /// Read a run and show it.
    Open(PathBuf),
    /// Show a run that is open.
    View(PathBuf),
    /// Take a run off the window.
    Close(PathBuf),
    /// Read a preview from disk; carries the side of the run's pictures.
    Load(SheetKey, usize),
    /// Look what a source of pictures holds.
    Peek(String),
    /// Let the person pick a path.
    Pick(Pick),
    /// Write a file.
    Export(Export),
    /// Look for runs again.
    Refresh,
    /// Measure folders.
    Measure,
    /// Change settings.
    Prefs(Box<Prefs>),
    /// The notice was read.
    NoticeRead,
    /// Open a folder with the system's file manager.
    Reveal(PathBuf),
    /// What to do about the window's end.
    Closing(Closing),
}
