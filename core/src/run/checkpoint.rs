//! One checkpoint: tensors by file, a JSON state, and the hashes that prove it whole.
//!
//! On disk, `checkpoints/step-00001234/` holds a `.safetensors` file for each entry of `files`,
//! `state.json` (step, program version, the caller's state, size and sha256 of each file) and
//! `SHA256SUMS` (which covers `state.json` too; `sha256sum -c` reads it). It is written under a
//! hidden name, synced and renamed, so a name without a dot is always a finished checkpoint. A save
//! over an existing step moves the old one aside first, under a name that
//! [`super::latest_complete`] still finds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::checkpoint_list::clean_leftovers_with;
use super::disk::{Disk, RealDisk};
use crate::error::{Error, Result};
pub use crate::files::NamedTensor;
use crate::files::TensorFile;
use crate::files::write::Layout;

/// The folder of all checkpoints in a run folder.
pub(crate) const FOLDER: &str = "checkpoints";
const STATE: &str = "state.json";
const SUMS: &str = "SHA256SUMS";
/// No sensible state is larger; a foreign file might be.
const STATE_LIMIT_BYTES: u64 = 64 << 20;

/// Everything that one checkpoint holds.
///
/// Floats in `state` may come back changed in the last bit (JSON); keep what must be exact as a
/// tensor, an integer or a string.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Training steps done.
    pub step: u64,
    /// File stem ("vae", "sit", "ema", …; lower case, digits, `_`) to its tensors.
    pub files: BTreeMap<String, Vec<NamedTensor>>,
    /// The caller's own state: seed, data position, configuration.
    pub state: serde_json::Value,
}

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    step: u64,
    program: String,
    version: String,
    state: serde_json::Value,
    files: BTreeMap<String, FileRecord>,
}

/// Size and hash of one file.
#[derive(Debug, Serialize, Deserialize)]
struct FileRecord {
    sha256: String,
    bytes: u64,
}

impl Checkpoint {
    /// Writes the checkpoint into `run_dir` and returns its folder; one of the same step is replaced.
    ///
    /// # Errors
    /// When the disk refuses, or a tensor's shape and values disagree; what was there before stands.
    pub fn save(&self, run_dir: &Path) -> Result<PathBuf> {
        self.save_with(&mut RealDisk, run_dir)
    }

    /// [`Checkpoint::save`] on a given disk.
    pub(crate) fn save_with(&self, disk: &mut dyn Disk, run_dir: &Path) -> Result<PathBuf> {
        let parent = run_dir.join(FOLDER);
        if !parent.is_dir() {
            disk.create_dir(&parent)?;
            disk.sync_dir(run_dir)?;
        }
        clean_leftovers_with(disk, run_dir)?;
        let saved = self.write_and_rename(disk, &parent);
        if saved.is_err() {
            // Gives a full disk its space back; the save's own error is the one to report.
            let _ = clean_leftovers_with(disk, run_dir);
        }
        saved
    }

    /// The save itself, into the folder of checkpoints.
    fn write_and_rename(&self, disk: &mut dyn Disk, parent: &Path) -> Result<PathBuf> {
        let target = parent.join(step_name(self.step));
        let partial = parent.join(hidden_name(self.step, "partial"));
        disk.create_dir(&partial)?;
        self.write_files(disk, &partial)?;
        disk.sync_dir(&partial)?;
        let replaced = parent.join(hidden_name(self.step, "old"));
        let replaces = target.exists();
        if replaces {
            disk.rename(&target, &replaced)?;
        }
        disk.rename(&partial, &target)?;
        disk.sync_dir(parent)?;
        if replaces {
            disk.remove_dir(&replaced)?;
        }
        Ok(target)
    }

