//! The folder of one run: where its files are, and the lock that keeps a second trainer out.
//!
//! The lock is the operating system's own (on `run.lock`), so it ends with the process however that
//! ends; the number in the file only serves the message.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::checkpoint;
use super::checkpoint_list::clean_leftovers;
use crate::error::{Error, Result};

/// Where runs go when no folder is named.
pub const DEFAULT_PARENT: &str = "runs";
const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const LOCK: &str = "run.lock";

/// A run's folder; one that was created or opened for training holds its lock until dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    lock: Option<File>,
    /// Folders that were made for this run, inner ones first; they go again if it never starts.
    made: Vec<PathBuf>,
}

impl RunFolder {
    /// Makes and locks a folder for a new run: `out`, or the first free `runs/HINT-NNN`.
    ///
    /// # Errors
    /// When `out` is a file, already holds a run or is being trained in, or cannot be made.
    pub fn create(out: Option<&Path>, name_hint: &str) -> Result<RunFolder> {
        match out {
            Some(path) => Self::create_at(path),
            None => Self::create_in(Path::new(DEFAULT_PARENT), name_hint),
        }
    }

    /// Makes and locks the first free `parent/HINT-NNN`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn create_in(parent: &Path, name_hint: &str) -> Result<RunFolder> {
        let mut made = missing_folders(parent);
        fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        let hint = plain_name(name_hint);
        let mut number = next_number(parent, &hint)?;
        loop {
            let path = parent.join(format!("{hint}-{number:03}"));
            // Making the folder is what claims the number: two processes cannot both succeed.
            match fs::create_dir(&path) {
                Ok(()) => {
                    made.insert(0, path.clone());
                    return Self { path, lock: None, made }.prepared();
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io("create", path, e)),
            }
        }
    }

    fn create_at(path: &Path) -> Result<RunFolder> {
        if path.exists() && !path.is_dir() {
            return Err(Error::file(path, "is a file; a run needs a folder"));
        }
        let made = missing_folders(path);
        fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
        Self { path: path.to_path_buf(), lock: None, made }.prepared()
    }

    /// Locks a folder for a new run and makes the folders in it.
    fn prepared(mut self) -> Result<RunFolder> {
        self.lock = lock(&self.path)?;
        if is_run(&self.path) {
            let reason = "already holds a run; use --resume to go on with it, or another --out";
            return Err(Error::file(&self.path, reason));
        }
        self.make_folders()?;
        Ok(self)
    }

    fn make_folders(&mut self) -> Result<()> {
        for folder in [self.previews_dir(), self.checkpoints_dir()] {
            if !folder.is_dir() {
                fs::create_dir(&folder).map_err(|e| Error::io("create", &folder, e))?;
                self.made.insert(0, folder);
            }
        }
        Ok(())
    }

    /// Opens an existing run for reading; takes no lock and changes nothing.
    ///
    /// # Errors
    /// When `path` does not exist or holds no run.
    pub fn open(path: &Path) -> Result<RunFolder> {
        if !path.exists() {
            return Err(Error::file(path, "there is no such run folder"));
        }
        if !is_run(path) {
            let reason = format!("not a run folder (neither {CONFIG} nor {METRICS} nor a checkpoint in it)");
            return Err(Error::file(path, reason));
        }
        Ok(RunFolder { path: path.to_path_buf(), lock: None, made: Vec::new() })
    }

    /// Opens an existing run to train on in it: locks it and clears away what a crash left over.
    ///
    /// # Errors
    /// As [`RunFolder::open`], and when another process is training in it.
    pub fn open_for_training(path: &Path) -> Result<RunFolder> {
        let mut run = Self::open(path)?;
        run.lock = lock(path)?;
        clean_leftovers(path)?;
        run.make_folders()?;
        Ok(run)
    }

    /// Makes a folder that vanished under a running training anew, and locks it again.
    ///
    /// # Errors
    /// When it cannot be made or locked.
    pub fn remake(&mut self) -> Result<()> {
        fs::create_dir_all(&self.path).map_err(|e| Error::io("create", &self.path, e))?;
        if !self.path.join(LOCK).exists() {
            self.lock = lock(&self.path)?;
        }
        self.make_folders()
    }

    /// The folder itself; TensorBoard's event files and the checkpoints go by it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`: repeats the run.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// `metrics.jsonl`.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// `evaluations.jsonl`: figures of `tandem eval`, a line each time.
    pub fn evaluations_path(&self) -> PathBuf {
        self.path.join("evaluations.jsonl")
    }

    /// `changes.jsonl`: live changes, a line each.
    pub fn changes_path(&self) -> PathBuf {
        self.path.join("changes.jsonl")
    }

    /// `pinned/`: copies of a person's own pictures.
    pub fn pinned_dir(&self) -> PathBuf {
        self.path.join("pinned")
    }

    /// `previews/`: pictures by step.
    pub fn previews_dir(&self) -> PathBuf {
        self.path.join("previews")
    }

    /// `previews/NAME-00001234.png`.
    pub fn preview_path(&self, name: &str, step: u64) -> PathBuf {
        self.previews_dir().join(format!("{name}-{step:08}.png"))
    }

    /// `checkpoints/`.
    pub fn checkpoints_dir(&self) -> PathBuf {
        self.path.join(checkpoint::FOLDER)
    }

    /// `report.html`.
    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Preview pictures on disk as (name, step, path), by name, then step; other files are passed over.
    ///
    /// # Errors
    /// When the folder exists and cannot be listed.
    pub fn previews(&self) -> Result<Vec<(String, u64, PathBuf)>> {
        let folder = self.previews_dir();
        let mut found = Vec::new();
        for path in names_in(&folder)?.into_iter().map(|name| folder.join(name)) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let is_png = path.extension().is_some_and(|extension| extension == "png");
            if let Some((name, Ok(step))) = stem.rsplit_once('-').map(|(name, step)| (name, step.parse()))
                && is_png
                && !name.starts_with('.')
            {
                found.push((name.to_string(), step, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Drop for RunFolder {
    /// A run that never started leaves nothing: what was made for it goes, as far as it is empty.
    fn drop(&mut self) {
        if self.lock.is_none() || is_run(&self.path) {
            return;
        }
        let _ = fs::remove_file(self.path.join(LOCK));
        for folder in &self.made {
            // Only an empty folder can be removed so.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The folders of `path` that do not exist, innermost first.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let named = |folder: &&Path| !folder.as_os_str().is_empty();
    path.ancestors().filter(named).take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect()
}

/// A configuration, metrics or a checkpoint make a folder a run; empty folders do not.
fn is_run(path: &Path) -> bool {
    let has_checkpoint = names_in(&path.join(checkpoint::FOLDER))
        .is_ok_and(|names| names.iter().any(|name| name.starts_with("step-") || name.starts_with(".step-")));
    path.join(CONFIG).is_file() || path.join(METRICS).is_file() || has_checkpoint
}

/// Locks the run, or says who holds it.
fn lock(path: &Path) -> Result<Option<File>> {
    let lock_path = path.join(LOCK);
    let options = File::options().create(true).write(true).truncate(false).open(&lock_path);
    let mut file = options.map_err(|e| Error::io("write", &lock_path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&lock_path).unwrap_or_default();
            let holder = holder.trim().chars().take(20).collect::<String>();
            let holder = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
            return Err(Error::file(path, format!("another process{holder} is training in this run")));
        }
        // Some network file systems have no locks; training there beats not training.
        Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(Error::io("lock", &lock_path, e)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|e| Error::io("write", &lock_path, e))?;
    Ok(Some(file))
}

/// File names in a folder; none when it does not exist.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let list = |e| Error::io("list", folder, e);
    let entries = fs::read_dir(folder).map_err(list)?;
    entries.map(|entry| Ok(entry.map_err(list)?.file_name().to_string_lossy().into_owned())).collect()
}

/// One more than the largest number used with this hint.
fn next_number(parent: &Path, hint: &str) -> Result<u32> {
    let number = |name: &String| name.strip_prefix(hint)?.strip_prefix('-')?.parse::<u32>().ok();
    Ok(names_in(parent)?.iter().filter_map(number).max().unwrap_or(0).saturating_add(1))
}

/// Letters, digits, `-` and `_`; anything else becomes `-`. Never empty.
fn plain_name(hint: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = hint.chars().map(plain).take(60).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "run".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::checkpoint::tests::sample;

    #[test]
    fn default_names_count_up_and_never_reuse_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<_> =
            (0..3).map(|_| RunFolder::create_in(dir.path(), "repa-e nano/../x").unwrap()).collect();
        let name = |run: &RunFolder| run.path().file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(
            names.iter().map(name).collect::<Vec<_>>(),
            ["001", "002", "003"].map(|n| format!("repa-e-nano----x-{n}"))
        );
        assert!(names[0].previews_dir().is_dir() && names[0].checkpoints_dir().is_dir());
    }

    #[test]
    fn a_folder_that_holds_a_run_is_not_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        let run = RunFolder::create(Some(&out), "x").unwrap();
        drop(run);
        // Nothing was written yet, so nothing stays and the same --out may be used again.
        assert!(!dir.path().join("a").exists());
        let run = RunFolder::create(Some(&out), "x").unwrap();
        fs::write(run.config_path(), "seed = 1\n").unwrap();
        drop(run);
        let error = RunFolder::create(Some(&out), "x").unwrap_err().to_string();
        assert!(error.contains("--resume") && error.contains("another --out"), "{error}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(RunFolder::create(Some(&file), "x").unwrap_err().to_string().contains("is a file"));
    }

    #[test]
    fn only_runs_open() {
        let dir = tempfile::tempdir().unwrap();
        assert!(RunFolder::open(dir.path()).unwrap_err().to_string().contains("not a run folder"));
        let missing = RunFolder::open(&dir.path().join("no")).unwrap_err().to_string();
        assert!(missing.contains("no such run"), "{missing}");
        sample(1, 1.0).save(dir.path()).unwrap();
        assert_eq!(RunFolder::open(dir.path()).unwrap().path(), dir.path());
    }

    #[test]
    fn one_trainer_at_a_time_and_a_lock_left_in_the_file_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::create(Some(dir.path()), "x").unwrap();
        fs::write(run.metrics_path(), "").unwrap();
        let error = RunFolder::open_for_training(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        assert!(RunFolder::open(dir.path()).is_ok());
        drop(run);
        // As after SIGKILL: the file and a process number are still there.
        assert!(dir.path().join(LOCK).is_file());
        assert!(RunFolder::open_for_training(dir.path()).is_ok());
    }

    #[test]
    fn previews_are_listed_by_name_and_step() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::create(Some(dir.path()), "x").unwrap();
        for path in [
            run.preview_path("pca-map", 20),
            run.preview_path("pca-map", 3),
            run.previews_dir().join("x.txt"),
        ] {
            fs::write(path, "").unwrap();
        }
        let found = run.previews().unwrap();
        assert_eq!(
            found.iter().map(|p| (p.0.as_str(), p.1)).collect::<Vec<_>>(),
            [("pca-map", 3), ("pca-map", 20)]
        );
    }
}
