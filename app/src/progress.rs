//! Standard error for people, standard output for `--json`.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Plain lines come no closer together than this.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// One line on standard error; a closed pipe is nobody's concern.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One line on standard output.
pub fn answer(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Progress of training: a bar on a terminal, a line now and then elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: Option<Instant>,
}

impl Progress {
    /// For a run that has done `step` of `steps`.
    pub fn new(step: u64, steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps).with_position(step);
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, last: None }
    }

    /// Shows where training is.
    pub fn step(&mut self, step: u64, steps: u64, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(text.to_string());
        } else if step == steps || self.last.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) {
            self.last = Some(Instant::now());
            line(&format!("step {step}/{steps}  {text}"));
        }
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| line(text)),
            None => line(text),
        }
    }

    /// Leaves the terminal tidy.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Progress of files that come over the network: a bar on a terminal, a line for each file elsewhere.
pub struct Transfer {
    bar: Option<ProgressBar>,
}

impl Transfer {
    /// Before the first file.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            let template = "{msg} {wide_bar} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    /// A file begins, `have` bytes of it being there.
    pub fn begin(&mut self, path: &str, have: u64, total: Option<u64>) {
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_message(path.to_string());
                bar.set_length(total.unwrap_or(have));
                bar.set_position(have);
                bar.reset_eta();
            }
            None => {
                let size = total.map_or("unknown size".into(), |t| format!("{:.1} MB", t as f64 / 1e6));
                let rest =
                    if have > 0 { format!(", {:.1} MB are there", have as f64 / 1e6) } else { String::new() };
                line(&format!("{path} ({size}{rest})"));
            }
        }
    }

    /// More bytes came.
    pub fn add(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// A file is whole.
    pub fn done(&self, path: &str) {
        self.say(&format!("{path} ✓"));
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| line(text)),
            None => line(text),
        }
    }

    /// Leaves the terminal tidy.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Seconds as "4 m 05 s".
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} m {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} m", s / 3600, s % 3600 / 60),
    }
}
