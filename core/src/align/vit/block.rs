//! A pre-norm transformer block: attention and MLP, each with an optional layer scale.

use burn::tensor::{Device, Tensor};

use super::Activation;
use super::names::{
    DOWN, FC1, FC2, GATE, GATE_AND_UP, NORM1, NORM2, PROJ, Part, Parts, Q_K_V, QKV, SCALE1, SCALE2, UP,
};
use super::rope::Rope;
use crate::error::{Error, Result};
use crate::kernel;
use crate::layers::{LayerNorm, Linear};
use crate::params::Param;

/// Geometry that all blocks share.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockConfig {
    pub width: usize,
    pub heads: usize,
    pub eps: f32,
    pub activation: Activation,
}

#[derive(Clone, Debug)]
enum Mlp {
    Plain {
        first: Linear,
        second: Linear,
        activation: Activation,
    },
    /// `down(silu(gate) · up)`, gate and up stacked in one map.
    SwiGlu {
        gate_and_up: Linear,
        down: Linear,
    },
}

/// One block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    scale1: Option<Param>,
    norm2: LayerNorm,
    mlp: Mlp,
    scale2: Option<Param>,
    heads: usize,
}

impl Block {
    pub(super) fn load(parts: &Parts, config: BlockConfig, device: &Device) -> Result<Self> {
        let width = config.width;
        let scale = |part| -> Result<Option<Param>> {
            let found = parts.optional(part, "", &[width])?;
            Ok(found.map(|(shape, values)| Param::buffer(values, &shape, device)))
        };
        Ok(Self {
            norm1: norm(parts, NORM1, (width, config.eps), device)?,
            qkv: qkv(parts, width, device)?,
            proj: linear(parts, PROJ, [width, width], device)?,
            scale1: scale(SCALE1)?,
            norm2: norm(parts, NORM2, (width, config.eps), device)?,
            mlp: Mlp::load(parts, config, device)?,
            scale2: scale(SCALE2)?,
            heads: config.heads,
        })
    }

    /// `[B, N, C]` → `[B, N, C]`.
    pub(super) fn forward(&self, x: Tensor<3>, rope: Option<&Rope>) -> Tensor<3> {
        let [b, n, c] = x.dims();
        let qkv = self.qkv.forward(self.norm1.forward(x.clone()));
        let mut qkv = qkv.reshape([b, n, 3, self.heads, c / self.heads]);
        if let Some(rope) = rope {
            qkv = rope.rotate(qkv);
        }
        let x = x + scaled(self.proj.forward(kernel::attention(qkv)), &self.scale1);
        let h = self.mlp.forward(self.norm2.forward(x.clone()));
        x + scaled(h, &self.scale2)
    }
}

impl Mlp {
    fn load(parts: &Parts, config: BlockConfig, device: &Device) -> Result<Self> {
        let width = config.width;
        let rows = |part| parts.shape(part, ".weight").and_then(|shape| shape.first().copied());
        if let Some(both) = rows(GATE_AND_UP) {
            let gate_and_up = linear(parts, GATE_AND_UP, [both / 2 * 2, width], device)?;
            return Ok(Self::SwiGlu { gate_and_up, down: linear(parts, DOWN, [width, both / 2], device)? });
        }
        if let Some(hidden) = rows(GATE) {
            let gate_and_up = stacked(parts, &[GATE, UP], [hidden, width], device)?;
            return Ok(Self::SwiGlu { gate_and_up, down: linear(parts, DOWN, [width, hidden], device)? });
        }
        let hidden = rows(FC1).unwrap_or(4 * width);
        let first = linear(parts, FC1, [hidden, width], device)?;
        let second = linear(parts, FC2, [width, hidden], device)?;
        Ok(Self::Plain { first, second, activation: config.activation })
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Plain { first, second, activation } => second.forward(activation.apply(first.forward(x))),
            Self::SwiGlu { gate_and_up, down } => {
                let both = gate_and_up.forward(x);
                let hidden = both.dims()[2] / 2;
                let gate = both.clone().narrow(2, 0, hidden);
                down.forward(kernel::silu(gate) * both.narrow(2, hidden, hidden))
            }
        }
    }
}

fn scaled(x: Tensor<3>, scale: &Option<Param>) -> Tensor<3> {
    match scale {
        Some(scale) => x * scale.get::<1>().unsqueeze::<3>(),
        None => x,
    }
}

/// Weight and bias of a norm over `width`.
pub(super) fn norm(
    parts: &Parts,
    part: Part,
    (width, eps): (usize, f32),
    device: &Device,
) -> Result<LayerNorm> {
    let read = |suffix| -> Result<Param> {
        let (shape, values) = parts.part(part, suffix, &[width])?;
        Ok(Param::buffer(values, &shape, device))
    };
    Ok(LayerNorm::from_parts(read(".weight")?, read(".bias")?, eps))
}

fn linear(parts: &Parts, part: Part, shape: [usize; 2], device: &Device) -> Result<Linear> {
    stacked(parts, &[part], shape, device)
}

/// Several maps of one shape as one, their rows in order; an absent bias is zero.
fn stacked(parts: &Parts, maps: &[Part], [out, inner]: [usize; 2], device: &Device) -> Result<Linear> {
    let (mut weight, mut bias) = (Vec::new(), Vec::new());
    for part in maps {
        weight.extend(parts.part(part, ".weight", &[out, inner])?.1);
        match parts.optional(part, ".bias", &[out])? {
            Some((_, values)) => bias.extend(values),
            None => bias.resize(bias.len() + out, 0.0),
        }
    }
    let rows = out * maps.len();
    Ok(Linear::from_parts(
        Param::buffer(weight, &[rows, inner], device),
        Param::buffer(bias, &[rows], device),
    ))
}

/// The map to queries, keys and values, `[3C, C]`.
fn qkv(parts: &Parts, width: usize, device: &Device) -> Result<Linear> {
    let shape = [3 * width, width];
    if parts.shape(QKV, "weight").is_none() {
        return stacked(parts, &Q_K_V, [width, width], device).map_err(|error| match error {
            Error::MissingTensor { name, .. } => {
                Error::MissingTensor { name, hint: " (and no stacked attn.qkv)".into() }
            }
            other => other,
        });
    }
    let (_, weight) = parts.part(QKV, "weight", &shape)?;
    let mut bias = parts.optional(QKV, "bias", &shape[..1])?.map_or_else(|| vec![0.0; 3 * width], |(_, b)| b);
    // DINOv3's repository keeps a bias for keys that its mask switches off.
    if let Some((_, mask)) = parts.optional(QKV, "bias_mask", &shape[..1])? {
        bias.iter_mut().zip(mask).filter(|(_, m)| *m == 0.0).for_each(|(b, _)| *b = 0.0);
    }
    Ok(Linear::from_parts(Param::buffer(weight, &shape, device), Param::buffer(bias, &shape[..1], device)))
}
