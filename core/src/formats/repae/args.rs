//! The reference's command line (`train_repae.py`, `parse_args`) and this program's configuration.

use serde_json::json;

use super::file::RepaeFile;
use crate::config::Config;
use crate::files::pickle::write::Value;
use crate::sit::{Path, Weighting, published_name};
use crate::vae::VaeConfig;
use crate::vae::perceptual::{Backbone, InputRange};

/// Numbers that mean the same on both sides: theirs, ours.
const NUMBERS: [(&str, &str); 16] = [
    ("encoder_depth", "align.depth"),
    ("bn_momentum", "sit.norm_momentum"),
    ("max_train_steps", "train.steps"),
    ("checkpointing_steps", "train.checkpoint_every"),
    ("learning_rate", "optim.sit_lr"),
    ("vae_learning_rate", "optim.vae_lr"),
    ("disc_learning_rate", "optim.discriminator_lr"),
    ("adam_beta1", "optim.beta1"),
    ("adam_beta2", "optim.beta2"),
    ("adam_weight_decay", "optim.weight_decay"),
    ("adam_epsilon", "optim.eps"),
    ("max_grad_norm", "optim.max_grad_norm"),
    ("seed", "train.seed"),
    ("cfg_prob", "sit.label_dropout"),
    ("proj_coeff", "align.sit_weight"),
    ("vae_align_proj_coeff", "align.vae_weight"),
];

/// Settings (`key=value`) that the checkpoint's arguments say.
pub(super) fn settings(file: &RepaeFile) -> Vec<String> {
    let mut all = Vec::new();
    for (theirs, ours) in NUMBERS {
        let Some(item) = file.arg(theirs) else { continue };
        match (item.as_int(), item.as_f64()) {
            (Some(whole), _) => all.push(format!("{ours}={whole}")),
            (None, Some(value)) => all.push(format!("{ours}={value:?}")),
            _ => {}
        }
    }
    let texts = [
        ("path_type", "sit.path"),
        ("weighting", "sit.weighting"),
        ("enc_type", "align.teacher"),
        ("perceptual_network", "loss.perceptual_network"),
        ("perceptual_range", "loss.perceptual_range"),
    ];
    for (theirs, ours) in texts {
        all.extend(file.arg_text(theirs).map(|text| format!("{ours}={}", json!(text))));
    }
    let batch = file.arg("batch_size").and_then(|item| item.as_usize());
    let micro = file.arg("gradient_accumulation_steps").and_then(|item| item.as_usize()).unwrap_or(1).max(1);
    if let Some(batch) = batch.filter(|batch| *batch > 0) {
        // The paper's 256 pictures do not fit a step at once on a machine that this program meets.
        let parts = (1..=batch).find(|n| batch.is_multiple_of(*n) && batch / n <= 16).unwrap_or(1);
        all.push(format!("train.batch={}", batch / parts));
        all.push(format!("train.accumulate={}", micro * parts));
    }
    all
}

