//! The order of the reference's parameters: an optimizer's state knows them by number only.
//!
//! PyTorch numbers parameters as modules were registered: a module's own first, then its parts in the
//! order of their creation. The names are this program's (transformer, discriminator) or CompVis'
//! (autoencoder).

use crate::vae::VaeConfig;

use crate::formats::compvis;

/// Buffers: in a state dict, but not among the parameters.
pub(super) fn is_buffer(name: &str) -> bool {
    ["running_mean", "running_var", "num_batches_tracked"].iter().any(|end| name.ends_with(end))
}

/// Parts of the transformer as they were registered.
const SIT_PARTS: [&str; 8] =
    ["pos_embed", "x_embedder", "t_embedder", "y_embedder", "blocks", "projectors", "final_layer", "bn"];

/// Sorts transformer parameters (names in this program's walk order) into the reference's.
pub(super) fn sort_sit<T>(tensors: &mut [(String, T)]) {
    let part = |name: &str| {
        let first = name.split('.').next().unwrap_or_default();
        SIT_PARTS.iter().position(|part| *part == first)
    };
    tensors.sort_by_key(|(name, _)| part(name));
}

/// CompVis names of an autoencoder's parameters, sorted as they were registered.
pub(super) fn compvis_order<T>(
    tensors: impl IntoIterator<Item = (String, T)>,
    config: &VaeConfig,
) -> Vec<(String, T)> {
    let levels = config.num_levels();
    let mut all: Vec<(String, T)> =
        tensors.into_iter().map(|(name, tensor)| (compvis::from_diffusers(&name, levels), tensor)).collect();
    // Within a block the walk's order is the reference's.
    all.sort_by_cached_key(|(name, _)| compvis_rank(name));
    all
}

/// Place of a CompVis name: half, part, level, kind of block, block.
fn compvis_rank(name: &str) -> [usize; 5] {
    let parts: Vec<&str> = name.split('.').collect();
    let rank = |all: &[&str], at: usize| {
        parts.get(at).and_then(|part| all.iter().position(|name| name == part)).unwrap_or(0)
    };
    let number = |at: usize| parts.get(at).and_then(|part| part.parse().ok()).unwrap_or(0);
    let half = rank(&["encoder", "decoder", "quant_conv", "post_quant_conv"], 0);
    let part = match half {
        0 => rank(&["conv_in", "down", "mid", "norm_out", "conv_out"], 1),
        1 => rank(&["conv_in", "mid", "up", "norm_out", "conv_out"], 1),
        _ => 0,
    };
    match parts.get(1).copied() {
        Some("down" | "up") => {
            [half, part, number(2), rank(&["block", "attn", "downsample", "upsample"], 3), number(4)]
        }
        Some("mid") => [half, part, rank(&["block_1", "attn_1", "block_2"], 2), 0, 0],
        _ => [half, part, 0, 0, 0],
    }
}
