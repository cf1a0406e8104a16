//! The window's end of the engine: a thread that owns it, passes its facts on and wakes the window.
//! Nothing here waits on the thread that draws.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use egui::Context;
use tandem_core::engine::{self, Command, Engine, Question, Roads, Start};
use tandem_core::explore::LatentQuestion;

use super::disk::{Disk, Job};
use super::message::Event;

/// Steps are shown this often when nobody touches the window: each frame costs training time.
const CALM: Duration = Duration::from_millis(500);

/// A running engine, seen from the window.
pub struct EngineLink {
    commands: Sender<Command>,
    roads: Arc<std::sync::OnceLock<Roads>>,
}

impl EngineLink {
    /// Starts an engine; everything it says comes out of `events`.
    pub fn start(start: Start, events: Sender<Event>, disk: Disk, ctx: Context) -> std::io::Result<Self> {
        let (commands, inbox) = channel();
        let roads = Arc::new(std::sync::OnceLock::new());
        let theirs = roads.clone();
        let work = move || {
            let outlet = Outlet { events, disk, ctx };
            match Engine::start(start) {
                Ok(engine) => {
                    let _ = theirs.set(engine.roads.clone());
                    outlet.serve(&engine, inbox);
                }
                Err(error) => outlet.tell(Event::Engine(engine::Event::Failed(error.to_string()))),
            }
            outlet.tell(Event::EngineClosed);
        };
        std::thread::Builder::new().name("tandem-link".into()).spawn(work)?;
        Ok(Self { commands, roads })
    }

    /// Tells the engine; one that has ended does not hear it.
    pub fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Asks about latents; an older question that waits is dropped.
    pub fn ask_latents(&self, question: LatentQuestion) {
        if let Some(roads) = self.roads.get() {
            roads.latent_questions.put(question);
        }
    }

    /// Asks for pictures; an older question that waits is dropped.
    pub fn ask(&self, question: Question) {
        if let Some(roads) = self.roads.get() {
            roads.questions.put(question);
        }
    }
}

struct Outlet {
    events: Sender<Event>,
    disk: Disk,
    ctx: Context,
}

impl Outlet {
    fn tell(&self, event: Event) {
        // The window may be gone; then nobody needs to know.
        let _ = self.events.send(event);
        self.ctx.request_repaint();
    }

    /// Passes facts on until the engine has ended.
    fn serve(&self, engine: &Engine, inbox: Receiver<Command>) {
        let commands = engine.commands.clone();
        let forward = move || {
            // Ends when the window drops its end; the engine takes that as a stop.
            inbox.iter().for_each(|command| {
                let _ = commands.send(command);
            });
            let _ = commands.send(Command::Stop);
        };
        if let Err(error) = std::thread::Builder::new().name("tandem-commands".into()).spawn(forward) {
            return self
                .tell(Event::Engine(engine::Event::Failed(format!("no thread for commands: {error}"))));
        }
        for event in &engine.events {
            match event {
                engine::Event::Preview { .. } => {
                    if let Some(preview) = engine.roads.previews.take() {
                        self.disk.ask(Job::Preview(preview));
                    }
                    self.tell(Event::Engine(event));
                }
                engine::Event::Answered => {
                    if let Some(answer) = engine.roads.answers.take() {
                        self.disk.ask(Job::Answer(answer));
                    }
                }
                engine::Event::Explored => {
                    if let Some(answer) = engine.roads.latent_answers.take() {
                        self.disk.ask(Job::Latents(answer));
                    }
                }
                engine::Event::Scattered => {
                    if let Some(scatter) = engine.roads.scatter.take() {
                        self.disk.ask(Job::Scatter(scatter));
                    }
                }
                engine::Event::Step { .. } => {
                    let _ = self.events.send(Event::Engine(event));
                    self.ctx.request_repaint_after(CALM);
                }
                engine::Event::Started { ref folder, .. } => {
                    self.disk.ask(Job::Training(folder.clone()));
                    self.tell(Event::Engine(event));
                }
                other => self.tell(Event::Engine(other)),
            }
        }
    }
}
