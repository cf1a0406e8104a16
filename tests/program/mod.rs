//! What tests of the whole program share: the smallest run there is, pictures for it, and the program
//! itself with its lines as they come.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};

#[path = "../tiny.rs"]
mod tiny;
pub use tiny::TINY;

/// A step or a start takes longer than this only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, told to do `args`.
pub fn tandem(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(args).stdin(Stdio::null());
    command
}

/// `tandem train` of the smallest run, on the CPU, on `data`, in `out`, with more settings.
pub fn train(data: &Path, out: &Path, settings: &[&str]) -> Command {
    let mut command = tandem(["train", "--device", "cpu"]);
    command.arg("--data").arg(data).arg("--out").arg(out);
    for setting in TINY.iter().chain(settings) {
        command.args(["--set", setting]);
    }
    command
}

/// `tandem train --resume`, on the CPU.
pub fn resume(run: &Path) -> Command {
    let mut command = tandem(["train", "--device", "cpu", "--resume"]);
    command.arg(run);
    command
}

/// Writes `count` small pictures of two classes into `folder`.
pub fn pictures(folder: &Path, count: u8) {
    for i in 0..count {
        let class = folder.join(["a", "b"][usize::from(i % 2)]);
        std::fs::create_dir_all(&class).unwrap();
        let shade = |x: u32, y: u32| Rgb([i * 20, (x * 15) as u8, (y * 15) as u8]);
        RgbImage::from_fn(16, 16, shade).save(class.join(format!("{i}.png"))).unwrap();
    }
}

/// Runs to the end, which must be a good one.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    output
}

/// Runs to a failure and gives its one line on standard error; standard output must be empty.
pub fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{command:?} succeeded: {told}");
    assert!(output.status.code().is_some(), "{command:?} was killed: {told}");
    assert!(output.stdout.is_empty(), "{command:?} answered a failure");
    let lines: Vec<_> = told.lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{command:?} told:\n{told}");
    lines[0].to_string()
}

/// A program that is running, and its lines on standard error.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
    /// Every line so far.
    pub told: Vec<String>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines, told: Vec::new() }
    }

    /// The next line that holds `text`; panics when the program ends or a minute passes without it.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.told.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {text:?} in a minute: {:#?}", self.told),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {text:?}: {:#?}", self.told),
            }
        }
    }

    /// SIGKILL, and all that was told until then.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.all_told()
    }

    /// SIGTERM; the program's end and all that it told.
    pub fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        let status = self.child.wait().unwrap();
        (status, self.all_told())
    }

    fn all_told(&mut self) -> Vec<String> {
        let mut told = std::mem::take(&mut self.told);
        told.extend(self.lines.iter());
        told
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves no program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
