//! What a tree of picture names means: classes, training part, held-out part.
//!
//! Works on relative names with `/` alone, so folders, zips and tests share it. The rules, in order:
//! 1. top folders that hold everything are peeled off (`cifar10/train/…`);
//! 2. `train/` beside `test/`, `val/` or `validation/` is the split (all of these are held out);
//! 3. the first folder below is the class; pictures in no folder at all are one class;
//! 4. without a split, 5 % are held out by the SHA-256 of the name, always the same ones.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

/// Held out per hundred when a source has no split of its own.
pub const HELD_PERCENT: u64 = 5;

/// Folder names, in lower case, that are held out beside `train`.
const HELD_FOLDERS: [&str; 3] = ["test", "val", "validation"];

/// A picture's place: which input name, and its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index into the names given to [`Layout::new`].
    pub index: usize,
    /// Index into [`Layout::classes`].
    pub label: usize,
}

/// The result: who is where.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Class names, sorted.
    pub classes: Vec<String>,
    /// Training pictures, in the order of their names.
    pub train: Vec<Place>,
    /// Held-out pictures, in the order of their names.
    pub held: Vec<Place>,
    /// Pictures that fit nowhere, as (folder, why), one line for each folder.
    pub left_out: Vec<(String, String)>,
}

/// A name on its way: index of the input and the folders and file left after peeling.
type Parts<'a> = (usize, Vec<&'a str>);

impl Layout {
    /// Sorts `names` (relative, with `/`, pictures only) into classes and parts.
    ///
    /// `title` names the class of a set that has none: the source's own name.
    pub fn new(names: &[String], title: &str) -> Self {
        let mut parts: Vec<Parts> = names.iter().map(|n| n.split('/').collect()).enumerate().collect();
        parts.sort_by_key(|&(index, _)| &names[index]);
        let title = peel(&mut parts).unwrap_or(title).to_string();
        let mut layout = Self::default();
        let (train, held) = layout.split_folders(parts);
        let train_classes = layout.labelled(train, &title);
        layout.classes = train_classes.keys().cloned().collect();
        layout.train = layout.places(train_classes);
        let held = held.map(|held| layout.labelled(held, &title)).unwrap_or_default();
        layout.held = layout.places(held);
        layout.train.sort_by_key(|place| &names[place.index]);
        layout.held.sort_by_key(|place| &names[place.index]);
        if layout.held.is_empty() {
            let all = std::mem::take(&mut layout.train);
            (layout.train, layout.held) = hold_out(all, |place| &names[place.index]);
        }
        layout
    }

    /// Rule 2: the parts below `train/` and below the held-out folders, if there are both.
    fn split_folders<'a>(&mut self, parts: Vec<Parts<'a>>) -> (Vec<Parts<'a>>, Option<Vec<Parts<'a>>>) {
        let folders: BTreeSet<String> = parts.iter().filter_map(|(_, p)| folder(p)).collect();
        if !folders.contains("train") || !HELD_FOLDERS.iter().any(|&name| folders.contains(name)) {
            return (parts, None);
        }
        let (mut train, mut held, mut others) = (Vec::new(), Vec::new(), BTreeMap::<String, usize>::new());
        for (index, mut names) in parts {
            let part = folder(&names).unwrap_or_default();
            let top = names.remove(0);
            match part.as_str() {
                "train" => train.push((index, names)),
                name if HELD_FOLDERS.contains(&name) => held.push((index, names)),
                "" => *others.entry("(top folder)".into()).or_default() += 1,
                _ => *others.entry(top.into()).or_default() += 1,
            }
        }
        let why = |count| format!("neither train nor held out: {count} pictures left out");
        self.left_out.extend(others.into_iter().map(|(name, count)| (name, why(count))));
        (train, Some(held))
    }

    /// Rule 3: input indices by class name.
    fn labelled(&mut self, parts: Vec<Parts>, title: &str) -> BTreeMap<String, Vec<usize>> {
        let mut classes = BTreeMap::<String, Vec<usize>>::new();
        let flat = parts.iter().all(|(_, names)| names.len() < 2);
        let mut bare = 0;
        for (index, names) in parts {
            match names.as_slice() {
                [class, _, ..] => classes.entry((*class).into()).or_default().push(index),
                _ if flat => classes.entry(title.into()).or_default().push(index),
                _ => bare += 1,
            }
        }
        if bare > 0 {
            let why = format!("beside class folders, so without a class: {bare} pictures left out");
            self.left_out.push(("(top folder)".into(), why));
        }
        classes
    }

    /// Indices of classes known from training become places; other classes are left out.
    fn places(&mut self, by_class: BTreeMap<String, Vec<usize>>) -> Vec<Place> {
        let mut places = Vec::new();
        for (class, indices) in by_class {
            match self.classes.binary_search(&class) {
                Ok(label) => places.extend(indices.into_iter().map(|index| Place { index, label })),
                Err(_) => {
                    let why = format!("no such class in train: {} held-out pictures left out", indices.len());
                    self.left_out.push((class, why));
                }
            }
        }
        places
    }
}

