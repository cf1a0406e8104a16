//! From a transformer's tokens to a teacher's feature space: three linear maps with SiLU between.

use burn::tensor::Tensor;

use crate::kernel::Activation;
use crate::layers::{Init, Linear};
use crate::params::{Parameters, Walk};

/// The projection head of one teacher (`projectors.k.{0,2,4}` in the reference).
#[derive(Clone, Debug)]
pub struct Projector {
    maps: [Linear; 3],
}

impl Projector {
    /// From `hidden` through `width` twice to the teacher's `features`; Glorot start.
    pub fn new(hidden: usize, width: usize, features: usize, init: &mut Init) -> Self {
        Self {
            maps: [
                Linear::xavier(hidden, width, init),
                Linear::xavier(width, width, init),
                Linear::xavier(width, features, init),
            ],
        }
    }

    /// `[B, N, hidden]` → `[B, N, features]`.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [first, second, third] = &self.maps;
        let h = first.forward_activated(tokens, Activation::Silu);
        third.forward(second.forward_activated(h, Activation::Silu))
    }
}

impl Parameters for Projector {
    fn walk(&mut self, walk: &mut Walk) {
        for (map, index) in self.maps.iter_mut().zip([0, 2, 4]) {
            walk.part(&index.to_string(), map);
        }
    }
}
