//! Under which names the parts of a vision transformer are stored.
//!
//! Every published layout (the original repositories, timm, transformers 4 and 5, OpenAI) names the
//! same parts; a part is looked for under each of its names. What stands in front of them
//! (`vision_model.`, `module.base_encoder.`, keys of a training checkpoint) is found by the patch
//! embedding, so heads, momentum encoders and text towers are left alone.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::params::TensorSource;

/// The names of one part, without what stands in front.
pub(super) type Part = &'static [&'static str];

/// The patch embedding, `[C, 3, p, p]`.
pub(super) const PATCH: Part = &[
    "patch_embed.proj",
    "embeddings.patch_embeddings.projection",
    "embeddings.patch_embeddings",
    "embeddings.patch_embedding",
    "conv1",
];
/// The class token.
pub(super) const CLASS: Part =
    &["cls_token", "embeddings.cls_token", "embeddings.class_embedding", "class_embedding"];
/// The position table.
pub(super) const POSITIONS: Part = &[
    "pos_embed",
    "embeddings.position_embeddings",
    "embeddings.position_embedding.weight",
    "positional_embedding",
];
/// Register tokens.
pub(super) const REGISTERS: Part =
    &["register_tokens", "embeddings.register_tokens", "storage_tokens", "reg_token"];
/// The norm ahead of the blocks (CLIP; transformers' spelling).
pub(super) const PRE_NORM: Part = &["ln_pre", "pre_layrnorm"];
/// The norm behind the blocks.
pub(super) const NORM: Part = &["norm", "layernorm"];
/// What the number of a block follows.
const BLOCKS: Part =
    &["blocks", "encoder.layer", "encoder.layers", "layers", "layer", "model.layer", "transformer.resblocks"];

/// First norm of a block. The last name is a slip in a published MoCo-v3 file.
pub(super) const NORM1: Part = &["norm1", "layernorm_before", "layer_norm1", "ln_1", "norm13"];
/// Queries, keys and values stacked.
pub(super) const QKV: Part = &["attn.qkv.", "attn.in_proj_"];
/// Queries, keys and values apart.
pub(super) const Q_K_V: [Part; 3] = [
    &["attention.attention.query", "attention.q_proj", "self_attn.q_proj"],
    &["attention.attention.key", "attention.k_proj", "self_attn.k_proj"],
    &["attention.attention.value", "attention.v_proj", "self_attn.v_proj"],
];
/// The map behind attention.
pub(super) const PROJ: Part =
    &["attn.proj", "attention.output.dense", "attention.o_proj", "self_attn.out_proj", "attn.out_proj"];
/// Layer scale behind attention.
pub(super) const SCALE1: Part = &["ls1.gamma", "layer_scale1.lambda1", "gamma_1"];
/// Second norm; the last name as in [`NORM1`].
pub(super) const NORM2: Part = &["norm2", "layernorm_after", "layer_norm2", "ln_2", "norm14"];
/// First map of the MLP; `fc13` as in [`NORM1`].
pub(super) const FC1: Part = &["mlp.fc1", "intermediate.dense", "mlp.c_fc", "mlp.up_proj", "mlp.fc13"];
/// Second map of the MLP; `fc14` as in [`NORM1`].
pub(super) const FC2: Part = &["mlp.fc2", "output.dense", "mlp.c_proj", "mlp.down_proj", "mlp.fc14"];
/// Gate and value of a SwiGLU stacked.
pub(super) const GATE_AND_UP: Part = &["mlp.w12", "mlp.weights_in"];
/// Gate of a SwiGLU.
pub(super) const GATE: Part = &["mlp.gate_proj", "mlp.w1"];
/// Value of a SwiGLU.
pub(super) const UP: Part = &["mlp.up_proj", "mlp.w2"];
/// Last map of a SwiGLU.
pub(super) const DOWN: Part = &["mlp.w3", "mlp.weights_out", "mlp.down_proj"];
/// Layer scale behind the MLP.
pub(super) const SCALE2: Part = &["ls2.gamma", "layer_scale2.lambda1", "gamma_2"];

/// Encoders in a training checkpoint that are not the one to use.
const PASSED_OVER: [&str; 4] = ["momentum_encoder", "student", "target_encoder", "predictor"];

