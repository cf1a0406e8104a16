//! Pictures that were asked for, with their latents: encoded once for each state of the encoder.

use std::sync::Arc;

use super::ask::PictureRef;
use super::desk::View;
use super::gallery::{Gallery, Square};
use super::tokens::TokenFeatures;
use crate::eval::roundtrip::{Encoded, encode};

/// Pictures that are kept; the least used goes.
const MAX_PICTURES: usize = 160;

/// A picture with what was made of it.
pub(super) struct Shelved {
    pub square: Arc<Square>,
    /// Its latents, and the step of the encoder that made them.
    encoded: Option<(u64, Arc<Encoded>)>,
    /// Features of its teachers, which never change.
    pub teachers: Option<Arc<Vec<TokenFeatures>>>,
}

/// The shelf, the least used picture first.
#[derive(Default)]
pub(super) struct Shelf {
    pictures: Vec<(PictureRef, Shelved)>,
    /// Pictures that went through the encoder.
    pub encodings: u64,
}

impl Shelf {
    /// A picture; it is read when it is not there.
    ///
    /// # Errors
    /// As [`Gallery::square`].
    pub fn get(&mut self, which: &PictureRef, gallery: &mut Gallery) -> Result<&mut Shelved, String> {
        let found = match self.pictures.iter().position(|(other, _)| other == which) {
            Some(at) => self.pictures.remove(at).1,
            None => {
                let square = Arc::new(gallery.square(which)?);
                Shelved { square, encoded: None, teachers: None }
            }
        };
        if self.pictures.len() >= MAX_PICTURES {
            self.pictures.remove(0);
        }
        let last = self.pictures.len();
        self.pictures.push((which.clone(), found));
        Ok(&mut self.pictures[last].1)
    }

    /// A picture and its latents; encoded only when the encoder has changed since the last time.
    ///
    /// # Errors
    /// As [`Gallery::square`].
    pub fn latents(
        &mut self,
        which: &PictureRef,
        gallery: &mut Gallery,
        view: &View<'_>,
    ) -> Result<(Arc<Square>, Arc<Encoded>), String> {
        let shelved = self.get(which, gallery)?;
        let square = shelved.square.clone();
        if let Some((step, encoded)) = &shelved.encoded
            && *step == view.step
        {
            return Ok((square, encoded.clone()));
        }
        let encoded = Arc::new(encode(view.vae, &square.picture, false, view.device));
        shelved.encoded = Some((view.step, encoded.clone()));
        self.encodings += 1;
        Ok((square, encoded))
    }

    /// The pictures that are there.
    pub fn known(&self) -> Vec<PictureRef> {
        self.pictures.iter().map(|(which, _)| which.clone()).collect()
    }

    /// Forgets a picture, so that it is read again.
    pub fn forget(&mut self, which: &PictureRef) {
        self.pictures.retain(|(other, _)| other != which);
    }
}