/// The arguments that the reference would have been started with.
pub(super) fn namespace(config: &Config, vae: &VaeConfig, classes: usize, step: u64) -> Vec<(String, Value)> {
    let Config { sit, optim, align, train, loss, .. } = config;
    let text = |text: &str| Value::Text(text.into());
    let batch = (train.batch * train.accumulate) as i64;
    let path = if sit.path == Path::Linear { "linear" } else { "cosine" };
    let weighting = if sit.weighting == Weighting::Uniform { "uniform" } else { "lognormal" };
    let all = vec![
        ("output_dir", text("exps")),
        ("exp_name", text("tandem")),
        ("logging_dir", text("logs")),
        ("report_to", text("wandb")),
        ("sampling_steps", Value::Int(10_000)),
        ("resume_step", Value::Int(0)),
        ("continue_train_exp_dir", Value::None),
        ("wandb_history_path", Value::None),
        ("model", text(&model_name(config))),
        ("num_classes", Value::Int(classes as i64)),
        ("encoder_depth", Value::Int(align.depth as i64)),
        ("qk_norm", Value::Bool(sit.qk_norm)),
        ("fused_attn", Value::Bool(true)),
        ("bn_momentum", Value::Float(short(sit.norm_momentum))),
        ("compile", Value::Bool(false)),
        ("data_dir", text("data")),
        ("resolution", Value::Int(config.data.image_px as i64)),
        ("batch_size", Value::Int(batch)),
        ("allow_tf32", Value::Bool(true)),
        ("mixed_precision", text("no")),
        ("epochs", Value::Int(1400)),
        ("max_train_steps", Value::Int(train.steps.max(step) as i64)),
        ("checkpointing_steps", Value::Int(train.checkpoint_every as i64)),
        ("gradient_accumulation_steps", Value::Int(1)),
        ("learning_rate", Value::Float(optim.sit_lr)),
        ("adam_beta1", Value::Float(optim.beta1)),
        ("adam_beta2", Value::Float(optim.beta2)),
        ("adam_weight_decay", Value::Float(optim.weight_decay)),
        ("adam_epsilon", Value::Float(optim.eps)),
        ("max_grad_norm", Value::Float(optim.max_grad_norm)),
        ("seed", Value::Int(train.seed as i64)),
        ("num_workers", Value::Int(4)),
        ("path_type", text(path)),
        ("prediction", text("v")),
        ("cfg_prob", Value::Float(short(sit.label_dropout))),
        ("enc_type", text(&align.teacher)),
        ("proj_coeff", Value::Float(align.sit_weight)),
        ("weighting", text(weighting)),
        ("vae", text(&vae_name(vae))),
        ("vae_ckpt", text("vae.pt")),
        ("disc_pretrained_ckpt", Value::None),
        ("loss_cfg_path", text("configs/l1_lpips_kl_gan.yaml")),
        ("vae_learning_rate", Value::Float(optim.vae_lr)),
        ("disc_learning_rate", Value::Float(optim.discriminator_lr)),
        ("vae_align_proj_coeff", Value::Float(align.vae_weight)),
        // Not the reference's: what its fixed geometries and losses imply and tensors do not tell.
        ("perceptual_network", text(if loss.perceptual_network == Backbone::Alex { "alex" } else { "vgg" })),
        (
            "perceptual_range",
            text(if loss.perceptual_range == InputRange::Sound { "sound" } else { "quirk" }),
        ),
        ("norm_num_groups", Value::Int(vae.norm_num_groups as i64)),
        ("num_heads", Value::Int(heads(config) as i64)),
    ];
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// An f32 in its shortest digits.
fn short(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn heads(config: &Config) -> usize {
    published_name(&config.sit.name).map_or(config.sit.heads, |(_, _, heads, _)| heads)
}

/// The reference's name of the transformer, or a name that says what it is.
pub(super) fn model_name(config: &Config) -> String {
    let sit = &config.sit;
    if !sit.name.is_empty() {
        return sit.name.clone();
    }
    let sizes = ["S", "B", "L", "XL"];
    let is = |size: &&str| crate::sit::published(size) == Some((sit.width, sit.depth, sit.heads));
    match sizes.iter().find(|size| is(size)) {
        Some(size) => format!("SiT-{size}/{}", sit.patch),
        None => format!("SiT-{}x{}/{}", sit.width, sit.depth, sit.patch),
    }
}

/// The reference's name of the autoencoder: `f8d4`.
pub(super) fn vae_name(vae: &VaeConfig) -> String {
    format!("f{}d{}", vae.downsampling(), vae.latent_channels)
}

/// What the reference's scripts would not build, in words; empty when they build all of it.
pub(super) fn foreign_parts(config: &Config, vae: &VaeConfig) -> Vec<String> {
    let mut notes = Vec::new();
    let model = model_name(config);
    if published_name(&model).is_err() {
        notes
            .push(format!("the reference has no transformer {model}: add it to SiT_models in models/sit.py"));
    }
    let name = vae_name(vae);
    let published: &[usize] =
        if name == "f16d32" { &[128, 128, 256, 256, 512] } else { &[128, 256, 512, 512] };
    let same = vae.block_out_channels == published && vae.norm_num_groups == 32 && vae.layers_per_block == 2;
    if !matches!(name.as_str(), "f8d4" | "f16d32") || !same {
        notes.push(format!(
            "the reference has no autoencoder {name} of channels {:?} and {} groups: add it to vae_models",
            vae.block_out_channels, vae.norm_num_groups
        ));
    }
    if !["dinov2", "dinov1", "mae", "mocov3", "clip", "jepa"]
        .iter()
        .any(|known| config.align.teacher.contains(known))
    {
        notes.push(format!(
            "the reference has no teacher {}: the projectors are fit to it and would have to learn another",
            config.align.teacher
        ));
    }
    notes
}
