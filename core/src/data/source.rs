//! What a `--data` argument means, and which picture files it holds.
//!
//! `embedded` is the set inside the program, anything else a path: a folder or a zip. Hidden files,
//! `__MACOSX` and files that are not pictures by name are passed over silently; the rules for classes
//! and the split are in [`super::layout`].

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::archive::{ZipReader, read_limited};
use super::dataset::Problem;
use super::decode::{EXTENSIONS, is_picture_name};
use super::embedded;
use super::layout::{Layout, Place};
use crate::error::{Error, Result};

/// Where pictures come from. Parsed from a word: `embedded`, else a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSource {
    /// The emoji inside the program.
    Embedded,
    /// A folder or a zip file.
    Path(PathBuf),
}

impl FromStr for DataSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "embedded" { Self::Embedded } else { Self::Path(text.into()) })
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Where one picture's bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of its own.
    File(PathBuf),
    /// An entry of the zip, by index.
    Entry(usize),
}

/// A picture that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name below the source, with `/`.
    pub name: String,
    /// Index into [`Listing::classes`].
    pub label: usize,
    /// Words for the picture where the source has some.
    pub caption: Option<String>,
    /// Its bytes.
    pub location: Location,
}

/// Reads the bytes of an [`Item`]; cheap to clone, one for each thread.
#[derive(Clone)]
pub enum Reader {
    /// Files of their own.
    Folder,
    /// Entries of a zip.
    Zip(ZipReader),
}

impl Reader {
    /// The bytes of the picture at `location`.
    ///
    /// # Errors
    /// One line for a person: unreadable or larger than [`super::archive::MAX_FILE_BYTES`].
    pub fn read(&mut self, location: &Location) -> std::result::Result<Vec<u8>, String> {
        match (self, location) {
            (Self::Zip(zip), Location::Entry(index)) => zip.read(*index),
            (_, Location::File(path)) => read_limited(fs::File::open(path).map_err(|e| e.to_string())?),
            (Self::Folder, Location::Entry(index)) => Err(format!("entry {index} of no zip")),
        }
    }
}

/// A source opened and sorted, nothing decoded yet.
pub struct Listing {
    /// What to call it: the file or folder name.
    pub title: String,
    /// Class names, sorted.
    pub classes: Vec<String>,
    /// Training pictures, by name.
    pub train: Vec<Item>,
    /// Held-out pictures, by name.
    pub held: Vec<Item>,
    /// What the layout has no use for.
    pub left_out: Vec<Problem>,
    /// Reads the items.
    pub reader: Reader,
}

impl Listing {
    /// Lists what `source` holds.
    ///
    /// # Errors
    /// The path is missing, unreadable, no folder and no zip, or holds no picture.
    pub fn open(source: &DataSource) -> Result<Self> {
        match source {
            DataSource::Embedded => embedded::listing(),
            DataSource::Path(path) => Self::from_path(path),
        }
    }

    fn from_path(path: &Path) -> Result<Self> {
        let found = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let mut files = Files::default();
        let reader = if found.is_dir() {
            files.walk(path, "")?;
            Reader::Folder
        } else {
            let zip = ZipReader::open(path)?;
            zip.names().iter().enumerate().for_each(|(index, name)| files.add_entry(name, index));
            Reader::Zip(zip)
        };
        if files.names.is_empty() {
            let looked_for = EXTENSIONS.join(", ");
            let reason = format!("no images found (looked for {looked_for}); {} other files", files.others);
            return Err(Error::Data(format!("{}: {reason}", path.display())));
        }
        let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        Ok(files.into_listing(&absolute, reader))
    }
}

/// The files met on the way.
#[derive(Default)]
struct Files {
    names: Vec<String>,
    locations: Vec<Location>,
    others: usize,
    problems: Vec<Problem>,
    seen_folders: BTreeSet<PathBuf>,
}

