//! Everything that reads or writes files for the window, on threads of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use egui::{ColorImage, Context};
use tandem_core::engine::Answer;
use tandem_core::explore::{LatentAnswer, Scatter};
use tandem_core::run::Rgb8;
use tandem_core::train::preview::Preview;

use super::explorer_state::ExplorerEvent;
use super::identify::identify;
use super::message::{Answered, Event, Level};
use super::sheet::{Sheet, SheetKey};
use super::{explorer_views, peek, runs};

/// Pictures that may wait; a person who drags a slider wants the newest.
const MAX_WAITING: usize = 24;

/// Something to do off the drawing thread.
pub enum Job {
    /// Find runs below a folder.
    Scan(PathBuf),
    /// Read a run.
    Open(PathBuf),
    /// The run whose previews come over the engine's road, so that they find their keys.
    Training(PathBuf),
    /// Make sheets of a preview.
    Preview(Box<(u64, Preview)>),
    /// Make sheets of an answer.
    Answer(Box<Answer>),
    /// Make an answer about latents ready.
    Latents(Box<LatentAnswer>),
    /// Make a scatter plot ready.
    Scatter(Box<Scatter>),
    /// Look what a path or a name means.
    Identify(String),
    /// Read a preview from disk; pictures have this side.
    Load(SheetKey, usize),
    /// Look what a source of pictures holds.
    Peek(String),
    /// Write text where the person said.
    WriteText(PathBuf, String),
    /// Write a picture where the person said.
    WritePicture(PathBuf, Arc<ColorImage>),
    /// Measure folders.
    Measure(Vec<(String, PathBuf)>),
}

/// The way to those threads.
#[derive(Clone)]
pub struct Disk {
    slow: Sender<Job>,
    pictures: Sender<Job>,
}

impl Disk {
    /// Starts the threads; they end when the last `Disk` is gone.
    pub fn start(events: Sender<Event>, ctx: Context) -> std::io::Result<Self> {
        let (slow, slow_jobs) = channel();
        let (pictures, picture_jobs) = channel();
        let outlet = Outlet { events, ctx };
        let other = outlet.clone();
        spawn("tandem-disk", move || slow_jobs.iter().for_each(|job| outlet.slow(job)))?;
        spawn("tandem-pictures", move || other.pictures(&picture_jobs))?;
        Ok(Self { slow, pictures })
    }

    /// Asks for a job; its outcome comes as an event.
    pub fn ask(&self, job: Job) {
        let way = match job {
            Job::Preview(_)
            | Job::Answer(_)
            | Job::Latents(_)
            | Job::Scatter(_)
            | Job::Load(..)
            | Job::Training(_) => &self.pictures,
            _ => &self.slow,
        };
        let _ = way.send(job);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(|_| ())
}

#[derive(Clone)]
struct Outlet {
    events: Sender<Event>,
    ctx: Context,
}

impl Outlet {
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
        self.ctx.request_repaint();
    }

    fn slow(&self, job: Job) {
        match job {
            Job::Scan(root) => self.tell(Event::Runs(runs::scan(&root))),
            Job::Open(path) => match runs::open(&path) {
                Ok(run) => self.tell(Event::Opened(Box::new(run))),
                Err(error) => self.tell(Event::Notice(Level::Error, error.to_string())),
            },
            Job::Identify(text) => self.tell(match identify(&text) {
                Ok(kind) => Event::Identified(kind),
                Err(reason) => Event::Notice(Level::Error, reason),
            }),
            Job::Peek(source) => self.tell(Event::Data(Box::new(peek::look(&source)))),
            Job::WriteText(path, text) => {
                let written = std::fs::write(&path, text).map_err(|e| e.to_string());
                self.written(&path, written);
            }
            Job::WritePicture(path, image) => {
                let pixels = image.pixels.iter().flat_map(|p| [p.r(), p.g(), p.b()]).collect();
                let picture = Rgb8 { width: image.size[0], height: image.size[1], pixels };
                self.written(&path, picture.save_png(&path).map_err(|e| e.to_string()));
            }
            Job::Measure(places) => {
                let measured = places.into_iter().map(|(name, path)| {
                    let bytes = bytes_below(&path, 8);
                    (name, path, bytes)
                });
                self.tell(Event::Places(measured.collect()));
            }
            // These are the other thread's.
            Job::Training(_)
            | Job::Preview(_)
            | Job::Answer(_)
            | Job::Latents(_)
            | Job::Scatter(_)
            | Job::Load(..) => {}
        }
    }

