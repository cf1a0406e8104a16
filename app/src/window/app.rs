//! The window itself: takes in facts, draws, carries out what the panels ask for.

mod paths;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use egui::{Color32, Context, Ui, ViewportCommand};
use tandem_core::engine::{self, Start};
use tandem_core::explore::{LatentQuestion, Wish};

use super::disk::{Disk, Job};
use super::engine_link::EngineLink;
use super::explorer_state::ExplorerEvent;
use super::message::{Closing, Command, Event, Level};
use super::panels::Panels;
use super::prefs::{Look, Prefs};
use super::sheet::SheetKey;
use super::state::{AppState, Status};
use super::typed::{PathWish, Typed};
use super::{chrome, keys, theme};

/// Under which name settings are kept.
const PREFS: &str = "prefs";

/// The application.
pub struct App {
    state: AppState,
    panels: Panels,
    ctx: Context,
    outbox: Sender<Event>,
    inbox: Receiver<Event>,
    /// Absent in tests, where commands are only kept.
    disk: Option<Disk>,
    engine: Option<EngineLink>,
    asked: Vec<Command>,
    /// A path that is typed because the system shows no dialog.
    typed: Option<Typed>,
    loading: HashSet<SheetKey>,
    /// The run to train on in once the engine has ended.
    restart: Option<Start>,
    began: Instant,
    unfinished: Arc<OnceLock<PathBuf>>,
    shown: Option<(Look, f32)>,
    /// Whether a frame begins in the ground's colour, so that filling the page with it again is work for nothing.
    cleared: bool,
}

