//! A run is never lost: SIGKILL at random moments, SIGTERM, a disk that refuses and a folder that
//! vanishes, on the program itself.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use program::{Running, pictures, resume, succeed, train};
use tandem_core::run::{Checkpoint, Row, latest_complete, metrics};

/// How often the program is killed.
const KILLS: u64 = 20;

/// Step of the newest whole checkpoint.
fn newest(run: &Path) -> Option<u64> {
    latest_complete(run).unwrap().newest.map(|(step, _)| step)
}

fn checkpoint(run: &Path, step: u64) -> Checkpoint {
    Checkpoint::load(&run.join(format!("checkpoints/step-{step:08}"))).unwrap()
}

/// All rows of a run, without what clock and memory say.
fn rows(run: &Path) -> Vec<Row> {
    let rows = metrics::read(&run.join("metrics.jsonl")).unwrap();
    rows.into_iter().map(|row| row.repeatable()).collect()
}

/// The number after "step " in a line.
fn step_of(line: &str) -> u64 {
    let digits = line.split("step ").nth(1).unwrap();
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// A number below `bound` for each `index`, always the same (splitmix64).
fn draw(index: u64, bound: u64) -> u64 {
    let mut x = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ x >> 31) % bound
}

/// A folder with pictures, and the path of a run beside them.
fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 6);
    (folder, data, run)
}

const EVERY_STEP: [&str; 3] = ["train.checkpoint_every=1", "train.keep_last=2", "preview.every=3"];

#[test]
fn twenty_kills_lose_nothing_and_change_nothing() {
    let (folder, data, run) = place();
    let mut running = Running::start(train(&data, &run, &EVERY_STEP).args(["--steps", "100000"]));
    // The first kill falls between the start and the first checkpoint.
    running.wait_for("run folder");
    sleep(Duration::from_millis(draw(0, 30)));
    let mut last_saved = running.kill().iter().filter(|l| l.contains(": saved ")).map(|l| step_of(l)).max();
    let mut cut_in_a_save = 0;
    for kill in 1..KILLS {
        let found = newest(&run);
        assert!(found >= last_saved, "kill {kill}: step {last_saved:?} was saved, {found:?} is left");
        let mut running = Running::start(&mut resume(&run));
        if let Some(found) = found {
            assert_eq!(step_of(&running.wait_for("going on from step")), found);
        }
        // Some saves later, within the time that one step with its save takes.
        running.wait_for(": saved ");
        let began = Instant::now();
        for _ in 0..=draw(2 * kill, 2) {
            running.wait_for(": saved ");
        }
        let span = began.elapsed().as_micros() as u64;
        sleep(Duration::from_micros(draw(2 * kill + 1, span)));
        last_saved = running.kill().iter().filter(|l| l.contains(": saved ")).map(|l| step_of(l)).max();
        let names = fs::read_dir(run.join("checkpoints")).unwrap();
        let hidden = names.flatten().any(|e| e.file_name().to_string_lossy().starts_with('.'));
        cut_in_a_save += u32::from(hidden);
    }
    eprintln!("{cut_in_a_save} of {KILLS} kills fell into a save");
    let end = newest(&run).unwrap() + 1;
    succeed(resume(&run).args(["--steps", &end.to_string()]));
    let whole = folder.path().join("whole");
    succeed(train(&data, &whole, &EVERY_STEP).args(["--steps", &end.to_string()]));
    assert_eq!(checkpoint(&run, end).files, checkpoint(&whole, end).files);
    assert_eq!(rows(&run), rows(&whole));
    let other = folder.path().join("other");
    succeed(train(&data, &other, &EVERY_STEP).args(["--steps", &end.to_string(), "--seed", "1"]));
    assert_ne!(checkpoint(&run, end).files, checkpoint(&other, end).files, "the comparison cannot fail");
    assert_ne!(rows(&run), rows(&other), "the comparison cannot fail");
}

#[test]
fn sigterm_saves_and_says_how_to_go_on() {
    let (_folder, data, run) = place();
    let mut running =
        Running::start(train(&data, &run, &["train.checkpoint_every=5"]).args(["--steps", "100000"]));
    running.wait_for(": saved ");
    let (status, told) = running.terminate();
    assert!(status.success(), "{told:#?}");
    let last = told.last().unwrap();
    assert_eq!(*last, format!("go on with: tandem train --resume {}", run.display()));
    let saved = told.iter().rev().find(|line| line.contains(": saved ")).unwrap();
    assert_eq!(newest(&run), Some(step_of(saved)));
    assert!(
        told.iter().any(|line| line.starts_with(&format!("{}/100000 steps", step_of(saved)))),
        "{told:#?}"
    );
}

#[test]
fn a_full_disk_is_told_and_the_next_save_tries_again() {
    let (_folder, data, run) = place();
    // Files may not grow beyond a few blocks: writes fail as they do on a full disk.
    let inner = train(&data, &run, &["train.checkpoint_every=2"]);
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 24; exec \"$0\" \"$@\""]).arg(inner.get_program());
    command.args(inner.get_args()).args(["--steps", "100000"]);
    let mut running = Running::start(&mut command);
    let told = running.wait_for("training goes on");
    assert!(told.contains("cannot write") && told.contains("safetensors"), "{told}");
    assert_eq!(newest(&run), None);
    assert_eq!(
        fs::read_dir(run.join("checkpoints")).unwrap().count(),
        0,
        "a partial checkpoint takes no room"
    );
    let lifted = Command::new("prlimit")
        .args(["--pid", &running.child.id().to_string(), "--fsize=unlimited:"])
        .status();
    assert!(lifted.unwrap().success());
    running.wait_for("checkpoint: written again");
    running.wait_for(": saved ");
    let (status, told) = running.terminate();
    assert!(status.success(), "{told:#?}");
    assert_eq!(
        told.iter().filter(|line| line.contains("training goes on")).count(),
        1,
        "told once: {told:#?}"
    );
    let step = newest(&run).unwrap();
    let steps: Vec<u64> = rows(&run).iter().map(|row| row.step).collect();
    assert_eq!(steps, (1..=step).collect::<Vec<_>>(), "no row is lost");
}

#[test]
fn a_run_folder_that_vanishes_is_made_anew() {
    let (folder, data, run) = place();
    let mut running =
        Running::start(train(&data, &run, &["train.checkpoint_every=2"]).args(["--steps", "100000"]));
    running.wait_for(": saved ");
    let away = folder.path().join("away");
    fs::rename(&run, &away).unwrap();
    running.wait_for("had vanished and was made anew");
    running.wait_for(": saved ");
    let (status, told) = running.terminate();
    assert!(status.success(), "{told:#?}");
    let step = newest(&run).unwrap();
    assert!(newest(&away).unwrap() < step);
    let end = (step + 1).to_string();
    succeed(resume(&run).args(["--steps", &end]));
    assert_eq!(newest(&run), Some(step + 1));
}
