//! What previews show: a person's own pictures, what the teacher sees, and colours that stay until they
//! are fitted anew, over a stop as well.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

mod tiny;

use std::path::{Path, PathBuf};

use tandem_core::config::Config;
use tandem_core::data::decode::{Rgb, decode_rgb};
use tandem_core::device::DeviceChoice;
use tandem_core::engine::{Command, Engine, Event, Start};
use tandem_core::run::changes::REFIT;
use tandem_core::run::{Change, Checkpoint, Rgb8, RunFolder};
use tandem_core::train::preview::GAP_PX;
use tiny::TINY;

/// Side of a cell: 16 px, enlarged six times.
const CELL: usize = 96;

/// Trains to the end; `heard` may answer each event with commands.
fn run(start: Start, mut heard: impl FnMut(&Event) -> Vec<Command>) -> Vec<Event> {
    let engine = Engine::start(start).unwrap();
    let mut all = Vec::new();
    for event in engine.events.iter() {
        if let Event::Failed(reason) = &event {
            panic!("{reason}");
        }
        heard(&event).into_iter().for_each(|command| engine.commands.send(command).unwrap());
        all.push(event);
    }
    all
}

fn quiet(_: &Event) -> Vec<Command> {
    Vec::new()
}

/// Stops when step `at` is told.
fn stop_at(at: u64) -> impl FnMut(&Event) -> Vec<Command> {
    move |event| match event {
        Event::Step { step, .. } if *step == at => vec![Command::Stop],
        _ => Vec::new(),
    }
}

fn new_run(out: &Path, settings: &[String]) -> Start {
    let own = ["train.steps=8", "preview.every=3"].map(String::from);
    let settings: Vec<String> =
        TINY.iter().map(|s| s.to_string()).chain(own).chain(settings.iter().cloned()).collect();
    let config = Box::new(Config::load("nano", &settings).unwrap());
    Start::New { config, out: Some(out.to_path_buf()), name: "test".into(), device: DeviceChoice::Cpu }
}

fn resumed(run: &Path) -> Start {
    Start::Resume { folder: run.to_path_buf(), steps: None, device: DeviceChoice::Cpu }
}

/// A picture in `folder`: its path as text.
fn picture(folder: &Path, name: &str, colour: [u8; 3]) -> String {
    let path = folder.join(name);
    Rgb8::filled(40, 30, colour).save_png(&path).unwrap();
    path.to_string_lossy().into_owned()
}

fn preview(run: &Path, step: u64) -> Rgb {
    let path = RunFolder::open(run).unwrap().preview_path("reconstructions", step);
    decode_rgb(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// Cells across and down.
fn cells(preview: &Rgb) -> (usize, usize) {
    let pitch = CELL + GAP_PX;
    ((preview.width - GAP_PX) / pitch, (preview.height - GAP_PX) / pitch)
}

/// Pixels of a row of cells.
fn row(preview: &Rgb, index: usize) -> &[u8] {
    let line = 3 * preview.width;
    let first = GAP_PX + index * (CELL + GAP_PX);
    &preview.pixels[first * line..(first + CELL) * line]
}

fn basis(run: &Path, step: u64) -> (serde_json::Value, serde_json::Value) {
    let path = run.join(format!("checkpoints/step-{step:08}"));
    let state = Checkpoint::load(&path).unwrap().state;
    (state["run"]["basis"].clone(), state["run"]["teacher_basis"].clone())
}

#[test]
fn own_pictures_stay_with_the_run_when_their_files_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let own =
        [picture(folder.path(), "a.png", [250, 10, 10]), picture(folder.path(), "b.png", [10, 10, 250])];
    // As typed on the command line.
    let setting = [format!("preview.images={},{}", own[0], own[1])];
    run(new_run(&at("whole"), &setting), quiet);
    run(new_run(&at("stopped"), &setting), stop_at(3));
    own.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let told = run(resumed(&at("stopped")), quiet);
    assert!(!told.iter().any(|event| matches!(event, Event::Warning(_))), "{told:#?}");
    for step in [3, 6, 8] {
        assert_eq!(preview(&at("stopped"), step), preview(&at("whole"), step), "step {step}");
    }
    let shown = preview(&at("whole"), 8);
    assert_eq!(cells(&shown), (3, 4), "one held-out picture and two of our own; with a teacher four rows");
    let pixel = 3 * (GAP_PX * shown.width + GAP_PX + CELL + GAP_PX + CELL / 2);
    assert_eq!(shown.pixels[pixel..pixel + 3], [250, 10, 10]);
    run(new_run(&at("without"), &[]), quiet);
    assert_eq!(cells(&preview(&at("without"), 8)), (1, 4), "the comparison cannot fail");

    // Without copies and files they are missed in a line each, and the run goes on.
    std::fs::remove_dir_all(at("whole/pinned")).unwrap();
    let more = Start::Resume { folder: at("whole"), steps: Some(9), device: DeviceChoice::Cpu };
    let lost = run(more, quiet).into_iter().filter_map(|event| match event {
        Event::Warning(text) => Some(text),
        _ => None,
    });
    let lost: Vec<_> = lost.collect();
    assert!(lost.len() == 2 && lost[0].contains("a.png") && !lost[0].contains('\n'), "{lost:?}");
}

#[test]
fn a_broken_picture_stops_a_new_run_with_one_line_and_costs_a_running_one_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let broken = at("broken.png");
    std::fs::write(&broken, "no picture").unwrap();
    let start = new_run(&at("never"), &[format!("preview.images={}", broken.display())]);
    let engine = Engine::start(start).unwrap();
    let told: Vec<_> = engine.events.iter().collect();
    assert!(
        matches!(told.as_slice(), [Event::Failed(line)] if line.contains("broken.png") && !line.contains('\n')),
        "{told:?}"
    );
    assert!(!at("never").exists(), "a run that cannot start leaves nothing");

    let good: PathBuf = picture(folder.path(), "good.png", [1, 200, 1]).into();
    let mut asked = false;
    let told = run(new_run(&at("run"), &[]), |event| match event {
        Event::Step { step: 1, .. } if !std::mem::replace(&mut asked, true) => {
            vec![Command::Pin(vec![broken.clone(), good.clone()])]
        }
        _ => Vec::new(),
    });
    let warnings = told.iter().filter(|event| matches!(event, Event::Warning(_))).count();
    assert_eq!(warnings, 1, "{told:#?}");
    let changed = told.iter().find_map(|event| match event {
        Event::Changed { config, .. } => Some(config.preview.images.clone()),
        _ => None,
    });
    assert_eq!(changed.unwrap(), [good.to_string_lossy()]);
    assert_eq!(cells(&preview(&at("run"), 8)).0, 2);
    let noted = Change::read(&at("run/changes.jsonl")).unwrap();
    assert!(noted.len() == 1 && noted[0].setting.contains("good.png"), "{noted:?}");
}

