//! How quickly the window answers and what it costs, with the real application drawing on a software
//! adapter while nano trains on the same cores. Figures are printed; the bounds are those of the design
//! with `TANDEM_STRICT=1` on a quiet machine, and four times as wide beside other work.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod tiny;

use std::sync::{Arc, Once};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egui::{Pos2, Vec2, ViewportId};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use tandem_core::config::Config;
use tandem_core::device::{self, DeviceChoice};
use tandem_core::engine::{Command, Engine, Event, Start};
use tandem_window::app::App;
use tandem_window::state::Status;
use tiny::TINY;

type Window = Harness<'static, App>;

/// From input to paint, 95th percentile.
const ANSWER: Duration = Duration::from_millis(250);
/// What a window that nobody touches may cost a step.
const COST: f64 = 0.10;
/// Something hangs when it takes longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// How much wider than the design the bounds are.
fn slack() -> f64 {
    if std::env::var("TANDEM_STRICT").is_ok_and(|v| v == "1") { 1.0 } else { 4.0 }
}

/// Lets training yield to the window, as the program does before it opens one; tests share a process.
fn stand_back() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| device::stand_back().unwrap());
}

/// Niceness of this process's threads, by name.
#[cfg(target_os = "linux")]
fn niceness() -> Vec<(String, i32)> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let nice = |stat: String| {
        let (head, rest) = stat.rsplit_once(") ").unwrap();
        let name = head.split_once('(').unwrap().1.to_string();
        (name, rest.split_whitespace().nth(16).unwrap().parse().unwrap())
    };
    stats.map(nice).collect()
}

/// The engine and the CPU device's threads yield; nothing else does.
#[cfg(target_os = "linux")]
fn only_what_computes_stands_back() {
    let threads = niceness();
    let of = |name: &str| threads.iter().find(|(n, _)| n == name).map(|(_, nice)| *nice);
    let usual = of("tandem-link").unwrap();
    assert_eq!(of("tandem-pictures"), Some(usual), "{threads:?}");
    assert_eq!(of("tandem-engine"), Some(usual + 5), "{threads:?}");
    let yielding = threads.iter().filter(|(_, nice)| *nice == usual + 5).count();
    assert!(yielding > device::threads(), "{threads:?}");
}

/// Lets the window draw until `done`, as often as it likes.
fn until(window: &mut Window, what: &str, done: impl Fn(&App) -> bool) {
    let began = Instant::now();
    while !done(window.state()) {
        assert!(began.elapsed() < PATIENCE, "not {what} in {PATIENCE:?}: {:?}", window.state().state().live);
        sleep(Duration::from_millis(20));
        window.step();
    }
}

/// Whether the window wants to be drawn within `pause`.
fn wants_paint(window: &Window, pause: Duration) -> bool {
    window.output().viewport_output[&ViewportId::ROOT].repaint_delay <= pause
}

#[test]
fn the_window_answers_quickly_and_costs_training_little() {
    if std::env::var("TANDEM_NO_GPU").is_ok_and(|v| v == "1") {
        return eprintln!("TANDEM_NO_GPU=1: drawing is not measured");
    }
    stand_back();
    let folder = tempfile::tempdir().unwrap();
    // New runs go below the working directory.
    std::env::set_current_dir(folder.path()).unwrap();
    let mut window: Window = Harness::builder()
        .with_size(Vec2::new(1280.0, 820.0))
        .with_max_steps(4)
        .wgpu()
        .build_eframe(|cc| App::new(cc, Arc::default()).unwrap());
    window.step();
    window.get_by_label("Train on the embedded pictures").click();
    until(&mut window, "training", |app| app.state().live.step >= 3);

    #[cfg(target_os = "linux")]
    only_what_computes_stands_back();

    let mut answers = answers(&mut window);
    answers.sort();
    let (median, p95) = (answers[answers.len() / 2], answers[answers.len() * 95 / 100]);
    println!("from input to paint while nano trains: median {median:.1?}, 95th percentile {p95:.1?}");
    assert!(p95 < ANSWER.mul_f64(slack()), "{p95:?}");

    let (mut alone, mut shown) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        alone.extend(steps(&mut window, false));
        shown.extend(steps(&mut window, true));
    }
    let (alone_s, shown_s) = (median_of(&mut alone), median_of(&mut shown));
    let cost = shown_s / alone_s - 1.0;
    println!(
        "a step takes {alone_s:.3} s without a window ({} steps), {shown_s:.3} s with one that nobody touches \
         ({} steps): {:+.1} %",
        alone.len(),
        shown.len(),
        100.0 * cost
    );
    assert!(cost < COST * slack(), "{cost}");

    window.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num2);
    window.step();
    window.get_by_label("Pause").click();
    window.step();
    window.step();
    let (told, began) = (window.state().state().live.step, Instant::now());
    until(&mut window, "paused", |app| app.state().live.status == Status::Paused);
    let later = window.state().state().live.step - told;
    println!("paused {later} steps and {:.0?} after the click", began.elapsed());
    assert!(later <= 1, "a pause acts within a step");
    sleep(Duration::from_millis(600));
    window.step();
    window.step();
    assert!(!wants_paint(&window, Duration::from_secs(60)), "a window that holds asks for no frame");

    window.get_by_label("Stop").click();
    until(&mut window, "stopped", |app| app.state().live.status == Status::Finished);
    // What is left of the engine lets go of the folder.
    sleep(Duration::from_millis(500));
    std::env::set_current_dir("/").unwrap();
}

