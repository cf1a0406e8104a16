//! The only door to training: a worker thread that takes commands and tells events. Command line
//! and window both come through here.

mod compare;
mod explore;
mod latents;
mod latest;
mod looking;
mod message;
mod opening;
mod recorder;
mod report;
mod session;
mod telling;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

pub use compare::compare;
pub use latest::Latest;
pub use message::{Answer, Command, Event, Question, Start};

use crate::device::stand_back_here;
use crate::error::{Error, Result};
use crate::explore::{LatentAnswer, LatentQuestion, Scatter};
use crate::train::preview::Preview;

/// The roads on which only the newest value counts.
#[derive(Clone, Debug, Default)]
pub struct Roads {
    /// Previews as they are made, before [`Event::Preview`] tells of them.
    pub previews: Latest<(u64, Preview)>,
    /// Questions to a training engine.
    pub questions: Latest<Question>,
    /// Their answers, before [`Event::Answered`] tells of them.
    pub answers: Latest<Answer>,
    /// Questions about latents, answered between the parts of a step.
    pub latent_questions: Latest<LatentQuestion>,
    /// Their answers, before [`Event::Explored`] tells of them.
    pub latent_answers: Latest<LatentAnswer>,
    /// The scatter plot as it grows, before [`Event::Scattered`] tells of it.
    pub scatter: Latest<Scatter>,
}

/// A running engine.
pub struct Engine {
    /// Where commands go.
    pub commands: Sender<Command>,
    /// Where events come from; closed when the engine has ended.
    pub events: Receiver<Event>,
    /// The newest-wins roads.
    pub roads: Roads,
    worker: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts training on a thread of its own, which makes every tensor.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(start: Start) -> Result<Self> {
        let (commands, inbox) = channel();
        let (outbox, events) = channel();
        let roads = Roads::default();
        let theirs = roads.clone();
        let work = move || {
            stand_back_here();
            let result = catch_unwind(AssertUnwindSafe(|| session::run(start, &inbox, &outbox, theirs)));
            let failure = match result {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => {
                    "training broke off in the device's driver or in Tandem itself; the last checkpoint \
                           is whole: go on with --resume"
                        .to_string()
                }
            };
            // Nobody listens any more when the receiver is gone.
            let _ = outbox.send(Event::Failed(failure));
        };
        let worker = std::thread::Builder::new()
            .name("tandem-engine".into())
            .spawn(work)
            .map_err(|e| Error::Device(format!("no thread for the engine: {e}")))?;
        Ok(Self { commands, events, roads, worker: Some(worker) })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A closed command channel counts as a stop; the engine saves before it ends.
        let _ = self.commands.send(Command::Stop);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}
