//! A set in memory: every picture decoded once to a small RGB8 square. Squares that are smaller than asked for stay so
//! and are enlarged whenever one is taken: at 256 px that is 46 MB of embedded pictures instead of 735.
//!
//! Files are read and decoded in parallel; at any time one file per thread is held besides the
//! squares. A picture that cannot be read is skipped, counted and named; a set of which nothing can
//! be read is an error.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::decode::{decode_small, square};
use super::source::{DataSource, Item, Listing, Reader};
use crate::error::{Error, Result};

/// The two parts of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is never trained on: `test/` or `val/` of the source, else a fixed 5 %.
    Held,
}

/// Something of the source that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The picture or folder, below the source.
    pub path: String,
    /// One line.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// One split.
#[derive(Default)]
struct Part {
    /// `[s, s, 3]` each, with s at most the side of the set.
    squares: Vec<Box<[u8]>>,
    items: Vec<Item>,
}

/// A decoded set of pictures.
pub struct Dataset {
    title: String,
    image_px: usize,
    classes: Vec<String>,
    train: Part,
    held: Part,
    problems: Vec<Problem>,
    num_skipped: usize,
    fingerprint: OnceLock<String>,
}

impl Dataset {
    /// Reads all of `source` as squares of side `image_px` (pixels, from 1 to 4096).
    ///
    /// # Errors
    /// The source is missing or holds no readable picture, or the squares do not fit in memory.
    pub fn open(source: &DataSource, image_px: usize) -> Result<Self> {
        if !(1..=4096).contains(&image_px) {
            return Err(Error::Config(format!("image size {image_px} px is not within 1 and 4096")));
        }
        let listing = Listing::open(source)?;
        let num_listed = listing.train.len() + listing.held.len();
        let title = match source {
            DataSource::Embedded => listing.title,
            DataSource::Path(path) if listing.title.is_empty() => path.display().to_string(),
            DataSource::Path(_) => listing.title,
        };
        let mut broken = Vec::new();
        let train = Part::decode(&title, listing.train, &listing.reader, image_px, &mut broken)?;
        let held = Part::decode(&title, listing.held, &listing.reader, image_px, &mut broken)?;
        if train.items.is_empty() {
            let all = [broken.as_slice(), &listing.left_out].concat();
            let first = all.first().map(|problem| format!("; the first: {problem}")).unwrap_or_default();
            let (count, tried) = (broken.len(), num_listed);
            let what = format!("no training image could be read ({count} of {tried} are broken{first})");
            return Err(Error::Data(format!("{source}: {what}")));
        }
        let num_skipped = broken.len();
        broken.extend(listing.left_out);
        let (classes, fingerprint) = (listing.classes, OnceLock::new());
        Ok(Self { title, image_px, classes, train, held, problems: broken, num_skipped, fingerprint })
    }

    fn part(&self, split: Split) -> &Part {
        match split {
            Split::Train => &self.train,
            Split::Held => &self.held,
        }
    }

    /// How many pictures a split has.
    pub fn len(&self, split: Split) -> usize {
        self.part(split).items.len()
    }

