//! The checkpoints of a run: the newest whole one, which to keep, what a crash left over.
//!
//! Beside `step-N` there can be hidden folders: `.step-N.partial-PID` (a save that did not finish),
//! `.step-N.old-PID` (moved aside while its successor took the name; whole) and `.step-N.gone-PID`
//! (being removed). Process numbers only keep names apart: one process trains in a run at a time.

use std::fs;
use std::path::{Path, PathBuf};

use super::checkpoint::{FOLDER, hidden_name, step_name, verify};
use super::disk::{Disk, RealDisk};
use crate::error::{Error, Result};

/// What [`latest_complete`] found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LatestCheckpoint {
    /// Step and folder of the newest checkpoint that is whole, if there is one.
    pub newest: Option<(u64, PathBuf)>,
    /// Newer ones that are not, newest first.
    pub passed_over: Vec<PassedOver>,
}

/// A checkpoint that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct PassedOver {
    /// Its folder.
    pub path: PathBuf,
    /// Why, in one line.
    pub reason: String,
}

/// Which checkpoints to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many of the newest; at least one is always kept.
    pub keep_last: usize,
    /// Also every one whose step is a multiple of this; 0 for none.
    pub keep_every: u64,
}

/// The newest checkpoint in `run_dir` whose files are all there and match their hashes.
///
/// Reads every byte of the checkpoint it returns, once.
///
/// # Errors
/// When the folder of checkpoints exists and cannot be listed. No checkpoints is not an error.
pub fn latest_complete(run_dir: &Path) -> Result<LatestCheckpoint> {
    let mut candidates: Vec<Entry> =
        list(run_dir)?.into_iter().filter(|entry| matches!(entry.kind, Kind::Whole | Kind::Old)).collect();
    candidates.sort_by_key(|entry| (std::cmp::Reverse(entry.step), entry.kind != Kind::Whole));
    let mut found = LatestCheckpoint::default();
    for entry in candidates {
        match verify(&entry.path, true) {
            Ok(step) if step == entry.step => {
                found.newest = Some((step, entry.path));
                break;
            }
            Ok(step) => {
                let reason = format!("its state is of step {step}");
                found.passed_over.push(PassedOver { path: entry.path, reason });
            }
            Err(error) => found.passed_over.push(PassedOver { path: entry.path, reason: error.to_string() }),
        }
    }
    Ok(found)
}

/// Removes checkpoints that `retention` does not keep and gives their steps, oldest first.
///
/// Steps in `protect` stay, and so do broken checkpoints (a person may want to look at them), which
/// do not count towards `keep_last`.
///
/// # Errors
/// When a folder cannot be listed or removed.
pub fn prune(run_dir: &Path, retention: &Retention, protect: &[u64]) -> Result<Vec<u64>> {
    let mut whole: Vec<Entry> = list(run_dir)?
        .into_iter()
        .filter(|entry| entry.kind == Kind::Whole && verify(&entry.path, false).is_ok())
        .collect();
    whole.sort_by_key(|entry| entry.step);
    whole.truncate(whole.len().saturating_sub(retention.keep_last.max(1)));
    let is_kept = |step: u64| {
        protect.contains(&step) || (retention.keep_every > 0 && step.is_multiple_of(retention.keep_every))
    };
    let mut removed = Vec::new();
    for entry in whole.into_iter().filter(|entry| !is_kept(entry.step)) {
        // Out of sight first: a removal cut short must not leave half a checkpoint.
        let gone = run_dir.join(FOLDER).join(hidden_name(entry.step, "gone"));
        RealDisk.rename(&entry.path, &gone)?;
        RealDisk.remove_dir(&gone)?;
        removed.push(entry.step);
    }
    Ok(removed)
}

/// Clears away what an interrupted save or removal left in `run_dir`, putting a checkpoint that was
/// moved aside back when its successor never arrived. Saving does this first by itself.
///
/// # Errors
/// When a folder cannot be listed, renamed or removed.
pub fn clean_leftovers(run_dir: &Path) -> Result<()> {
    clean_leftovers_with(&mut RealDisk, run_dir)
}