    /// Every file of the checkpoint, the sums last.
    fn write_files(&self, disk: &mut dyn Disk, dir: &Path) -> Result<()> {
        let mut files = BTreeMap::new();
        let mut sums = String::new();
        for (stem, tensors) in &self.files {
            let name = format!("{stem}.safetensors");
            if !is_plain_name(&name) {
                return Err(Error::file(dir, format!("{stem:?} cannot be a file name in a checkpoint")));
            }
            let path = dir.join(&name);
            let layout = Layout::new(&path, tensors)?;
            let parts = layout.parts();
            disk.write(&path, &parts)?;
            let sha256 = hex_digest(&parts);
            sums.push_str(&format!("{sha256}  {name}\n"));
            files
                .insert(name, FileRecord { sha256, bytes: parts.iter().map(|part| part.len() as u64).sum() });
        }
        let manifest = Manifest {
            step: self.step,
            program: "tandem".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            state: self.state.clone(),
            files,
        };
        let path = dir.join(STATE);
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::file(&path, e.to_string()))?;
        disk.write(&path, &[&text])?;
        sums.push_str(&format!("{}  {STATE}\n", hex_digest(&[&text])));
        disk.write(&dir.join(SUMS), &[sums.as_bytes()])
    }

    /// Reads a checkpoint folder; every file is read once and checked against its hash.
    ///
    /// # Errors
    /// One line that names the file: missing, truncated, changed, or not of a checkpoint.
    pub fn load(dir: &Path) -> Result<Checkpoint> {
        let manifest = read_manifest(dir)?;
        let mut files = BTreeMap::new();
        for (name, record) in &manifest.files {
            let path = dir.join(name);
            let mut file = open_sized(&path, record.bytes)?;
            let mut bytes = Vec::new();
            let read = file.by_ref().take(record.bytes).read_to_end(&mut bytes);
            read.map_err(|e| Error::io("read", &path, e))?;
            check_hash(&path, &hex_digest(&[&bytes]), &record.sha256)?;
            let stem = name.strip_suffix(".safetensors").unwrap_or(name);
            files.insert(stem.to_string(), NamedTensor::all(&TensorFile::from_bytes(bytes, &path)?)?);
        }
        Ok(Checkpoint { step: manifest.step, files, state: manifest.state })
    }
}

/// Checks a checkpoint folder: sizes always, hashes when `thorough`. Gives its step.
///
/// # Errors
/// As [`Checkpoint::load`]; tensors are not parsed.
pub(crate) fn verify(dir: &Path, thorough: bool) -> Result<u64> {
    let manifest = read_manifest(dir)?;
    for (name, record) in &manifest.files {
        let path = dir.join(name);
        let mut file = open_sized(&path, record.bytes)?;
        if thorough {
            let mut hasher = Sha256::new();
            std::io::copy(&mut file, &mut hasher).map_err(|e| Error::io("read", &path, e))?;
            check_hash(&path, &hex(&hasher.finalize()), &record.sha256)?;
        }
    }
    Ok(manifest.step)
}

/// `step-00001234`.
pub(crate) fn step_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// `.step-00001234.KIND-PID`: a folder that is not, or no longer, a checkpoint in its own right.
pub(crate) fn hidden_name(step: u64, kind: &str) -> String {
    format!(".{}.{kind}-{}", step_name(step), std::process::id())
}

/// `state.json`, checked against its own sum.
fn read_manifest(dir: &Path) -> Result<Manifest> {
    let path = dir.join(STATE);
    let text = read_bounded(&path)?;
    let sums_path = dir.join(SUMS);
    let sums = String::from_utf8_lossy(&read_bounded(&sums_path)?).into_owned();
    let expected = sums.lines().find_map(|line| line.strip_suffix(STATE)).map(str::trim);
    let expected = expected.ok_or_else(|| Error::file(&sums_path, format!("does not list {STATE}")))?;
    check_hash(&path, &hex_digest(&[&text]), expected)?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| Error::file(&path, format!("not the state of a Tandem checkpoint ({e})")))?;
    match manifest.files.keys().find(|name| !is_plain_name(name)) {
        Some(name) => Err(Error::file(&path, format!("lists {name:?}, which is no file of a checkpoint"))),
        None => Ok(manifest),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let size = fs::metadata(path).map_err(|e| Error::io("read", path, e))?.len();
    if size > STATE_LIMIT_BYTES {
        return Err(Error::file(path, format!("{size} bytes is too large for a checkpoint's state")));
    }
    fs::read(path).map_err(|e| Error::io("read", path, e))
}

