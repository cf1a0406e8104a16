//! Everything that repeats a run: one TOML file of sections, its presets, and the table of keys
//! that feeds help texts and error messages.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::align::{TeacherSpec, TokenGrid};
use crate::error::{Error, Result};
use crate::hub;
use crate::kernel::optimizer::AdamW;
use crate::sit::SitConfig;
use crate::vae::VaeConfig;
use crate::vae::loss::VaeLossWeights;

mod keys;
mod method;
mod schedule;
mod sections;
pub use keys::{KEYS, Key, is_live, nearest};
pub use method::Method;
pub use schedule::Schedule;
pub use sections::*;

/// Configuration of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is trained.
    pub method: Method,
    /// Pictures.
    pub data: DataConfig,
    /// Autoencoder.
    pub vae: VaeSection,
    /// Transformer.
    pub sit: SitSection,
    /// Teacher and alignment.
    pub align: AlignSection,
    /// Autoencoder losses.
    pub loss: LossSection,
    /// Critic of reconstructions.
    pub discriminator: DiscriminatorSection,
    /// Optimizers.
    pub optim: OptimSection,
    /// Moving average of the transformer.
    pub ema: EmaSection,
    /// Length, seed and bookkeeping.
    pub train: TrainSection,
    /// What is measured while training.
    pub eval: EvalSection,
    /// What is shown while training.
    pub preview: PreviewSection,
}

/// Weights of the losses; may change while training runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossWeights {
    /// Terms of the autoencoder.
    pub vae: VaeLossWeights,
    /// Of alignment in the autoencoder pass.
    pub vae_align: f64,
    /// Of alignment in the transformer pass.
    pub sit_align: f64,
}

/// Names and texts of the presets that come with the program.
pub const PRESETS: [(&str, &str); 5] = [
    ("nano", include_str!("../../assets/presets/nano.toml")),
    ("tiny", include_str!("../../assets/presets/tiny.toml")),
    ("small", include_str!("../../assets/presets/small.toml")),
    ("base256", include_str!("../../assets/presets/base256.toml")),
    ("paper", include_str!("../../assets/presets/paper.toml")),
];

/// Pictures of a person's own that previews show at most.
const MAX_OWN_IMAGES: usize = 32;

impl Config {
    /// A preset by name, or a TOML file by path, with `key=value` settings laid over it.
    ///
    /// # Errors
    /// An unknown preset, a file that cannot be read, an unknown key (the nearest is named), a
    /// value of the wrong kind, or a combination that does not fit.
    pub fn load(preset: &str, settings: &[String]) -> Result<Self> {
        let text = match PRESETS.iter().find(|(name, _)| *name == preset) {
            Some((_, text)) => (*text).to_string(),
            None if preset.ends_with(".toml") => {
                std::fs::read_to_string(preset).map_err(|e| Error::io("read", preset, e))?
            }
            None => {
                let known: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
                return Err(Error::Config(format!(
                    "unknown preset {preset}; known are {} (or give a FILE.toml)",
                    known.join(", ")
                )));
            }
        };
        Self::parse(&text, settings, preset)
    }

