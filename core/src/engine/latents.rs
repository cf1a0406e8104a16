//! Questions about latents on their way: the newest is taken, answered on the models of the moment, and
//! its answer put where only the newest counts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Roads;
use super::message::Event;
use super::session::{POLL, RunState};
use crate::align::Teacher;
use crate::explore::{Desk, LatentAnswer, Teachers, View};
use crate::train::trainer::Moment;

/// What the scatter plot may take of the engine's time in one go: at rest, and of a step.
pub(super) const AT_REST: Duration = Duration::from_millis(60);
pub(super) const IN_TRAINING: Duration = Duration::from_millis(40);
/// Pause between looks at the questions while somebody asks.
const QUICK_POLL: Duration = Duration::from_millis(4);
/// How long after a question the next one is expected.
const EXPECTANT: Duration = Duration::from_secs(2);

/// Where answers go.
pub(super) struct Outlet<'a> {
    pub roads: &'a Roads,
    pub tell: &'a (dyn Fn(Event) + Sync),
}

/// How long to wait before looking for questions again.
pub(super) fn pause(desk: &Desk) -> Duration {
    if desk.since_last_question().is_some_and(|since| since < EXPECTANT) { QUICK_POLL } else { POLL }
}

/// Answers the newest question, if there is one, and works in the background for about `budget`.
/// Returns whether there was anything to do.
pub(super) fn serve(desk: &mut Desk, outlet: &Outlet<'_>, view: &View<'_>, budget: Option<Duration>) -> bool {
    let mut worked = false;
    while let Some(question) = outlet.roads.latent_questions.take() {
        worked = true;
        let newer = || outlet.roads.latent_questions.holds();
        // A device that fails here must not end training; it will fail there by itself if it must.
        let answer = catch_unwind(AssertUnwindSafe(|| desk.answer(view, &question, &newer)));
        let answer = answer.unwrap_or_else(|_| {
            let found = Err("the device failed while it looked at latents".into());
            Some(LatentAnswer { id: question.id, step: view.step, found })
        });
        if let Some(answer) = answer {
            outlet.roads.latent_answers.put(answer);
            (outlet.tell)(Event::Explored);
            break;
        }
    }
    if let Some(budget) = budget
        && desk.is_busy()
    {
        worked = true;
        let news = catch_unwind(AssertUnwindSafe(|| desk.work(view.device, budget)));
        let news = news.unwrap_or_else(|_| desk.give_up("the device failed while it encoded the data"));
        if let Some(scatter) = news {
            outlet.roads.scatter.put(scatter);
            (outlet.tell)(Event::Scattered);
        }
    }
    worked
}

/// [`serve`] on the models of a run in training.
pub(super) fn serve_moment(
    desk: &mut Desk,
    outlet: &Outlet<'_>,
    moment: &Moment<'_>,
    kept: &RunState,
    budget: Option<Duration>,
) -> bool {
    let view = View {
        vae: &moment.networks.vae,
        sit: moment.config.method.trains_sit().then(|| moment.ema.model()),
        without_sit: "this run trains no transformer",
        path: moment.config.sit.path,
        teachers: moment,
        basis: kept.colours.latents.as_ref(),
        device: moment.device,
        step: moment.step,
    };
    serve(desk, outlet, &view, budget)
}

impl Teachers for Moment<'_> {
    fn all(&self) -> Result<Vec<&Teacher>, String> {
        Ok(self.teachers.iter().collect())
    }
}
