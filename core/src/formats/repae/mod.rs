//! Checkpoints of the REPA-E reference program (`train_repae.py`): read into a run that goes on here,
//! and written so that training goes on there.
//!
//! A complete one is a dictionary: model, ema, vae, discriminator, opt, opt_vae, opt_disc, args (an
//! `argparse.Namespace`), steps. One of a transformer alone lacks what belongs to the autoencoder.

mod args;
mod export;
mod file;
mod import;
mod optimizer;
mod order;

pub use export::{ExportedFiles, export_run, export_vae};
pub use file::RepaeFile;
pub use import::{Imported, import};
