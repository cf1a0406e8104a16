//! A run that was stopped or extended is the run that was not, bit for bit, on the CPU: weights,
//! optimizers, averages and metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

#[path = "support/outcome.rs"]
mod outcome;
mod tiny;

use std::path::Path;

use outcome::outcome;
use tandem_core::config::Config;
use tandem_core::device::DeviceChoice;
use tandem_core::engine::{Command, Engine, Event, Start};
use tiny::TINY;

/// Trains to the end, or asks to stop when step `stop_at` is told.
fn run(start: Start, stop_at: Option<u64>) {
    let engine = Engine::start(start).unwrap();
    for event in engine.events.iter() {
        match event {
            Event::Failed(reason) => panic!("{reason}"),
            Event::Step { step, .. } if Some(step) == stop_at => engine.commands.send(Command::Stop).unwrap(),
            _ => {}
        }
    }
}

fn new_run(out: &Path, steps: u64, settings: &[&str]) -> Start {
    let own = [format!("train.steps={steps}"), "preview.every=3".into(), "eval.every=3".into()];
    let settings: Vec<String> = TINY.iter().chain(settings).map(|s| s.to_string()).chain(own).collect();
    let config = Box::new(Config::load("nano", &settings).unwrap());
    Start::New { config, out: Some(out.to_path_buf()), name: "test".into(), device: DeviceChoice::Cpu }
}

fn resumed(run: &Path, steps: Option<u64>) -> Start {
    Start::Resume { folder: run.to_path_buf(), steps, device: DeviceChoice::Cpu }
}

#[test]
fn a_stopped_and_an_extended_run_equal_the_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(new_run(&at("whole"), 8, &[]), None);
    let whole = outcome(&at("whole"), 8);
    assert_eq!(whole.1.len(), 8 + 2 * 3, "eight steps, previews and measurements at 3, 6 and 8");

    run(new_run(&at("stopped"), 8, &[]), Some(3));
    assert!(!at("stopped/checkpoints/step-00000008").exists(), "it was not stopped");
    run(resumed(&at("stopped"), None), None);
    assert_eq!(outcome(&at("stopped"), 8), whole);

    run(new_run(&at("extended"), 4, &[]), None);
    run(resumed(&at("extended"), Some(8)), None);
    assert_eq!(outcome(&at("extended"), 8), whole);

    run(new_run(&at("other"), 8, &["train.seed=1"]), None);
    let other = outcome(&at("other"), 8);
    assert_ne!(other.0, whole.0, "the comparison cannot fail");
    assert_ne!(other.1, whole.1, "the comparison cannot fail");
    assert!(at("whole").join("report.html").exists());
}

#[test]
fn a_run_on_a_frozen_autoencoder_goes_on_without_the_run_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(new_run(&at("source"), 2, &["method=vae"]), None);
    let from = format!("vae.init_from={}", at("source").display());
    let settings = ["method=repa", from.as_str()];
    run(new_run(&at("whole"), 4, &settings), None);
    run(new_run(&at("halved"), 2, &settings), None);
    std::fs::remove_dir_all(at("source")).unwrap();
    run(resumed(&at("halved"), Some(4)), None);
    assert_eq!(outcome(&at("halved"), 4), outcome(&at("whole"), 4));
}
