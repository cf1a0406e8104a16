//! Tandem's library: an autoencoder and a diffusion transformer trained end to end (REPA-E,
//! arXiv 2504.10483), watched while they learn.
//!
//! Data flows one way: [`error`] ← [`kernel`] ← [`layers`] ← {[`vae`], [`sit`], [`align`]} ←
//! [`train`]. Nothing here knows a window, a command line or standard output.

pub mod align;
pub mod config;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
pub mod eval;
pub mod explore;
pub mod files;
pub mod formats;
pub mod hub;
pub mod kernel;
pub mod latent_norm;
pub mod layers;
pub mod memory;
pub mod params;
pub mod run;
pub mod sample;
pub mod sit;
pub mod train;
pub mod vae;
pub mod weights;

pub use error::{Error, Result};
