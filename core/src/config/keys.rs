//! One entry for each configuration key: its range and its sentence. Help texts, tooltips and
//! error messages come from here; a test demands that none is missing.

use super::{Config, flatten};
use crate::error::{Error, Result};

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name.
    pub name: &'static str,
    /// Smallest and largest allowed value; `None` for texts, lists and switches.
    pub range: Option<(f64, f64)>,
    /// What it does, in one sentence.
    pub sentence: &'static str,
}

impl Key {
    /// Checks the key's range in `config`.
    pub(super) fn check(&self, config: &Config) -> Result<()> {
        let Some((low, high)) = self.range else { return Ok(()) };
        let Some(value) = number(config, self.name) else { return Ok(()) };
        if value.is_finite() && (low..=high).contains(&value) {
            return Ok(());
        }
        Err(Error::Config(format!("{} = {value} is not within {low} and {high}", self.name)))
    }
}

/// The value of a numeric key.
fn number(config: &Config, name: &str) -> Option<f64> {
    let table = toml::Table::try_from(config).ok()?;
    let (_, value) = flatten(&table).into_iter().find(|(key, _)| key == name)?;
    value.as_float().or_else(|| value.as_integer().map(|i| i as f64))
}

/// Whether a key may change while a run is on: what only weighs, paces or shows.
pub fn is_live(name: &str) -> bool {
    const LIVE: [&str; 5] = [
        "discriminator.weight",
        "train.metrics_every",
        "train.checkpoint_every",
        "train.keep_last",
        "train.keep_every",
    ];
    let of_section = |section| name.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
    name.ends_with("_weight")
        || LIVE.contains(&name)
        || ["optim", "ema", "preview", "eval"].into_iter().any(of_section)
}

/// The known key that is closest to `name`, if one is close at all.
pub fn nearest(name: &str) -> Option<&'static str> {
    let distance = |key: &str| {
        let short = key.rsplit('.').next().unwrap_or(key);
        edit_distance(name, key).min(edit_distance(name, short))
    };
    let (key, best) = KEYS.iter().map(|k| (k.name, distance(k.name))).min_by_key(|(_, d)| *d)?;
    (best <= name.len().max(3) / 2).then_some(key)
}

/// Levenshtein distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

const fn key(name: &'static str, sentence: &'static str) -> Key {
    Key { name, range: None, sentence }
}

const fn num(name: &'static str, low: f64, high: f64, sentence: &'static str) -> Key {
    Key { name, range: Some((low, high)), sentence }
}

const MANY: f64 = 1e12;

