//! A run as the reference's files: `args.json` and `checkpoints/NNNNNNN.pt` as its `generate.py` and
//! `--resume-step` read them, `vae.pt` with `vae-latents-stats.pt` for `--vae-ckpt`, and
//! `discriminator.pt` for `--disc-pretrained-ckpt`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::args;
use super::order::{compvis_order, is_buffer, sort_sit};
use crate::config::{Config, DiscriminatorSection};
use crate::error::{Error, Result};
use crate::files::pickle::write::Value;
use crate::files::write::write_torch;
use crate::files::{Dtype, NamedTensor, bytes_from_f32};
use crate::formats::autoencoder::outlets;
use crate::formats::diffusers::CONFIG;
use crate::params::{self, Parameters};
use crate::run::Checkpoint;
use crate::run::disk::{write_atomically, write_atomically_with};
use crate::sit::Sit;
use crate::train::restored::sit_geometry;
use crate::train::state::TrainerState;
use crate::vae::discriminator::Discriminator;
use crate::vae::{Vae, VaeConfig};

/// Frozen parameters of LPIPS-VGG behind the discriminator in the reference's third optimizer: thirteen
/// convolutions with bias, five heads.
const LPIPS_PARAMETERS: usize = 31;

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct ExportedFiles {
    /// The files.
    pub files: Vec<PathBuf>,
    /// What the reference would not take as it is, in words.
    pub notes: Vec<String>,
}

/// Tensors of a file to be written, numbered.
#[derive(Default)]
struct Pool<'a>(Vec<(Dtype, Cow<'a, [f32]>)>);

impl<'a> Pool<'a> {
    fn add(&mut self, dtype: Dtype, shape: &[usize], values: impl Into<Cow<'a, [f32]>>) -> Value {
        self.0.push((dtype, values.into()));
        Value::Tensor { number: self.0.len() - 1, dtype, shape: shape.to_vec() }
    }

    fn write(&self, path: &Path, value: &Value) -> Result<()> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let values = |i: usize| -> Result<Cow<'_, [u8]>> {
            let (dtype, values) = &self.0[i];
            bytes_from_f32(*dtype, values)
                .ok_or_else(|| Error::file(path, format!("{dtype:?} is not written here")))
        };
        write_atomically_with(path, |out| write_torch(out, &stem, value, &values, path))
    }
}

/// Writes a run's checkpoint.
///
/// # Errors
/// A checkpoint without networks, an autoencoder that CompVis' names do not cover, or a disk that
/// refuses.
pub fn export_run(
    config: &Config,
    checkpoint: &Checkpoint,
    vae: &Vae,
    folder: &Path,
) -> Result<ExportedFiles> {
    let mut done = export_vae(vae, running_stats(config, checkpoint), folder)?;
    let tensors = |name: &str| {
        checkpoint.files.get(name).map(Vec::as_slice).ok_or_else(|| Error::MissingTensor {
            name: format!("{name}.safetensors"),
            hint: "; the checkpoint is not complete".into(),
        })
    };
    let classes = tensors("sit")?
        .iter()
        .find(|t| t.name == "y_embedder.embedding_table.weight")
        .map_or(0, |t| t.shape[0].saturating_sub(1));
    let namespace = args::namespace(config, vae.config(), classes, checkpoint.step);
    let json = json_of(&Value::Namespace(namespace.clone()));
    let text = serde_json::to_string_pretty(&json).map_err(|e| Error::file(folder, e.to_string()))?;
    let path = folder.join("args.json");
    write_atomically(&path, text.as_bytes())?;
    done.files.push(path);

    let path = folder.join("discriminator.pt");
    let mut pool = Pool::default();
    let critic = discriminator_of(config, tensors("discriminator")?)?;
    let value = state_dict(&critic, 0, &mut pool);
    pool.write(&path, &value)?;
    done.files.push(path);

    let folder = folder.join("checkpoints");
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
    let path = folder.join(format!("{:07}.pt", checkpoint.step));
    let mut pool = Pool::default();
    let value = complete(config, checkpoint, vae.config(), namespace, &tensors, &mut pool)?;
    pool.write(&path, &value)?;
    done.files.push(path);
    done.notes.extend(args::foreign_parts(config, vae.config()));
    Ok(done)
}

/// Mean and deviation of each latent channel as the reference exports them: without the norm's eps.
fn running_stats(config: &Config, checkpoint: &Checkpoint) -> Option<(Vec<f32>, Vec<f32>)> {
    let ema = checkpoint.files.get("ema").filter(|_| config.method.trains_sit())?;
    let values = |name: &str| ema.iter().find(|t| t.name == name).map(|t| t.values.clone());
    let deviation = values("bn.running_var")?.iter().map(|v| v.sqrt()).collect();
    Some((values("bn.running_mean")?, deviation))
}

