//! What a person means by a path or a name that they open: a run, an autoencoder, a picture, a set of
//! pictures.

use std::path::{Path, PathBuf};

use tandem_core::data::DataSource;
use tandem_core::data::decode::is_picture_name;
use tandem_core::data::source::Listing;
use tandem_core::formats::{ModelKind, kind_of};
use tandem_core::hub;

/// Endings of files that hold tensors.
const WEIGHTS: [&str; 6] = ["safetensors", "pt", "pth", "ckpt", "bin", "json"];

/// What something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run folder.
    Run(PathBuf),
    /// An autoencoder.
    Model(String),
    /// A picture file.
    Picture(PathBuf),
    /// A folder or a zip of pictures.
    Set(String),
}

/// Whether a file's name is that of weights.
pub fn is_weights_name(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| WEIGHTS.contains(&extension.as_str()))
}

/// Looks what `text`, a path or the name of a fetched model, is.
///
/// # Errors
/// One line: nothing is there, or nothing that can be opened.
pub fn identify(text: &str) -> Result<Kind, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("name a run, an autoencoder or a picture to open".into());
    }
    let path = Path::new(text);
    if path.is_dir() {
        return match kind_of(path) {
            Ok(ModelKind::Run) => Ok(Kind::Run(path.into())),
            Ok(_) => Ok(Kind::Model(text.into())),
            Err(_) => match Listing::open(&DataSource::Path(path.into())) {
                Ok(_) => Ok(Kind::Set(text.into())),
                Err(_) => Err(format!("{text} holds neither a run, an autoencoder nor pictures")),
            },
        };
    }
    if path.is_file() {
        if is_picture_name(text) {
            return Ok(Kind::Picture(path.into()));
        }
        let zip = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
        return Ok(if zip { Kind::Set(text.into()) } else { Kind::Model(text.into()) });
    }
    hub::resolve(text).map(|_| Kind::Model(text.into())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_and_nothing_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert!(identify(&at("")).unwrap_err().contains("neither a run"));
        let picture = tandem_core::run::Rgb8::filled(4, 4, [9; 3]);
        picture.save_png(Path::new(&at("p.png"))).unwrap();
        std::fs::write(at("m.safetensors"), "x").unwrap();
        std::fs::write(at("set.zip"), "x").unwrap();
        assert_eq!(identify(&at("p.png")), Ok(Kind::Picture(at("p.png").into())));
        assert_eq!(identify(&at("m.safetensors")), Ok(Kind::Model(at("m.safetensors"))));
        assert_eq!(identify(&at("set.zip")), Ok(Kind::Set(at("set.zip"))));
        let folder_name = folder.path().display().to_string();
        assert_eq!(identify(&folder_name), Ok(Kind::Set(folder_name)));
        for missing in ["", " ", "/no/such/thing", "nobody/has-this-model"] {
            let reason = identify(missing).unwrap_err();
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
        }
    }

    #[test]
    fn a_diffusers_folder_is_a_model() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        let name = folder.path().display().to_string();
        assert_eq!(identify(&name), Ok(Kind::Model(name)));
    }
}
