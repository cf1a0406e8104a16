//! Fetches a model into the cache: only what is missing, from where it was cut, with its sum checked.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::cache::RepoCache;
use super::client::{Client, FileInfo};
use super::name::{RepoName, matches};
use super::settings::HubSettings;
use crate::error::{Error, Result};

/// Times that a cut transfer is taken up again without a byte gained.
const TRIES: usize = 4;
/// Time before the second try without a byte gained; grows with each.
const PAUSE: Duration = Duration::from_millis(300);
const PIECE_BYTES: usize = 1 << 18;

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The model.
    pub repo: RepoName,
    /// Only files that match one of these; all when empty.
    pub include: Vec<String>,
}

/// How far a fetch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The list of files is there.
    Listed {
        /// Files that will be fetched.
        files: usize,
    },
    /// A file begins, or goes on after a cut.
    File {
        /// Its path.
        path: String,
        /// Bytes that are there already.
        have: u64,
        /// Its length, if known.
        total: Option<u64>,
    },
    /// More bytes of the file came.
    Bytes(u64),
    /// The transfer was cut and will be taken up again.
    Cut {
        /// What happened.
        reason: String,
    },
    /// The file is there and checked.
    Done {
        /// Its path.
        path: String,
    },
}

/// A fetched model.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The folder of its files.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
    /// Paths of the files.
    pub files: Vec<String>,
    /// Bytes that came over the network.
    pub received_bytes: u64,
}

/// Fetches a model; `tell` hears of progress.
///
/// # Errors
/// Offline mode with files missing, a hub that cannot be reached or refuses, a transfer that is cut
/// again and again (what came stays, and the next fetch goes on from there), or a wrong sum.
pub fn fetch(what: &Fetch, settings: &HubSettings, tell: &mut dyn FnMut(Progress)) -> Result<Fetched> {
    let cache = RepoCache::new(settings, &what.repo);
    if settings.offline {
        return offline(what, settings, &cache);
    }
    let client = Client::new(settings);
    let info = client.repo(&what.repo)?;
    let files: Vec<String> = info.files().filter(|path| wanted(what, path)).map(String::from).collect();
    if files.is_empty() {
        let some: Vec<_> = info.files().take(8).collect();
        return Err(Error::Hub(format!(
            "{} has no file that matches {}; it has {}",
            what.repo,
            what.include.join(", "),
            some.join(", ")
        )));
    }
    tell(Progress::Listed { files: files.len() });
    let mut received_bytes = 0;
    for path in &files {
        let file = client.file(&what.repo, &info.sha, path)?;
        received_bytes += one_file(&client, what, &cache, (&info.sha, path, &file), tell)?;
        cache.link(&info.sha, path, &file.etag)?;
        tell(Progress::Done { path: path.clone() });
    }
    // Last, so that a revision never names a snapshot that is not whole.
    cache.set_ref(&info.sha)?;
    Ok(Fetched { folder: cache.snapshot_of(&info.sha), commit: info.sha, files, received_bytes })
}

fn wanted(what: &Fetch, path: &str) -> bool {
    what.include.is_empty() || what.include.iter().any(|glob| matches(glob, path))
}

/// What the cache has of a model, when the network may not be used.
fn offline(what: &Fetch, settings: &HubSettings, cache: &RepoCache) -> Result<Fetched> {
    let missing = |what_is: String| {
        Err(Error::Hub(format!(
            "offline (HF_HUB_OFFLINE), and {what_is} is not in {}: fetch it once with a connection",
            settings.cache.display()
        )))
    };
    let Some(folder) = cache.snapshot() else { return missing(what.repo.to_string()) };
    if let Some(file) = cache.first_missing(&folder) {
        return missing(format!("{file} of {}", what.repo));
    }
    let mut files = Vec::new();
    list(&folder, &folder, &mut files);
    files.retain(|path| wanted(what, path));
    files.sort();
    let unmet = what.include.iter().find(|glob| !files.iter().any(|path| matches(glob, path)));
    if let Some(glob) = unmet {
        return missing(format!("{glob} of {}", what.repo));
    }
    let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Fetched { folder, commit, files, received_bytes: 0 })
}

/// Adds the files below `folder`, as paths from `root` with slashes.
fn list(root: &Path, folder: &Path, out: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(root, &path, out);
        } else if let Ok(inner) = path.strip_prefix(root) {
            let parts: Vec<_> = inner.components().map(|c| c.as_os_str().to_string_lossy()).collect();
            out.push(parts.join("/"));
        }
    }
}

