//! What goes into the engine and what comes out of it.

use std::path::PathBuf;

use crate::device::DeviceChoice;

/// What to train.
#[derive(Clone, Debug)]
pub enum Start {
    /// A new run of a configuration, in `out` or a fresh folder below `runs`.
    New {
        /// Everything that repeats the run.
        config: Box<crate::config::Config>,
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
    /// Change a configuration value (`key=value`): loss weights, learning rates, preview guidance.
    Set(String),
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
    },
    /// Previews were made.
    Preview {
        /// Steps done.
        step: u64,
        /// Mean PSNR of held-out pictures, dB.
        psnr: f64,
    },
    /// Reconstruction and latent structure were measured (`train::measure` lists the names).
    Measured {
        /// Steps done.
        step: u64,
        /// Figures by name.
        values: Vec<(&'static str, f64)>,
    },
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
