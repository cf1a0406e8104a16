//! The diffusion transformer SiT (Ma et al. 2024) as REPA-E trains it: latent norm, patches,
//! blocks, projectors for alignment. Names are the reference's (repae/models/sit.py).
//!
//! Times and labels come from the host: they are drawn there, and both embeddings start there.

mod block;
mod config;
mod embed;
mod interpolant;
mod schedule;

use burn::tensor::{Device, Tensor};

pub use config::{SitConfig, published, published_name};
pub use embed::{FREQUENCIES, position_table, time_table};
pub use interpolant::{Path, Weighting};
pub use schedule::Schedule;

use crate::align::Projector;
use crate::error::Result;
use crate::kernel;
use crate::latent_norm::LatentNorm;
use crate::layers::{Init, run_again2};
use crate::params::{Param, Parameters, Role, Walk};
use block::{Block, FinalLayer};
use embed::{LabelEmbedder, TimeEmbedder};

/// The transformer with its latent norm and projectors.
#[derive(Clone, Debug)]
pub struct Sit {
    config: SitConfig,
    patch_weight: Param,
    patch_bias: Param,
    pos_embed: Param,
    t_embedder: TimeEmbedder,
    y_embedder: LabelEmbedder,
    blocks: Vec<Block>,
    final_layer: FinalLayer,
    projectors: Vec<Projector>,
    /// Whether backward runs the blocks again.
    again: bool,
    /// Normalisation of the latents that go in.
    pub latent_norm: LatentNorm,
}

/// What a whole forward pass gives.
pub struct SitOutput {
    /// Predicted velocity, in the latent's shape.
    pub velocity: Tensor<4>,
    /// Tokens after `encoder_depth` blocks, projected onto each teacher.
    pub projected: Vec<Tensor<3>>,
}

impl Sit {
    /// Fresh weights from `seed`: Glorot, embeddings of std 0.02, gates and output zero.
    ///
    /// # Errors
    /// When the configuration does not fit together.
    pub fn new(config: &SitConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::with(config, &mut Init::new(seed, "sit", device))
    }

    /// No weights yet: to be loaded before use.
    ///
    /// # Errors
    /// When the configuration does not fit together.
    pub fn unset(config: &SitConfig, device: &Device) -> Result<Self> {
        Self::with(config, &mut Init::unset(device))
    }

    fn with(config: &SitConfig, init: &mut Init) -> Result<Self> {
        config.check()?;
        let (d, p, c, grid) = (config.hidden_size, config.patch_size, config.in_channels, config.grid());
        let table = position_table(grid, d);
        Ok(Self {
            patch_weight: init.xavier(&[d, c, p, p]),
            patch_bias: init.filled(&[d], 0.0),
            pos_embed: Param::buffer(table, &[1, grid * grid, d], init.device()),
            t_embedder: TimeEmbedder::new(d, init),
            y_embedder: LabelEmbedder::new(config.num_classes, d, init),
            blocks: (0..config.depth).map(|_| Block::new(config, init)).collect(),
            final_layer: FinalLayer::new(config, init),
            projectors: config
                .z_dims
                .iter()
                .map(|&features| Projector::new(d, config.projector_dim, features, init))
                .collect(),
            again: false,
            latent_norm: LatentNorm::new(c, config.bn_momentum, init.device()),
            config: config.clone(),
        })
    }

    /// Geometry.
    pub fn config(&self) -> &SitConfig {
        &self.config
    }

    /// Trains the position table too, as the reference does in joint mode (it turns every
    /// gradient on when it unfreezes the transformer).
    pub fn train_positions(&mut self, train: bool) {
        self.pos_embed.set_role(if train { Role::Weight } else { Role::Buffer });
    }

    /// Whether backward runs the blocks again instead of keeping what is inside them: less memory, the same
    /// gradients.
    pub fn checkpoint_gradients(&mut self, on: bool) {
        self.again = on;
    }

    /// Tokens after `encoder_depth` blocks, projected onto each teacher: all that alignment needs.
    ///
    /// # Shapes
    /// `x_t [B, C, S, S]` normalised, `t [B]`, `labels [B]` → per teacher `[B, N, D_k]`.
    pub fn project(&self, x_t: Tensor<4>, t: &[f32], labels: &[usize]) -> Vec<Tensor<3>> {
        let condition = self.condition(t, labels);
        let tokens = self.run(self.tokens(x_t), &condition, 0..self.config.encoder_depth);
        self.projectors.iter().map(|p| p.forward(tokens.clone())).collect()
    }

    /// Velocity and projected tokens.
    ///
    /// # Shapes
    /// As [`project`](Self::project); velocity `[B, C, S, S]`.
    pub fn forward(&self, x_t: Tensor<4>, t: &[f32], labels: &[usize]) -> SitOutput {
        let condition = self.condition(t, labels);
        let split = self.config.encoder_depth;
        let hidden = self.run(self.tokens(x_t), &condition, 0..split);
        let projected = self.projectors.iter().map(|p| p.forward(hidden.clone())).collect();
        let tokens = self.run(hidden, &condition, split..self.config.depth);
        SitOutput { velocity: self.unpatch(self.final_layer.forward(tokens, condition)), projected }
    }