/// Brings one content into the cache, unless it is there. Returns the bytes that came.
fn one_file(
    client: &Client,
    what: &Fetch,
    cache: &RepoCache,
    (commit, path, file): (&str, &str, &FileInfo),
    tell: &mut dyn FnMut(Progress),
) -> Result<u64> {
    let blob = cache.blob(&file.etag);
    let _lock = cache.lock(&file.etag)?;
    if blob.exists() {
        return Ok(0);
    }
    let partial = cache.incomplete(&file.etag);
    let mut received = 0;
    let mut tries = 0;
    loop {
        let have = fs::metadata(&partial).map_or(0, |meta| meta.len());
        if have > 0 && file.bytes == Some(have) {
            break;
        }
        if file.bytes.is_some_and(|total| have > total) {
            fs::remove_file(&partial).map_err(|e| Error::io("remove", &partial, e))?;
            continue;
        }
        tell(Progress::File { path: path.into(), have, total: file.bytes });
        let outcome = client
            .bytes(&what.repo, commit, path, have)
            .and_then(|(begins, body)| append(&partial, begins, body, tell));
        let now = fs::metadata(&partial).map_or(0, |meta| meta.len());
        let gained = now.saturating_sub(have);
        received += gained;
        match outcome {
            Ok(()) if file.bytes.is_none_or(|total| total <= now) => break,
            Err(error @ Error::Io { .. }) => return Err(error),
            outcome => {
                tries = if gained > 0 { 0 } else { tries + 1 };
                let reason = outcome.err().map_or_else(|| format!("{path} ended early"), |e| e.to_string());
                if tries >= TRIES {
                    return Err(Error::Hub(format!(
                        "{reason} ({now} of {} bytes of {path} are kept; fetch again to go on)",
                        file.bytes.map_or("unknown".into(), |total| total.to_string())
                    )));
                }
                tell(Progress::Cut { reason });
                std::thread::sleep(PAUSE * tries as u32);
            }
        }
    }
    check_sum(&partial, file).inspect_err(|_| {
        // What is wrong cannot be gone on from.
        let _ = fs::remove_file(&partial);
    })?;
    fs::rename(&partial, &blob).map_err(|e| Error::io("rename", &partial, e))?;
    Ok(received)
}

/// Writes a body that begins at byte `begins` of the file.
///
/// # Errors
/// [`Error::Io`] from the disk, [`Error::Hub`] from the network.
fn append(partial: &Path, begins: u64, mut body: impl Read, tell: &mut dyn FnMut(Progress)) -> Result<()> {
    let disk = |e| Error::io("write", partial, e);
    let mut file = File::options().write(true).create(true).truncate(false).open(partial).map_err(disk)?;
    let length = file.metadata().map_err(disk)?.len();
    if begins > length {
        return Err(Error::Hub(format!("a part from byte {begins} was sent, {length} was asked for")));
    }
    file.set_len(begins).map_err(disk)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(begins)).map_err(disk)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match body.read(&mut piece) {
            Ok(0) => return file.sync_all().map_err(disk),
            Ok(n) => {
                file.write_all(&piece[..n]).map_err(disk)?;
                tell(Progress::Bytes(n as u64));
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::Hub(format!("the transfer was cut: {e}"))),
        }
    }
}

/// Compares length and sum with what the hub said.
fn check_sum(path: &Path, info: &FileInfo) -> Result<()> {
    let read = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    let wrong =
        |what: String| Err(Error::Hub(format!("{} arrived damaged: {what}; fetch it again", path.display())));
    if let Some(total) = info.bytes
        && total != length
    {
        return wrong(format!("{length} bytes, {total} expected"));
    }
    // Large files are named by their sha256, small ones by git's sum of a blob; other names say nothing.
    let sum = match info.etag.len() {
        64 => {
            let mut sum = Sha256::new();
            std::io::copy(&mut file, &mut sum).map_err(read)?;
            hex(&sum.finalize())
        }
        40 => {
            let mut sum = Sha1::new();
            sum.update(format!("blob {length}\0"));
            std::io::copy(&mut file, &mut sum).map_err(read)?;
            hex(&sum.finalize())
        }
        _ => return Ok(()),
    };
    if sum == info.etag { Ok(()) } else { wrong(format!("its sum is {sum}, {} expected", info.etag)) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
