//! The program's own window on a virtual display: what it takes of a core when nothing happens, what it
//! costs training when nobody touches it, against runs without a window in turn, and how soon the screen
//! answers a pointer while nano trains. Linux, with Xvfb and xdotool: `cargo test … --test window_real -- --ignored --nocapture --test-threads 1`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

#[path = "support/still.rs"]
mod still;
#[path = "support/window.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui::{Pos2, Rect, Vec2};
use egui_kittest::kittest::Queryable;
use still::{Window, window_of};
use tandem_core::run::{Row, metrics};
use tandem_window::prefs::Tab;
use tandem_window::state::AppState;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, ImageFormat};
use x11rb::rust_connection::RustConnection;

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

/// A window of the program's size.
fn still(state: AppState) -> Window {
    window_of(state, false, Vec2::new(1280.0, 820.0), 1.0)
}

/// Where the big button is.
fn big_button() -> Pos2 {
    still(support::empty()).get_by_label("Train on the embedded pictures").rect().center()
}

/// Where the button is that makes previews.
fn preview_button() -> Pos2 {
    still(support::running(3)).get_by_label("Preview now").rect().center()
}

/// Where a panel's name is in the navigation.
fn name_of(tab: Tab) -> Rect {
    still(support::empty()).get_by_role_and_label(Role::Tab, tab.name()).rect()
}

/// A hand on the pointer and an eye on the screen.
struct Person {
    connection: RustConnection,
    root: u32,
}

impl Person {
    fn at(display: &str) -> Self {
        let (connection, screen) = RustConnection::connect(Some(display)).unwrap();
        let root = connection.setup().roots[screen].root;
        Self { connection, root }
    }

    fn points_at(&self, at: Pos2) {
        let (x, y) = (at.x as i16, at.y as i16);
        self.connection.warp_pointer(x11rb::NONE, self.root, 0, 0, 0, 0, x, y).unwrap();
        self.connection.flush().unwrap();
    }

    fn sees(&self, at: Pos2) -> Vec<u8> {
        let (x, y) = (at.x as i16, at.y as i16);
        let image = self.connection.get_image(ImageFormat::Z_PIXMAP, self.root, x, y, 1, 1, !0).unwrap();
        image.reply().unwrap().data
    }

    /// From pointing at a name to seeing it lit.
    fn waits_for(&self, name: Rect) -> Duration {
        // Beside the letters.
        let place = name.right_top() + Vec2::new(-16.0, 5.0);
        let (before, began) = (self.sees(place), Instant::now());
        self.points_at(name.center());
        while self.sees(place) == before {
            assert!(began.elapsed() < Duration::from_secs(10), "nothing lights up at {place:?}");
            sleep(Duration::from_millis(1));
        }
        began.elapsed()
    }
}

fn click(display: &str, at: Pos2) {
    let (x, y) = (at.x.to_string(), at.y.to_string());
    let args = ["mousemove", &x, &y, "sleep", "0.3", "click", "1", "mousemove", "1430", "890"];
    let done = Command::new("xdotool").args(args).env("DISPLAY", display).status();
    assert!(done.expect("xdotool is not installed").success());
}

/// Waits until the run in `folder` has come to step `last`; what it noted.
fn wait_for(folder: &Path, last: u64) -> Vec<Row> {
    let log = folder.join("metrics.jsonl");
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(240), "no {last} steps in {}", folder.display());
        sleep(Duration::from_millis(300));
        let rows = if log.exists() { metrics::read(&log).unwrap() } else { Vec::new() };
        if rows.last().is_some_and(|row| row.step >= last) {
            return rows;
        }
    }
}

/// The seconds of each step of the run in `folder` that counts.
fn steps(folder: &Path) -> Vec<f64> {
    let rows = wait_for(folder, STEPS);
    let counted = rows.iter().filter(|row| (FIRST..=STEPS).contains(&row.step));
    let walls: Vec<f64> = counted.map(|row| row.wall_s).collect();
    walls.windows(2).map(|pair| pair[1] - pair[0]).filter(|span| *span > 0.0).collect()
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

#[test]
#[ignore = "needs Xvfb and xdotool, and two minutes alone"]
fn the_screen_answers_the_pointer_within_a_quarter_of_a_second_while_nano_trains() {
    let (button, previews, far) = (big_button(), preview_button(), name_of(Tab::Start));
    let folder = tempfile::tempdir().unwrap();
    let (_server, display) = display();
    let window = program(folder.path(), &display, &[]);
    sleep(Duration::from_secs(5));
    click(&display, button);
    let run = folder.path().join("runs/nano-001");
    wait_for(&run, FIRST);
    // Every panel gets something to draw.
    click(&display, previews);
    wait_for(&run, FIRST + 2);
    let person = Person::at(&display);
    let mut all = Vec::new();
    for tab in [Tab::Training, Tab::Curves, Tab::Reconstructions, Tab::Samples, Tab::Explorer, Tab::Health] {
        click(&display, name_of(tab).center());
        sleep(Duration::from_secs(2));
        let names = [far, name_of(Tab::Settings)];
        let mut times: Vec<Duration> = Vec::new();
        for turn in 0..30 {
            times.push(person.waits_for(names[turn % 2]));
            // Not in step with anything.
            sleep(Duration::from_millis(60 + 37 * turn as u64 % 150));
        }
        times.sort();
        println!("{}: median {:.0?}, 95th percentile {:.0?}", tab.name(), times[15], times[28]);
        all.extend(times);
    }
    drop(window);
    all.sort();
    let (median, p95) = (all[all.len() / 2], all[all.len() * 95 / 100]);
    println!("from pointing to seeing while nano trains: median {median:.0?}, 95th percentile {p95:.0?}");
    assert!(p95 < Duration::from_millis(250), "{p95:?}");
}
