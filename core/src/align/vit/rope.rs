//! Rotary positions of DINOv3: queries and keys of patches are turned by angles that grow with the
//! patch's place (Siméoni et al. 2025; transformers `modeling_dinov3_vit.py`). Class and register
//! tokens are not turned.

use burn::tensor::{Device, Tensor, TensorData};

/// Base of the periods.
const THETA: f64 = 100.0;

/// Cosines and sines for each token, `[1, N, 1, 1, d]`.
#[derive(Clone, Debug)]
pub(super) struct Rope {
    cos: Tensor<5>,
    sin: Tensor<5>,
}

impl Rope {
    /// For `prefix` tokens that are not turned and `grid` × `grid` patches; `head` (the width of a
    /// head) divides by four.
    pub(super) fn new(prefix: usize, grid: usize, head: usize, device: &Device) -> Self {
        let quarter = head / 4;
        let place = |i: usize| 2.0 * (i as f64 + 0.5) / grid as f64 - 1.0;
        let mut angles = vec![0.0f64; prefix * head];
        for row in 0..grid {
            for column in 0..grid {
                // Half of a head holds the angles of row and column, and the other half repeats them.
                let turn = |at: f64, k: usize| {
                    std::f64::consts::TAU * at * THETA.powf(-((4 * k) as f64) / head as f64)
                };
                let half = [row, column].into_iter().flat_map(|i| (0..quarter).map(move |k| (i, k)));
                let half: Vec<f64> = half.map(|(i, k)| turn(place(i), k)).collect();
                angles.extend(half.iter().chain(&half));
            }
        }
        let tokens = prefix + grid * grid;
        let tensor = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&a| f(a) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, tokens, 1, 1, head]), device)
        };
        Self { cos: tensor(f64::cos), sin: tensor(f64::sin) }
    }

    /// Turns queries and keys of `qkv [B, N, 3, H, d]`.
    pub(super) fn rotate(&self, qkv: Tensor<5>) -> Tensor<5> {
        let half = qkv.dims()[4] / 2;
        let turned = qkv.clone().narrow(2, 0, 2);
        let swapped = Tensor::cat(
            vec![turned.clone().narrow(4, half, half).neg(), turned.clone().narrow(4, 0, half)],
            4,
        );
        let turned = turned * self.cos.clone() + swapped * self.sin.clone();
        Tensor::cat(vec![turned, qkv.narrow(2, 2, 1)], 2)
    }
}
