//! What a session leaves in its run folder while it trains.
//!
//! A disk that is full or a folder that vanished never stops training: the trouble is told once,
//! rows of metrics wait in memory, and every save tries again, in a new folder if need be.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use super::message::Event;
use super::report;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::{
    Change, Checkpoint, EventWriter, MetricsLog, Retention, Rgb8, Row, RunFolder, disk::write_atomically,
    prune,
};
use crate::train::Pinned;

/// The name under which the held-out PSNR of a preview is logged.
pub(super) const PSNR: &str = "psnr_held_out";
/// A name that every measurement logs.
const MEASURED: &str = "eval_psnr";

/// Writes rows, pictures and checkpoints, and tells what a disk refused.
pub(super) struct Recorder<'a> {
    /// Where everything goes.
    pub folder: RunFolder,
    events: &'a Sender<Event>,
    metrics: MetricsLog,
    board: Option<EventWriter>,
    /// What is refused at the moment, and why.
    troubles: BTreeMap<&'static str, String>,
}

impl<'a> Recorder<'a> {
    /// Goes on in `folder` after `step`, or begins when that is 0. Rows of later steps go, and so do
    /// preview and measurement of an end that the run is now extended beyond: the metrics are those
    /// of a run that was never stopped.
    ///
    /// # Errors
    /// When the metrics of a run that goes on cannot be read or cut.
    pub fn new(folder: RunFolder, step: u64, config: &Config, events: &'a Sender<Event>) -> Result<Self> {
        let rhythms = [(PSNR, config.preview.every), (MEASURED, config.eval.every)];
        let goes_on = step < config.train.steps;
        let is_kept = |row: &Row| {
            let of_an_end = |(name, every): &(&str, u64)| {
                row.step == step && !step.is_multiple_of(*every) && row.values.contains_key(*name)
            };
            row.step <= step && !(goes_on && rhythms.iter().any(of_an_end))
        };
        let metrics = MetricsLog::resume(&folder.metrics_path(), is_kept)?;
        let board = match step {
            0 => EventWriter::create(folder.path()),
            _ => EventWriter::resume(folder.path(), step),
        };
        let mut recorder = Self { folder, events, metrics, board: None, troubles: BTreeMap::new() };
        recorder.board = recorder.heard("TensorBoard events", board);
        Ok(recorder)
    }

    /// Tells an event; a listener that went away does not stop training.
    pub fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Something that a person should know.
    pub fn warn(&self, text: impl Into<String>) {
        self.tell(Event::Warning(text.into()));
    }

    /// Takes note of how writing `what` went: a new trouble is told, and so is its end.
    fn heard<T>(&mut self, what: &'static str, outcome: Result<T>) -> Option<T> {
        match outcome {
            Ok(value) => {
                if self.troubles.remove(what).is_some() {
                    self.warn(format!("{what}: written again"));
                }
                Some(value)
            }
            Err(error) => {
                // The same trouble at the next step's file is no news.
                let cause = match &error {
                    Error::Io { source, .. } => source.to_string(),
                    other => other.to_string(),
                };
                if self.troubles.insert(what, cause.clone()).as_ref() != Some(&cause) {
                    self.warn(format!("{error}; training goes on, later writes try again"));
                }
                None
            }
        }
    }

    /// A row of metrics, to `metrics.jsonl` and TensorBoard.
    pub fn row(&mut self, row: &Row) {
        let logged = self.metrics.append(row);
        self.heard("metrics", logged);
        if let Some(board) = &mut self.board {
            let scalars = row.values.iter().map(|(name, value)| (name.as_str(), *value));
            let written = board.scalars(row.step, scalars);
            self.heard("TensorBoard events", written);
        }
    }

    /// A preview, to `previews/` and TensorBoard.
    pub fn picture(&mut self, name: &str, step: u64, picture: &Rgb8) {
        let path = self.folder.preview_path(name, step);
        let folder = self.folder.previews_dir();
        let made = match std::fs::create_dir(&folder) {
            Err(e) if !folder.is_dir() => Err(Error::io("create", folder, e)),
            _ => picture.save_png(&path),
        };
        self.heard("previews", made);
        if let Some(board) = &mut self.board {
            let png = picture.png_bytes();
            let shown = png.and_then(|png| board.image(step, name, &png, picture.width, picture.height));
            self.heard("TensorBoard events", shown);
        }
    }

    /// The configuration that repeats the run.
    pub fn config(&mut self, config: &Config) {
        let path = self.folder.config_path();
        let written = config.to_toml().and_then(|text| write_atomically(&path, text.as_bytes()));
        self.heard("configuration", written);
    }

    /// What a person changed.
    pub fn change(&mut self, change: &Change) {
        let noted = change.append(&self.folder.changes_path());
        self.heard("changes", noted);
    }

    /// Copies of a person's own pictures.
    pub fn pinned(&mut self, pinned: &Pinned) {
        let stored = pinned.store(&self.folder.pinned_dir());
        self.heard("pinned pictures", stored);
    }

    /// Puts configuration and changes back to what they were at `step`, the last checkpoint.
    pub fn forget_after(&mut self, step: u64, config: &str) {
        let written = write_atomically(&self.folder.config_path(), config.as_bytes());
        self.heard("configuration", written);
        let cut = Change::retain(&self.folder.changes_path(), |change| change.step <= step);
        self.heard("changes", cut);
    }

    /// A checkpoint; older ones go as `config` says. Whether it is on disk now.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint, config: &Config) -> bool {
        self.remake_vanished_folder(config);
        let synced = self.metrics.sync();
        self.heard("metrics", synced);
        let saved = checkpoint.save(self.folder.path());
        let Some(path) = self.heard("checkpoint", saved) else { return false };
        self.tell(Event::Saved { step: checkpoint.step, path });
        let retention = Retention { keep_last: config.train.keep_last, keep_every: config.train.keep_every };
        let pruned = prune(self.folder.path(), &retention, &[]);
        self.heard("old checkpoints", pruned);
        true
    }

    /// A folder that was moved or removed under a running training is made anew.
    fn remake_vanished_folder(&mut self, config: &Config) {
        if self.folder.config_path().exists() {
            return;
        }
        let made = self.folder.remake();
        if self.heard("run folder", made).is_some() {
            self.config(config);
            // What was written to the old event file went with it.
            let board = EventWriter::create(self.folder.path());
            self.board = self.heard("TensorBoard events", board);
            self.warn(format!("{} had vanished and was made anew", self.folder.path().display()));
        }
    }

    /// `report.html`.
    pub fn report(&mut self, config: &Config, device: &str) {
        let written = report::of_run(&self.folder, config, device);
        self.heard("report", written);
    }
}
