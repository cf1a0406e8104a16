//! What a training step costs, by formula: arithmetic, weights, and the values that backward keeps.
//!
//! Only products (convolutions, linear maps, attention) are counted as arithmetic; everything else is
//! bound by memory. Backward of a product costs twice its forward, or once where only its input is
//! asked for (frozen networks). A test holds the arithmetic against what a profile counts.

use crate::config::Config;
use crate::error::Result;
use crate::sit::SitConfig;
use crate::vae::VaeConfig;

/// A network, forward, for one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of forward.
    pub flops: f64,
    /// Trained values.
    pub weights: f64,
    /// Values that backward keeps.
    pub kept: Kept,
    /// Values of the largest tensor.
    pub widest: f64,
}

/// Values that backward keeps of one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kept {
    /// All of them, without gradient checkpointing.
    pub all: f64,
    /// With it: the inputs of the blocks, and what lies between blocks.
    pub inputs: f64,
    /// With it, on top, while backward runs it again: the inside of the largest block.
    pub block: f64,
}

impl Kept {
    /// At the most, with or without gradient checkpointing.
    pub fn most(self, checkpointing: bool) -> f64 {
        if checkpointing { self.inputs + self.block } else { self.all }
    }
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.flops += other.flops;
        self.weights += other.weights;
        self.kept.all += other.kept.all;
        self.kept.inputs += other.kept.inputs;
        self.kept.block = self.kept.block.max(other.kept.block);
        self.widest = self.widest.max(other.widest);
    }

    /// A square convolution with `size` taps a side, onto `side`² positions.
    fn conv(&mut self, from: usize, to: usize, size: usize, side: usize) {
        let taps = (size * size * from * to) as f64;
        self.flops += 2.0 * taps * (side * side) as f64;
        self.weights += taps + to as f64;
        self.widest = self.widest.max((to * side * side) as f64);
    }

    /// A linear map of `rows` rows.
    fn linear(&mut self, from: usize, to: usize, rows: usize) {
        self.flops += 2.0 * (rows * from * to) as f64;
        self.weights += (from * to + to) as f64;
        self.widest = self.widest.max((rows * to) as f64);
    }

    /// Attention of `tokens` tokens over `width` channels in all heads.
    fn attention(&mut self, tokens: usize, width: usize) {
        self.flops += 4.0 * (tokens * tokens * width) as f64;
    }

    /// Values kept between blocks.
    fn keep(&mut self, values: usize) {
        self.kept.all += values as f64;
        self.kept.inputs += values as f64;
    }

    /// A block that keeps `values`, of them `inputs` that another block made.
    fn keep_block(&mut self, inputs: usize, values: usize) {
        self.kept.all += values as f64;
        self.kept.inputs += inputs as f64;
        self.kept.block = self.kept.block.max((values - inputs) as f64);
    }

    fn residual_block(&mut self, from: usize, to: usize, side: usize) {
        self.conv(from, to, 3, side);
        self.conv(to, to, 3, side);
        if from != to {
            self.conv(from, to, 1, side);
        }
        self.weights += 2.0 * (from + to) as f64;
        // The inputs of both norms.
        self.keep_block(from * side * side, (from + to) * side * side);
    }

    fn spatial_attention(&mut self, channels: usize, side: usize) {
        let tokens = side * side;
        self.linear(channels, 3 * channels, tokens);
        self.attention(tokens, channels);
        self.linear(channels, channels, tokens);
        self.weights += 2.0 * channels as f64;
        // The norm's input, the tokens, queries, keys and values, what attention gives.
        self.keep_block(channels * tokens, 6 * channels * tokens);
    }

    fn middle(&mut self, channels: usize, side: usize, attention: bool) {
        self.residual_block(channels, channels, side);
        if attention {
            self.spatial_attention(channels, side);
        }
        self.residual_block(channels, channels, side);
    }
}

/// The autoencoder, encoder and decoder together, for pictures of `px`² pixels.
pub fn autoencoder(config: &VaeConfig, px: usize) -> Cost {
    let mut cost = encoder(config, px);
    cost.add(decoder(config, px));
    cost
}

