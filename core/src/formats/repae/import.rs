//! A checkpoint of the reference as a run of this program: configuration and checkpoint.

use burn::tensor::Device;
use serde_json::json;

use super::file::RepaeFile;
use super::optimizer::{self, Moments};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::formats::autoencoder;
use crate::formats::compvis;
use crate::params::{self, Parameters, Role, TensorSource};
use crate::run::{Checkpoint, NamedTensor};
use crate::sit::{Sit, SitConfig, published_name};
use crate::train::state::{TrainerState, tensors};
use crate::vae::discriminator::Discriminator;
use crate::vae::perceptual::Backbone;
use crate::vae::{Vae, VaeConfig};

/// What a checkpoint became.
pub struct Imported {
    /// Configuration of the run.
    pub config: Config,
    /// Its state.
    pub checkpoint: Checkpoint,
    /// What was taken on trust or left out, in words.
    pub notes: Vec<String>,
}

/// Turns a checkpoint into a run. A complete one trains on as it was; one of a transformer alone needs
/// the autoencoder that it was trained with. `settings` (`key=value`) are laid over the configuration.
///
/// # Errors
/// Sections that are missing or do not fit, or a geometry that has to be told (`sit.heads`).
pub fn import(file: &RepaeFile, vae: Option<Vae>, settings: &[String], device: &Device) -> Result<Imported> {
    let bad = |reason: String| Error::file(file.file().origin(), reason);
    let mut notes = Vec::new();
    let own = file.has("vae");
    let vae = match vae {
        Some(vae) => vae,
        None if own => autoencoder::load(file.file(), file.vae_config().as_ref(), device)?.0,
        None => {
            return Err(bad(format!(
                "is a checkpoint of a transformer alone: name the autoencoder it was trained with{} by --vae",
                file.arg_text("vae_ckpt").map(|path| format!(" ({path})")).unwrap_or_default()
            )));
        }
    };
    let geometry = Geometry::of(file)?;
    let sizes = Discriminators::of(file);
    let config = configuration(file, &vae, &geometry, &sizes, settings)?;
    let sit = |section: &str| load_sit(file, section, &config, &geometry, device);
    let averaged = if file.has("ema") { "ema" } else { "model" };
    let (model, ema) = (sit(if file.has("model") { "model" } else { "ema" })?, sit(averaged)?);
    let discriminator = load_discriminator(file, &sizes, device)?;
    if own && !file.is_complete() {
        notes.push("optimizer states are missing in part: those start anew".into());
    }
    let moments = |section: &str, model: &str, skipped: usize| -> Result<Moments> {
        if file.has(section) && file.has(model) {
            return optimizer::read(file, section, model, skipped);
        }
        Ok(Moments { all: Vec::new(), steps: 0 })
    };
    let levels = vae.config().num_levels();
    let vae_moments = moments("opt_vae", "vae", 0)?;
    let sit_moments = moments("opt", "model", 0)?;
    // The loss module's own scale stands before the discriminator.
    let critic_moments = moments("opt_disc", "discriminator", 1)?;
    let optimizer_steps = [vae_moments.steps, sit_moments.steps, critic_moments.steps];
    let files = [
        ("vae", tensors(&vae)),
        ("sit", tensors(&model)),
        ("ema", tensors(&ema)),
        ("discriminator", tensors(&discriminator)),
        ("optimizer_vae", state_of(&vae, vae_moments, |n| compvis::from_diffusers(n, levels))),
        ("optimizer_sit", state_of(&model, sit_moments, str::to_string)),
        ("optimizer_discriminator", state_of(&discriminator, critic_moments, str::to_string)),
    ];
    let trainer = TrainerState { seed: config.train.seed, optimizer_steps, data: String::new() };
    let saved: serde_json::Value = serde_json::from_str(&vae.config().to_json()?)
        .map_err(|e| Error::Config(format!("configuration: {e}")))?;
    let state = json!({ "trainer": trainer, "run": {}, "vae": saved });
    let step = file.steps().unwrap_or(0);
    let loss = &config.loss;
    let wants_vgg = loss.perceptual_network == Backbone::Vgg && loss.perceptual_weights.is_empty();
    if config.method.trains_vae() && wants_vgg {
        notes.push(
            "it was trained with LPIPS-VGG16, whose weights do not come with the program: import again with --set \
             loss.perceptual_weights=BACKBONE+HEADS (torchvision's vgg16-397923af.pth and the lpips package's \
             vgg.pth), or with --set loss.perceptual_network=alex"
                .into(),
        );
    }
    notes.push("the order of pictures and the noise are this program's from here on".into());
    let files = files.into_iter().map(|(name, tensors)| (name.to_string(), tensors)).collect();
    Ok(Imported { config, checkpoint: Checkpoint { step, files, state }, notes })
}