    /// Velocity alone: the sampler's entry.
    pub fn velocity(&self, x_t: Tensor<4>, t: &[f32], labels: &[usize]) -> Tensor<4> {
        let condition = self.condition(t, labels);
        let tokens = self.run(self.tokens(x_t), &condition, 0..self.config.depth);
        self.unpatch(self.final_layer.forward(tokens, condition))
    }

    /// The modulations of every block and of the final layer for all `times` and all `labels`:
    /// each `[times, labels, ..]`.
    fn modulations(&self, times: &[f32], labels: &[usize]) -> Vec<Tensor<3>> {
        let (t, y) = (self.t_embedder.forward(times), self.y_embedder.forward(labels));
        let (rows, width) = ([times.len(), labels.len()], self.config.hidden_size);
        let condition = t.unsqueeze_dim::<3>(1) + y.unsqueeze_dim::<3>(0); // [T, L, D]
        let condition = kernel::silu(condition.reshape([rows[0] * rows[1], width]));
        let blocks = self.blocks.iter().map(|block| block.modulation(condition.clone()));
        let last = self.final_layer.modulation(condition.clone());
        let all = blocks.chain([last]).map(|all| {
            let width = all.dims()[1];
            all.reshape([rows[0], rows[1], width])
        });
        all.collect()
    }

    /// Velocity of samples whose modulations, one for each block and the final layer, are at hand.
    fn velocity_modulated(&self, x_t: Tensor<4>, modulations: Vec<Tensor<2>>) -> Tensor<4> {
        let mut modulations = modulations.into_iter();
        let blocks = self.blocks.iter().zip(modulations.by_ref());
        let tokens = blocks.fold(self.tokens(x_t), |x, (block, modulation)| block.modulated(x, modulation));
        let Some(last) = modulations.next() else { unreachable!("one modulation for each layer") };
        self.unpatch(self.final_layer.modulated(tokens, last))
    }

    /// Tokens `[B, N, D]` after `depth` blocks.
    pub fn features(&self, x_t: Tensor<4>, t: &[f32], labels: &[usize], depth: usize) -> Tensor<3> {
        let condition = self.condition(t, labels);
        self.run(self.tokens(x_t), &condition, 0..depth.min(self.config.depth))
    }

    /// The final layer on the aligned tokens, which the reference computes when it only aligns.
    pub fn velocity_at_align_depth(&self, x_t: Tensor<4>, t: &[f32], labels: &[usize]) -> Tensor<4> {
        let condition = self.condition(t, labels);
        let tokens = self.run(self.tokens(x_t), &condition, 0..self.config.encoder_depth);
        self.unpatch(self.final_layer.forward(tokens, condition))
    }

    /// `silu(time + label)`, the one vector that modulates every block. `[B, D]`
    fn condition(&self, t: &[f32], labels: &[usize]) -> Tensor<2> {
        kernel::silu(self.t_embedder.forward(t) + self.y_embedder.forward(labels))
    }

    fn run(&self, tokens: Tensor<3>, condition: &Tensor<2>, blocks: std::ops::Range<usize>) -> Tensor<3> {
        self.blocks[blocks].iter().fold(tokens, |tokens, block| {
            let modulation = block.modulation(condition.clone());
            match self.again {
                true => run_again2(block, (tokens, modulation), Block::modulated),
                false => block.modulated(tokens, modulation),
            }
        })
    }

    /// Patches to tokens, positions added. `[B, C, S, S]` → `[B, N, D]`
    fn tokens(&self, x: Tensor<4>) -> Tensor<3> {
        let [b, c, _, _] = x.dims();
        let (g, p, d) = (self.config.grid(), self.config.patch_size, self.config.hidden_size);
        let patches = x.reshape([b, c, g, p, g, p]).permute([0, 2, 4, 1, 3, 5]); // [B, g, g, C, p, p]
        let patches = patches.reshape([b, g * g, c * p * p]);
        let weight = self.patch_weight.get::<4>().reshape([d, c * p * p]);
        kernel::linear(patches, weight, Some(self.patch_bias.get())) + self.pos_embed.get::<3>()
    }

    /// Tokens back to a latent; within a token (row, column, channel). `[B, N, p·p·C]` → `[B, C, S, S]`
    fn unpatch(&self, x: Tensor<3>) -> Tensor<4> {
        let b = x.dims()[0];
        let (g, p, c) = (self.config.grid(), self.config.patch_size, self.config.in_channels);
        let x = x.reshape([b, g, g, p, p, c]).permute([0, 5, 1, 3, 2, 4]); // [B, C, g, p, g, p]
        x.reshape([b, c, g * p, g * p])
    }
}

impl Parameters for Sit {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("x_embedder.proj.weight", &mut self.patch_weight);
        walk.param("x_embedder.proj.bias", &mut self.patch_bias);
        walk.param("pos_embed", &mut self.pos_embed);
        walk.part("t_embedder", &mut self.t_embedder);
        walk.part("y_embedder", &mut self.y_embedder);
        walk.parts("blocks", &mut self.blocks);
        walk.part("final_layer", &mut self.final_layer);
        walk.parts("projectors", &mut self.projectors);
        walk.part("bn", &mut self.latent_norm);
    }
}