/// Times from input to the picture of it: the pointer moves over each panel.
fn answers(window: &mut Window) -> Vec<Duration> {
    use egui::Key::{Num2, Num3, Num4, Num5, Num6};
    let mut times = Vec::new();
    for key in [Num2, Num3, Num4, Num5, Num6] {
        window.key_press_modifiers(egui::Modifiers::COMMAND, key);
        window.step();
        window.step();
        window.render().unwrap();
        for k in 0..20 {
            sleep(Duration::from_millis(60));
            let began = Instant::now();
            window.hover_at(Pos2::new(240.0 + 45.0 * k as f32, 160.0 + 25.0 * k as f32));
            window.step();
            window.render().unwrap();
            times.push(began.elapsed());
        }
    }
    times
}

/// Durations of the steps of nine seconds, or of four steps where the machine is slow, in which the window is drawn when it asks for it, or never.
fn steps(window: &mut Window, drawn: bool) -> Vec<f64> {
    window.step();
    let first = window.state().state().live.step;
    let began = Instant::now();
    let mut next = Instant::now();
    let few = |window: &mut Window| {
        window.step();
        window.state().state().live.step < first + 4 && began.elapsed() < PATIENCE
    };
    while began.elapsed() < Duration::from_secs(9) || few(window) {
        sleep(Duration::from_millis(20));
        // Facts of the engine wake a window twice a second (`engine_link`).
        if drawn && Instant::now() >= next {
            window.step();
            window.render().unwrap();
            next = Instant::now() + Duration::from_millis(500);
        }
    }
    window.step();
    let run = window.state().state().run().unwrap();
    let rows = run.history.rows.iter().filter(|row| row.step > first);
    let walls: Vec<f64> = rows.map(|row| row.wall_s).collect();
    walls.windows(2).map(|pair| pair[1] - pair[0]).filter(|span| *span > 0.0).collect()
}

fn median_of(values: &mut [f64]) -> f64 {
    assert!(values.len() > 4, "too few steps: {values:?}");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn an_engine_that_is_told_to_pause_does_one_more_step_at_most() {
    stand_back();
    let folder = tempfile::tempdir().unwrap();
    let settings: Vec<String> =
        TINY.iter().map(|s| s.to_string()).chain(["train.steps=100000".into()]).collect();
    let engine = Engine::start(Start::New {
        config: Box::new(Config::load("nano", &settings).unwrap()),
        out: Some(folder.path().join("run")),
        name: "test".into(),
        device: DeviceChoice::Cpu,
    })
    .unwrap();
    let is_step = |event: &Event| match event {
        Event::Failed(reason) => panic!("{reason}"),
        event => matches!(event, Event::Step { .. }),
    };
    for turn in 0..20 {
        // Everything that was told so far is heard before.
        while !is_step(&engine.events.recv().unwrap()) {}
        engine.events.try_iter().for_each(drop);
        engine.commands.send(Command::Pause).unwrap();
        let more = engine.events.iter().take_while(|event| *event != Event::Paused).filter(is_step).count();
        // One that was under way, and one that ended between hearing and telling.
        assert!(more <= 2, "turn {turn}: {more} steps after the command");
        engine.commands.send(Command::Resume).unwrap();
    }
    engine.commands.send(Command::Stop).unwrap();
    engine.events.iter().for_each(drop);
}