/// A model's optimizer state in this program's names.
fn state_of<P: Parameters + Clone>(
    model: &P,
    moments: Moments,
    stored: impl Fn(&str) -> String,
) -> Vec<NamedTensor> {
    let all = params::named(model);
    let weights = all.iter().filter(|(_, param)| param.role() == Role::Weight);
    moments.named(weights.map(|(name, param)| (name.clone(), param.shape())), stored)
}

/// The transformer's geometry, out of its tensors.
struct Geometry {
    width: usize,
    depth: usize,
    heads: Option<usize>,
    patch: usize,
    channels: usize,
    grid: usize,
    mlp_ratio: f64,
    classes: usize,
    z_dims: Vec<usize>,
    projector: usize,
    qk_norm: bool,
    trains_positions: bool,
}

impl Geometry {
    fn of(file: &RepaeFile) -> Result<Self> {
        let section = file.section(if file.has("model") { "model" } else { "ema" });
        let shape = |name: &str| section.info(name).map(|info| info.shape.clone());
        let need = |name: &str, rank: usize| {
            shape(name).filter(|shape| shape.len() == rank && !shape.contains(&0)).ok_or_else(|| {
                Error::MissingTensor { name: name.into(), hint: "; the transformer cannot be told".into() }
            })
        };
        let patches: Vec<usize> = need("x_embedder.proj.weight", 4)?;
        let positions: Vec<usize> = need("pos_embed", 3)?;
        let width = patches[0];
        if positions[2] != width {
            return Err(Error::Shape {
                name: "pos_embed".into(),
                expected: vec![1, positions[1], width],
                found: positions,
            });
        }
        let heads =
            file.arg_text("model").and_then(|name| published_name(name).ok()).map(|(_, _, heads, _)| heads);
        let told = file.arg("num_heads").and_then(|item| item.as_usize());
        let of_norm = shape("blocks.0.attn.q_norm.weight").and_then(|shape| width.checked_div(shape[0]));
        let projector = |k: usize, layer: usize| shape(&format!("projectors.{k}.{layer}.weight"));
        // With label dropout the table has one row more.
        let rows = need("y_embedder.embedding_table.weight", 2)?[0];
        Ok(Self {
            width,
            depth: (0..).take_while(|i| shape(&format!("blocks.{i}.attn.qkv.weight")).is_some()).count(),
            heads: told.or(of_norm).or(heads),
            patch: patches[2],
            channels: patches[1],
            grid: positions[1].isqrt(),
            mlp_ratio: need("blocks.0.mlp.fc1.weight", 2)?[0] as f64 / width as f64,
            classes: rows - 1,
            z_dims: (0..).map_while(|k| projector(k, 4).map(|shape| shape[0])).collect(),
            projector: projector(0, 0).map_or(2048, |shape| shape[0]),
            qk_norm: of_norm.is_some(),
            trains_positions: file.section("opt").info("state/0/exp_avg").is_some(),
        })
    }
}

/// Size of the discriminator, out of its tensors.
struct Discriminators {
    width: usize,
    layers: usize,
}

