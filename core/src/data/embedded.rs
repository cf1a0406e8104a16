//! The picture set inside the program: emoji in two drawing styles, 64 px, nine classes.
//!
//! The pack (`assets/embedded/emoji.zip`, rebuilt by `build_pack.py` beside it; provenance and licences
//! there) is a zip of stored entries:
//! - `index.json`: `{"format": 1, "styles": [STYLE…], "pictures": [{"code", "class", "name", "keywords"}…]}`,
//!   where `class` is the emoji category and `code` the code points in hex;
//! - `STYLE/CODE.webp`: a lossless WebP, 64 × 64, already over white.
//!
//! Held out is 5 % of the *codes*, so a held-out emoji is unseen in either style.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::archive::ZipReader;
use super::layout::is_held;
use super::source::{Item, Listing, Location, Reader};
use crate::error::{Error, Result};

/// What people call the set.
pub const TITLE: &str = "embedded emoji";

static PACK: &[u8] = include_bytes!("../../../assets/embedded/emoji.zip");

#[derive(Deserialize)]
struct Index {
    format: u32,
    styles: Vec<String>,
    pictures: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    code: String,
    class: String,
    name: String,
    keywords: Vec<String>,
}

impl Row {
    /// `name, keyword, keyword…`.
    fn caption(&self) -> String {
        std::iter::once(&self.name).chain(&self.keywords).map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The pack's size in bytes, for `doctor`.
pub fn pack_bytes() -> usize {
    PACK.len()
}

/// Lists the pack: names are `STYLE/CODE name`, captions the name and keywords.
///
/// # Errors
/// The pack is damaged: the program was built wrongly.
pub fn listing() -> Result<Listing> {
    let broken = |reason: String| Error::Data(format!("the embedded set is broken: {reason}"));
    let mut reader = ZipReader::from_static(PACK)?;
    let text = reader.read_named("index.json").map_err(broken)?;
    let index: Index = serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?;
    if index.format != 1 {
        return Err(broken(format!("format {} is not 1", index.format)));
    }
    let classes: BTreeSet<&String> = index.pictures.iter().map(|row| &row.class).collect();
    let classes: Vec<String> = classes.into_iter().cloned().collect();
    let (mut train, mut held) = (Vec::new(), Vec::new());
    for style in &index.styles {
        for row in &index.pictures {
            let entry = format!("{style}/{}.webp", row.code);
            let place = reader.index(&entry).ok_or_else(|| broken(format!("{entry} is missing")))?;
            let label =
                classes.binary_search(&row.class).map_err(|_| broken(format!("{entry}: no class")))?;
            let name = format!("{style}/{} {}", row.code, row.name);
            let item = Item { name, label, caption: Some(row.caption()), location: Location::Entry(place) };
            if is_held(&row.code) { held.push(item) } else { train.push(item) }
        }
    }
    Ok(Listing {
        title: TITLE.into(),
        classes,
        train,
        held,
        left_out: Vec::new(),
        reader: Reader::Zip(reader),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_emoji_are_unseen_in_either_style() {
        let listing = listing().unwrap();
        assert_eq!(listing.classes.len(), 9);
        assert!(listing.train.len() > 3000 && listing.held.len() > 100);
        let codes = |items: &[Item]| -> BTreeSet<String> {
            items.iter().map(|i| i.name.split(['/', ' ']).nth(1).unwrap().into()).collect()
        };
        let (train, held) = (codes(&listing.train), codes(&listing.held));
        assert!(train.is_disjoint(&held));
        assert_eq!((train.len() * 2, held.len() * 2), (listing.train.len(), listing.held.len()));
    }

    #[test]
    fn captions_name_the_picture() {
        let listing = listing().unwrap();
        let caption = |code: &str| {
            let mut all = listing.train.iter().chain(&listing.held);
            all.find(|i| i.name.starts_with(code)).and_then(|i| i.caption.clone()).unwrap()
        };
        assert!(caption("noto/1f600 ").starts_with("grinning face, "));
        assert_eq!(caption("noto/1f34e "), caption("twemoji/1f34e "));
    }
}