/// Every key.
pub const KEYS: &[Key] = &[
    key("method", "What is trained: repa-e (both together), repa, vanilla, naive or vae."),
    key("data.source", "Pictures to train on: embedded, a folder or a zip."),
    num(
        "data.image_px",
        8.0,
        1024.0,
        "Side of the training pictures in pixels; larger ones are cropped and resized.",
    ),
    key("data.flip", "Mirror half of the pictures left to right."),
    key("vae.channels", "Feature channels of the autoencoder per level; each level halves the side."),
    num("vae.layers", 1.0, 8.0, "Residual blocks per level (the decoder has one more)."),
    num("vae.latent_channels", 1.0, 256.0, "Channels of the latent z."),
    num("vae.groups", 1.0, 512.0, "Groups of every group norm; divides all channel counts."),
    key("vae.lowest_attention", "Attention at the lowest level, as in the published f16d32 autoencoders."),
    key(
        "vae.init_from",
        "An autoencoder to start from (run folder, diffusers folder, .safetensors, .pt); its geometry is taken over. Needed by repa and vanilla.",
    ),
    key("sit.name", "A published transformer such as SiT-B/2; empty for the numbers below."),
    num("sit.width", 8.0, 8192.0, "Token width."),
    num("sit.depth", 1.0, 128.0, "Transformer blocks."),
    num("sit.heads", 1.0, 128.0, "Attention heads; divides the width."),
    num("sit.patch", 1.0, 16.0, "Side of a token in latent positions."),
    num("sit.mlp_ratio", 0.5, 16.0, "MLP width over token width."),
    key("sit.qk_norm", "Layer norm on queries and keys."),
    key("sit.path", "Path from data to noise: linear or cosine."),
    key("sit.weighting", "Distribution of training times: uniform or lognormal."),
    num(
        "sit.label_dropout",
        0.0,
        1.0,
        "Share of labels replaced by no class, so that guidance has something to compare with.",
    ),
    key(
        "sit.train_positions",
        "Train the position table too, as the reference does by accident in joint mode.",
    ),
    num("sit.norm_momentum", 0.0, 1.0, "Momentum of the latent norm's running statistics."),
    key(
        "align.teacher",
        "The frozen vision encoders to align with: efficientnet-lite0, dinov2-b=PATH and others (see TEACHERS.md); \
         several with commas between.",
    ),
    num("align.depth", 1.0, 128.0, "Transformer blocks before the tokens that are aligned."),
    num("align.projector", 1.0, 16384.0, "Width of the projector onto the teacher's features."),
    num("align.vae_weight", 0.0, 1e6, "Weight of alignment in the autoencoder pass."),
    num("align.sit_weight", 0.0, 1e6, "Weight of alignment in the transformer pass."),
    num("loss.reconstruction_weight", 0.0, 1e6, "Weight of the mean absolute error."),
    num("loss.perceptual_weight", 0.0, 1e6, "Weight of LPIPS."),
    key(
        "loss.perceptual_network",
        "The network of LPIPS: alex (comes with the program) or vgg (the reference's).",
    ),
    key(
        "loss.perceptual_weights",
        "The file with the network of LPIPS, or its backbone and heads as BACKBONE+HEADS; empty for the one inside.",
    ),
    num("loss.perceptual_px", 32.0, 1024.0, "Side to which pictures are resized for LPIPS."),
    key("loss.perceptual_range", "sound: LPIPS as calibrated; quirk: the reference's doubled input range."),
    num("loss.kl_weight", 0.0, 1e6, "Weight of the KL divergence, summed over a picture's latent."),
    num("discriminator.width", 1.0, 1024.0, "Channels after the discriminator's first convolution."),
    num("discriminator.layers", 1.0, 6.0, "Discriminator layers with a norm."),
    num(
        "discriminator.weight",
        0.0,
        1e6,
        "Weight of the adversarial term; 0 turns the discriminator's influence off.",
    ),
    key(
        "discriminator.count_frozen_pass",
        "Let the autoencoder's pass update the discriminator's running statistics too, as the reference does.",
    ),
    num("optim.vae_lr", 0.0, 10.0, "Learning rate of the autoencoder."),
    num("optim.sit_lr", 0.0, 10.0, "Learning rate of the transformer."),
    num("optim.discriminator_lr", 0.0, 10.0, "Learning rate of the discriminator."),
    num("optim.beta1", 0.0, 0.999_999, "Decay of AdamW's first moment."),
    num("optim.beta2", 0.0, 0.999_999_9, "Decay of AdamW's second moment."),
    num("optim.eps", 1e-30, 1.0, "Added to the root of AdamW's second moment."),
    num("optim.weight_decay", 0.0, 10.0, "Decoupled weight decay."),
    num("optim.max_grad_norm", 1e-9, 1e9, "Global gradient norm to clip to."),
    key("optim.schedule", "Course of the learning rates: constant or cosine (down to a tenth)."),
    num("optim.warmup_steps", 0.0, MANY, "Steps of linear warm-up of the learning rates."),
    num("ema.decay", 0.0, 1.0, "Decay of the transformer's moving average per step."),
    key("ema.warmup", "Start the average with a small decay, so that short runs have one."),
    num("train.batch", 1.0, 65536.0, "Pictures of a batch."),
    num("train.accumulate", 1.0, 65536.0, "Batches whose gradients are averaged in one step."),
    num(
        "train.micro_batch",
        0.0,
        65536.0,
        "Pictures that go through the networks at once, a divisor of the batch; 0 takes as many as fit in memory and \
         notes the choice in the run. Only the statistics of the norms over a batch depend on it.",
    ),
    key(
        "train.gradient_checkpointing",
        "Keep the inputs of each block alone for backward and run the blocks again there: less memory, more \
         arithmetic, the same gradients.",
    ),
    key(
        "train.half_activations",
        "On a GPU, keep what backward reads in half precision: half the memory, gradients right to about three digits.",
    ),
    num("train.steps", 1.0, MANY, "Steps of the run."),
    num("train.seed", 0.0, MANY, "Seed of weights, order and noise."),
    num("train.metrics_every", 1.0, MANY, "Steps between lines of metrics.jsonl."),
    num("train.checkpoint_every", 1.0, MANY, "Steps between checkpoints."),
    num("train.keep_last", 1.0, 1e6, "Newest checkpoints that are kept."),
    num(
        "train.keep_every",
        0.0,
        MANY,
        "Checkpoints at multiples of this step are kept for good; 0 keeps none.",
    ),
    num(
        "eval.every",
        0.0,
        MANY,
        "Steps between measurements of reconstruction and latent structure; 0 measures never.",
    ),
    num("eval.num", 1.0, MANY, "Held-out pictures on which they are measured."),
    num("preview.every", 1.0, MANY, "Steps between previews."),
    num("preview.pinned", 1.0, 64.0, "Held-out pictures whose reconstruction is shown."),
    key(
        "preview.images",
        "Your own pictures, shown beside the held-out ones: files with commas between, at most 32; copies stay in the run folder.",
    ),
    num("preview.samples", 1.0, 256.0, "Samples in the preview grid."),
    num("preview.sample_steps", 1.0, 1000.0, "Euler steps of a preview sample."),
    num("preview.cfg", 0.0, 100.0, "Guidance scale of preview samples; 1 is none."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PRESETS;

    #[test]
    fn every_key_of_a_configuration_has_one_entry() {
        let config = Config::load("nano", &[]).unwrap();
        let table = toml::Table::try_from(&config).unwrap();
        let mut have: Vec<_> = flatten(&table).into_iter().map(|(k, _)| k).collect();
        let mut listed: Vec<_> = KEYS.iter().map(|k| k.name.to_string()).collect();
        have.sort();
        listed.sort();
        assert_eq!(have, listed);
    }

    #[test]
    fn presets_load_and_repeat_themselves() {
        for (name, _) in PRESETS {
            let config = Config::load(name, &[]).unwrap();
            assert_eq!(Config::parse(&config.to_toml().unwrap(), &[], name).unwrap(), config);
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Config::load("nano", &["optim.vae_rl=1".into()]).unwrap_err().to_string();
        assert!(error.contains("did you mean optim.vae_lr?"), "{error}");
        let error = Config::load("nano", &["kl_wieght=1".into()]).unwrap_err().to_string();
        assert!(error.contains("loss.kl_weight"), "{error}");
    }

    #[test]
    fn only_what_weighs_paces_or_shows_is_live() {
        let live =
            ["optim.vae_lr", "loss.kl_weight", "discriminator.weight", "preview.cfg", "train.keep_last"];
        let fixed =
            ["train.batch", "sit.depth", "loss.perceptual_weights", "method", "align.teacher", "emax.a"];
        assert!(live.into_iter().all(is_live));
        assert!(!fixed.into_iter().any(is_live));
        let (a, b) =
            (Config::load("nano", &[]).unwrap(), Config::load("nano", &["train.batch=7".into()]).unwrap());
        assert_eq!(a.differences(&b).unwrap(), ["train.batch"]);
        assert!(a.differences(&a).unwrap().is_empty());
    }

    #[test]
    fn paths_become_absolute_and_words_stay() {
        let config =
            Config::load("nano", &["vae.init_from=runs/a".into()]).unwrap().with_absolute_paths().unwrap();
        assert!(std::path::Path::new(&config.vae.init_from).is_absolute());
        assert!(config.vae.init_from.ends_with("runs/a"));
        assert_eq!((config.data.source.as_str(), config.loss.perceptual_weights.as_str()), ("embedded", ""));
    }

    #[test]
    fn settings_are_checked_for_kind_and_range() {
        let fails = |s: &str| Config::load("nano", &[s.into()]).unwrap_err().to_string();
        assert!(fails("train.batch=many").contains("whole number"));
        assert!(fails("train.batch=0").contains("not within"));
        assert!(fails("data.image_px=33").contains("multiple"));
        assert!(fails("sit.heads=7").contains("heads"));
        assert!(fails("optim.vae_lr=nan").contains("not within"));
        let config = Config::load("nano", &["optim.vae_lr=1".into()]).unwrap();
        assert_eq!(config.optim.vae_lr, 1.0);
    }
}