impl App {
    /// The application in a window; `unfinished` is told of a run that could go on.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(
        cc: &eframe::CreationContext<'_>,
        unfinished: Arc<OnceLock<PathBuf>>,
    ) -> std::io::Result<Self> {
        let prefs: Prefs =
            cc.storage.and_then(|storage| eframe::get_value(storage, PREFS)).unwrap_or_default();
        let mut app = Self::still(AppState { prefs, ..AppState::default() }, cc.egui_ctx.clone());
        let disk = Disk::start(app.outbox.clone(), cc.egui_ctx.clone())?;
        disk.ask(Job::Scan(app.state.prefs.runs.clone()));
        if let Some(run) = app.state.prefs.last_run.clone().filter(|run| run.is_dir()) {
            disk.ask(Job::Open(run));
        }
        app.disk = Some(disk);
        app.unfinished = unfinished;
        app.cleared = true;
        Ok(app)
    }

    /// The application without threads: it shows `state` and keeps what its panels ask for.
    pub fn still(state: AppState, ctx: Context) -> Self {
        theme::install(&ctx);
        let (outbox, inbox) = channel();
        Self {
            state,
            panels: Panels::default(),
            ctx,
            outbox,
            inbox,
            disk: None,
            engine: None,
            asked: Vec::new(),
            typed: None,
            loading: HashSet::new(),
            restart: None,
            began: Instant::now(),
            unfinished: Arc::default(),
            shown: None,
            cleared: false,
        }
    }

    /// What is shown.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// The egui that it draws with.
    pub fn context(&self) -> &Context {
        &self.ctx
    }

    /// What was shown, taken out; the window is empty after it.
    pub fn take_state(&mut self) -> AppState {
        std::mem::take(&mut self.state)
    }

    /// What the panels asked for that needs an engine or a disk; only without threads.
    pub fn take_asked(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.asked)
    }

    /// Takes in one fact.
    pub fn apply(&mut self, event: Event) {
        match &event {
            Event::Sheet(key, _) => drop(self.loading.remove(key)),
            Event::Engine(engine::Event::Finished { step, steps, folder, .. }) if step < steps => {
                // Only the first is named: closing comes after it.
                let _ = self.unfinished.set(folder.clone());
            }
            _ => {}
        }
        let closed = matches!(event, Event::EngineClosed);
        match event {
            Event::Chosen(wish, paths) => return self.chosen(wish, paths),
            Event::NoDialog(wish) => return self.type_path(wish),
            Event::Shot(name, picture) => return self.ask_path(PathWish::Picture(name, picture)),
            Event::Identified(kind) => return self.identified(kind),
            event => self.state.apply(event),
        }
        if closed {
            self.engine = None;
            match self.restart.take() {
                Some(start) => self.train(start),
                None => self.ask(Job::Scan(self.state.prefs.runs.clone())),
            }
        }
    }

    /// One frame.
    pub fn frame_ui(&mut self, ui: &mut Ui) {
        if self.disk.is_some() {
            self.state.now_s = self.began.elapsed().as_secs_f64();
        }
        while let Ok(event) = self.inbox.try_recv() {
            self.apply(event);
        }
        self.look();
        self.closing_wish();
        let mut commands = keys::commands(&self.ctx, &self.state);
        self.dropped_files(&mut commands);
        commands.extend(chrome::navigation_ui(ui, &self.state));
        commands.extend(chrome::notice_ui(ui, &self.state));
        let ground = if self.cleared { Color32::TRANSPARENT } else { theme::palette(ui.visuals()).ground };
        commands.extend(chrome::page_ui(ui, &self.state, &mut self.panels, ground));
        commands.extend(chrome::closing_ui(ui, &self.state));
        self.typed_ui();
        let asked = !commands.is_empty();
        for command in commands {
            self.carry_out(command);
        }
        if asked {
            // What was asked for shows in the next frame.
            self.ctx.request_repaint();
        }
    }

    /// Gives theme and size to egui when they changed.
    fn look(&mut self) {
        let wanted = (self.state.prefs.look, self.state.prefs.scale);
        if self.shown != Some(wanted) {
            self.shown = Some(wanted);
            let theme = match wanted.0 {
                Look::System => egui::ThemePreference::System,
                Look::Light => egui::ThemePreference::Light,
                Look::Dark => egui::ThemePreference::Dark,
            };
            self.ctx.set_theme(theme);
            self.ctx.set_zoom_factor(wanted.1.clamp(0.5, 4.0));
        }
    }

    /// A window that is to be closed while training runs asks first.
    fn closing_wish(&mut self) {
        if self.state.closing == Closing::Now {
            self.ctx.send_viewport_cmd(ViewportCommand::Close);
            return;
        }
        if self.ctx.input(|input| input.viewport().close_requested()) && self.state.live.status.is_live() {
            self.ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            if self.state.closing == Closing::No {
                self.state.apply(Event::Closing(Closing::Asked));
            }
        }
    }

    fn ask(&self, job: Job) {
        if let Some(disk) = &self.disk {
            disk.ask(job);
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Prefs)) {
        let mut prefs = Box::new(self.state.prefs.clone());
        change(&mut prefs);
        self.apply(Event::Prefs(prefs));
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Go(tab) => self.change(|prefs| prefs.tab = tab),
            Command::Prefs(prefs) => self.apply(Event::Prefs(prefs)),
            Command::NoticeRead => self.apply(Event::NoticeRead),
            Command::View(path) => self.apply(Event::View(path)),
            Command::Close(path) => self.apply(Event::Close(path)),
            Command::Load(key, px) => {
                if self.loading.insert(key.clone()) {
                    self.ask(Job::Load(key, px));
                }
            }
            Command::Explore(wish) => self.explore(*wish),
            command if self.disk.is_none() => self.asked.push(command),
            Command::Train(start) => self.train(*start),
            Command::Engine(command) => self.tell(command),
            Command::Ask(question) => {
                if let Some(engine) = &self.engine {
                    engine.ask((*question).clone());
                    self.apply(Event::Asked(question));
                }
            }
            Command::OpenAny(text) => self.ask(Job::Identify(text)),
            Command::BackToCheckpoint => self.back_to_checkpoint(),
            Command::Open(path) => self.ask(Job::Open(path)),
            Command::Peek(source) => {
                self.apply(Event::Peeking(source.clone()));
                self.ask(Job::Peek(source));
            }
            Command::Pick(pick) => self.ask_path(PathWish::Pick(pick)),
            Command::Export(export) => self.export(export),
            Command::Refresh => self.ask(Job::Scan(self.state.prefs.runs.clone())),
            Command::Measure => self.measure(),
            Command::Reveal(path) => self.reveal(&path),
            Command::Closing(closing) => self.close(closing),
        }
    }

    fn train(&mut self, start: Start) {
        if self.engine.is_some() && self.state.live.status == Status::Looking {
            // A look gives way to whatever is to be done next.
            self.restart = Some(start);
            return self.tell(engine::Command::Stop);
        }
        if self.engine.is_some() {
            return self.apply(Event::Notice(Level::Warning, "a run is training; stop it first".into()));
        }
        let Some(disk) = self.disk.clone() else { return };
        self.apply(Event::EngineStarting);
        match EngineLink::start(start, self.outbox.clone(), disk, self.ctx.clone()) {
            Ok(link) => self.engine = Some(link),
            Err(error) => {
                self.apply(Event::Engine(engine::Event::Failed(format!("no thread for the engine: {error}"))))
            }
        }
    }

    fn tell(&mut self, command: engine::Command) {
        let stops = command == engine::Command::Stop || command == engine::Command::Abandon;
        if let Some(engine) = &self.engine {
            engine.tell(command);
            if stops {
                self.apply(Event::EngineStopping);
            }
        }
    }

    fn back_to_checkpoint(&mut self) {
        let Some(folder) = self.state.live.folder.clone() else { return };
        let device = self.state.prefs.device.parse().unwrap_or_default();
        self.restart = Some(Start::Resume { folder, steps: Some(self.state.live.steps), device });
        self.tell(engine::Command::Abandon);
    }

    fn explore(&mut self, wish: Wish) {
        let question = LatentQuestion { id: self.state.explorer.last_id + 1, wish };
        match &self.engine {
            Some(engine) => engine.ask_latents(question.clone()),
            None if self.disk.is_none() => {
                self.asked.push(Command::Explore(Box::new(question.wish.clone())));
            }
            None => return,
        }
        self.apply(Event::Explorer(ExplorerEvent::Asked(Box::new(question))));
    }

    fn measure(&self) {
        let mut places = vec![("Runs".to_string(), self.state.prefs.runs.clone())];
        places.extend(eframe::storage_dir("tandem").map(|path| ("Settings".to_string(), path)));
        self.ask(Job::Measure(places));
    }

    fn close(&mut self, closing: Closing) {
        if closing == Closing::Saving {
            self.tell(engine::Command::Stop);
        }
        self.apply(Event::Closing(closing));
        if closing == Closing::Saving && !self.state.live.status.is_live() {
            self.apply(Event::Closing(Closing::Now));
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.frame_ui(ui);
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        eframe::set_value(storage, PREFS, &self.state.prefs);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        theme::palette(visuals).ground.to_normalized_gamma_f32()
    }
}
