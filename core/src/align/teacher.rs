//! A frozen vision encoder whose patch features the transformer is aligned with.

use burn::tensor::{Device, Tensor};

use super::efficientnet::{self, EfficientNetLite0};
use super::spec::{Kind, TeacherSpec, TokenGrid};
use super::vit::{Family, Vit, VitSettings, Weights};
use crate::error::{Error, Result};
use crate::params::TensorSource;

/// A loaded teacher.
#[derive(Clone, Debug)]
pub struct Teacher {
    name: String,
    grid: usize,
    network: Network,
}

#[derive(Clone, Debug)]
enum Network {
    EfficientNetLite0(Box<EfficientNetLite0>),
    Vit(Box<Vit>),
}

/// A file that holds a teacher's weights.
pub struct TeacherFile<'a> {
    /// Its tensors.
    pub source: &'a dyn TensorSource,
    /// Their names and shapes.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// The configuration that transformers puts beside it.
    pub config: Option<serde_json::Value>,
}

impl Teacher {
    /// Loads the teacher that `spec` names from `file`, for a transformer with `tokens`.
    ///
    /// # Errors
    /// Weights that are missing or do not fit the name, or a grid that no teacher has.
    pub fn load(spec: &TeacherSpec, file: &TeacherFile, tokens: TokenGrid, device: &Device) -> Result<Self> {
        spec.check_grid(tokens)?;
        let network = match &spec.kind {
            Kind::EfficientNetLite0 => {
                Network::EfficientNetLite0(Box::new(EfficientNetLite0::load(file.source, false, device)?))
            }
            Kind::Vit { family, size, registers, .. } => {
                let settings = settings(family, file.config.as_ref())?;
                let weights = Weights::find(file.source, file.tensors.iter().cloned())?;
                let vit = Vit::load(family, &weights, settings, tokens.side(), device)?;
                check_name(spec, *size, *registers, &vit)?;
                Network::Vit(Box::new(vit))
            }
        };
        Ok(Self { name: spec.name.clone(), grid: tokens.side(), network })
    }

    /// The name under which it was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Features along one side of the picture.
    pub fn grid(&self) -> usize {
        self.grid
    }

    /// Feature width.
    pub fn channels(&self) -> usize {
        match &self.network {
            Network::EfficientNetLite0(_) => efficientnet::CHANNELS,
            Network::Vit(vit) => vit.channels(),
        }
    }

    /// Side of the pictures that it sees.
    pub fn input_px(&self) -> usize {
        match &self.network {
            Network::EfficientNetLite0(_) => efficientnet::STRIDE_PX * self.grid,
            Network::Vit(vit) => vit.input_px(),
        }
    }

    /// Features of pictures `[B, 3, H, W]` in [−1, 1] → `[B, grid², channels]`, off the tape.
    pub fn features(&self, images: Tensor<4>) -> Tensor<3> {
        match &self.network {
            Network::EfficientNetLite0(net) => net.features_on(images, self.grid),
            Network::Vit(vit) => vit.features(images),
        }
    }
}

/// What a configuration says that the weights do not.
fn settings(family: &Family, config: Option<&serde_json::Value>) -> Result<VitSettings> {
    let Some(config) = config else { return Ok(VitSettings::default()) };
    let kind = config.get("model_type").and_then(|kind| kind.as_str()).unwrap_or_default();
    if !kind.is_empty() && !family.model_types.contains(&kind) {
        return Err(Error::Config(format!(
            "align.teacher: the folder holds a model of type {kind}, which is not a {}",
            family.name
        )));
    }
    // A whole CLIP has its image half in a section.
    let vision = config.get("vision_config").unwrap_or(config);
    let heads = vision.get("num_attention_heads").and_then(serde_json::Value::as_u64);
    let eps = vision.get("layer_norm_eps").and_then(serde_json::Value::as_f64);
    Ok(VitSettings {
        heads: heads.and_then(|n| usize::try_from(n).ok()),
        eps: eps.map(|e| e as f32).filter(|e| (0.0..1.0).contains(e)),
    })
}

/// Checks that the weights are the size and kind that the name says.
fn check_name(spec: &TeacherSpec, size: Option<(&str, usize)>, registers: bool, vit: &Vit) -> Result<()> {
    let refuse = |found: String| {
        Err(Error::Config(format!("align.teacher = {}: the weights are of a model {found}", spec.name)))
    };
    match size {
        Some((letter, width)) if width != vit.channels() => {
            return refuse(format!(
                "{} wide, where size {letter} is {width}: leave the size out",
                vit.channels()
            ));
        }
        _ => {}
    }
    match vit.registers() {
        0 if registers => refuse("without register tokens: leave -reg out".into()),
        count if count > 0 && spec.name.starts_with("dinov2") && !registers => {
            refuse(format!("with {count} register tokens: write {}-reg", spec.name))
        }
        _ => Ok(()),
    }
}