/// The encoder for pictures of `px`² pixels.
pub fn encoder(config: &VaeConfig, px: usize) -> Cost {
    let (mut cost, mut side) = (Cost::default(), px);
    let channels = &config.block_out_channels;
    cost.conv(config.in_channels, channels[0], 3, side);
    let mut from = channels[0];
    for (level, &to) in channels.iter().enumerate() {
        for _ in 0..config.layers_per_block {
            cost.residual_block(from, to, side);
            if config.down_attention(level) {
                cost.spatial_attention(to, side);
            }
            from = to;
        }
        if level + 1 < channels.len() {
            cost.keep(to * side * side);
            side /= 2;
            cost.conv(to, to, 3, side);
        }
    }
    cost.middle(from, side, config.mid_block_add_attention);
    let moments = 2 * config.latent_channels;
    cost.conv(from, moments, 3, side);
    cost.weights += 2.0 * from as f64;
    cost.keep(from * side * side);
    if config.use_quant_conv {
        cost.conv(moments, moments, 1, side);
    }
    cost
}

/// The decoder for pictures of `px`² pixels.
pub fn decoder(config: &VaeConfig, px: usize) -> Cost {
    let (mut cost, mut side) = (Cost::default(), px / config.downsampling());
    let z = config.latent_channels;
    let last = config.block_out_channels.len() - 1;
    let mut from = config.block_out_channels[last];
    if config.use_post_quant_conv {
        cost.conv(z, z, 1, side);
    }
    cost.conv(z, from, 3, side);
    cost.middle(from, side, config.mid_block_add_attention);
    for (block, &to) in config.block_out_channels.iter().rev().enumerate() {
        for _ in 0..=config.layers_per_block {
            cost.residual_block(from, to, side);
            if config.up_attention(block) {
                cost.spatial_attention(to, side);
            }
            from = to;
        }
        if block < last {
            // The map before it is enlarged.
            cost.keep(to * side * side);
            side *= 2;
            cost.conv(to, to, 3, side);
        }
    }
    cost.conv(from, config.out_channels, 3, side);
    cost.weights += 2.0 * from as f64;
    cost.keep(from * side * side);
    cost
}

/// The first `depth` blocks of the transformer with embeddings and projectors; all of them with the
/// final layer when `depth` is the whole. `frozen` networks keep only what their input's gradient needs.
pub fn transformer(config: &SitConfig, depth: usize, frozen: bool) -> Cost {
    let mut cost = Cost::default();
    let (d, tokens) = (config.hidden_size, config.grid() * config.grid());
    let values = config.patch_size * config.patch_size * config.in_channels;
    let mlp = (d as f64 * config.mlp_ratio) as usize;
    cost.linear(values, d, tokens);
    cost.linear(crate::sit::FREQUENCIES, d, 1);
    cost.linear(d, d, 1);
    cost.weights += ((config.num_classes + 1) * d) as f64;
    for _ in 0..depth {
        cost.linear(d, 6 * d, 1);
        cost.linear(d, 3 * d, tokens);
        cost.attention(tokens, d);
        cost.linear(d, d, tokens);
        cost.linear(d, mlp, tokens);
        cost.linear(mlp, d, tokens);
        // Two norms' inputs, queries, keys and values, the hidden layer before GELU; with trained weights
        // also the inputs of three maps and both branches before their gates.
        let frozen_values = 5 * d + mlp;
        cost.keep_block(tokens * d, tokens * if frozen { frozen_values } else { frozen_values + 5 * d });
    }
    for &features in &config.z_dims {
        let width = config.projector_dim;
        cost.linear(d, width, tokens);
        cost.linear(width, width, tokens);
        cost.linear(width, features, tokens);
        cost.keep(tokens * (if frozen { 2 * width } else { 3 * width + d } + 2 * features));
    }
    if depth == config.depth {
        cost.linear(d, 2 * d, 1);
        cost.linear(d, values, tokens);
        cost.keep(tokens * 2 * d);
    }
    cost
}

/// What one step costs in the networks that are trained. LPIPS, discriminator and teacher come on top; they
/// are small beside these, or computed once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCost {
    /// Floating-point operations for each picture.
    pub flops: f64,
    /// Bytes of weights.
    pub weight_bytes: f64,
    /// Bytes of the optimizers' two moments.
    pub moment_bytes: f64,
    /// Bytes of gradients.
    pub gradient_bytes: f64,
    /// Bytes of the transformer's average.
    pub average_bytes: f64,
    /// Bytes kept for backward, for each picture that goes through the networks at once.
    pub picture_bytes: f64,
    /// Bytes of the largest tensor, for each of these pictures.
    pub widest_bytes: f64,
}

impl StepCost {
    /// Bytes that are there whatever the number of pictures.
    pub fn fixed_bytes(&self) -> f64 {
        self.weight_bytes + self.moment_bytes + self.gradient_bytes + self.average_bytes
    }
}

