//! CompVis' names (latent-diffusion, REPA-E `.pt`) for diffusers' autoencoder names.
//!
//! The table of FORMATS.md, section 2, on whole key segments. `decoder.up.0` is the highest
//! resolution there and the lowest in diffusers, so the number of levels is needed.

/// The CompVis name of the diffusers parameter `name`, for an autoencoder of `levels` levels.
pub fn from_diffusers(name: &str, levels: usize) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let mut out: Vec<String> = Vec::with_capacity(parts.len());
    let mut i = 0;
    let mut in_attention = false;
    while i < parts.len() {
        let index = |at: usize| parts.get(at).and_then(|p| p.parse::<usize>().ok()).unwrap_or(0);
        let (replacement, used): (Vec<String>, usize) = match parts[i] {
            "down_blocks" => (vec!["down".into(), index(i + 1).to_string()], 2),
            "up_blocks" => (vec!["up".into(), levels.saturating_sub(1 + index(i + 1)).to_string()], 2),
            "mid_block" if parts.get(i + 1) == Some(&"resnets") => {
                (vec!["mid".into(), format!("block_{}", index(i + 2) + 1)], 3)
            }
            "mid_block" => {
                in_attention = true;
                (vec!["mid".into(), "attn_1".into()], 3)
            }
            "resnets" => (vec!["block".into(), index(i + 1).to_string()], 2),
            "attentions" => {
                in_attention = true;
                (vec!["attn".into(), index(i + 1).to_string()], 2)
            }
            "downsamplers" => (vec!["downsample".into()], 2),
            "upsamplers" => (vec!["upsample".into()], 2),
            "conv_shortcut" => (vec!["nin_shortcut".into()], 1),
            "conv_norm_out" => (vec!["norm_out".into()], 1),
            "group_norm" if in_attention => (vec!["norm".into()], 1),
            "to_q" => (vec!["q".into()], 1),
            "to_k" => (vec!["k".into()], 1),
            "to_v" => (vec!["v".into()], 1),
            "to_out" => (vec!["proj_out".into()], 2),
            other => (vec![other.into()], 1),
        };
        out.extend(replacement);
        i += used;
    }
    out.join(".")
}

/// The diffusers name of the CompVis parameter `name`: the inverse of [`from_diffusers`].
pub fn to_diffusers(name: &str, levels: usize) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let mut out: Vec<String> = Vec::with_capacity(parts.len() + 2);
    let mut in_attention = false;
    let mut i = 0;
    while i < parts.len() {
        let index = parts.get(i + 1).and_then(|p| p.parse::<usize>().ok());
        let number = |n: Option<usize>| n.unwrap_or(0).to_string();
        let (replacement, used): (Vec<String>, usize) = match (parts[i], index) {
            ("down", Some(level)) => (vec!["down_blocks".into(), level.to_string()], 2),
            ("up", Some(level)) => {
                (vec!["up_blocks".into(), levels.saturating_sub(1 + level).to_string()], 2)
            }
            ("mid", _) => match parts.get(i + 1).copied().unwrap_or_default() {
                "attn_1" => {
                    in_attention = true;
                    (vec!["mid_block".into(), "attentions".into(), "0".into()], 2)
                }
                block => {
                    let number = block.strip_prefix("block_").and_then(|n| n.parse::<usize>().ok());
                    let resnet = number.unwrap_or(1).saturating_sub(1);
                    (vec!["mid_block".into(), "resnets".into(), resnet.to_string()], 2)
                }
            },
            ("block", Some(_)) => (vec!["resnets".into(), number(index)], 2),
            ("attn", Some(_)) => {
                in_attention = true;
                (vec!["attentions".into(), number(index)], 2)
            }
            ("downsample", _) => (vec!["downsamplers".into(), "0".into()], 1),
            ("upsample", _) => (vec!["upsamplers".into(), "0".into()], 1),
            ("nin_shortcut", _) => (vec!["conv_shortcut".into()], 1),
            ("norm_out", _) => (vec!["conv_norm_out".into()], 1),
            ("norm", _) if in_attention => (vec!["group_norm".into()], 1),
            ("q" | "k" | "v", _) if in_attention => (vec![format!("to_{}", parts[i])], 1),
            ("proj_out", _) if in_attention => (vec!["to_out".into(), "0".into()], 1),
            (other, _) => (vec![other.into()], 1),
        };
        out.extend(replacement);
        i += used;
    }
    out.join(".")
}

#[cfg(test)]
mod tests {
    use super::{from_diffusers, to_diffusers};

    #[test]
    fn every_kind_of_name_translates() {
        for (diffusers, compvis) in [
            ("encoder.conv_in.weight", "encoder.conv_in.weight"),
            (
                "encoder.down_blocks.1.resnets.0.conv_shortcut.bias",
                "encoder.down.1.block.0.nin_shortcut.bias",
            ),
            ("encoder.down_blocks.0.downsamplers.0.conv.weight", "encoder.down.0.downsample.conv.weight"),
            ("decoder.up_blocks.0.attentions.2.to_out.0.bias", "decoder.up.2.attn.2.proj_out.bias"),
            ("decoder.up_blocks.2.upsamplers.0.conv.bias", "decoder.up.0.upsample.conv.bias"),
            ("decoder.mid_block.resnets.1.norm2.weight", "decoder.mid.block_2.norm2.weight"),
            ("encoder.mid_block.attentions.0.group_norm.bias", "encoder.mid.attn_1.norm.bias"),
            ("encoder.mid_block.attentions.0.to_k.weight", "encoder.mid.attn_1.k.weight"),
            ("decoder.conv_norm_out.weight", "decoder.norm_out.weight"),
            ("quant_conv.weight", "quant_conv.weight"),
        ] {
            assert_eq!(from_diffusers(diffusers, 3), compvis);
            assert_eq!(to_diffusers(compvis, 3), diffusers);
        }
    }
}
