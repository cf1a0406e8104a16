//! A person's own pictures among the previews (`preview.images`): read once, cut to the run's square,
//! and kept in the run folder, so that the run shows them for good wherever the files go.

use std::path::{Path, PathBuf};

use crate::data::decode::decode_square;
use crate::data::pixels::planar_from_hwc;
use crate::error::{Error, Result};
use crate::run::Rgb8;

/// Larger files are not read.
const MAX_BYTES: u64 = 256 << 20;
/// Characters of a file's name that its copy keeps.
const NAME_CHARS: usize = 40;

/// Pictures under the paths that they were read from, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    pictures: Vec<(String, Rgb8)>,
}

impl Pinned {
    /// Reads `paths` at `px` pixels a side; those that `known` holds are taken from there.
    ///
    /// # Errors
    /// The first file that is no picture, in one line.
    pub fn read(paths: &[String], px: usize, known: &Self) -> Result<Self> {
        let picture = |path: &String| match known.pictures.iter().find(|(name, _)| name == path) {
            Some(found) => Ok(found.clone()),
            None => Ok((path.clone(), square(Path::new(path), px)?)),
        };
        Ok(Self { pictures: paths.iter().map(picture).collect::<Result<_>>()? })
    }

    /// Reads the copies of `paths` in `folder`, or the files themselves where there is none; what can be
    /// read no more is left out, and told.
    pub fn reopen(paths: &[String], px: usize, folder: &Path) -> (Self, Vec<Error>) {
        let (mut pictures, mut lost) = (Vec::new(), Vec::new());
        for path in paths {
            match square(&copy_of(path, folder), px).or_else(|_| square(Path::new(path), px)) {
                Ok(picture) => pictures.push((path.clone(), picture)),
                Err(error) => lost.push(error),
            }
        }
        (Self { pictures }, lost)
    }

    /// Writes copies into `folder`, as far as they are not there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn store(&self, folder: &Path) -> Result<()> {
        if !self.pictures.is_empty() && !folder.is_dir() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        for (path, picture) in &self.pictures {
            let copy = copy_of(path, folder);
            if square(&copy, picture.width).ok().as_ref() != Some(picture) {
                picture.save_png(&copy)?;
            }
        }
        Ok(())
    }

    /// All pictures, planar, `[N, 3, px, px]`.
    pub fn planar(&self) -> Vec<u8> {
        let planar = |(_, picture): &(String, Rgb8)| {
            let mut planar = vec![0; picture.pixels.len()];
            planar_from_hwc(&picture.pixels, picture.width, false, &mut planar);
            planar
        };
        self.pictures.iter().flat_map(planar).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }
}

/// The middle square of the picture in `path`.
fn square(path: &Path, px: usize) -> Result<Rgb8> {
    let meta = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        let what = if meta.is_file() { "is too large for a picture" } else { "is not a file" };
        return Err(Error::file(path, what));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let pixels = decode_square(&bytes, px).map_err(|reason| Error::file(path, reason))?;
    Ok(Rgb8 { width: px, height: px, pixels })
}

/// Where the copy of `path` lies: its name, told apart from its namesakes in other folders.
fn copy_of(path: &str, folder: &Path) -> PathBuf {
    // FNV-1a.
    let hash = path
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = stem.chars().map(plain).take(NAME_CHARS).collect();
    folder.join(format!("{name}-{hash:016x}.png"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(folder: &Path, name: &str, colour: [u8; 3]) -> String {
        let path = folder.join(name);
        Rgb8::filled(24, 16, colour).save_png(&path).unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn copies_outlive_the_files_and_namesakes_stay_apart() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run/pinned");
        std::fs::create_dir_all(dir.path().join("b")).unwrap();
        let paths =
            [picture(dir.path(), "cat.png", [9, 8, 7]), picture(&dir.path().join("b"), "cat.png", [1; 3])];
        let pinned = Pinned::read(&paths, 8, &Pinned::default()).unwrap();
        assert_eq!(pinned.planar()[..64], [9; 64]);
        pinned.store(&folder).unwrap();
        for path in &paths {
            std::fs::remove_file(path).unwrap();
        }
        let (again, lost) = Pinned::reopen(&paths, 8, &folder);
        assert!(lost.is_empty() && again == pinned);
        // What is held is not read again; what is gone is told.
        assert_eq!(Pinned::read(&paths[1..], 8, &pinned).unwrap().planar(), [1; 192]);
        std::fs::remove_dir_all(&folder).unwrap();
        let (again, lost) = Pinned::reopen(&paths, 8, &folder);
        assert!(again.is_empty() && lost.len() == 2 && lost[0].to_string().contains("cat.png"));
    }

    #[test]
    fn a_file_that_is_no_picture_gives_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let broken = dir.path().join("broken.png");
        std::fs::write(&broken, b"\x89PNG\r\n\x1a\nnothing").unwrap();
        for path in [broken.as_path(), dir.path(), &dir.path().join("none.png"), Path::new("/dev/zero")] {
            let path = path.to_string_lossy().into_owned();
            let error =
                Pinned::read(std::slice::from_ref(&path), 8, &Pinned::default()).unwrap_err().to_string();
            assert!(error.contains(&path) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_picture_that_changed_under_its_name_replaces_its_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = picture(dir.path(), "a.png", [5; 3]);
        let read = || Pinned::read(std::slice::from_ref(&path), 8, &Pinned::default()).unwrap();
        read().store(dir.path()).unwrap();
        picture(dir.path(), "a.png", [6; 3]);
        read().store(dir.path()).unwrap();
        assert_eq!(Pinned::reopen(std::slice::from_ref(&path), 8, dir.path()).0.planar(), [6; 192]);
    }
}
