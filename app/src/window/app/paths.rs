//! Paths that a person names: dropped on the window, said in a dialog, or typed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_core::data::decode::is_picture_name;
use tandem_core::engine::{self, Start};

use super::super::dialogs::{self, Outcome};
use super::super::disk::Job;
use super::super::identify::{Kind, is_weights_name};
use super::super::message::{Command, Event, Export, Level, Pick};
use super::super::prefs::Tab;
use super::super::typed::{Done, PathWish, Typed};
use super::App;

/// Whether what was dropped on `tab` is for the explorer: anything while it is shown, weights always.
fn explorer_takes(path: &Path, tab: Tab) -> bool {
    tab == Tab::Explorer || is_weights_name(path) || path.join("model_index.json").is_file()
}

impl App {
    /// Files that were dropped on the window.
    pub(super) fn dropped_files(&mut self, commands: &mut Vec<Command>) {
        let files = |input: &egui::InputState| {
            input.raw.dropped_files.iter().map(|file| file.path().to_path_buf()).collect::<Vec<_>>()
        };
        let dropped = self.ctx.input(files);
        let Some(path) = dropped.first().cloned() else { return };
        let pictures = dropped.iter().all(|path| is_picture_name(&path.to_string_lossy()));
        if self.state.prefs.tab == Tab::Reconstructions && pictures {
            return self.pin(dropped);
        }
        if explorer_takes(&path, self.state.prefs.tab) {
            return commands.push(Command::OpenAny(path.display().to_string()));
        }
        // A run folder is opened; anything else is taken for pictures.
        if path.join("config.toml").is_file() {
            commands.extend([Command::Open(path), Command::Go(Tab::Training)]);
        } else {
            self.panels.use_source(path.display().to_string());
            commands.push(Command::Go(Tab::NewRun));
        }
    }

    /// Lets the person say a path, with the system's dialog.
    pub(super) fn ask_path(&mut self, wish: PathWish) {
        let (outbox, ctx, theirs) = (self.outbox.clone(), self.ctx.clone(), wish.clone());
        let done = move |outcome: Outcome| {
            let event = match outcome {
                Outcome::Paths(paths) => Event::Chosen(theirs, paths),
                Outcome::NoDialog => Event::NoDialog(theirs),
                Outcome::Nothing => return,
            };
            let _ = outbox.send(event);
            ctx.request_repaint();
        };
        if let Err(error) = dialogs::ask(&wish, done) {
            self.apply(Event::Notice(Level::Error, format!("no thread for the dialog: {error}")));
        }
    }

    /// Lets the person type a path.
    pub(super) fn type_path(&mut self, wish: PathWish) {
        let folder = match &wish {
            PathWish::Pick(Pick::Run) => self.state.prefs.runs.clone(),
            _ => std::env::current_dir().unwrap_or_default(),
        };
        self.typed = Some(Typed::new(wish, &folder));
    }

    /// Draws the question for a path, if there is one.
    pub(super) fn typed_ui(&mut self) {
        match self.typed.as_mut().and_then(|typed| typed.ui(&self.ctx)) {
            None => {}
            Some(Done::Never) => self.typed = None,
            Some(Done::Path(wish, path)) => {
                self.typed = None;
                self.chosen(wish, vec![path]);
            }
        }
    }

    /// A path was said for `wish`.
    pub(super) fn chosen(&mut self, wish: PathWish, paths: Vec<PathBuf>) {
        let Some(path) = paths.first().cloned() else { return };
        match wish {
            PathWish::Pick(Pick::Pinned) => self.pin(paths),
            PathWish::Pick(pick) => self.picked(pick, path),
            PathWish::Text(_, text) => self.ask(Job::WriteText(path, text)),
            PathWish::Picture(_, picture) => self.ask(Job::WritePicture(path, picture)),
        }
    }

    /// Shows pictures of the person's own with each preview.
    fn pin(&mut self, pictures: Vec<PathBuf>) {
        if self.state.trains_view() {
            return self.carry_out(Command::Engine(engine::Command::Pin(pictures)));
        }
        let line = "pictures are pinned while the run trains; for a new run, name them under preview.images";
        self.apply(Event::Notice(Level::Warning, line.into()));
    }

    pub(super) fn picked(&mut self, pick: Pick, path: PathBuf) {
        match pick {
            Pick::Run => {
                self.carry_out(Command::Open(path));
                self.change(|prefs| prefs.tab = Tab::Training);
            }
            Pick::Folder | Pick::File => self.carry_out(Command::OpenAny(path.display().to_string())),
            Pick::DataFolder | Pick::DataZip => self.panels.use_source(path.display().to_string()),
            Pick::Pinned => self.pin(vec![path]),
        }
    }

    /// Opens what a person named, now that it is known what it is.
    pub(super) fn identified(&mut self, kind: Kind) {
        match kind {
            Kind::Run(path) => self.picked(Pick::Run, path),
            Kind::Set(source) => {
                self.panels.use_source(source);
                self.change(|prefs| prefs.tab = Tab::NewRun);
            }
            Kind::Picture(path) => {
                self.panels.explore_picture(path);
                self.change(|prefs| prefs.tab = Tab::Explorer);
            }
            Kind::Model(model) => {
                let device = self.state.prefs.device.parse().unwrap_or_default();
                self.carry_out(Command::Train(Box::new(Start::Explore { model, px: None, device })));
                self.change(|prefs| prefs.tab = Tab::Explorer);
            }
        }
    }

    /// Writes a file where the person says.
    pub(super) fn export(&mut self, export: Export) {
        match export {
            Export::Text(name, text) => self.ask_path(PathWish::Text(name, text)),
            Export::Shot(name, rect) => {
                let (outbox, ctx) = (self.outbox.clone(), self.ctx.clone());
                let scale = ctx.pixels_per_point();
                self.ctx.request_screenshot(move |image| {
                    let part = Arc::new(image.region(&rect, Some(scale)));
                    let _ = outbox.send(Event::Shot(name, part));
                    ctx.request_repaint();
                });
            }
        }
    }

    /// Opens a folder with the system's file manager.
    pub(super) fn reveal(&mut self, path: &Path) {
        let opener = if cfg!(target_os = "macos") {
            "open"
        } else if cfg!(windows) {
            "explorer"
        } else {
            "xdg-open"
        };
        let started = std::process::Command::new(opener).arg(path).spawn().and_then(|mut child| {
            // Its end is waited for, or it would stay in the system's table of processes.
            std::thread::Builder::new().name("tandem-reveal".into()).spawn(move || child.wait())
        });
        if let Err(error) = started {
            let line =
                format!("the file manager cannot be started ({error}); the folder is {}", path.display());
            self.apply(Event::Notice(Level::Warning, line));
        }
    }
}
