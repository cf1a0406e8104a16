//! The pictures that can be asked for: a training run's set in memory, a source that is read picture by
//! picture, and any picture file. All become squares of one side.

use std::path::Path;
use std::sync::Arc;

use super::ask::PictureRef;
use crate::data::decode::decode_square;
use crate::data::pixels::planar_from_hwc;
use crate::data::source::Listing;
use crate::data::{DataSource, Dataset, Picture, Split};

/// Pictures by name and number.
pub struct Gallery {
    px: usize,
    content: Content,
}

enum Content {
    Set(Arc<Dataset>),
    /// Not opened until it is asked for.
    Waiting(DataSource),
    Listed(Box<Listing>),
    Broken(String),
}

/// A picture as the model takes it.
#[derive(Clone, Debug)]
pub(super) struct Square {
    /// Planar, of the gallery's side.
    pub picture: Picture,
    pub name: String,
    pub label: Option<usize>,
}

impl Gallery {
    /// Of a set in memory.
    pub fn of(set: Arc<Dataset>) -> Self {
        Self { px: set.image_px(), content: Content::Set(set) }
    }

    /// Of a source that is opened when a picture of it is first asked for, brought to side `px`.
    pub fn later(source: DataSource, px: usize) -> Self {
        Self { px, content: Content::Waiting(source) }
    }

    /// Side of the pictures.
    pub fn px(&self) -> usize {
        self.px
    }

    /// Why there are no pictures of the data, if so. Opens the source.
    pub(super) fn problem(&mut self) -> Option<String> {
        if let Content::Waiting(source) = &self.content {
            self.content = match Listing::open(source) {
                Ok(listing) => Content::Listed(Box::new(listing)),
                Err(error) => Content::Broken(error.to_string()),
            };
        }
        match &self.content {
            Content::Broken(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Pictures of a split. Opens the source.
    pub(super) fn len(&mut self, split: Split) -> usize {
        self.problem();
        match &self.content {
            Content::Set(set) => set.len(split),
            Content::Listed(listing) if split == Split::Held => listing.held.len(),
            Content::Listed(listing) => listing.train.len(),
            Content::Waiting(_) | Content::Broken(_) => 0,
        }
    }

    /// Names of the classes. Opens the source.
    pub(super) fn classes(&mut self) -> Vec<String> {
        self.problem();
        match &self.content {
            Content::Set(set) => set.class_names().to_vec(),
            Content::Listed(listing) => listing.classes.clone(),
            Content::Waiting(_) | Content::Broken(_) => Vec::new(),
        }
    }

    /// Reads a picture.
    ///
    /// # Errors
    /// One line: no such picture, or one that cannot be read.
    pub(super) fn square(&mut self, which: &PictureRef) -> Result<Square, String> {
        match which {
            PictureRef::File(path) => self.file(path),
            PictureRef::Held(index) => self.of_data(Split::Held, *index, which),
            PictureRef::Train(index) => self.of_data(Split::Train, *index, which),
        }
    }

    fn file(&self, path: &Path) -> Result<Square, String> {
        let picture = Picture::open(path, Some(self.px), 1).map_err(|error| error.to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Square { picture, name, label: None })
    }

    fn of_data(&mut self, split: Split, index: usize, which: &PictureRef) -> Result<Square, String> {
        if let Some(reason) = self.problem() {
            return Err(format!("{which} cannot be had: {reason}"));
        }
        let count = self.len(split);
        if index >= count {
            return Err(format!("there is no {which}: the data has {count} of these"));
        }
        let px = self.px;
        let (pixels, name, label) = match &mut self.content {
            Content::Set(set) => (
                set.image(split, index).into_owned(),
                set.caption(split, index).to_string(),
                set.label(split, index),
            ),
            Content::Listed(listing) => {
                let items = if split == Split::Held { &listing.held } else { &listing.train };
                let item = &items[index];
                let name = item.caption.clone().unwrap_or_else(|| listing.classes[item.label].clone());
                let read = listing.reader.read(&item.location).and_then(|bytes| decode_square(&bytes, px));
                (read.map_err(|reason| format!("{}: {reason}", item.name))?, name, item.label)
            }
            Content::Waiting(_) | Content::Broken(_) => return Err(format!("there is no {which}")),
        };
        let mut planar = vec![0; pixels.len()];
        planar_from_hwc(&pixels, px, false, &mut planar);
        Ok(Square { picture: Picture { planar, height: px, width: px }, name, label: Some(label) })
    }
}
