//! The latent explorer: what a person may ask of the latents of any picture, and the answers.
//!
//! A [`Desk`] keeps the pictures that were asked for with their latents, so that decoding never encodes
//! again, and answers one [`LatentQuestion`] after the other on the models of the moment ([`View`]).
//! Questions and answers are plain values: whoever asks holds no tensor.

mod ask;
mod desk;
mod edit;
mod gallery;
mod scatter;
mod shelf;
mod study;
mod tokens;

pub use ask::{
    About, BasisChoice, Blend, Direction, Edit, Edited, Found, LatentAnswer, LatentQuestion, PictureRef,
    Scatter, ScatterWish, Shown, Study, Wish,
};
pub use desk::{Desk, Teachers, View};
pub use edit::{blend, lerp, push, slerp, swap};
pub use gallery::Gallery;
pub use tokens::TokenFeatures;
