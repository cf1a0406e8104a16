//! The window's state changes by events alone and needs no window.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

#[path = "support/window.rs"]
mod support;

use std::sync::Arc;

use support::{PREVIEWS, running, sheet, step_event};
use tandem_core::engine::Event as Engine;
use tandem_window::history::Mark;
use tandem_window::message::{Closing, Event, Level};
use tandem_window::state::{AppState, Status};

#[test]
fn a_run_starts_steps_and_finishes() {
    let state = running(120);
    let run = state.run().unwrap();
    assert_eq!((state.live.step, state.live.steps, &state.live.status), (120, 240, &Status::Running));
    assert_eq!(run.history.rows.len(), 120 + 2, "a row for each step and each preview");
    assert_eq!(run.history.last("reconstruction_loss"), Some(f64::from(support::loss(120))));
    assert!(state.headline().contains("step 120 of 240"));
    let mut state = state;
    let folder = run_folder(&state);
    state.apply(Event::Engine(Engine::Finished {
        step: 120,
        steps: 240,
        folder,
        psnr: None,
        images_per_s: 90.0,
        waited_s: 0.0,
    }));
    assert_eq!(state.live.status, Status::Finished);
    assert!(state.headline().starts_with("Stopped and saved"));
    assert!(!state.live.status.is_live());
}

#[test]
fn a_run_shows_its_own_progress_and_not_that_of_the_one_that_trains() {
    let mut state = support::with_others(running(120));
    let trained = state.run().unwrap().clone();
    let other = state.run_at(std::path::Path::new("runs/naive-001")).unwrap().clone();
    assert_eq!(state.progress_of(&trained).status, Status::Running);
    let own = state.progress_of(&other);
    assert_eq!((own.step, own.steps, own.status), (120, 600, Status::Idle));
    assert_eq!((own.saved, own.memory_bytes, own.images_per_s), (Some(120), 0, 0.0));
    state.live.step = 130;
    assert_eq!((state.progress_of(&trained).step, state.progress_of(&other).step), (130, 120));
    // Once another model is looked at, the run's log is all there is.
    state.live.status = Status::Looking;
    assert_eq!(state.progress_of(&trained).step, 120);
}

fn run_folder(state: &AppState) -> std::path::PathBuf {
    state.live.folder.clone().unwrap()
}

#[test]
fn changes_skips_and_checkpoints_become_marks_at_their_step() {
    let mut state = running(10);
    let config = Box::new(state.run().unwrap().config.clone().unwrap());
    state.apply(Event::Engine(Engine::Changed { step: 10, setting: "optim.vae_lr=1e-4".into(), config }));
    state.apply(Event::Engine(Engine::Saved { step: 10, path: "x".into() }));
    let mut bad = step_event(11, 240);
    if let Engine::Step { values, skipped, .. } = &mut bad {
        values[0].1 = f32::NAN;
        *skipped = true;
    }
    state.apply(Event::Engine(bad));
    let marks = &state.run().unwrap().history.marks;
    let wanted =
        [(10, Mark::Changed("optim.vae_lr=1e-4".into())), (10, Mark::Checkpoint), (11, Mark::Skipped)];
    assert!(wanted.iter().all(|mark| marks.contains(mark)), "{marks:?}");
    assert_eq!(state.notice.as_ref().unwrap().0, Level::Warning);
    assert_eq!(state.live.saved, Some(10));
}

#[test]
fn a_run_that_goes_back_forgets_later_rows_and_pictures() {
    let mut state = running(120);
    let run = state.run().unwrap();
    let (folder, config) = (run.path.clone(), run.config.clone().unwrap());
    let key = run.sheet_key("samples", 120);
    state.apply(Event::Sheet(key.clone(), Ok(Arc::new(sheet(4, 4, 0.5)))));
    assert!(state.sheet(&key).is_some());
    state.apply(Event::EngineStarting);
    state.apply(Event::Engine(Engine::Started {
        folder,
        device: "CPU".into(),
        description: Vec::new(),
        step: 60,
        steps: 240,
        config: Box::new(config),
        classes: Vec::new(),
    }));
    let run = state.run().unwrap();
    assert_eq!(run.history.rows.last().unwrap().step, 60);
    assert!(state.sheet(&key).is_none() && !run.previews["samples"].contains(&120));
}

#[test]
fn an_engine_that_ends_without_a_word_is_a_failure_and_a_saved_one_lets_the_window_close() {
    let mut state = running(10);
    state.apply(Event::EngineClosed);
    assert!(matches!(state.live.status, Status::Failed(_)));
    let mut state = running(10);
    state.apply(Event::Closing(Closing::Asked));
    state.apply(Event::EngineStopping);
    state.apply(Event::Closing(Closing::Saving));
    assert_eq!(state.closing, Closing::Saving);
    state.apply(Event::EngineClosed);
    assert_eq!((state.closing, &state.live.status), (Closing::Now, &Status::Finished));
}

#[test]
fn a_run_that_trains_stays_open_and_others_close_with_their_pictures() {
    let mut state = running(PREVIEWS[0]);
    let folder = run_folder(&state);
    state.apply(Event::Close(folder.clone()));
    assert!(state.run_at(&folder).is_some());
    state.apply(Event::EngineClosed);
    state.apply(Event::Close(folder.clone()));
    assert!(state.run_at(&folder).is_none() && state.view.is_none());
}
