//! A transformer block with adaptive layer norm and zero-initialised gates (DiT's adaLN-zero).

use burn::tensor::Tensor;

use super::SitConfig;
use crate::kernel::{self, Between};
use crate::layers::{Init, LayerNorm, Linear};
use crate::params::{Parameters, Walk};

/// Epsilon of the norms without weights.
const EPS: f32 = 1e-6;
/// Epsilon of the norms on queries and keys.
const QK_EPS: f32 = 1e-5;

/// Attention with one linear map for queries, keys and values.
#[derive(Clone, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    norms: Option<(LayerNorm, LayerNorm)>,
    num_heads: usize,
}

impl Attention {
    fn new(config: &SitConfig, init: &mut Init) -> Self {
        let (width, head) = (config.hidden_size, config.hidden_size / config.num_heads);
        let norms =
            config.qk_norm.then(|| (LayerNorm::new(head, QK_EPS, init), LayerNorm::new(head, QK_EPS, init)));
        Self {
            qkv: Linear::xavier(width, 3 * width, init),
            proj: Linear::xavier(width, width, init),
            norms,
            num_heads: config.num_heads,
        }
    }

    /// `[B, N, D]` → `[B, N, D]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, n, d] = x.dims();
        let mut qkv = self.qkv.forward(x).reshape([b, n, 3, self.num_heads, d / self.num_heads]);
        if let Some((q_norm, k_norm)) = &self.norms {
            let part = |i| qkv.clone().narrow(2, i, 1);
            qkv = Tensor::cat(vec![q_norm.forward(part(0)), k_norm.forward(part(1)), part(2)], 2);
        }
        self.proj.forward(kernel::attention(qkv))
    }
}

impl Parameters for Attention {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("qkv", &mut self.qkv);
        if let Some((q_norm, k_norm)) = &mut self.norms {
            walk.part("q_norm", q_norm);
            walk.part("k_norm", k_norm);
        }
        walk.part("proj", &mut self.proj);
    }
}

/// One block.
#[derive(Clone, Debug)]
pub struct Block {
    attn: Attention,
    fc1: Linear,
    fc2: Linear,
    modulation: Linear,
}

impl Block {
    /// Glorot weights, gates shut.
    pub fn new(config: &SitConfig, init: &mut Init) -> Self {
        let width = config.hidden_size;
        let mlp = (width as f64 * config.mlp_ratio) as usize;
        Self {
            attn: Attention::new(config, init),
            fc1: Linear::xavier(width, mlp, init),
            fc2: Linear::xavier(mlp, width, init),
            modulation: Linear::zero(width, 6 * width, init),
        }
    }

    /// `silu(condition) [M, D]` → `[M, 6·D]`: shift, scale and gate of both branches.
    pub fn modulation(&self, condition: Tensor<2>) -> Tensor<2> {
        self.modulation.forward(condition)
    }

    /// Tokens `[B, N, D]` and their [`modulation`](Self::modulation) `[B, 6·D]` → `[B, N, D]`.
    pub fn modulated(&self, x: Tensor<3>, modulation: Tensor<2>) -> Tensor<3> {
        let [shift_a, scale_a, gate_a, shift_m, scale_m, gate_m] = chunks(modulation);
        let h = kernel::modulated_layer_norm(x.clone(), shift_a, scale_a, EPS);
        let x = kernel::gated_residual(x, gate_a, self.attn.forward(h));
        let h = kernel::modulated_layer_norm(x.clone(), shift_m, scale_m, EPS);
        let h = kernel::mlp(h, self.fc1.weights(), self.fc2.weights(), Between::GeluTanh);
        kernel::gated_residual(x, gate_m, h)
    }
}

impl Parameters for Block {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("attn", &mut self.attn);
        walk.part("mlp.fc1", &mut self.fc1);
        walk.part("mlp.fc2", &mut self.fc2);
        walk.part("adaLN_modulation.1", &mut self.modulation);
    }
}

/// The way back to latent values: modulated norm and one linear map, zero at the start.
#[derive(Clone, Debug)]
pub struct FinalLayer {
    linear: Linear,
    modulation: Linear,
}

impl FinalLayer {
    /// All zeros.
    pub fn new(config: &SitConfig, init: &mut Init) -> Self {
        let width = config.hidden_size;
        let values = config.patch_size * config.patch_size * config.in_channels;
        Self { linear: Linear::zero(width, values, init), modulation: Linear::zero(width, 2 * width, init) }
    }

    /// Tokens `[B, N, D]` → `[B, N, p·p·C]`.
    pub fn forward(&self, x: Tensor<3>, condition: Tensor<2>) -> Tensor<3> {
        self.modulated(x, self.modulation(condition))
    }

    /// `silu(condition) [M, D]` → `[M, 2·D]`: shift and scale.
    pub fn modulation(&self, condition: Tensor<2>) -> Tensor<2> {
        self.modulation.forward(condition)
    }

    /// Tokens `[B, N, D]` and their [`modulation`](Self::modulation) `[B, 2·D]` → `[B, N, p·p·C]`.
    pub fn modulated(&self, x: Tensor<3>, modulation: Tensor<2>) -> Tensor<3> {
        let [shift, scale] = chunks(modulation);
        self.linear.forward(kernel::modulated_layer_norm(x, shift, scale, EPS))
    }
}

impl Parameters for FinalLayer {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("linear", &mut self.linear);
        walk.part("adaLN_modulation.1", &mut self.modulation);
    }
}

/// Splits `[B, K·D]` into `K` times `[B, D]`.
fn chunks<const K: usize>(x: Tensor<2>) -> [Tensor<2>; K] {
    let width = x.dims()[1] / K;
    std::array::from_fn(|i| x.clone().narrow(1, i * width, width))
}