/// The whole checkpoint.
fn complete<'a>(
    config: &Config,
    checkpoint: &'a Checkpoint,
    vae: &VaeConfig,
    namespace: Vec<(String, Value)>,
    tensors: &impl Fn(&str) -> Result<&'a [NamedTensor]>,
    pool: &mut Pool<'a>,
) -> Result<Value> {
    let state: TrainerState = serde_json::from_value(checkpoint.state["trainer"].clone())
        .map_err(|e| Error::Config(format!("the checkpoint's state cannot be read: {e}")))?;
    let [vae_steps, sit_steps, critic_steps] = state.optimizer_steps;
    let device = crate::device::cpu();
    let geometry = sit_geometry(config, tensors("sit")?)?;
    let network = Sit::unset(&geometry, &device)?;
    let mut sit = walked(&network, tensors("sit")?)?;
    let mut ema = walked(&network, tensors("ema")?)?;
    sort_sit(&mut sit);
    sort_sit(&mut ema);
    let vae_tensors = compvis_order(walked(&Vae::unset(vae, &device)?, tensors("vae")?)?, vae);
    let critic = discriminator_of(config, tensors("discriminator")?)?;
    let model = state_dict(&sit, sit_steps, pool);
    let ema = state_dict(&ema, sit_steps, pool);
    let autoencoder = state_dict(&vae_tensors, vae_steps, pool);
    let discriminator = state_dict(&critic, critic_steps, pool);
    let groups = |lr: f64, numbers: usize| param_groups(config, lr, numbers);
    let mut states = |file: &str, all: &[(String, &'a NamedTensor)], skipped, steps| {
        optimizer_state(tensors(file)?, all, skipped, steps, pool)
    };
    let (opt, n) = states("optimizer_sit", &sit, 0, sit_steps)?;
    let (opt_vae, n_vae) = states("optimizer_vae", &vae_tensors, 0, vae_steps)?;
    let (opt_disc, n_disc) = states("optimizer_discriminator", &critic, 1, critic_steps)?;
    let optim = &config.optim;
    let whole = |state, groups| Value::dict(vec![("state", state), ("param_groups", groups)]);
    Ok(Value::dict(vec![
        ("model", model),
        ("ema", ema),
        ("vae", autoencoder),
        ("discriminator", discriminator),
        ("opt", whole(opt, groups(optim.sit_lr, n))),
        ("opt_vae", whole(opt_vae, groups(optim.vae_lr, n_vae))),
        ("opt_disc", whole(opt_disc, groups(optim.discriminator_lr, n_disc + LPIPS_PARAMETERS))),
        ("args", Value::Namespace(namespace)),
        ("steps", Value::Int(checkpoint.step as i64)),
    ]))
}

/// The discriminator's tensors in the order of its walk, which is the reference's.
fn discriminator_of<'a>(config: &Config, all: &'a [NamedTensor]) -> Result<Vec<(String, &'a NamedTensor)>> {
    let DiscriminatorSection { width, layers, .. } = config.discriminator;
    walked(&Discriminator::new(width, layers, 0, &crate::device::cpu()), all)
}

/// A network's state dict, counters as whole numbers.
fn state_dict<'a>(all: &[(String, &'a NamedTensor)], steps: u64, pool: &mut Pool<'a>) -> Value {
    let mut entries: Vec<(String, Value)> = Vec::new();
    for (name, tensor) in all {
        let dtype = if name.ends_with("num_batches_tracked") { Dtype::I64 } else { Dtype::F32 };
        let shape = shape_in_reference(name, &tensor.shape);
        entries.push((name.clone(), pool.add(dtype, &shape, tensor.values.as_slice())));
        if name == "bn.running_var" {
            let counted = pool.add(Dtype::I64, &[], vec![steps as f32]);
            entries.push(("bn.num_batches_tracked".into(), counted));
        }
    }
    Value::OrderedDict(entries)
}

