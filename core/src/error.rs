//! Every way Tandem can fail on what a person gave it: one enum, each variant one clear line.
//!
//! Broken *internal* shapes are asserts; files, flags and devices end up here. An error is
//! either passed on or reported, never both.

use std::path::{Path, PathBuf};

/// Shorthand used by the whole library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the facts a person needs to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something to do with a file or folder.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted, as a verb: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A file is not what its name or use says: corrupt, truncated, too large, wrong kind.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and, where it can be said, what would be right.
        reason: String,
    },
    /// A tensor in a file has another shape than the model.
    #[error("{name}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The tensor's name in the file.
        name: String,
        /// The model's shape.
        expected: Vec<usize>,
        /// The file's shape.
        found: Vec<usize>,
    },
    /// A tensor that the model needs is not in the file.
    #[error("tensor {name} is missing{hint}")]
    MissingTensor {
        /// The name looked for.
        name: String,
        /// Empty, or a half sentence that starts with "; ".
        hint: String,
    },
    /// A configuration key, value or combination that cannot be used.
    #[error("{0}")]
    Config(String),
    /// A data set that cannot be trained on.
    #[error("{0}")]
    Data(String),
    /// No usable device, or a device that failed.
    #[error("{0}")]
    Device(String),
    /// A model hub that cannot be reached, refuses, or has not what was asked for.
    #[error("{0}")]
    Hub(String),
    /// A person broke the work off.
    #[error("stopped")]
    Stopped,
    /// Training had to stop (three non-finite steps in a row, say).
    #[error("{0}")]
    Training(String),
}

impl Error {
    /// An [`Error::Io`] for `path`; `action` is a verb.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// An [`Error::File`] for `path`. Reasons may quote a damaged file, line ends and all: those become
    /// spaces, so that an error stays one line.
    pub fn file(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        let reason = reason.into().replace(|c: char| c.is_control(), " ");
        Self::File { path: path.as_ref().to_path_buf(), reason }
    }
}