/// The first folder in lower case; none for a file at the top.
fn folder(names: &[&str]) -> Option<String> {
    (names.len() > 1).then(|| names[0].to_lowercase())
}

/// Rule 1: removes folders that hold everything; the innermost that is no split name is returned.
fn peel<'a>(parts: &mut [Parts<'a>]) -> Option<&'a str> {
    let mut title = None;
    while let Some(top) = parts.first().filter(|(_, names)| names.len() > 1).map(|(_, names)| names[0]) {
        if !parts.iter().all(|(_, names)| names.len() > 1 && names[0] == top) {
            break;
        }
        for (_, names) in parts.iter_mut() {
            names.remove(0);
        }
        let lower = top.to_lowercase();
        if lower != "train" && !HELD_FOLDERS.contains(&lower.as_str()) {
            title = Some(top);
        }
    }
    title
}

/// The place of `key` on the circle of hashes: below `HELD_PERCENT` of it is held out.
fn key_hash(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// Whether the rule of 5 % holds `key` out.
pub fn is_held(key: &str) -> bool {
    key_hash(key) < u64::MAX / 100 * HELD_PERCENT
}

/// Rule 4. From two items on, each part has at least one.
fn hold_out<'a>(all: Vec<Place>, key: impl Fn(&Place) -> &'a String) -> (Vec<Place>, Vec<Place>) {
    let by_hash = |place: &&Place| key_hash(key(place));
    let lowest = all.iter().min_by_key(by_hash).copied();
    let highest = all.iter().max_by_key(by_hash).copied();
    let enough = all.len() >= 2;
    all.into_iter().partition(|place| {
        let must = enough && Some(*place) == lowest;
        let must_not = Some(*place) == highest;
        must_not || !(must || is_held(key(place)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(names: &[&str]) -> Layout {
        Layout::new(&names.iter().map(|&n| n.into()).collect::<Vec<_>>(), "pets")
    }

    #[test]
    fn a_wrapped_split_is_found_and_classes_are_matched_by_name() {
        let found = layout(&["x/test/dog/1.png", "x/train/cat/1.png", "x/train/dog/a/2.png"]);
        assert_eq!(found.classes, ["cat", "dog"]);
        assert_eq!(found.train, [Place { index: 1, label: 0 }, Place { index: 2, label: 1 }]);
        assert_eq!(found.held, [Place { index: 0, label: 1 }]);
        assert!(found.left_out.is_empty());
    }

    #[test]
    fn every_spelling_of_the_held_out_folder_works() {
        for held in ["test", "val", "validation", "Test", "VAL"] {
            let found = layout(&["Train/a/1.png", "Train/a/2.png", &format!("{held}/a/3.png")]);
            assert_eq!(found.held.iter().map(|p| p.index).collect::<Vec<_>>(), [2], "{held}");
        }
    }

    #[test]
    fn a_class_called_train_is_a_class() {
        assert_eq!(layout(&["car/1.png", "train/1.png"]).classes, ["car", "train"]);
    }

    #[test]
    fn a_flat_set_has_one_class_named_by_its_folder() {
        assert_eq!(layout(&["1.png", "2.png"]).classes, ["pets"]);
        assert_eq!(layout(&["cats/1.png", "cats/2.png"]).classes, ["cats"]);
        assert_eq!(layout(&["train/1.png", "test/2.png"]).classes, ["pets"]);
    }

    #[test]
    fn strangers_are_left_out_with_a_reason() {
        let found = layout(&["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png", "x.png"]);
        assert_eq!(found.held.len(), 1);
        assert_eq!(found.left_out.len(), 2);
        assert!(found.left_out[0].1.contains("1 pictures left out"), "{:?}", found.left_out);
        assert_eq!(found.left_out[1].0, "c");
        let found = layout(&["train/a/1.png", "train/b/1.png", "val/images/1.png"]);
        assert_eq!((found.train.len(), found.held.len()), (1, 1), "falls back to the hash");
        let found = layout(&["a/1.png", "b/1.png", "loose.png"]);
        assert_eq!(found.left_out.len(), 1);
    }

    #[test]
    fn five_percent_are_held_out_whatever_the_order_of_listing() {
        let names: Vec<String> = (0..2000).map(|i| format!("c{}/{i}.png", i % 3)).collect();
        let found = Layout::new(&names, "t");
        assert!((60..140).contains(&found.held.len()), "{}", found.held.len());
        let mut reversed = names.clone();
        reversed.reverse();
        let again = Layout::new(&reversed, "t");
        let chosen = |l: &Layout, n: &[String]| l.held.iter().map(|p| n[p.index].clone()).collect::<Vec<_>>();
        assert_eq!(chosen(&found, &names), chosen(&again, &reversed));
    }

    #[test]
    fn small_sets_keep_at_least_one_in_each_part() {
        for count in 2..40 {
            let names: Vec<String> = (0..count).map(|i| format!("{i}.png")).collect();
            let found = Layout::new(&names, "t");
            assert!(!found.held.is_empty() && !found.train.is_empty(), "{count}");
        }
        assert_eq!(layout(&["1.png"]).train.len(), 1);
        assert_eq!(layout(&[]), Layout::default());
    }
}
