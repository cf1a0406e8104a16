//! The kernel layer: every hot operation of training has its one home here.
//!
//! Models call these functions, never burn's module functions for the same. Each operation has
//! up to three forms: hand-written on CPU slices (`cpu/`), WGSL on a wgpu device (`shaders/`),
//! and `x_reference` in plain tensor operations, which is the oracle in tests and the form used
//! wherever the others do not exist. [`op`] is the mechanism that puts a hand-written form on
//! the tape.

pub mod activated;
pub mod activation;
pub mod attention;
pub mod backend;
pub mod batch_norm;
pub mod conv;
pub mod cosine;
pub(crate) mod cpu;
pub mod form;
pub mod gate;
pub mod gpu;
pub mod group_norm;
mod hosted;
mod kept;
pub mod layer_norm;
mod lent;
pub mod linear;
pub mod loss;
pub mod mlp;
pub mod normed_conv;
pub mod op;
pub mod optimizer;
pub mod perceptual;
pub mod profile;
pub mod read;
pub mod rerun;
pub mod resample;
pub mod residual;
pub mod screen;
pub mod threads;
pub mod upsample;

pub use activated::{Activation, conv2d_activated, linear_activated};
pub use activation::{gelu, gelu_tanh, leaky_relu, relu, relu6, silu};
pub use attention::attention;
pub use batch_norm::{BatchNormConfig, batch_moments, batch_norm};
pub use conv::{Conv, conv2d};
pub use cosine::cosine_similarity;
pub use cpu::pool::{live_bytes, peak_live_bytes};
pub use gate::gated_residual;
pub use group_norm::{GroupNormConfig, group_norm};
pub use kept::keep_half;
pub use layer_norm::{layer_norm, modulated_layer_norm};
pub use linear::linear;
pub use mlp::{Between, mlp};
pub use normed_conv::normed_conv2d;
pub use read::host;
pub use residual::residual;
pub use upsample::upsampled_conv2d;

/// Hands the memory that kernels keep for their next outputs back to the allocator when it is dropped: belongs
/// to whoever makes outputs of the same shapes again and again.
#[derive(Debug)]
pub struct KeptBuffers;

impl Drop for KeptBuffers {
    fn drop(&mut self) {
        cpu::pool::clear();
    }
}
