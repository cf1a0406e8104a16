//! Which names a file gives to an autoencoder's parameters, and what stands before them.

use std::collections::HashMap;

use super::compvis;
use crate::files::{Below, TensorFile, TensorInfo};

/// A family of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// diffusers' own, which are this program's too.
    Diffusers,
    /// diffusers' before 0.17: `query`, `key`, `value`, `proj_attn`.
    Legacy,
    /// CompVis' (latent-diffusion, REPA-E), for a number of levels.
    CompVis(usize),
    /// diffusers' AutoencoderKLQwenImage.
    Qwen,
}

const ATTENTION: [(&str, &str); 4] =
    [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")];

/// Roots of an autoencoder's names; what lies elsewhere is not its own.
const ROOTS: [&str; 4] = ["encoder.", "decoder.", "quant_conv.", "post_quant_conv."];

impl Naming {
    /// The name in the file of the model's parameter `name`.
    pub fn stored(self, name: &str) -> String {
        match self {
            Self::Diffusers | Self::Qwen => name.to_string(),
            Self::Legacy => ATTENTION.iter().fold(name.to_string(), |name, (new, old)| {
                name.replace(&format!(".{new}."), &format!(".{old}."))
            }),
            Self::CompVis(levels) => compvis::from_diffusers(name, levels),
        }
    }

    /// The model's name of the file's parameter `name`.
    pub fn canonical(self, name: &str) -> String {
        match self {
            Self::Diffusers | Self::Qwen => name.to_string(),
            Self::Legacy => ATTENTION.iter().fold(name.to_string(), |name, (new, old)| {
                name.replace(&format!(".{old}."), &format!(".{new}."))
            }),
            Self::CompVis(levels) => compvis::to_diffusers(name, levels),
        }
    }

    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Diffusers => "diffusers names",
            Self::Legacy => "diffusers names before 0.17",
            Self::CompVis(_) => "CompVis names",
            Self::Qwen => "diffusers names",
        }
    }
}

/// An autoencoder's tensors within a file.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Below the prefix.
    pub tensors: Below<'a>,
    /// What stands before every name: empty, `first_stage_model.`, `vae/`.
    pub prefix: String,
    /// Their names.
    pub naming: Naming,
    /// The model's names to the file's descriptions, of all that lie under an autoencoder's roots.
    pub by_name: HashMap<String, &'a TensorInfo>,
    /// Number of tensors in the file that are not the autoencoder's.
    pub others: usize,
}

/// Looks for an autoencoder in `file`.
pub fn find(file: &TensorFile) -> Option<Found<'_>> {
    const LANDMARK: &str = "encoder.conv_in.weight";
    let prefixes = file.names().filter_map(|name| name.strip_suffix(LANDMARK));
    let whole = |prefix: &&str| file.info(&format!("{prefix}decoder.conv_in.weight")).is_some();
    let prefix = prefixes.filter(whole).min_by_key(|prefix| prefix.len())?.to_string();
    let tensors = file.below(&prefix);
    let own: Vec<(&str, &TensorInfo)> =
        tensors.tensors().filter(|(name, _)| ROOTS.iter().any(|root| name.starts_with(root))).collect();
    let any = |test: &dyn Fn(&str) -> bool| own.iter().any(|(name, _)| test(name));
    let naming = if any(&|n| n.starts_with("encoder.down.")) {
        let level = |n: &str| n.strip_prefix("encoder.down.")?.split('.').next()?.parse::<usize>().ok();
        Naming::CompVis(own.iter().filter_map(|(n, _)| level(n)).max().map_or(1, |l| l.saturating_add(1)))
    } else if any(&|n| n.ends_with(".gamma")) {
        Naming::Qwen
    } else if any(&|n| n.ends_with(".query.weight")) {
        Naming::Legacy
    } else {
        Naming::Diffusers
    };
    let others = file.len() - own.len();
    let by_name = own.into_iter().map(|(name, info)| (naming.canonical(name), info)).collect();
    Some(Found { tensors, prefix, naming, by_name, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_translates_there_and_back() {
        let name = "decoder.up_blocks.0.attentions.2.to_out.0.bias";
        for (naming, stored) in [
            (Naming::Diffusers, name),
            (Naming::Legacy, "decoder.up_blocks.0.attentions.2.proj_attn.bias"),
            (Naming::CompVis(3), "decoder.up.2.attn.2.proj_out.bias"),
        ] {
            assert_eq!(naming.stored(name), stored);
            assert_eq!(naming.canonical(stored), name);
        }
    }
}
