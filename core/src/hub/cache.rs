//! One model's part of the standard cache.
//!
//! `blobs/ETAG` holds contents, `snapshots/COMMIT/PATH` are links to them (copies where the system
//! has no links), `refs/REVISION` says which commit a branch was at. A download grows in
//! `blobs/ETAG.incomplete`, where the Python client looks for it too.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::name::RepoName;
use super::settings::HubSettings;
use crate::error::{Error, Result};

/// The folders of one model.
#[derive(Clone, Debug)]
pub(super) struct RepoCache {
    root: PathBuf,
    locks: PathBuf,
    revision: String,
}

impl RepoCache {
    pub(super) fn new(settings: &HubSettings, repo: &RepoName) -> Self {
        Self {
            root: settings.cache.join(repo.folder()),
            locks: settings.cache.join(".locks").join(repo.folder()),
            revision: repo.revision.clone(),
        }
    }

    /// The snapshot of the wanted revision, if one was fetched.
    pub(super) fn snapshot(&self) -> Option<PathBuf> {
        let named = fs::read_to_string(self.root.join("refs").join(&self.revision)).ok();
        let commit = named.map_or_else(|| self.revision.clone(), |text| text.trim().to_string());
        if !is_plain_id(&commit) {
            return None;
        }
        Some(self.snapshot_of(&commit)).filter(|folder| folder.is_dir())
    }

    /// The folder of a commit.
    pub(super) fn snapshot_of(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The first file of a snapshot whose content is gone.
    pub(super) fn first_missing(&self, snapshot: &Path) -> Option<String> {
        let mut folders = vec![snapshot.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).ok()?.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.exists() {
                    return Some(path.strip_prefix(snapshot).unwrap_or(&path).display().to_string());
                }
            }
        }
        None
    }

    /// Where content of `etag` lies.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Where content of `etag` grows.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// Holds the content of `etag` for one process; others wait.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub(super) fn lock(&self, etag: &str) -> Result<File> {
        make_folder(&self.locks)?;
        make_folder(&self.root.join("blobs"))?;
        let path = self.locks.join(format!("{etag}.lock"));
        let options = File::options().write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(|e| Error::io("create", &path, e))?;
        file.lock().map_err(|e| Error::io("lock", &path, e))?;
        Ok(file)
    }

    /// Makes `path` of snapshot `commit` point to the content of `etag`.
    ///
    /// # Errors
    /// When neither a link nor a copy can be made.
    pub(super) fn link(&self, commit: &str, path: &str, etag: &str) -> Result<()> {
        let (link, blob) = (self.snapshot_of(commit).join(path), self.blob(etag));
        if link.exists() {
            return Ok(());
        }
        make_folder(link.parent().unwrap_or(&self.root))?;
        // What is left of a link whose content is gone.
        let _ = fs::remove_file(&link);
        let ups = path.split('/').count() + 1;
        let target = "../".repeat(ups) + "blobs/" + etag;
        symlink(Path::new(&target), &link)
            .or_else(|_| fs::copy(&blob, &link).map(|_| ()))
            .map_err(|e| Error::io("create", &link, e))
    }

    /// Notes that the revision is at `commit`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn set_ref(&self, commit: &str) -> Result<()> {
        if self.revision == commit {
            return Ok(());
        }
        let path = self.root.join("refs").join(&self.revision);
        make_folder(path.parent().unwrap_or(&self.root))?;
        fs::write(&path, commit).map_err(|e| Error::io("write", &path, e))
    }
}

/// Whether an etag or commit can be a file name.
pub(super) fn is_plain_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Links ask for a privilege on Windows; the Python client copies there too.
#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