/// The cost of a step of `config`, for `num_classes` classes and teachers of `z_dims` features.
///
/// # Errors
/// A configuration that does not fit together.
pub fn step(config: &Config, num_classes: usize, z_dims: Vec<usize>) -> Result<StepCost> {
    let sit = config.sit_config(num_classes, z_dims)?;
    let vae = autoencoder(&config.vae_config(), config.data.image_px);
    let (whole, part) = (transformer(&sit, sit.depth, false), transformer(&sit, sit.encoder_depth, true));
    let (method, checkpointing) = (config.method, config.train.gradient_checkpointing);
    let (mut flops, mut trained, mut kept) = (0.0, 0.0, 0.0);
    // The passes run beside each other, so that each has its own at once.
    if method.trains_vae() {
        flops += 3.0 * vae.flops;
        trained += vae.weights;
        kept += vae.kept.most(checkpointing);
    }
    if method == super::step::Method::RepaE {
        flops += 2.0 * part.flops;
        kept += part.kept.most(checkpointing);
    }
    let (mut average, mut widest) = (0.0, vae.widest);
    if method.trains_sit() {
        flops += 3.0 * whole.flops;
        trained += whole.weights;
        average = whole.weights;
        kept += whole.kept.most(checkpointing);
        widest = vae.widest.max(whole.widest);
    }
    let bytes = |values: f64| 4.0 * values;
    Ok(StepCost {
        flops,
        weight_bytes: bytes(vae.weights + whole.weights),
        moment_bytes: bytes(2.0 * trained),
        gradient_bytes: bytes(trained),
        average_bytes: bytes(average),
        picture_bytes: bytes(kept),
        widest_bytes: bytes(widest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use crate::kernel::profile::{Profile, record};
    use crate::params::num_weights;
    use crate::sit::Sit;
    use crate::vae::Vae;
    use burn::tensor::Tensor;

    fn counted(profile: &Profile) -> f64 {
        profile.operations.iter().map(|entry| entry.cost.flops as f64).sum()
    }

    #[test]
    fn arithmetic_and_weights_are_those_of_the_networks() {
        let device = device::cpu();
        for preset in ["nano", "tiny", "small"] {
            let config = Config::load(preset, &["data.image_px=32".into()]).unwrap();
            let (vae_config, sit_config) = (config.vae_config(), config.sit_config(9, vec![24]).unwrap());
            let vae = Vae::new(&vae_config, 0, &device).unwrap();
            let mut cost = encoder(&vae_config, 32);
            let (z, profile) = record(|| vae.encode(Tensor::zeros([1, 3, 32, 32], &device)).mode());
            assert_eq!(cost.flops, counted(&profile), "{preset}: encoder");
            let ((), profile) = record(|| drop(vae.decode(z)));
            assert_eq!(decoder(&vae_config, 32).flops, counted(&profile), "{preset}: decoder");
            cost.add(decoder(&vae_config, 32));
            assert_eq!(cost.weights, num_weights(&vae) as f64, "{preset}: autoencoder");

            let sit = Sit::new(&sit_config, 0, &device).unwrap();
            let side = sit_config.input_size;
            let x = Tensor::zeros([1, sit_config.in_channels, side, side], &device);
            let ((), profile) = record(|| drop(sit.forward(x.clone(), &[0.5], &[0]).velocity));
            let cost = transformer(&sit_config, sit_config.depth, false);
            assert_eq!(cost.flops, counted(&profile), "{preset}: transformer");
            assert_eq!(cost.weights, num_weights(&sit) as f64, "{preset}: transformer");
            let ((), profile) = record(|| drop(sit.project(x, &[0.5], &[0])));
            let part = transformer(&sit_config, sit_config.encoder_depth, true);
            assert_eq!(part.flops, counted(&profile), "{preset}: alignment");
        }
    }

    #[test]
    fn the_paper_step_is_dominated_by_its_transformer() {
        let config = Config::load("paper", &[]).unwrap();
        let sit = transformer(&config.sit_config(1000, vec![768]).unwrap(), 28, false);
        // SiT-XL/2 is published with 118.6 G multiply-adds a picture and 675 M weights; the projector is ours.
        let without = Cost {
            flops: sit.flops - 2.0 * 256.0 * (1152.0 * 2048.0 + 2048.0 * 2048.0 + 2048.0 * 768.0),
            ..sit
        };
        assert!((without.flops / 2.0 / 118.6e9 - 1.0).abs() < 0.01, "{:e}", without.flops / 2.0);
        assert!(step(&config, 1000, vec![768]).unwrap().flops > 3.0 * sit.flops);
    }
}
