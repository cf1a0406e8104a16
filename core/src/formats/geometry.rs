//! An autoencoder's geometry from its tensors, and what a configuration and tensors disagree about.

use super::naming::{Found, Naming};
use crate::vae::{QwenConfig, VaeConfig};

/// What CompVis' autoencoders, which come without a configuration, always have.
const COMPVIS_GROUPS: usize = 32;

/// The configuration that the tensors imply; what they do not tell is as in CompVis (32 groups) or in
/// the published model. A reason in words where they imply none.
pub fn infer(found: &Found) -> Result<VaeConfig, String> {
    match found.naming {
        Naming::Qwen => infer_qwen(found).map(VaeConfig::of_qwen),
        _ => infer_kl(found),
    }
}

fn side(found: &Found, name: &str, axis: usize) -> Result<usize, String> {
    let info =
        found.by_name.get(name).ok_or_else(|| format!("tensor {} is missing", found.naming.stored(name)))?;
    info.shape.get(axis).copied().ok_or_else(|| format!("tensor {name} has {} axes", info.shape.len()))
}

fn infer_qwen(found: &Found) -> Result<QwenConfig, String> {
    let stock = QwenConfig::default();
    let z_dim = side(found, "decoder.conv_in.weight", 1)?;
    if z_dim != stock.z_dim {
        return Err(format!(
            "the statistics of {z_dim} latent channels are unknown; put its config.json beside"
        ));
    }
    Ok(QwenConfig {
        base_dim: side(found, "encoder.conv_in.weight", 0)?,
        input_channels: side(found, "encoder.conv_in.weight", 1)?,
        ..stock
    })
}

fn infer_kl(found: &Found) -> Result<VaeConfig, String> {
    let mut config = shapes_kl(found)?;
    config.norm_num_groups = groups(&config.block_out_channels)?;
    Ok(config)
}

/// [`infer`] for an AutoencoderKL whose number of groups is known.
///
/// # Errors
/// A reason in words.
pub fn infer_with_groups(found: &Found, groups: usize) -> Result<VaeConfig, String> {
    Ok(VaeConfig { norm_num_groups: groups, ..shapes_kl(found)? })
}

/// All that the tensors tell.
fn shapes_kl(found: &Found) -> Result<VaeConfig, String> {
    let has = |name: &str| found.by_name.contains_key(name);
    let mut channels = Vec::new();
    while has(&format!("encoder.down_blocks.{}.resnets.0.conv2.weight", channels.len())) {
        let name = format!("encoder.down_blocks.{}.resnets.0.conv2.weight", channels.len());
        channels.push(side(found, &name, 0)?);
    }
    if channels.is_empty() {
        return Err("there are no encoder levels".into());
    }
    let levels = channels.len();
    let layers =
        (0..).take_while(|j| has(&format!("encoder.down_blocks.0.resnets.{j}.conv1.weight"))).count();
    let z = side(found, "decoder.conv_in.weight", 1)?;
    let mut config = VaeConfig::plain(&channels, layers, z, 1, 256);
    config.in_channels = side(found, "encoder.conv_in.weight", 1)?;
    config.out_channels = side(found, "decoder.conv_out.weight", 0)?;
    config.use_quant_conv = has("quant_conv.weight");
    config.use_post_quant_conv = has("post_quant_conv.weight");
    config.mid_block_add_attention = has("encoder.mid_block.attentions.0.to_q.weight");
    for level in 0..levels {
        if has(&format!("encoder.down_blocks.{level}.attentions.0.to_q.weight")) {
            config.down_block_types[level] = "AttnDownEncoderBlock2D".into();
        }
        if has(&format!("decoder.up_blocks.{level}.attentions.0.to_q.weight")) {
            config.up_block_types[level] = "AttnUpDecoderBlock2D".into();
        }
    }
    Ok(config)
}

/// The number of groups cannot be told from tensors: 32 wherever it is possible.
fn groups(channels: &[usize]) -> Result<usize, String> {
    if channels.iter().all(|c| *c > 0 && c.is_multiple_of(COMPVIS_GROUPS)) {
        return Ok(COMPVIS_GROUPS);
    }
    Err(format!(
        "channels {channels:?} do not divide into {COMPVIS_GROUPS} groups, and tensors do not tell how many \
         there are; put the model's config.json beside"
    ))
}

/// The first key about which `config` and the tensors disagree, with both values.
pub fn disagreement(config: &VaeConfig, found: &Found) -> Option<String> {
    if config.qwen.is_some() != (found.naming == Naming::Qwen) {
        let tensors = if found.naming == Naming::Qwen { "AutoencoderKLQwenImage" } else { "AutoencoderKL" };
        return Some(format!(
            "the configuration is an {}'s, the tensors an {tensors}'s",
            config.class_name()
        ));
    }
    if let Some(qwen) = &config.qwen {
        let pairs = [
            ("base_dim", qwen.base_dim, side(found, "encoder.conv_in.weight", 0)),
            ("z_dim", qwen.z_dim, side(found, "decoder.conv_in.weight", 1)),
            ("input_channels", qwen.input_channels, side(found, "encoder.conv_in.weight", 1)),
        ];
        let differs = |(key, says, has): &(&str, usize, Result<usize, String>)| match has {
            Ok(has) if has != says => Some(differ(key, says, has)),
            _ => None,
        };
        return pairs.iter().find_map(differs);
    }
    match shapes_kl(found) {
        Ok(tensors) => first_difference(config, &tensors),
        Err(reason) => Some(reason),
    }
}

fn first_difference(config: &VaeConfig, tensors: &VaeConfig) -> Option<String> {
    macro_rules! compare {
        ($($key:ident),*) => {
            $(if config.$key != tensors.$key {
                return Some(differ(stringify!($key), &config.$key, &tensors.$key));
            })*
        };
    }
    compare!(
        block_out_channels,
        layers_per_block,
        latent_channels,
        in_channels,
        out_channels,
        down_block_types,
        up_block_types,
        use_quant_conv,
        use_post_quant_conv,
        mid_block_add_attention
    );
    None
}

fn differ(key: &str, says: &impl std::fmt::Debug, has: &impl std::fmt::Debug) -> String {
    format!("the configuration says {key} = {says:?}, the tensors have {has:?}")
}
