//! `metrics.jsonl`: one JSON object a line, `{"step":…,"wall_s":…,"images":…,NAME:VALUE,…}`.
//!
//! The file is opened for each append: a folder that vanished for a while (a network disk) or a full
//! disk makes the append fail, the rows stay in memory, and the next append writes them all. On
//! resume the lines after the checkpoint's step go, and so does a line that a crash tore.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::disk::write_atomically;
use crate::error::{Error, Result};

/// Rows kept in memory while the disk refuses; older ones then go.
const MAX_WAITING_ROWS: usize = 10_000;

/// The name of the memory that the process held, in MiB.
pub const MEMORY: &str = "memory_mib";

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Training steps done.
    pub step: u64,
    /// Seconds of training so far, resumed parts included.
    pub wall_s: f64,
    /// Images seen so far.
    pub images: u64,
    /// Everything else by name; not finite is written as `null` and read back as NaN.
    pub values: BTreeMap<String, f64>,
}

impl Row {
    /// The row without what the machine says of itself, clock and memory: a repeated run repeats the rest.
    pub fn repeatable(mut self) -> Self {
        self.values.remove(MEMORY);
        Self { wall_s: 0.0, ..self }
    }
}

/// Appends rows to a run's `metrics.jsonl` and never loses one to a passing fault.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    /// Lines that are not on disk yet, oldest first.
    waiting: VecDeque<String>,
    dropped_rows: u64,
    /// Set after a failed write: how long the file was when it last ended with a whole line.
    good_bytes: Option<u64>,
}

impl MetricsLog {
    /// A log at `path`, which is made with the first append; existing rows stay.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), waiting: VecDeque::new(), dropped_rows: 0, good_bytes: None }
    }

    /// A log that goes on: rows that are not kept and torn lines are cut from the file first.
    ///
    /// # Errors
    /// When the file cannot be read or rewritten.
    pub fn resume(path: &Path, is_kept: impl Fn(&Row) -> bool) -> Result<Self> {
        if path.exists() {
            let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
            let mut kept = Vec::with_capacity(bytes.len());
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let is_whole = line.ends_with(b"\n");
                if is_whole && parse_line(line).is_some_and(|row| is_kept(&row)) {
                    kept.extend_from_slice(line);
                }
            }
            if kept.len() != bytes.len() {
                write_atomically(path, &kept)?;
            }
        }
        Ok(Self::new(path))
    }

    /// Appends a row, and any that could not be written before.
    ///
    /// # Errors
    /// When the disk refuses. The row is not lost: it waits, with up to 10 000 others.
    pub fn append(&mut self, row: &Row) -> Result<()> {
        self.waiting.push_back(line_from_row(row));
        if self.waiting.len() > MAX_WAITING_ROWS {
            self.waiting.pop_front();
            self.dropped_rows += 1;
        }
        self.flush()
    }

    /// Writes the rows that wait, if there are any.
    ///
    /// # Errors
    /// As [`MetricsLog::append`].
    pub fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let text: String = self.waiting.iter().map(String::as_str).collect();
        let mut before = self.good_bytes;
        let written = write_at_end(&self.path, &text, &mut before);
        match written {
            Ok(()) => {
                self.waiting.clear();
                self.good_bytes = None;
                Ok(())
            }
            Err(e) => {
                self.good_bytes = before;
                Err(Error::io("append to", &self.path, e))
            }
        }
    }

    /// Makes the rows so far durable.
    ///
    /// # Errors
    /// When the disk refuses, or rows still wait; no rows at all are no error.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        match File::options().append(true).open(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            opened => opened.and_then(|file| file.sync_all()).map_err(|e| Error::io("sync", &self.path, e)),
        }
    }

    /// Rows that are not on disk yet.
    pub fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Rows that were given up because too many waited.
    pub fn num_dropped(&self) -> u64 {
        self.dropped_rows
    }
}

/// Appends `text`; `good_bytes` is the length to cut back to first, and is set to the length before.
fn write_at_end(path: &Path, text: &str, good_bytes: &mut Option<u64>) -> std::io::Result<()> {
    let mut file = File::options().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let good = good_bytes.map_or(length, |good| good.min(length));
    *good_bytes = Some(good);
    if good < length {
        file.set_len(good)?;
    }
    file.write_all(text.as_bytes())
}

/// The chart that a metric belongs to.
pub fn group(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("grad_norm") => "Gradient norms",
        _ if name.starts_with("update_ratio") => "Update over weight",
        "latent_effective_rank" => "Effective rank",
        _ if name.starts_with("latent_") => "Latent structure",
        MEMORY => "Memory",
        "denoising_loss" | "sit_loss" => "Transformer",
        _ if name.contains("align") => "Alignment",
        _ if name.starts_with("logits") || name == "discriminator_loss" || name == "adversarial_loss" => {
            "Discriminator"
        }
        "kl_loss" => "KL",
        "psnr_held_out" | "eval_psnr" => "Held-out PSNR",
        "eval_ssim" | "eval_lpips" => "Held-out SSIM and LPIPS",
        "eval_effective_rank" => "Effective rank",
        _ if name.starts_with("eval_") => "Latent structure",
        _ => "Reconstruction",
    }
}

/// All rows of a log; a last line torn by a crash is passed over.
///
/// # Errors
/// [`Error::File`] naming the line that is not a row; [`Error::Io`] when the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let mut rows = Vec::new();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match parse_line(line) {
            Some(row) => rows.push(row),
            None if !line.ends_with(b"\n") => {}
            None => return Err(Error::file(path, format!("line {} is not a row of metrics", index + 1))),
        }
    }
    Ok(rows)
}