    /// Reads configuration `text` (from `origin`), with `key=value` settings laid over it. Keys
    /// that the text leaves out have nano's values.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, settings: &[String], origin: &str) -> Result<Self> {
        let table = |text: &str| {
            toml::from_str::<toml::Table>(text)
                .map_err(|e| Error::Config(format!("{origin}: {}", e.to_string().trim().replace('\n', " "))))
        };
        let mut base = table(PRESETS[0].1)?;
        for (key, value) in flatten(&table(text)?) {
            set(&mut base, &key, value)?;
        }
        for setting in settings {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| Error::Config(format!("--set {setting}: write key=value")))?;
            set(&mut base, key.trim(), value_of(value.trim()))?;
        }
        let config = Self::deserialize(toml::Value::Table(base))
            .map_err(|e| Error::Config(format!("{origin}: {}", e.to_string().trim().replace('\n', " "))))?;
        config.check()?;
        Ok(config)
    }

    /// The TOML text that repeats this configuration.
    ///
    /// # Errors
    /// Never for a configuration that was parsed; a number too large for TOML otherwise.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Config(format!("configuration: {e}")))
    }

    /// The same with every path absolute, so that a run goes on from any working directory.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn with_absolute_paths(mut self) -> Result<Self> {
        if !matches!(self.data.source.as_str(), "" | "embedded") {
            self.data.source = absolute(&self.data.source)?;
        }
        // A fetched model stands as the folder that it is in now.
        if !self.vae.init_from.is_empty() {
            let found = hub::resolve(&self.vae.init_from);
            let path =
                found.map_or_else(|_| self.vae.init_from.clone(), |p| p.to_string_lossy().into_owned());
            self.vae.init_from = absolute(&path)?;
        }
        let images = self.preview.images.iter().map(|image| absolute(image));
        self.preview.images = images.collect::<Result<_>>()?;
        // Names of models stay names.
        let place = |place: &str| if Path::new(place).exists() { absolute(place) } else { Ok(place.into()) };
        let files = self.loss.perceptual_weights.split('+').map(|file| place(file.trim()));
        self.loss.perceptual_weights = files.collect::<Result<Vec<_>>>()?.join("+");
        let teachers = self.align.teacher.split(',').map(|teacher| match teacher.split_once('=') {
            Some((name, path)) => Ok(format!("{}={}", name.trim(), place(path.trim())?)),
            None => Ok(teacher.trim().to_string()),
        });
        self.align.teacher = teachers.collect::<Result<Vec<_>>>()?.join(",");
        Ok(self)
    }

    /// The keys that have another value in `other`.
    ///
    /// # Errors
    /// As [`Config::to_toml`].
    pub fn differences(&self, other: &Self) -> Result<Vec<String>> {
        let table = |config: &Self| {
            toml::Table::try_from(config).map_err(|e| Error::Config(format!("configuration: {e}")))
        };
        let others = flatten(&table(other)?);
        let mine = flatten(&table(self)?);
        Ok(mine.into_iter().filter(|pair| !others.contains(pair)).map(|(key, _)| key).collect())
    }

    /// Every key with its value as TOML text, by name.
    pub fn values(&self) -> Vec<(String, String)> {
        let table = toml::Table::try_from(self).unwrap_or_default();
        let mut all: Vec<_> =
            flatten(&table).into_iter().map(|(key, value)| (key, value.to_string())).collect();
        all.sort();
        all
    }

    /// The autoencoder's geometry.
    pub fn vae_config(&self) -> VaeConfig {
        let VaeSection { channels, layers, latent_channels, groups, lowest_attention, .. } = &self.vae;
        let mut config = VaeConfig::plain(channels, *layers, *latent_channels, *groups, self.data.image_px);
        if *lowest_attention && let Some(last) = config.down_block_types.last_mut() {
            *last = "AttnDownEncoderBlock2D".into();
            config.up_block_types[0] = "AttnUpDecoderBlock2D".into();
        }
        config
    }

    /// Takes over the geometry of an autoencoder that training starts from, as far as the keys go; a
    /// checkpoint holds the rest.
    ///
    /// # Errors
    /// A geometry that does not fit the other keys.
    pub fn adopt_vae(&mut self, vae: &VaeConfig) -> Result<()> {
        self.vae.channels.clone_from(&vae.block_out_channels);
        self.vae.layers = vae.layers_per_block;
        self.vae.latent_channels = vae.latent_channels;
        self.vae.groups = vae.norm_num_groups;
        self.vae.lowest_attention = vae.down_attention(vae.num_levels() - 1);
        self.check()
    }

    /// The transformer's geometry for `num_classes` classes and teachers of `z_dims` features.
    ///
    /// # Errors
    /// An unknown published name.
    pub fn sit_config(&self, num_classes: usize, z_dims: Vec<usize>) -> Result<SitConfig> {
        let sit = &self.sit;
        let (width, depth, heads, patch) = if sit.name.is_empty() {
            (sit.width, sit.depth, sit.heads, sit.patch)
        } else {
            crate::sit::published_name(&sit.name)?
        };
        Ok(SitConfig {
            input_size: self.data.image_px / self.vae_config().downsampling(),
            patch_size: patch,
            in_channels: self.vae.latent_channels,
            hidden_size: width,
            depth,
            num_heads: heads,
            mlp_ratio: sit.mlp_ratio,
            num_classes,
            encoder_depth: self.align.depth,
            z_dims,
            projector_dim: self.align.projector,
            qk_norm: sit.qk_norm,
            bn_momentum: sit.norm_momentum,
        })
    }

    /// How many tokens the transformer has.
    ///
    /// # Errors
    /// An unknown published name.
    pub fn token_grid(&self) -> Result<TokenGrid> {
        let patch = self.sit_config(1, vec![1])?.patch_size;
        Ok(TokenGrid { image_px: self.data.image_px, factor: self.vae_config().downsampling(), patch })
    }

    /// The weights of the losses.
    pub fn loss_weights(&self) -> LossWeights {
        LossWeights {
            vae: VaeLossWeights {
                reconstruction: self.loss.reconstruction_weight,
                perceptual: self.loss.perceptual_weight,
                kl: self.loss.kl_weight,
                adversarial: self.discriminator.weight,
            },
            vae_align: self.align.vae_weight,
            sit_align: self.align.sit_weight,
        }
    }

    /// AdamW with learning rate `lr`.
    pub fn adamw(&self, lr: f64) -> AdamW {
        let OptimSection { beta1, beta2, eps, weight_decay, .. } = self.optim;
        AdamW { lr, betas: (beta1, beta2), eps, weight_decay }
    }

    /// The decay of the average after `step` steps.
    pub fn ema_decay(&self, step: u64) -> f64 {
        let warm = (1.0 + step as f64) / (10.0 + step as f64);
        if self.ema.warmup { self.ema.decay.min(warm) } else { self.ema.decay }
    }

    /// Checks ranges and that the pieces fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first key that does not fit.
    pub fn check(&self) -> Result<()> {
        for key in KEYS {
            key.check(self)?;
        }
        let vae = self.vae_config();
        vae.check()?;
        let factor = vae.downsampling();
        if !self.data.image_px.is_multiple_of(factor) {
            return Err(Error::Config(format!(
                "data.image_px = {} is not a multiple of the autoencoder's factor {factor}",
                self.data.image_px
            )));
        }
        self.sit_config(1, vec![1])?.check()?;
        let TrainSection { batch, micro_batch, .. } = self.train;
        if micro_batch > 0 && !batch.is_multiple_of(micro_batch) {
            return Err(Error::Config(format!(
                "train.micro_batch = {micro_batch} does not divide train.batch = {batch}"
            )));
        }
        if self.preview.images.len() > MAX_OWN_IMAGES {
            return Err(Error::Config(format!(
                "preview.images: at most {MAX_OWN_IMAGES} pictures are shown"
            )));
        }
        if self.method.aligns() {
            TeacherSpec::parse_all(&self.align.teacher)?;
        }
        Ok(())
    }
}

