//! Models from the Hugging Face hub: named as `owner/name`, kept in the standard cache, so that what
//! Python fetched is found here and the other way round.
//!
//! [`resolve`] turns what a person wrote (a path or a model name) into a path and never touches the
//! network; [`fetch`] is the one place that does. `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`
//! and `HF_HUB_OFFLINE` mean what they mean to `huggingface_hub`, whose cache layout
//! (`models--OWNER--NAME/{blobs,refs,snapshots}`) this is. hf-hub 0.5 was not taken: it knows neither
//! `HF_TOKEN` nor offline mode and checks no sums.

mod cache;
mod client;
mod fetch;
mod name;
mod settings;

pub use fetch::{Fetch, Fetched, Progress, fetch};
pub use name::{RepoName, matches};
pub use settings::HubSettings;

use std::path::PathBuf;

use crate::error::{Error, Result};
use cache::RepoCache;

/// The path that `place` means: itself if something is there, else the cached snapshot of the model
/// `OWNER/NAME[@REVISION][/FILE]`.
///
/// # Errors
/// Neither a path nor a model that was fetched; the message says how to fetch it.
pub fn resolve(place: &str) -> Result<PathBuf> {
    resolve_with(place, &HubSettings::from_env())
}

/// [`resolve`] with given settings.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(place: &str, settings: &HubSettings) -> Result<PathBuf> {
    let path = PathBuf::from(place);
    if path.exists() {
        return Ok(path);
    }
    let Some((repo, file)) = RepoName::parse_with_file(place) else {
        return Err(Error::io("read", &path, std::io::ErrorKind::NotFound.into()));
    };
    let cache = RepoCache::new(settings, &repo);
    let fetch = || format!("fetch it with: tandem fetch {repo}");
    let Some(snapshot) = cache.snapshot() else {
        return Err(Error::file(
            &path,
            format!(
                "there is no such file or folder, and no such model in {}; if it is a model, {}",
                settings.cache.display(),
                fetch()
            ),
        ));
    };
    if let Some(cut) = cache.first_missing(&snapshot) {
        return Err(Error::file(&path, format!("{cut} is missing from the cached model; {}", fetch())));
    }
    match file {
        None => Ok(snapshot),
        Some(file) if snapshot.join(&file).exists() => Ok(snapshot.join(file)),
        Some(file) => {
            Err(Error::file(&path, format!("{file} was not fetched of {repo}; {} --include {file}", fetch())))
        }
    }
}