/// Opens a file that must have exactly `bytes` bytes.
fn open_sized(path: &Path, bytes: u64) -> Result<File> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let found = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    if found == bytes {
        return Ok(file);
    }
    let word = if found < bytes { "truncated" } else { "too long" };
    Err(Error::file(path, format!("{word}: {found} bytes, expected {bytes}")))
}

fn check_hash(path: &Path, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::file(path, "its content has changed since it was saved (sha256 differs)"))
}

/// `vae.safetensors` and the like: nothing that could lead out of the folder.
fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.strip_suffix(".safetensors").is_some_and(|stem| !stem.is_empty() && stem.chars().all(plain))
}

fn hex_digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small checkpoint whose values tell `mark`.
    pub(crate) fn sample(step: u64, mark: f32) -> Checkpoint {
        let tensor = |name: &str| NamedTensor { name: name.into(), shape: vec![2, 2], values: vec![mark; 4] };
        let files = ["vae", "sit"].map(|stem| (stem.to_string(), vec![tensor("a.weight"), tensor("b.bias")]));
        Checkpoint { step, files: files.into(), state: serde_json::json!({"seed": 7, "mark": mark}) }
    }

    #[test]
    fn a_saved_checkpoint_loads_unchanged_and_the_same_bytes_are_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(12, 1.5).save(dir.path()).unwrap();
        assert!(path.ends_with("checkpoints/step-00000012"));
        assert_eq!(Checkpoint::load(&path).unwrap(), sample(12, 1.5));
        assert_eq!(verify(&path, true).unwrap(), 12);
        let before = fs::read(path.join(SUMS)).unwrap();
        sample(12, 1.5).save(dir.path()).unwrap();
        assert_eq!(fs::read(path.join(SUMS)).unwrap(), before);
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 1);
    }

    #[test]
    fn a_save_over_the_same_step_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        sample(3, 1.0).save(dir.path()).unwrap();
        let path = sample(3, 2.0).save(dir.path()).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), sample(3, 2.0));
    }

    #[test]
    fn broken_files_are_named_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(1, 1.0).save(dir.path()).unwrap();
        let vae = path.join("vae.safetensors");
        let whole = fs::read(&vae).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() - 1] ^= 1;
        let cases: [(&[u8], &str); 3] = [
            (&whole[..whole.len() - 9], "truncated"),
            (&flipped, "sha256"),
            (&[whole.clone(), vec![0]].concat(), "too long"),
        ];
        for (bytes, word) in cases {
            fs::write(&vae, bytes).unwrap();
            let error = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(
                error.contains("vae.safetensors") && error.contains(word) && !error.contains('\n'),
                "{error}"
            );
            assert!(verify(&path, true).is_err());
        }
        fs::remove_file(&vae).unwrap();
        assert!(Checkpoint::load(&path).unwrap_err().to_string().contains("vae.safetensors"));
    }

    #[test]
    fn a_foreign_or_edited_state_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample(1, 1.0).save(dir.path()).unwrap();
        let text = fs::read_to_string(path.join(STATE)).unwrap();
        fs::write(path.join(STATE), text.replace("\"step\": 1", "\"step\": 9")).unwrap();
        assert!(Checkpoint::load(&path).unwrap_err().to_string().contains("sha256"));
        let foreign = br#"{"files": {"../../x.safetensors": {"sha256": "", "bytes": 1}}, "step": 1, "program": "", "version": "", "state": 0}"#;
        fs::write(path.join(STATE), foreign).unwrap();
        fs::write(path.join(SUMS), format!("{}  state.json\n", hex_digest(&[foreign]))).unwrap();
        assert!(Checkpoint::load(&path).unwrap_err().to_string().contains("no file of a checkpoint"));
        assert!(Checkpoint::load(dir.path()).unwrap_err().to_string().starts_with("cannot read"));
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for stem in ["../vae", "", "a/b", "A b"] {
            let files = BTreeMap::from([(stem.to_string(), Vec::new())]);
            assert!(Checkpoint { step: 1, files, state: serde_json::Value::Null }.save(dir.path()).is_err());
        }
    }
}