/// Shape and values of a tensor.
pub(super) type Values = (Vec<usize>, Vec<f32>);

/// A file that holds a vision transformer, and where in it.
pub struct Weights<'a> {
    source: &'a dyn TensorSource,
    shapes: BTreeMap<String, Vec<usize>>,
    prefix: String,
    blocks: String,
}

impl<'a> Weights<'a> {
    /// Finds the transformer among `tensors` (names and shapes) of `source`.
    ///
    /// # Errors
    /// No patch embedding or no blocks: not a vision transformer.
    pub fn find(
        source: &'a dyn TensorSource,
        tensors: impl IntoIterator<Item = (String, Vec<usize>)>,
    ) -> Result<Self> {
        let shapes: BTreeMap<_, _> = tensors.into_iter().collect();
        let fronts = shapes.iter().filter(|(_, shape)| shape.len() == 4 && shape[1] == 3);
        let mut fronts: Vec<_> = fronts.filter_map(|(name, _)| front(name)).collect();
        fronts.sort_by_key(|front| (PASSED_OVER.iter().any(|other| front.contains(other)), front.len()));
        let blocks = |prefix: &str| {
            let begins = |root: &&&str| {
                NORM1.iter().any(|norm| shapes.contains_key(&format!("{prefix}{root}.0.{norm}.weight")))
            };
            BLOCKS.iter().find(begins).map(|root| format!("{prefix}{root}"))
        };
        let found = fronts.into_iter().find_map(|prefix| Some((prefix.to_string(), blocks(prefix)?)));
        if let Some((prefix, blocks)) = found {
            return Ok(Self { source, shapes, prefix, blocks });
        }
        Err(Error::MissingTensor {
            name: format!("{}.weight with transformer blocks", PATCH[0]),
            hint: "; this file holds no vision transformer that is known here".into(),
        })
    }

    /// Number of blocks.
    pub(super) fn depth(&self) -> usize {
        (0..).take_while(|&i| self.block(i).name(NORM1, ".weight").is_some()).count()
    }

    /// The parts outside the blocks.
    pub(super) fn outer(&self) -> Parts<'_> {
        Parts { weights: self, front: self.prefix.clone() }
    }

    /// The parts of block `index`.
    pub(super) fn block(&self, index: usize) -> Parts<'_> {
        Parts { weights: self, front: format!("{}.{index}.", self.blocks) }
    }
}

/// What stands before the patch embedding, if `name` is one.
fn front(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".weight")?;
    let front = PATCH.iter().find_map(|part| stem.strip_suffix(part))?;
    (front.is_empty() || front.ends_with(['.', '/'])).then_some(front)
}

/// Parts of the transformer below one place.
pub(super) struct Parts<'a> {
    weights: &'a Weights<'a>,
    front: String,
}

impl Parts<'_> {
    /// The name under which `part` followed by `suffix` is stored.
    fn name(&self, part: Part, suffix: &str) -> Option<String> {
        let names = part.iter().map(|name| format!("{}{name}{suffix}", self.front));
        names.into_iter().find(|name| self.weights.shapes.contains_key(name))
    }

    /// The shape of a part, if it is there.
    pub(super) fn shape(&self, part: Part, suffix: &str) -> Option<&[usize]> {
        self.name(part, suffix).and_then(|name| self.weights.shapes.get(&name)).map(Vec::as_slice)
    }

    /// A part of `expected` shape (axes of length one do not count), or `None` if it is not there.
    pub(super) fn optional(&self, part: Part, suffix: &str, expected: &[usize]) -> Result<Option<Values>> {
        let Some(name) = self.name(part, suffix) else { return Ok(None) };
        let Some((shape, values)) = self.weights.source.tensor(&name)? else { return Ok(None) };
        let long = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
        if long(&shape) != long(expected) || values.len() != expected.iter().product::<usize>() {
            return Err(Error::Shape { name, expected: expected.to_vec(), found: shape });
        }
        Ok(Some((expected.to_vec(), values)))
    }

    /// A part of `expected` shape.
    pub(super) fn part(&self, part: Part, suffix: &str, expected: &[usize]) -> Result<Values> {
        self.optional(part, suffix, expected)?.ok_or_else(|| Error::MissingTensor {
            name: format!("{}{}{suffix}", self.front, part[0]),
            hint: String::new(),
        })
    }
}