fn line_from_row(row: &Row) -> String {
    let mut line =
        format!(r#"{{"step":{},"wall_s":{},"images":{}"#, row.step, Value::from(row.wall_s), row.images);
    for (name, value) in &row.values {
        // A value that is not finite becomes null.
        line.push_str(&format!(",{}:{}", Value::from(name.as_str()), Value::from(*value)));
    }
    line.push_str("}\n");
    line
}

fn parse_line(line: &[u8]) -> Option<Row> {
    let mut object: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let step = object.remove("step")?.as_u64()?;
    let wall_s = number(&object.remove("wall_s")?)?;
    let images = object.remove("images")?.as_u64()?;
    let values =
        object.into_iter().map(|(name, value)| Some((name, number(&value)?))).collect::<Option<_>>()?;
    Some(Row { step, wall_s, images, values })
}

/// A JSON number, or NaN for null.
fn number(value: &Value) -> Option<f64> {
    if value.is_null() { Some(f64::NAN) } else { value.as_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64) -> Row {
        let values = BTreeMap::from([("loss".to_string(), 1.0 / step as f64), ("a \"b\"".to_string(), 0.5)]);
        Row { step, wall_s: step as f64 * 0.25, images: step * 32, values }
    }

    fn log_of(path: &Path, steps: impl Iterator<Item = u64>) {
        let mut log = MetricsLog::new(path);
        steps.for_each(|step| log.append(&row(step)).unwrap());
    }

    #[test]
    fn rows_come_back_and_lines_start_with_the_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        log_of(&path, 1..=3);
        assert_eq!(read(&path).unwrap(), [row(1), row(2), row(3)]);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(r#"{"step":1,"wall_s":0.25,"images":32,"a \"b\"":0.5,"loss":1.0}"#),
            "{text}"
        );
    }

    #[test]
    fn values_that_are_not_finite_are_null() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        let values = BTreeMap::from([("nan".into(), f64::NAN), ("inf".into(), f64::INFINITY)]);
        MetricsLog::new(&path).append(&Row { values, ..Row::default() }).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains(r#""inf":null,"nan":null"#));
        assert!(read(&path).unwrap()[0].values["inf"].is_nan());
    }

    #[test]
    fn a_resumed_log_equals_an_uninterrupted_one() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        log_of(&one, 1..=10);
        log_of(&two, 1..=7);
        let mut torn = fs::read(&two).unwrap();
        torn.extend_from_slice(br#"{"step":8,"wall_"#);
        fs::write(&two, torn).unwrap();
        assert_eq!(read(&two).unwrap().len(), 7);
        let mut log = MetricsLog::resume(&two, |row| row.step <= 5).unwrap();
        assert_eq!(read(&two).unwrap().len(), 5);
        (6..=10).for_each(|step| log.append(&row(step)).unwrap());
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    }

    #[test]
    fn a_whole_last_line_without_its_newline_counts_as_torn_when_resuming() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        fs::write(&path, r#"{"step":1,"wall_s":0,"images":0}"#).unwrap();
        let mut log = MetricsLog::resume(&path, |_| true).unwrap();
        log.append(&row(2)).unwrap();
        assert_eq!(read(&path).unwrap(), [row(2)]);
    }

    #[test]
    fn a_vanished_folder_loses_no_row() {
        let dir = tempfile::tempdir().unwrap();
        let (here, away) = (dir.path().join("run"), dir.path().join("away"));
        fs::create_dir(&here).unwrap();
        let path = here.join("m");
        let mut log = MetricsLog::new(&path);
        log.append(&row(1)).unwrap();
        fs::rename(&here, &away).unwrap();
        assert!(log.append(&row(2)).is_err());
        assert!(log.append(&row(3)).is_err());
        assert_eq!(log.num_waiting(), 2);
        fs::rename(&away, &here).unwrap();
        log.append(&row(4)).unwrap();
        assert_eq!(read(&path).unwrap(), [row(1), row(2), row(3), row(4)]);
        assert_eq!(log.num_waiting(), 0);
    }

    #[test]
    fn half_a_write_is_cut_off_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        log_of(&path, 1..=1);
        let good = fs::metadata(&path).unwrap().len();
        let mut log = MetricsLog::new(&path);
        // As after a disk that filled up within a row.
        File::options().append(true).open(&path).unwrap().write_all(b"{\"st").unwrap();
        log.good_bytes = Some(good);
        log.append(&row(2)).unwrap();
        assert_eq!(read(&path).unwrap(), [row(1), row(2)]);
    }

    #[test]
    fn waiting_rows_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = MetricsLog::new(&dir.path().join("no/m"));
        for step in 1..=MAX_WAITING_ROWS as u64 + 3 {
            if step <= MAX_WAITING_ROWS as u64 {
                log.waiting.push_back(line_from_row(&row(step)));
            } else {
                assert!(log.append(&row(step)).is_err());
            }
        }
        assert!(log.num_waiting() <= MAX_WAITING_ROWS + 1 && log.num_dropped() > 0);
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        fs::write(&path, "{\"step\":1,\"wall_s\":0,\"images\":0}\nrubbish\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 2"));
        assert_eq!(MetricsLog::resume(&path, |_| true).unwrap().num_waiting(), 0);
        assert_eq!(read(&path).unwrap().len(), 1);
    }
}
