//! A run that was stopped or extended, or that keeps less for backward, is the run that was not, bit for bit, on the
//! CPU: weights, optimizers, averages and metrics.
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

#[test]
fn gradient_checkpointing_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(new_run(&at("plain"), 3, &[]), None);
    run(new_run(&at("checkpointed"), 3, &["train.gradient_checkpointing=true"]), None);
    assert_eq!(outcome(&at("checkpointed"), 3), outcome(&at("plain"), 3));
}

/// The value of `train.micro_batch` that a run noted.
fn micro_batch(run: &Path) -> usize {
    let text = std::fs::read_to_string(run.join("config.toml")).unwrap();
    Config::parse(&text, &[], "run").unwrap().train.micro_batch
}

#[test]
fn micro_batches_are_noted_and_a_run_goes_on_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(new_run(&at("fits"), 4, &[]), None);
    assert_eq!(micro_batch(&at("fits")), 2, "all of the batch fits");
    run(new_run(&at("same"), 4, &["train.micro_batch=2"]), None);
    assert_eq!(outcome(&at("same"), 4), outcome(&at("fits"), 4));

    run(new_run(&at("cut"), 4, &["train.micro_batch=1"]), None);
    run(new_run(&at("stopped"), 2, &["train.micro_batch=1"]), None);
    run(resumed(&at("stopped"), Some(4)), None);
    assert_eq!(micro_batch(&at("stopped")), 1);
    assert_eq!(outcome(&at("stopped"), 4), outcome(&at("cut"), 4));
    assert_ne!(outcome(&at("cut"), 4).0, outcome(&at("fits"), 4).0, "the parts' statistics differ");
}

#[test]
fn without_batch_statistics_micro_batches_differ_by_rounding_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(new_run(&at("source"), 1, &["method=vae"]), None);
    let from = format!("vae.init_from={}", at("source").display());
    let loss = |name: &str, size: &str, seed: &str| {
        let size = format!("train.micro_batch={size}");
        run(new_run(&at(name), 3, &["method=repa", &from, &size, seed]), None);
        let rows = outcome(&at(name), 3).1;
        let values: Vec<f64> = rows.iter().filter_map(|row| row.values.get("sit_loss").copied()).collect();
        assert_eq!(values.len(), 3);
        values
    };
    let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let whole = loss("whole", "2", "train.seed=0");
    assert!(far(&whole, &loss("cut", "1", "train.seed=0")) < 1e-4);
    assert!(far(&whole, &loss("other", "2", "train.seed=1")) > 1e-4, "the comparison cannot fail");
}