    fn written(&self, path: &Path, outcome: Result<(), String>) {
        self.tell(match outcome {
            Ok(()) => Event::Notice(Level::Info, format!("wrote {}", path.display())),
            Err(reason) => Event::Notice(Level::Error, format!("cannot write {}: {reason}", path.display())),
        });
    }

    /// Serves pictures: what the engine made first, then the newest that was asked for.
    fn pictures(&self, jobs: &Receiver<Job>) {
        let mut run = PathBuf::new();
        let mut wanted: Vec<(SheetKey, usize)> = Vec::new();
        loop {
            let job = if wanted.is_empty() { jobs.recv().ok() } else { jobs.try_recv().ok() };
            match job {
                Some(Job::Training(path)) => run = path,
                Some(Job::Preview(preview)) => self.preview(&run, *preview),
                Some(Job::Answer(answer)) => self.answer(*answer),
                Some(Job::Latents(answer)) => {
                    let ready = Box::new(explorer_views::ready(*answer));
                    self.tell(Event::Explorer(ExplorerEvent::Answered(ready)));
                }
                Some(Job::Scatter(scatter)) => {
                    let view = Arc::new(explorer_views::scatter_view(*scatter));
                    self.tell(Event::Explorer(ExplorerEvent::Scatter(view)));
                }
                Some(Job::Load(key, px)) => {
                    wanted.push((key, px));
                    if wanted.len() > MAX_WAITING {
                        let (key, _) = wanted.remove(0);
                        // Not an error: it is asked for again when it is looked at.
                        self.tell(Event::Sheet(key, Err(String::new())));
                    }
                }
                Some(_) => {}
                None => match wanted.pop() {
                    Some((key, px)) => {
                        let sheet = read_sheet(&key, px);
                        self.tell(Event::Sheet(key, sheet));
                    }
                    None => return,
                },
            }
        }
    }

    fn preview(&self, run: &Path, (step, preview): (u64, Preview)) {
        let key = |name: &str| SheetKey { run: run.to_path_buf(), name: name.into(), step };
        let sheet = sheet_of(&key(RECONSTRUCTIONS), &preview.reconstructions, preview.image_px);
        self.tell(Event::Sheet(key(RECONSTRUCTIONS), Ok(sheet)));
        if let Some(samples) = &preview.samples {
            let sheet = sheet_of(&key(SAMPLES), samples, preview.image_px);
            self.tell(Event::Sheet(key(SAMPLES), Ok(sheet)));
        }
    }

    fn answer(&self, answer: Answer) {
        let columns = (answer.pictures.len() as f64).sqrt().ceil() as usize;
        let is_path = !answer.states.is_empty();
        let columns = if is_path { answer.pictures.len().min(13) } else { columns };
        let pictures = Sheet::of_pictures(&answer.pictures, columns);
        let states = is_path.then(|| Sheet::of_pictures(&answer.states, columns));
        self.tell(Event::Answer(Arc::new(Answered { answer, pictures, states })));
    }
}

/// The preview of reconstructions.
pub const RECONSTRUCTIONS: &str = "reconstructions";
/// The preview of samples.
pub const SAMPLES: &str = "samples";

fn sheet_of(key: &SheetKey, picture: &Rgb8, px: usize) -> Arc<Sheet> {
    let reconstructions = key.name == RECONSTRUCTIONS;
    Arc::new(if reconstructions {
        Sheet::of_reconstructions(picture, px)
    } else {
        Sheet::of_preview(picture, px)
    })
}

/// Reads a preview of a run.
pub fn read_sheet(key: &SheetKey, px: usize) -> Result<Arc<Sheet>, String> {
    let folder = tandem_core::run::RunFolder::open(&key.run).map_err(|e| e.to_string())?;
    let path = folder.preview_path(&key.name, key.step);
    let bytes = std::fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let rgb =
        tandem_core::data::decode::decode_rgb(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let picture = Rgb8 { width: rgb.width, height: rgb.height, pixels: rgb.pixels };
    Ok(sheet_of(key, &picture, px))
}

/// Bytes of all files below `path`, at most `depth` folders down.
fn bytes_below(path: &Path, depth: usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() && depth > 0 => bytes_below(&entry.path(), depth - 1),
        Ok(data) if data.is_file() => data.len(),
        _ => 0,
    };
    entries.flatten().map(size).sum()
}