/// [`clean_leftovers`] on a given disk.
pub(crate) fn clean_leftovers_with(disk: &mut dyn Disk, run_dir: &Path) -> Result<()> {
    for entry in list(run_dir)? {
        let whole = run_dir.join(FOLDER).join(step_name(entry.step));
        match entry.kind {
            Kind::Whole => {}
            // The successor was complete before it took the name, so the old one can go.
            Kind::Old if whole.exists() => disk.remove_dir(&entry.path)?,
            Kind::Old => disk.rename(&entry.path, &whole)?,
            Kind::Rubbish => disk.remove_dir(&entry.path)?,
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Old,
    Rubbish,
}

struct Entry {
    step: u64,
    kind: Kind,
    path: PathBuf,
}

/// Everything in the folder of checkpoints whose name is one of ours.
fn list(run_dir: &Path) -> Result<Vec<Entry>> {
    let folder = run_dir.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for item in fs::read_dir(&folder).map_err(|e| Error::io("list", &folder, e))? {
        let path = item.map_err(|e| Error::io("list", &folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some((step, kind)) = classify(&name) {
            entries.push(Entry { step, kind, path });
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn classify(name: &str) -> Option<(u64, Kind)> {
    if let Some(step) = name.strip_prefix("step-") {
        return Some((step.parse().ok()?, Kind::Whole));
    }
    let (step, rest) = name.strip_prefix(".step-")?.split_once('.')?;
    let kind = match rest.split_once('-')?.0 {
        "old" => Kind::Old,
        "partial" | "gone" => Kind::Rubbish,
        _ => return None,
    };
    Some((step.parse().ok()?, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::checkpoint::Checkpoint;
    use crate::run::checkpoint::tests::sample;
    use crate::run::disk::FailingDisk;

    fn newest(run_dir: &Path) -> Checkpoint {
        let (_, path) = latest_complete(run_dir).unwrap().newest.expect("no checkpoint is left");
        Checkpoint::load(&path).unwrap()
    }

    /// Saves `next` over `first` with the power cut after k operations, for every k until it succeeds.
    fn cut_everywhere(first: &Checkpoint, next: &Checkpoint) -> usize {
        for left in 0.. {
            let dir = tempfile::tempdir().unwrap();
            first.save(dir.path()).unwrap();
            let saved = next.save_with(&mut FailingDisk { left }, dir.path());
            let found = newest(dir.path());
            assert!(found == *first || found == *next, "cut {left}: step {}", found.step);
            assert!(saved.is_err() || found == *next);
            // A second cut during the cleaning of the first does no harm either.
            for again in 0..4 {
                let _ = clean_leftovers_with(&mut FailingDisk { left: again }, dir.path());
                assert!([first, next].contains(&&newest(dir.path())), "cut {left}, then {again}");
            }
            clean_leftovers(dir.path()).unwrap();
            assert_eq!(newest(dir.path()), found);
            next.save(dir.path()).unwrap();
            assert_eq!(newest(dir.path()), *next);
            let names = fs::read_dir(dir.path().join(FOLDER)).unwrap();
            assert!(names.flatten().all(|e| !e.file_name().to_string_lossy().starts_with('.')));
            if saved.is_ok() {
                return left;
            }
        }
        unreachable!()
    }

    #[test]
    fn a_cut_at_any_operation_leaves_a_whole_checkpoint() {
        // create, four files, sync, rename, sync.
        assert_eq!(cut_everywhere(&sample(10, 1.0), &sample(20, 2.0)), 8);
    }

    #[test]
    fn a_cut_while_the_same_step_is_saved_again_leaves_a_whole_checkpoint() {
        // Two more: the old one aside, and its removal.
        assert_eq!(cut_everywhere(&sample(10, 1.0), &sample(10, 2.0)), 10);
    }

    #[test]
    fn a_cut_in_the_very_first_save_leaves_a_run_without_checkpoints() {
        for left in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let saved = sample(1, 1.0).save_with(&mut FailingDisk { left }, dir.path());
            let found = latest_complete(dir.path()).unwrap();
            assert!(found.passed_over.is_empty());
            assert!(saved.is_err() || found.newest.is_some());
        }
    }

    #[test]
    fn broken_checkpoints_are_passed_over_and_named() {
        let dir = tempfile::tempdir().unwrap();
        for step in [1, 2, 3] {
            sample(step, step as f32).save(dir.path()).unwrap();
        }
        let folder = dir.path().join(FOLDER);
        fs::write(folder.join("step-00000003/vae.safetensors"), b"x").unwrap();
        fs::rename(folder.join("step-00000001"), folder.join("step-00000009")).unwrap();
        fs::create_dir(folder.join("step-later")).unwrap();
        let found = latest_complete(dir.path()).unwrap();
        assert_eq!(found.newest, Some((2, folder.join("step-00000002"))));
        assert_eq!(found.passed_over.len(), 2);
        assert!(found.passed_over[0].reason.contains("step 1"));
        assert!(found.passed_over[1].reason.contains("truncated"));
    }

    #[test]
    fn pruning_keeps_the_newest_the_multiples_the_protected_and_the_broken() {
        let dir = tempfile::tempdir().unwrap();
        for step in 1..=10 {
            sample(step, 0.0).save(dir.path()).unwrap();
        }
        fs::remove_file(dir.path().join(FOLDER).join("step-00000010/sit.safetensors")).unwrap();
        let retention = Retention { keep_last: 2, keep_every: 4 };
        assert_eq!(prune(dir.path(), &retention, &[1]).unwrap(), [2, 3, 5, 6, 7]);
        let mut left: Vec<u64> = list(dir.path()).unwrap().iter().map(|entry| entry.step).collect();
        left.sort_unstable();
        assert_eq!(left, [1, 4, 8, 9, 10]);
        assert_eq!(newest(dir.path()).step, 9);
        assert_eq!(prune(dir.path(), &Retention { keep_last: 0, keep_every: 0 }, &[]).unwrap(), [1, 4, 8]);
    }

    #[test]
    fn a_run_without_checkpoints_has_no_latest() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(latest_complete(dir.path()).unwrap(), LatestCheckpoint::default());
    }
}
