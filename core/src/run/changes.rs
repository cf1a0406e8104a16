//! `changes.jsonl`: what a person changed while a run was on, one JSON object a line.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::write_atomically;
use crate::error::{Error, Result};

/// What stands for a setting when the colours of the maps were fitted anew.
pub const REFIT: &str = "maps.refit";

/// One live change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Training steps done when it was made.
    pub step: u64,
    /// `key=value`, or [`REFIT`].
    pub setting: String,
}

impl Change {
    /// Adds the change to the file at `path`, which is made with the first.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&self, path: &Path) -> Result<()> {
        let mut line = serde_json::to_string(self).map_err(|e| Error::file(path, e.to_string()))?;
        line.push('\n');
        let file = File::options().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|e| Error::io("append to", path, e))
    }

    /// Takes the changes that `keep` does not want out of the file.
    ///
    /// # Errors
    /// When it cannot be read or rewritten.
    pub fn retain(path: &Path, keep: impl Fn(&Self) -> bool) -> Result<()> {
        let all = Self::read(path)?;
        if all.iter().all(&keep) {
            return Ok(());
        }
        let kept = all.iter().filter(|change| keep(change));
        let lines = kept.filter_map(|change| serde_json::to_string(change).ok());
        write_atomically(path, lines.map(|line| line + "\n").collect::<String>().as_bytes())
    }

    /// All changes of the file at `path`; none when there is no file. Torn lines are passed over.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(Error::io("read", path, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_in_order_and_a_torn_line_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("changes.jsonl");
        assert!(Change::read(&path).unwrap().is_empty());
        let change = |step| Change { step, setting: format!("optim.vae_lr={step}e-4") };
        change(1).append(&path).unwrap();
        change(7).append(&path).unwrap();
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{\"step\":9").unwrap();
        assert_eq!(Change::read(&path).unwrap(), [change(1), change(7)]);
        Change::retain(&path, |change| change.step <= 6).unwrap();
        assert_eq!(Change::read(&path).unwrap(), [change(1)]);
    }
}
