//! What the latent explorer knows. It changes by events alone, as all of the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_core::explore::{About, BasisChoice, Direction, Edit, LatentQuestion, PictureRef, Wish};

use super::explorer_views::{EditedView, Ready, ScatterView, StudyView, Thumb, View};

/// Pictures that are kept.
const MAX_THUMBS: usize = 256;

/// A fact about the explorer.
#[derive(Debug)]
pub enum ExplorerEvent {
    /// A question went to the engine.
    Asked(Box<LatentQuestion>),
    /// A question was answered.
    Answered(Box<Ready>),
    /// The scatter plot has grown.
    Scatter(Arc<ScatterView>),
}

/// An autoencoder that was opened without a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedModel {
    /// As it was asked for.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Side of the pictures.
    pub image_px: usize,
}

/// The explorer's part of the state.
#[derive(Debug, Default)]
pub struct ExplorerState {
    /// The autoencoder without a run that is looked at, if one is.
    pub model: Option<OpenedModel>,
    /// What models and pictures there are, once the engine has said so.
    pub about: Option<About>,
    /// Whether that was said before the run had a basis of its own.
    pub about_is_old: bool,
    /// Pictures that were asked for, or why they cannot be shown.
    pub thumbs: BTreeMap<PictureRef, Result<Arc<Thumb>, String>>,
    /// The newest look at one picture.
    pub study: Option<Arc<StudyView>>,
    /// The newest picture of changed latents.
    pub edited: Option<Arc<EditedView>>,
    /// Directions, as last fitted.
    pub fitted: Option<Vec<Direction>>,
    /// The scatter plot.
    pub scatter: Option<Arc<ScatterView>>,
    /// The question that waits for an answer.
    pub waiting: Option<LatentQuestion>,
    /// What could not be answered last, and why.
    pub problem: Option<(Wish, String)>,
    /// Number of the last question.
    pub last_id: u64,
    /// Answers that came.
    pub num_answers: u64,
}

impl ExplorerState {
    /// Takes in one fact.
    pub fn apply(&mut self, event: ExplorerEvent) {
        match event {
            ExplorerEvent::Asked(question) => {
                self.last_id = self.last_id.max(question.id);
                self.waiting = Some(*question);
            }
            ExplorerEvent::Answered(ready) => self.answered(*ready),
            ExplorerEvent::Scatter(view) => self.scatter = Some(view),
        }
    }

    /// The engine looks at another model: what the last one said is gone.
    pub fn begin(&mut self, model: Option<OpenedModel>) {
        *self = Self { model, last_id: self.last_id, ..Self::default() };
    }

    fn answered(&mut self, ready: Ready) {
        self.num_answers += 1;
        let asked = self.waiting.take_if(|question| question.id == ready.id);
        match ready.found {
            Ok(view) => {
                if asked.is_some() {
                    self.problem = None;
                }
                self.see(view);
            }
            Err(reason) => {
                // An answer to a question that was overtaken is nothing to tell.
                if let Some(question) = asked {
                    self.problem = Some((question.wish, reason));
                }
            }
        }
    }

    fn see(&mut self, view: View) {
        match view {
            View::About(about) => (self.about, self.about_is_old) = (Some(*about), false),
            View::Pictures(all) => {
                if self.thumbs.len() > MAX_THUMBS {
                    self.thumbs.clear();
                }
                self.thumbs.extend(all);
            }
            View::Study(study) => self.study = Some(study),
            View::Edited(view) => {
                if let Edit::Push { basis: BasisChoice::Fitted, .. } = &view.edited.edit {
                    self.fitted = Some(view.edited.directions.clone());
                }
                self.edited = Some(view);
            }
            View::Fitted(directions) => self.fitted = Some(directions),
            View::Noted => {}
        }
    }

    /// The run has made a preview, and with the first one its basis.
    pub fn run_has_basis(&mut self) {
        self.about_is_old = self.about.as_ref().is_some_and(|about| about.run_basis.is_none());
    }

    /// Whether `wish` was tried and could not be answered.
    pub fn failed(&self, wish: &Wish) -> Option<&str> {
        self.problem.as_ref().filter(|(failed, _)| failed == wish).map(|(_, reason)| reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(id: u64) -> ExplorerEvent {
        let wish = Wish::Study { picture: PictureRef::Held(id as usize), time: None };
        ExplorerEvent::Asked(Box::new(LatentQuestion { id, wish }))
    }

    fn answer(id: u64, found: Result<View, String>) -> ExplorerEvent {
        ExplorerEvent::Answered(Box::new(Ready { id, step: 1, found }))
    }

    #[test]
    fn only_the_answer_to_the_newest_question_ends_the_wait() {
        let mut state = ExplorerState::default();
        state.apply(asked(1));
        state.apply(asked(2));
        state.apply(answer(1, Err("old".into())));
        assert!(state.problem.is_none(), "what was overtaken is not told");
        assert_eq!(state.waiting.as_ref().unwrap().id, 2);
        state.apply(answer(2, Err("no such picture".into())));
        assert!(state.waiting.is_none());
        let wish = Wish::Study { picture: PictureRef::Held(2), time: None };
        assert_eq!(state.failed(&wish), Some("no such picture"));
        assert_eq!(state.failed(&Wish::About), None);
        state.apply(asked(3));
        state.apply(answer(3, Ok(View::Noted)));
        assert!(state.problem.is_none() && state.num_answers == 3);
    }

    #[test]
    fn another_model_begins_with_nothing_but_numbers_go_on() {
        let mut state = ExplorerState::default();
        state.apply(asked(7));
        let model = OpenedModel { name: "m".into(), about: "a".into(), image_px: 64 };
        state.begin(Some(model.clone()));
        assert_eq!((state.model, state.last_id), (Some(model), 7));
        assert!(state.waiting.is_none() && state.about.is_none());
    }
}