#[test]
fn without_a_teacher_there_is_no_row_of_it_and_with_one_its_colours_never_change() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(new_run(&at("vae"), &["method=vae".into()]), quiet);
    assert_eq!(cells(&preview(&at("vae"), 8)), (1, 3));
    run(new_run(&at("both"), &[]), quiet);
    let (early, late) = (preview(&at("both"), 3), preview(&at("both"), 8));
    assert_eq!(cells(&early), (1, 4));
    assert_eq!(row(&early, 3), row(&late, 3), "a frozen teacher in a kept basis");
    assert_ne!(row(&early, 2), row(&late, 2), "latents change: the comparison cannot fail");
    let mut colours: Vec<_> = row(&late, 3).chunks_exact(3).collect();
    colours.sort_unstable();
    colours.dedup();
    assert!(colours.len() > 8, "the map shows something: {}", colours.len());
}

#[test]
fn refitted_colours_are_noted_and_outlive_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    let (mut asked, mut before, mut refitted) = (false, None, 0);
    let told = run(new_run(&at, &["train.steps=60".into()]), |event| match event {
        // The first preview has fitted the first basis; it is saved, then replaced.
        Event::Step { step, .. } if *step >= 5 && !std::mem::replace(&mut asked, true) => {
            vec![Command::Save, Command::Refit]
        }
        Event::Saved { step, .. } if before.is_none() => {
            before = Some(basis(&at, *step));
            Vec::new()
        }
        Event::Refit { step } => {
            refitted = *step;
            vec![Command::Stop]
        }
        _ => Vec::new(),
    });
    let stopped = told.iter().find_map(|event| match event {
        Event::Finished { step, .. } => Some(*step),
        _ => None,
    });
    let stopped = stopped.unwrap();
    assert!((5..60).contains(&refitted) && stopped < 60, "refitted at {refitted}, stopped at {stopped}");
    let noted = Change::read(&at.join("changes.jsonl")).unwrap();
    assert_eq!(noted, [Change { step: refitted, setting: REFIT.into() }]);
    let (before, after) = (before.unwrap(), basis(&at, stopped));
    assert_ne!(before.0, after.0, "other latents, another basis");
    assert_eq!(before.1, after.1, "the teacher sees the same");
    assert!(after.0.is_object() && after.1.is_object());
    run(resumed(&at), quiet);
    assert_eq!(basis(&at, 60), after, "a run that goes on keeps its colours");
    assert_eq!(Change::read(&at.join("changes.jsonl")).unwrap().len(), 1);
}