    /// Whether a split has no pictures. [`Split::Train`] always has some.
    pub fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// A picture, `[S, S, 3]` with S = [`Self::image_px`].
    ///
    /// # Panics
    /// `index` is not below [`Self::len`]; so for the other getters.
    pub fn image(&self, split: Split, index: usize) -> Cow<'_, [u8]> {
        square(&self.part(split).squares[index], self.image_px)
    }

    /// A picture's class, an index into [`Self::class_names`].
    pub fn label(&self, split: Split, index: usize) -> usize {
        self.part(split).items[index].label
    }

    /// A picture's name below the source.
    pub fn name(&self, split: Split, index: usize) -> &str {
        &self.part(split).items[index].name
    }

    /// Words for a picture: the source's where it has some, else its class.
    pub fn caption(&self, split: Split, index: usize) -> &str {
        let item = &self.part(split).items[index];
        item.caption.as_deref().unwrap_or(&self.classes[item.label])
    }

    /// Class names, sorted; a label is an index into them.
    pub fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// The side of every picture in pixels.
    pub fn image_px(&self) -> usize {
        self.image_px
    }

    /// What was skipped: broken pictures first, then folders without a place in the split.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// One line for people: name, counts, classes, size, and how many pictures are broken.
    pub fn describe(&self) -> String {
        let (train, held) = (self.len(Split::Train), self.len(Split::Held));
        let classes = match self.classes.len() {
            1 => "1 class".into(),
            count => format!("{count} classes"),
        };
        let skipped = match self.num_skipped {
            0 => String::new(),
            count => format!(", {count} broken and skipped"),
        };
        let (title, px) = (&self.title, self.image_px);
        format!("{title}: {train} training and {held} held-out images, {classes}, {px} px{skipped}")
    }

    /// Hex SHA-256 over size, class names, and each picture's name, label and pixels.
    ///
    /// Two sets are the same training data exactly when this agrees; computed once, on first use.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.get_or_init(|| self.compute_fingerprint()).clone()
    }

    fn compute_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // Lengths go before texts, so no two different sets feed the same bytes.
        let text = |hash: &mut Sha256, text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        hash.update((self.image_px as u64).to_le_bytes());
        hash.update((self.classes.len() as u64).to_le_bytes());
        self.classes.iter().for_each(|class| text(&mut hash, class));
        for split in [Split::Train, Split::Held] {
            let part = self.part(split);
            hash.update((part.items.len() as u64).to_le_bytes());
            for item in &part.items {
                text(&mut hash, &item.name);
                hash.update((item.label as u64).to_le_bytes());
            }
            (0..part.items.len()).for_each(|index| hash.update(self.image(split, index)));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A set made up for tests: `num` flat training squares, their shade the index.
    #[cfg(test)]
    pub(crate) fn of_shades(num: usize, image_px: usize) -> Self {
        let size = image_px * image_px * 3;
        let item = |i: usize| Item {
            name: i.to_string(),
            label: i % 2,
            caption: None,
            location: super::source::Location::Entry(i),
        };
        let shade = |i: usize| (0..size).map(|k| if k % 3 == 0 { k as u8 } else { i as u8 }).collect();
        let train = Part { squares: (0..num).map(shade).collect(), items: (0..num).map(item).collect() };
        Self {
            title: "shades".into(),
            image_px,
            classes: vec!["even".into(), "odd".into()],
            train,
            held: Part::default(),
            problems: Vec::new(),
            num_skipped: 0,
            fingerprint: OnceLock::new(),
        }
    }
}

