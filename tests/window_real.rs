//! The program's own window on a virtual display, with nobody touching it: what it takes of a core when
//! nothing happens, and what it costs training, against runs without a window in turn. Linux, with Xvfb
//! and xdotool: `cargo test … --test window_real -- --ignored --nocapture --test-threads 1`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egui::{Pos2, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use tandem_core::run::metrics;
use tandem_window::app::App;
use tandem_window::state::AppState;

/// Steps of a part, and those at its start that do not count: features of the teacher are computed.
const STEPS: u64 = 46;
const FIRST: u64 = 8;

/// A program that ends with its owner.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A virtual display: its server and its name.
fn display() -> (Guard, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "1440x900x24", "-nolisten", "tcp"]);
    let mut server =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("Xvfb is not installed");
    let mut number = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
    (Guard(server), format!(":{}", number.trim()))
}

fn program(folder: &Path, display: &str, args: &[&str]) -> Guard {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(args).current_dir(folder).env("HOME", folder).env("DISPLAY", display);
    command.env_remove("WAYLAND_DISPLAY").env_remove("XDG_DATA_HOME");
    Guard(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Seconds of processor time that a process took so far.
fn processor_s(process: &Guard) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.0.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    // User and system time, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

/// Where the big button is.
fn big_button() -> Pos2 {
    let mut window = Harness::builder().with_size(Vec2::new(1280.0, 820.0)).build_eframe(|cc| {
        App::still(AppState { cards: Some(Vec::new()), ..AppState::default() }, cc.egui_ctx.clone())
    });
    window.run();
    window.get_by_label("Train on the embedded pictures").rect().center()
}

fn click(display: &str, at: Pos2) {
    let (x, y) = (at.x.to_string(), at.y.to_string());
    let args = ["mousemove", &x, &y, "sleep", "0.3", "click", "1", "mousemove", "1430", "890"];
    let done = Command::new("xdotool").args(args).env("DISPLAY", display).status();
    assert!(done.expect("xdotool is not installed").success());
}

/// Waits until the run in `folder` has done `STEPS` steps; the seconds of each that counts.
fn steps(folder: &Path) -> Vec<f64> {
    let log = folder.join("metrics.jsonl");
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(240), "no {STEPS} steps in {}", folder.display());
        sleep(Duration::from_millis(300));
        let rows = if log.exists() { metrics::read(&log).unwrap() } else { Vec::new() };
        if rows.last().is_some_and(|row| row.step >= STEPS) {
            let counted = rows.iter().filter(|row| (FIRST..=STEPS).contains(&row.step));
            let walls: Vec<f64> = counted.map(|row| row.wall_s).collect();
            return walls.windows(2).map(|pair| pair[1] - pair[0]).filter(|span| *span > 0.0).collect();
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "needs Xvfb, and half a minute alone"]
fn an_idle_window_takes_less_than_three_hundredths_of_a_core() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, display) = display();
    let window = program(folder.path(), &display, &[]);
    sleep(Duration::from_secs(6));
    let (before, began) = (processor_s(&window), Instant::now());
    sleep(Duration::from_secs(20));
    let share = (processor_s(&window) - before) / began.elapsed().as_secs_f64();
    println!("an idle window takes {:.2} % of a core", 100.0 * share);
    assert!(share < 0.03, "{share}");
}

#[test]
#[ignore = "needs Xvfb and xdotool, and some minutes alone"]
fn a_window_that_nobody_touches_costs_training_less_than_a_tenth() {
    let button = big_button();
    let (mut alone, mut shown) = (Vec::new(), Vec::new());
    for turn in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let (_server, display) = display();
        let headless = program(folder.path(), &display, &["train", "--out", "alone"]);
        alone.extend(steps(&folder.path().join("alone")));
        drop(headless);
        let window = program(folder.path(), &display, &[]);
        sleep(Duration::from_secs(5));
        click(&display, button);
        shown.extend(steps(&folder.path().join("runs/nano-001")));
        drop(window);
        println!("turn {turn}: {:.3} s alone, {:.3} s with a window", median(&mut alone), median(&mut shown));
    }
    let cost = median(&mut shown) / median(&mut alone) - 1.0;
    println!("a window that nobody touches costs {:+.1} % of a step", 100.0 * cost);
    assert!(cost < 0.1, "{cost}");
}