/// A network's optimizer state by parameter number, and the number of parameters.
fn optimizer_state<'a>(
    moments: &'a [NamedTensor],
    parameters: &[(String, &'a NamedTensor)],
    skipped: usize,
    steps: u64,
    pool: &mut Pool<'a>,
) -> Result<(Value, usize)> {
    let by_name: HashMap<&str, &'a NamedTensor> =
        moments.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut entries = Vec::new();
    let mut number = skipped;
    for (name, tensor) in parameters.iter().filter(|(name, _)| !is_buffer(name)) {
        let moment = |end: &str| by_name.get(format!("{}.{end}", tensor.name).as_str()).copied();
        // What is not trained has no state, and nothing has before the first step.
        if let (Some(mean), Some(square), true) = (moment("m"), moment("v"), steps > 0) {
            let shape = shape_in_reference(name, &tensor.shape);
            let state = Value::dict(vec![
                ("step", pool.add(Dtype::F32, &[], vec![steps as f32])),
                ("exp_avg", pool.add(Dtype::F32, &shape, mean.values.as_slice())),
                ("exp_avg_sq", pool.add(Dtype::F32, &shape, square.values.as_slice())),
            ]);
            entries.push((Value::Int(number as i64), state));
        }
        number += 1;
    }
    Ok((Value::Dict(entries), number))
}

/// AdamW's one group of parameters.
fn param_groups(config: &Config, lr: f64, count: usize) -> Value {
    let optim = &config.optim;
    let group = Value::dict(vec![
        ("lr", Value::Float(lr)),
        ("betas", Value::Tuple(vec![Value::Float(optim.beta1), Value::Float(optim.beta2)])),
        ("eps", Value::Float(optim.eps)),
        ("weight_decay", Value::Float(optim.weight_decay)),
        ("amsgrad", Value::Bool(false)),
        ("foreach", Value::None),
        ("maximize", Value::Bool(false)),
        ("capturable", Value::Bool(false)),
        ("differentiable", Value::Bool(false)),
        ("fused", Value::None),
        ("params", Value::List((0..count).map(|i| Value::Int(i as i64)).collect())),
    ]);
    Value::List(vec![group])
}

/// Writes an autoencoder under CompVis' names, its latents' statistics and its configuration.
///
/// # Errors
/// A Qwen-Image autoencoder (CompVis has no names for it), or a disk that refuses.
pub fn export_vae(vae: &Vae, stats: Option<(Vec<f32>, Vec<f32>)>, folder: &Path) -> Result<ExportedFiles> {
    let config = vae.config();
    if config.qwen.is_some() {
        return Err(Error::Config(
            "REPA-E's own files have no place for a Qwen-Image autoencoder; use --format diffusers".into(),
        ));
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let mut pool = Pool::default();
    let mut entries = Vec::new();
    for (name, outlet) in compvis_order(outlets(vae).into_iter().map(|o| (o.name.clone(), o)), config) {
        let shape = shape_in_reference(&name, &outlet.shape);
        entries.push((name, pool.add(Dtype::F32, &shape, outlet.values())));
    }
    let path = folder.join("vae.pt");
    pool.write(&path, &Value::OrderedDict(entries))?;
    let mut files = vec![path];
    if let Some((mean, std)) = stats {
        let mut pool = Pool::default();
        let shape = [1, mean.len(), 1, 1];
        let scale: Vec<f32> = std.iter().map(|s| 1.0 / s).collect();
        let value = Value::dict(vec![
            ("latents_scale", pool.add(Dtype::F32, &shape, scale)),
            ("latents_bias", pool.add(Dtype::F32, &shape, mean)),
        ]);
        let path = folder.join("vae-latents-stats.pt");
        pool.write(&path, &value)?;
        files.push(path);
    }
    let path = folder.join(CONFIG);
    write_atomically(&path, config.to_json()?.as_bytes())?;
    files.push(path);
    Ok(ExportedFiles { files, notes: Vec::new() })
}

/// The reference's shape of a parameter: attention in the autoencoder is of 1×1 convolutions, counters
/// are scalars.
fn shape_in_reference(name: &str, shape: &[usize]) -> Vec<usize> {
    let convolution = ["q.weight", "k.weight", "v.weight", "proj_out.weight"]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')));
    match shape {
        [a, b] if convolution => vec![*a, *b, 1, 1],
        [1] if name.ends_with("num_batches_tracked") => Vec::new(),
        shape => shape.to_vec(),
    }
}

/// A file's tensors in the order of the model's own walk.
fn walked<'a, P: Parameters + Clone>(
    model: &P,
    all: &'a [NamedTensor],
) -> Result<Vec<(String, &'a NamedTensor)>> {
    let by_name: HashMap<&str, &'a NamedTensor> = all.iter().map(|t| (t.name.as_str(), t)).collect();
    params::named(model)
        .into_iter()
        .map(|(name, _)| match by_name.get(name.as_str()) {
            Some(tensor) => Ok((name, *tensor)),
            None => Err(Error::MissingTensor { name, hint: "; the checkpoint is not complete".into() }),
        })
        .collect()
}

fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(all) | Value::Tuple(all) => all.iter().map(json_of).collect(),
        Value::Namespace(entries) | Value::OrderedDict(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), json_of(value))).collect()
        }
        _ => serde_json::Value::Null,
    }
}