impl Discriminators {
    fn of(file: &RepaeFile) -> Self {
        let section = file.section("discriminator");
        // A shape with a zero in it may claim anything.
        let rows = |name: String| {
            section.info(&name).filter(|i| !i.is_empty()).and_then(|i| i.shape.first().copied())
        };
        let layers = (1..).take_while(|n| rows(format!("main.{}.running_mean", 3 * n)).is_some()).count();
        let width = rows("main.0.weight".into());
        Self { width: width.unwrap_or(64), layers: if width.is_some() { layers } else { 3 } }
    }
}

/// The run's configuration: the paper's, with what the checkpoint says.
fn configuration(
    file: &RepaeFile,
    vae: &Vae,
    sit: &Geometry,
    critic: &Discriminators,
    settings: &[String],
) -> Result<Config> {
    let VaeConfig { block_out_channels, layers_per_block, norm_num_groups, .. } = vae.config();
    let mut all = vec![
        format!("data.image_px={}", sit.grid * sit.patch * vae.config().downsampling()),
        format!("vae.channels={}", json!(block_out_channels)),
        format!("vae.layers={layers_per_block}"),
        format!("vae.latent_channels={}", sit.channels),
        format!("vae.groups={norm_num_groups}"),
        format!("vae.lowest_attention={}", vae.config().down_attention(vae.config().num_levels() - 1)),
        "sit.name=\"\"".into(),
        format!("sit.width={}", sit.width),
        format!("sit.depth={}", sit.depth),
        format!("sit.patch={}", sit.patch),
        format!("sit.mlp_ratio={:?}", sit.mlp_ratio),
        format!("sit.qk_norm={}", sit.qk_norm),
        format!("sit.train_positions={}", sit.trains_positions),
        format!("align.projector={}", sit.projector),
        format!("discriminator.width={}", critic.width),
        format!("discriminator.layers={}", critic.layers),
        // LPIPS looks at whole pictures there; its pools need 32 pixels.
        format!("loss.perceptual_px={}", (sit.grid * sit.patch * vae.config().downsampling()).max(32)),
        format!("method={}", json!(method(file, sit))),
    ];
    all.extend(sit.heads.map(|heads| format!("sit.heads={heads}")));
    all.extend(super::args::settings(file));
    all.extend_from_slice(settings);
    let told = settings.iter().any(|setting| setting.trim_start().starts_with("sit.heads"));
    if sit.heads.is_none() && !told {
        return Err(Error::Config(format!(
            "the number of attention heads cannot be told from {}: name it with --set sit.heads=N",
            file.file().origin().display()
        )));
    }
    Config::load("paper", &all)
}

/// What the checkpoint was being trained by.
fn method(file: &RepaeFile, sit: &Geometry) -> &'static str {
    match (file.has("vae"), sit.z_dims.is_empty()) {
        (true, _) => "repa-e",
        (false, false) => "repa",
        (false, true) => "vanilla",
    }
}

fn load_sit(
    file: &RepaeFile,
    section: &str,
    config: &Config,
    geometry: &Geometry,
    device: &Device,
) -> Result<Sit> {
    let geometry: SitConfig = config.sit_config(geometry.classes, geometry.z_dims.clone())?;
    let mut sit = Sit::unset(&geometry, device)?;
    sit.train_positions(config.sit.train_positions);
    params::load(&mut sit, &file.section(section), str::to_string, device)?;
    Ok(sit)
}

/// The stored discriminator, or a fresh one where there is none.
fn load_discriminator(file: &RepaeFile, sizes: &Discriminators, device: &Device) -> Result<Discriminator> {
    let mut discriminator = Discriminator::new(sizes.width, sizes.layers, 0, device);
    if file.has("discriminator") {
        let section = file.section("discriminator");
        let source: &dyn TensorSource = &section;
        params::load(&mut discriminator, source, str::to_string, device)?;
    }
    Ok(discriminator)
}
