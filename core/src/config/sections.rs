//! The sections of a configuration, each a table of the TOML file. What a key does and its range
//! stand in [`KEYS`](super::KEYS).

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::sit::{Path, Weighting};
use crate::vae::perceptual::{Backbone, InputRange};

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// "embedded", a folder or a zip.
    pub source: String,
    /// Side of the training pictures.
    pub image_px: usize,
    /// Mirror half of the pictures.
    pub flip: bool,
}

/// `[vae]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeSection {
    /// Feature channels per level.
    pub channels: Vec<usize>,
    /// Residual blocks per level.
    pub layers: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Groups of the group norms.
    pub groups: usize,
    /// Attention at the lowest level, as the f16d32 models.
    pub lowest_attention: bool,
    /// A run folder whose autoencoder to start from, or empty.
    pub init_from: String,
}

/// `[sit]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitSection {
    /// A published size such as "SiT-B/2", or empty for the numbers below.
    pub name: String,
    /// Token width.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads.
    pub heads: usize,
    /// Token side in latent positions.
    pub patch: usize,
    /// MLP width over token width.
    pub mlp_ratio: f64,
    /// Norm on queries and keys.
    pub qk_norm: bool,
    /// Path from data to noise.
    pub path: Path,
    /// Distribution of training times.
    pub weighting: Weighting,
    /// Share of labels dropped.
    pub label_dropout: f32,
    /// Train the position table (the reference does in joint mode).
    pub train_positions: bool,
    /// Momentum of the latent norm.
    pub norm_momentum: f32,
}

/// `[align]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignSection {
    /// The frozen vision encoders, with commas between.
    pub teacher: String,
    /// Blocks before alignment.
    pub depth: usize,
    /// Projector width.
    pub projector: usize,
    /// Weight in the autoencoder pass.
    pub vae_weight: f64,
    /// Weight in the transformer pass.
    pub sit_weight: f64,
}

/// `[loss]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossSection {
    /// Weight of the mean absolute error.
    pub reconstruction_weight: f64,
    /// Weight of LPIPS.
    pub perceptual_weight: f64,
    /// The network of LPIPS.
    pub perceptual_network: Backbone,
    /// A file with its weights, or empty for those inside the program.
    pub perceptual_weights: String,
    /// Side at which LPIPS looks.
    pub perceptual_px: usize,
    /// Sound or the reference's doubled range.
    pub perceptual_range: InputRange,
    /// Weight of KL.
    pub kl_weight: f64,
}

/// `[discriminator]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorSection {
    /// Channels after the first convolution.
    pub width: usize,
    /// Layers with a norm.
    pub layers: usize,
    /// Weight of the adversarial term.
    pub weight: f64,
    /// Count the frozen pass in the running statistics (the reference does).
    pub count_frozen_pass: bool,
}

/// `[optim]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimSection {
    /// Learning rate of the autoencoder.
    pub vae_lr: f64,
    /// Learning rate of the transformer.
    pub sit_lr: f64,
    /// Learning rate of the discriminator.
    pub discriminator_lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Global gradient norm to clip to.
    pub max_grad_norm: f64,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
}

/// `[ema]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaSection {
    /// Decay per step.
    pub decay: f64,
    /// Start with a small decay.
    pub warmup: bool,
}

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// Pictures that the loader hands out together.
    pub batch: usize,
    /// Batches whose gradients are averaged in one step.
    pub accumulate: usize,
    /// Pictures that go through the networks at once; 0 until it is chosen.
    pub micro_batch: usize,
    /// Run blocks again in backward instead of keeping what is inside them.
    pub gradient_checkpointing: bool,
    /// Activations wait for backward in half precision, on a GPU.
    pub half_activations: bool,
    /// Steps of the run.
    pub steps: u64,
    /// Seed of everything.
    pub seed: u64,
    /// Steps between lines of metrics.jsonl.
    pub metrics_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Checkpoints kept.
    pub keep_last: usize,
    /// Keep every checkpoint whose step divides by this.
    pub keep_every: u64,
}

/// `[eval]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalSection {
    /// Steps between measurements; 0 for none.
    pub every: u64,
    /// Held-out pictures measured.
    pub num: usize,
}

/// `[preview]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewSection {
    /// Steps between previews.
    pub every: u64,
    /// Held-out pictures reconstructed.
    pub pinned: usize,
    /// A person's own pictures beside them.
    pub images: Vec<String>,
    /// Samples in the grid.
    pub samples: usize,
    /// Euler steps of a sample.
    pub sample_steps: usize,
    /// Guidance of the samples.
    pub cfg: f64,
}
