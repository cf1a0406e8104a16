//! Names of models on the hub and of files in them.

use std::fmt;

use crate::error::{Error, Result};

/// Longest name that is believed.
const MAX_LENGTH: usize = 96;

/// A repository and the revision wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoName {
    /// `OWNER/NAME`.
    pub id: String,
    /// A branch, tag or commit; `main` when nothing was said.
    pub revision: String,
}

impl RepoName {
    /// Reads `OWNER/NAME[@REVISION]`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match Self::parse_with_file(text) {
            Some((repo, None)) => Ok(repo),
            _ => Err(Error::Hub(format!(
                "{text} is not a model name: write OWNER/NAME or OWNER/NAME@REVISION"
            ))),
        }
    }

    /// Reads `OWNER/NAME[@REVISION][/FILE]`; `None` if it cannot be one.
    pub(super) fn parse_with_file(text: &str) -> Option<(Self, Option<String>)> {
        let mut parts = text.splitn(3, '/');
        let (owner, name, file) = (parts.next()?, parts.next()?, parts.next());
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        let fits = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            (1..=MAX_LENGTH).contains(&part.len()) && part.chars().all(plain) && !part.starts_with('.')
        };
        let whole = fits(owner) && fits(name) && fits(revision) && file.is_none_or(is_plain_path);
        let repo = Self { id: format!("{owner}/{name}"), revision: revision.into() };
        whole.then(|| (repo, file.map(String::from)))
    }

    /// The folder of the cache: `models--OWNER--NAME`.
    pub(super) fn folder(&self) -> String {
        format!("models--{}", self.id.replace('/', "--"))
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            "main" => write!(f, "{}", self.id),
            revision => write!(f, "{}@{revision}", self.id),
        }
    }
}

/// Whether a path of a repository stays inside its folder on every system.
pub(super) fn is_plain_path(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    !path.contains(['\\', ':', '\0']) && path.split('/').all(plain)
}

/// Whether `path` matches `glob`: `*` is any run of characters (slashes too), `?` is one.
pub fn matches(glob: &str, path: &str) -> bool {
    let (glob, path): (Vec<char>, Vec<char>) = (glob.chars().collect(), path.chars().collect());
    // Where to go on if a later character fails: after the last star, one character further.
    let (mut g, mut p, mut retry) = (0, 0, None);
    while p < path.len() {
        match glob.get(g) {
            Some('*') => {
                retry = Some((g + 1, p));
                g += 1;
            }
            Some(&c) if c == '?' || c == path[p] => {
                g += 1;
                p += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    g = after;
                    p = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_names_are_told_from_paths() {
        let (repo, file) = RepoName::parse_with_file("REPA-E/e2e-vavae-hf@v1/vae/config.json").unwrap();
        assert_eq!((repo.id.as_str(), repo.revision.as_str()), ("REPA-E/e2e-vavae-hf", "v1"));
        assert_eq!(file.as_deref(), Some("vae/config.json"));
        assert_eq!(repo.to_string(), "REPA-E/e2e-vavae-hf@v1");
        assert_eq!(RepoName::parse("a/b").unwrap().folder(), "models--a--b");
        for bad in ["a", "/a/b", "../a", "a/../b", "a/b/../../c", "a/b c", "a//b", "a/b@", "C:\\x\\y", "a/b/"]
        {
            assert!(RepoName::parse(bad).is_err(), "{bad}");
            assert!(RepoName::parse_with_file(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn globs_match_as_the_hub_clients_do() {
        for (glob, path, expected) in [
            ("*.safetensors", "vae/model.safetensors", true),
            ("*.safetensors", "model.safetensors.index.json", false),
            ("config.json", "config.json", true),
            ("vae/*", "vae/config.json", true),
            ("vae/*", "unet/config.json", false),
            ("model-0000?-of-*", "model-00001-of-00002.safetensors", true),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("", "x", false),
            ("**", "anything", true),
        ] {
            assert_eq!(matches(glob, path), expected, "{glob} {path}");
        }
    }
}