impl Files {
    /// All of `folder` into `self`; links are followed, but no folder is entered twice.
    fn walk(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let failed = |e| Error::io("read", folder, e);
        if !self.seen_folders.insert(fs::canonicalize(folder).map_err(failed)?) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_hidden(&name) {
                continue;
            }
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            let kind = fs::metadata(&path);
            if kind.as_ref().is_ok_and(fs::Metadata::is_dir) {
                if let Err(error) = self.walk(&path, &format!("{name}/")) {
                    self.problems.push(Problem { path: name, reason: error.to_string() });
                }
            } else if kind.is_ok_and(|kind| !kind.is_file()) {
                self.others += 1; // a pipe or a device must not be opened
            } else {
                self.add(name, Location::File(path));
            }
        }
        Ok(())
    }

    fn add_entry(&mut self, stored: &str, index: usize) {
        let unified = stored.replace('\\', "/");
        let parts: Vec<&str> = unified.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if !unified.ends_with('/') && !parts.iter().any(|part| is_hidden(part)) {
            self.add(parts.join("/"), Location::Entry(index));
        }
    }

    fn add(&mut self, name: String, location: Location) {
        if is_picture_name(&name) {
            self.names.push(name);
            self.locations.push(location);
        } else {
            self.others += 1;
        }
    }

    fn into_listing(self, path: &Path, reader: Reader) -> Listing {
        let lossy = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let class = lossy(path.file_stem());
        let Layout { classes, train, held, left_out } = Layout::new(&self.names, &class);
        let item = |place: &Place| Item {
            name: self.names[place.index].clone(),
            label: place.label,
            caption: None,
            location: self.locations[place.index].clone(),
        };
        let (train, held) = (train.iter().map(item).collect(), held.iter().map(item).collect());
        let left_out = left_out.into_iter().map(|(path, reason)| Problem { path, reason });
        let left_out = self.problems.into_iter().chain(left_out).collect();
        Listing { title: lossy(path.file_name()), classes, train, held, left_out, reader }
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        folder
    }

    fn zipped(names: &[&str]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = zip::ZipWriter::new(file.reopen().unwrap());
        for name in names {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(name.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        file
    }

    fn open(path: &Path) -> Result<Listing> {
        Listing::open(&DataSource::Path(path.into()))
    }

    const TREE: [&str; 8] = [
        "set/train/b/1.png",
        "set/train/a/2.JPG",
        "set/val/b/3.webp",
        "set/.git/x.png",
        "__MACOSX/set/train/a/2.jpg",
        "set/train/a/._2.jpg",
        "set/labels.txt",
        "set/train/a/notes.md",
    ];

    #[test]
    fn folder_and_zip_of_the_same_tree_list_alike() {
        let (folder, archive) = (tree(&TREE), zipped(&TREE));
        for path in [folder.path(), archive.path()] {
            let mut listing = open(path).unwrap();
            assert_eq!(listing.classes, ["a", "b"]);
            let names = |items: &[Item]| items.iter().map(|i| (i.name.clone(), i.label)).collect::<Vec<_>>();
            assert_eq!(names(&listing.train), [(TREE[1].into(), 0), (TREE[0].into(), 1)]);
            assert_eq!(names(&listing.held), [(TREE[2].into(), 1)]);
            assert!(listing.left_out.is_empty());
            let bytes = listing.reader.read(&listing.train[0].location).unwrap();
            assert_eq!(bytes, TREE[1].as_bytes());
        }
    }

    #[test]
    fn an_empty_set_says_what_was_looked_for() {
        let folder = tree(&["a.txt", "b/c.csv"]);
        let error = open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("no images found (looked for png, jpg,"), "{error}");
        assert!(error.ends_with("; 2 other files") && !error.contains('\n'), "{error}");
        assert!(open(zipped(&[]).path()).is_err());
    }

    #[test]
    fn a_missing_path_is_named() {
        let error = open(Path::new("/no/such/folder")).err().unwrap().to_string();
        assert!(error.starts_with("cannot read /no/such/folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        let folder = tree(&["a/1.png", "b/2.png"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/up")).unwrap();
        assert_eq!(open(folder.path()).unwrap().classes, ["a", "b"]);
    }

    #[test]
    fn the_word_embedded_is_the_set_inside() {
        assert_eq!("embedded".parse(), Ok(DataSource::Embedded));
        assert_eq!("./x".parse(), Ok(DataSource::Path("./x".into())));
        assert_eq!(DataSource::Path("a.zip".into()).to_string(), "a.zip");
    }
}
