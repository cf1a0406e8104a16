//! What goes into the engine and what comes out of it.

use std::path::PathBuf;

use crate::config::Config;
use crate::device::DeviceChoice;
use crate::run::{Rgb8, Row};
use crate::sample::SampleConfig;

/// What to train.
#[derive(Clone, Debug)]
pub enum Start {
    /// A new run of a configuration, in `out` or a fresh folder below `runs`.
    New {
        /// Everything that repeats the run.
        config: Box<Config>,
        /// Where to write.
        out: Option<PathBuf>,
        /// Start of the folder's name when `out` is absent.
        name: String,
        /// Where to compute.
        device: DeviceChoice,
    },
    /// The run in a folder goes on from its last checkpoint.
    Resume {
        /// The run folder.
        folder: PathBuf,
        /// A new last step, to extend the run.
        steps: Option<u64>,
        /// Where to compute.
        device: DeviceChoice,
    },
    /// Nothing is trained: questions about the newest checkpoint of a run are answered until told to
    /// stop.
    Look {
        /// The run folder.
        folder: PathBuf,
        /// Where to compute.
        device: DeviceChoice,
    },
    /// Nothing is trained: questions about the latents of any autoencoder are answered until told to
    /// stop.
    Explore {
        /// A run folder, a diffusers folder, a file, or the name of a fetched model.
        model: String,
        /// Side to which pictures are brought; none takes one that suits the model.
        px: Option<usize>,
        /// Where to compute.
        device: DeviceChoice,
    },
}

/// What a person may ask of a running engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Hold after this step.
    Pause,
    /// Go on.
    Resume,
    /// Save and end.
    Stop,
    /// Write a checkpoint now.
    Save,
    /// Make previews now.
    Preview,
    /// Show these pictures beside the held-out ones; each that cannot be read gives a line.
    Pin(Vec<PathBuf>),
    /// Show a picture no more.
    Unpin(PathBuf),
    /// Fit the colours of the maps anew, to what the latents and features are now.
    Refit,
    /// Change a configuration value (`key=value`): loss weights, learning rates, preview guidance.
    Set(String),
    /// End without saving: the run stays as its last checkpoint left it.
    Abandon,
}

/// A question that is answered between two steps; a newer one overtakes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Comes back with the answer.
    pub id: u64,
    /// Class of each picture.
    pub labels: Vec<usize>,
    /// Seed of the noise; picture `n` depends on seed and `n` alone.
    pub seed: u64,
    /// How to sample.
    pub config: SampleConfig,
    /// The picture whose way from noise is wanted, instead of the pictures.
    pub path_of: Option<usize>,
}

/// What came of a [`Question`].
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The question's number.
    pub id: u64,
    /// Steps done when it was answered.
    pub step: u64,
    /// The pictures; for a path the predicted clean picture at each step of the solver.
    pub pictures: Vec<Rgb8>,
    /// For a path, the noisy state at each step, decoded.
    pub states: Vec<Rgb8>,
    /// Why there are none, if so.
    pub problem: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Training is about to start.
    Started {
        /// The run folder.
        folder: PathBuf,
        /// Device and the reason for it.
        device: String,
        /// Data, networks and caches, a line each.
        description: Vec<String>,
        /// Steps done and in all.
        step: u64,
        /// Last step.
        steps: u64,
        /// What is trained, and how.
        config: Box<Config>,
        /// Names of the classes; a label is a place in this list.
        classes: Vec<String>,
    },
    /// A run's models are loaded; questions may come.
    Looking {
        /// The run folder.
        folder: PathBuf,
        /// Device and the reason for it.
        device: String,
        /// Steps done.
        step: u64,
        /// Configuration of the run.
        config: Box<Config>,
        /// Names of the classes, when the pictures are still where they were.
        classes: Vec<String>,
    },
    /// An autoencoder without a run is loaded; questions about latents may come.
    Exploring {
        /// As it was asked for.
        model: String,
        /// What it is, in words.
        about: String,
        /// Device and the reason for it.
        device: String,
        /// Side of the pictures.
        image_px: usize,
    },
    /// A step was done and its values read.
    Step {
        /// Steps done.
        step: u64,
        /// Last step.
        steps: u64,
        /// Losses and gradient norms by name.
        values: Vec<(&'static str, f32)>,
        /// Pictures a second, over the last steps.
        images_per_s: f64,
        /// Seconds until the last step.
        eta_s: f64,
        /// Whether the step was dropped as not finite.
        skipped: bool,
        /// Seconds of training and pictures seen, resumed parts included.
        wall_s: f64,
        /// Pictures seen.
        images: u64,
        /// Memory that the process holds, in bytes; 0 when it was not looked at.
        memory_bytes: u64,
    },
    /// Previews were made.
    Preview {
        /// Steps done.
        step: u64,
        /// Mean PSNR of held-out pictures, dB.
        psnr: f64,
        /// The line that it made in the metrics.
        row: Box<Row>,
    },
    /// Reconstruction and latent structure were measured (`train::measure` lists the names).
    Measured {
        /// Steps done.
        step: u64,
        /// Figures by name.
        values: Vec<(&'static str, f64)>,
    },
    /// A live value was changed.
    Changed {
        /// Steps done.
        step: u64,
        /// `key=value`.
        setting: String,
        /// The configuration from now on.
        config: Box<Config>,
    },
    /// The colours of the maps were fitted anew: earlier previews keep theirs.
    Refit {
        /// Steps done.
        step: u64,
    },
    /// An answer lies in [`Engine::answers`](super::Engine).
    Answered,
    /// An answer about latents lies in [`Roads::latent_answers`](super::Roads).
    Explored,
    /// The scatter plot in [`Roads::scatter`](super::Roads) has grown.
    Scattered,
    /// A checkpoint is on disk.
    Saved {
        /// Steps done.
        step: u64,
        /// Its folder.
        path: PathBuf,
    },
    /// Something that a person should know; training goes on.
    Warning(String),
    /// Training holds.
    Paused,
    /// Training goes on.
    Resumed,
    /// The end: all steps done, or stopped by a command.
    Finished {
        /// Steps done.
        step: u64,
        /// Last step.
        steps: u64,
        /// The run folder.
        folder: PathBuf,
        /// PSNR of the last preview, dB.
        psnr: Option<f64>,
        /// Mean pictures a second.
        images_per_s: f64,
        /// Seconds that training waited for pictures.
        waited_s: f64,
    },
    /// Training ended with an error.
    Failed(String),
}
