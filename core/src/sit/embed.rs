//! Time, label and position embeddings (DiT / SiT).

use burn::tensor::{Int, Tensor, TensorData};

use crate::kernel::Activation;
use crate::layers::{Init, Linear};
use crate::params::{Param, Parameters, Walk};

/// Width of the sinusoid that time is turned into.
pub const FREQUENCIES: usize = 256;

/// `[cos | sin]` of `t · exp(−ln(10⁴) i / half)`, rows of `dim` values; an odd width ends in a zero.
/// Time is used as it is, in [0, 1].
pub fn time_table(t: &[f32], dim: usize) -> Vec<f32> {
    let half = dim / 2;
    let frequency = |i: usize| (-(10_000f32.ln()) * i as f32 / half as f32).exp();
    let mut rows = Vec::with_capacity(t.len() * dim);
    for &t in t {
        rows.extend((0..half).map(|i| (t * frequency(i)).cos()));
        rows.extend((0..half).map(|i| (t * frequency(i)).sin()));
        rows.extend(std::iter::repeat_n(0.0, dim % 2));
    }
    rows
}

/// Sine-cosine position table `[grid², dim]`: the first half of a row encodes the column, the
/// second the row, each sine then cosine (MAE's `get_2d_sincos_pos_embed`), computed in f64.
pub fn position_table(grid: usize, dim: usize) -> Vec<f32> {
    let quarter = dim / 4;
    let omega = |i: usize| 10_000f64.powf(-(i as f64) / quarter as f64);
    let mut table = Vec::with_capacity(grid * grid * dim);
    for row in 0..grid {
        for column in 0..grid {
            for position in [column as f64, row as f64] {
                table.extend((0..quarter).map(|i| (position * omega(i)).sin() as f32));
                table.extend((0..quarter).map(|i| (position * omega(i)).cos() as f32));
            }
        }
    }
    table
}

/// Time to a vector: sinusoid, linear, SiLU, linear.
#[derive(Clone, Debug)]
pub struct TimeEmbedder {
    first: Linear,
    second: Linear,
}

impl TimeEmbedder {
    /// Normal weights of std 0.02.
    pub fn new(hidden: usize, init: &mut Init) -> Self {
        Self {
            first: Linear::normal(FREQUENCIES, hidden, 0.02, init),
            second: Linear::normal(hidden, hidden, 0.02, init),
        }
    }

    /// Times `[B]` in [0, 1] → `[B, hidden]`.
    pub fn forward(&self, t: &[f32]) -> Tensor<2> {
        let device = self.first.weights().1.device();
        let table = TensorData::new(time_table(t, FREQUENCIES), [t.len(), FREQUENCIES]);
        let h = self.first.forward_activated(Tensor::from_data(table, &device), Activation::Silu);
        self.second.forward(h)
    }
}

impl Parameters for TimeEmbedder {
    fn walk(&mut self, walk: &mut Walk) {
        walk.part("mlp.0", &mut self.first);
        walk.part("mlp.2", &mut self.second);
    }
}

/// Class label to a vector; the last row is "no class".
#[derive(Clone, Debug)]
pub struct LabelEmbedder {
    embedding_table: Param,
}

impl LabelEmbedder {
    /// Normal weights of std 0.02, `num_classes + 1` rows.
    pub fn new(num_classes: usize, hidden: usize, init: &mut Init) -> Self {
        Self { embedding_table: init.normal(&[num_classes + 1, hidden], 0.0, 0.02) }
    }

    /// Labels `[B]` → `[B, hidden]`.
    pub fn forward(&self, labels: &[usize]) -> Tensor<2> {
        let rows = self.embedding_table.shape()[0];
        assert!(labels.iter().all(|&y| y < rows), "a label is beyond the {rows} rows of the table");
        let table = self.embedding_table.get::<2>();
        let labels: Vec<i32> = labels.iter().map(|&y| y as i32).collect();
        let device = table.device().without_autodiff();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(labels.clone(), [labels.len()]), &device);
        table.select(0, indices)
    }
}

impl Parameters for LabelEmbedder {
    fn walk(&mut self, walk: &mut Walk) {
        walk.param("embedding_table.weight", &mut self.embedding_table);
    }
}
