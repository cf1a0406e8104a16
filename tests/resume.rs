//! A run that was stopped and resumed is the run that was not, bit for bit, on the CPU.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

use std::path::Path;

use tandem_core::config::Config;
use tandem_core::device::DeviceChoice;
use tandem_core::engine::{Engine, Event, Start};
use tandem_core::run::Checkpoint;

fn run(start: Start) {
    let engine = Engine::start(start).unwrap();
    for event in engine.events.iter() {
        if let Event::Failed(reason) = event {
            panic!("{reason}");
        }
    }
}

fn new_run(out: &Path, steps: u64, seed: u64) {
    let settings = [
        format!("train.steps={steps}"),
        format!("train.seed={seed}"),
        "train.batch=2".into(),
        "optim.schedule=constant".into(),
        "preview.sample_steps=1".into(),
        "preview.samples=1".into(),
    ];
    let config = Box::new(Config::load("nano", &settings).unwrap());
    run(Start::New { config, out: Some(out.to_path_buf()), name: "test".into(), device: DeviceChoice::Cpu });
}

fn checkpoint(run: &Path, step: u64) -> Checkpoint {
    Checkpoint::load(&run.join(format!("checkpoints/step-{step:08}"))).unwrap()
}

#[test]
fn two_steps_equal_one_stop_resume_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    new_run(&at("whole"), 2, 0);
    new_run(&at("halved"), 1, 0);
    run(Start::Resume { folder: at("halved"), steps: Some(2), device: DeviceChoice::Cpu });
    new_run(&at("other"), 2, 1);
    let whole = checkpoint(&at("whole"), 2);
    assert_eq!(whole.files, checkpoint(&at("halved"), 2).files);
    assert_ne!(whole.files, checkpoint(&at("other"), 2).files, "the comparison cannot fail");
    assert!(at("whole").join("report.html").exists());
}
