//! Models in other programs' files: diffusers folders, CompVis and REPA-E checkpoints; and the one
//! door to whatever a command calls MODEL ([`open_vae`]).

pub mod autoencoder;
pub mod compvis;
pub mod diffusers;
pub mod geometry;
pub mod inspect;
pub mod latents;
mod model;
pub mod naming;
pub mod repae;

pub use crate::files::TensorFile;
pub use model::{ModelKind, OpenedVae, kind_of, open_vae};