impl Part {
    /// Reads `items` in parallel; the broken ones go to `problems`, the others close ranks.
    fn decode(
        title: &str,
        items: Vec<Item>,
        reader: &Reader,
        image_px: usize,
        problems: &mut Vec<Problem>,
    ) -> Result<Self> {
        // Asked of the allocator, not kept: squares are taken one by one.
        let needed = items.len().saturating_mul(image_px * image_px * 3);
        Vec::<u8>::new().try_reserve_exact(needed).map_err(|_| {
            let gigabytes = needed as f64 / 1e9;
            Error::Data(format!("{title}: {} images take {gigabytes:.1} GB of memory", items.len()))
        })?;
        let outcome = items.par_iter().map_init(
            || reader.clone(),
            |reader, item| decode_small(&reader.read(&item.location)?, image_px).map(Vec::into_boxed_slice),
        );
        let outcome: Vec<std::result::Result<Box<[u8]>, String>> = outcome.collect();
        let mut part = Self::default();
        for (item, outcome) in items.into_iter().zip(outcome) {
            match outcome {
                Ok(square) => {
                    part.squares.push(square);
                    part.items.push(item);
                }
                Err(reason) => problems.push(Problem { path: item.name, reason }),
            }
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};
    use std::fs;
    use std::path::Path;

    fn save(path: &Path, shade: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(12, 9, Rgb([shade, 0, 255])).save(path).unwrap();
    }

    fn open(path: &Path) -> Result<Dataset> {
        Dataset::open(&DataSource::Path(path.into()), 8)
    }

    #[test]
    fn a_folder_is_decoded_to_squares() {
        let folder = tempfile::tempdir().unwrap();
        for (name, shade) in [("train/a/1.png", 10), ("train/b/2.bmp", 20), ("test/b/3.png", 30)] {
            save(&folder.path().join(name), shade);
        }
        let set = open(folder.path()).unwrap();
        assert_eq!((set.len(Split::Train), set.len(Split::Held)), (2, 1));
        assert_eq!(*set.image(Split::Train, 1), [20, 0, 255].repeat(64));
        assert_eq!((set.label(Split::Held, 0), set.name(Split::Held, 0)), (1, "test/b/3.png"));
        assert_eq!(set.caption(Split::Held, 0), "b");
        assert!(set.describe().ends_with(": 2 training and 1 held-out images, 2 classes, 8 px"));
        assert!(!set.is_empty(Split::Held));
    }

    #[test]
    fn broken_pictures_are_skipped_counted_and_named() {
        let folder = tempfile::tempdir().unwrap();
        for (i, shade) in [1u8, 2, 4, 5].into_iter().enumerate() {
            save(&folder.path().join(format!("{}.png", i * 2)), shade);
        }
        fs::write(folder.path().join("3.png"), "just text").unwrap();
        let whole = fs::read(folder.path().join("0.png")).unwrap();
        fs::write(folder.path().join("1.jpg"), &whole[..whole.len() / 2]).unwrap();
        let set = open(folder.path()).unwrap();
        let mut named: Vec<&str> = set.problems().iter().map(|p| p.path.as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, ["1.jpg", "3.png"]);
        assert_eq!(set.len(Split::Train) + set.len(Split::Held), 4);
        assert!(set.describe().ends_with("1 class, 8 px, 2 broken and skipped"), "{}", set.describe());
        for split in [Split::Train, Split::Held] {
            for index in 0..set.len(split) {
                let number: usize = set.name(split, index)[..1].parse().unwrap();
                assert_eq!(set.image(split, index)[0], [1, 2, 4, 5][number / 2], "ranks closed rightly");
            }
        }
    }

    #[test]
    fn a_set_of_broken_pictures_names_the_first() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), "text").unwrap();
        fs::write(folder.path().join("b.png"), "text").unwrap();
        let error = open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("2 of 2 are broken; the first: ") && error.contains(".png: not a"), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn the_fingerprint_sees_pixels_and_names() {
        let folder = tempfile::tempdir().unwrap();
        save(&folder.path().join("a/1.png"), 10);
        save(&folder.path().join("b/2.png"), 20);
        let first = open(folder.path()).unwrap().fingerprint();
        assert_eq!(first.len(), 64);
        assert_eq!(first, open(folder.path()).unwrap().fingerprint());
        save(&folder.path().join("b/2.png"), 21);
        let pixels = open(folder.path()).unwrap().fingerprint();
        fs::rename(folder.path().join("b/2.png"), folder.path().join("b/3.png")).unwrap();
        let names = open(folder.path()).unwrap().fingerprint();
        assert!(first != pixels && pixels != names && first != names);
    }

    #[test]
    fn the_embedded_set_opens() {
        let set = Dataset::open(&DataSource::Embedded, 32).unwrap();
        assert!(set.problems().is_empty() && set.len(Split::Train) > 3000);
        assert!(set.describe().starts_with("embedded emoji: "));
        assert!(set.caption(Split::Train, 0).contains(", "));
        assert!(Dataset::open(&DataSource::Embedded, 0).is_err());
    }
}