/// A path that means the same from any working directory.
fn absolute(path: &str) -> Result<String> {
    let absolute = std::path::absolute(path).map_err(|e| Error::io("find", path, e))?;
    Ok(absolute.to_string_lossy().into_owned())
}

/// Dotted keys and values of a table.
pub(crate) fn flatten(table: &toml::Table) -> Vec<(String, toml::Value)> {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                all.extend(flatten(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
            }
            value => all.push((key.clone(), value.clone())),
        }
    }
    all
}

/// A value written on the command line: TOML if it parses as such, else a string.
fn value_of(text: &str) -> toml::Value {
    toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_string()))
}

/// Sets the dotted `key`, which must exist; whole numbers become fractions where the key holds one, and
/// values with commas between a list.
fn set(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<()> {
    let unknown = || {
        let hint = nearest(key).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        Error::Config(format!("unknown configuration key {key}{hint}"))
    };
    let slot = match key.split_once('.') {
        Some((section, name)) => table
            .get_mut(section)
            .and_then(toml::Value::as_table_mut)
            .and_then(|section| section.get_mut(name)),
        None => table.get_mut(key).filter(|value| !value.is_table()),
    }
    .ok_or_else(unknown)?;
    *slot = match (&*slot, value) {
        (toml::Value::Float(_), toml::Value::Integer(whole)) => toml::Value::Float(whole as f64),
        (old, new) if old.same_type(&new) => new,
        (toml::Value::Array(old), toml::Value::String(text)) if list_of(&text, old).is_some() => {
            toml::Value::Array(list_of(&text, old).unwrap_or_default())
        }
        (old, new) => {
            return Err(Error::Config(format!("{key} = {new}: expected {}", article(old.type_str()))));
        }
    };
    Ok(())
}

/// The values of a list written with commas between; nothing when they are not of the kind of `old`'s.
fn list_of(text: &str, old: &[toml::Value]) -> Option<Vec<toml::Value>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let values: Vec<_> = parts.map(value_of).collect();
    let fits = |value: &toml::Value| old.first().is_none_or(|old| old.same_type(value));
    values.iter().all(fits).then_some(values)
}

fn article(kind: &str) -> String {
    match kind {
        "float" => "a number".into(),
        "integer" => "a whole number".into(),
        "boolean" => "true or false".into(),
        "array" => "a list such as [16,32,64]".into(),
        "string" => "a text".into(),
        other => other.into(),
    }
}
