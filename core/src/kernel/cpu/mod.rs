//! The hot operations on the CPU: plain functions on contiguous row-major `f32` slices, forward and backward.
//!
//! Rules shared by every file here:
//! - one level of threads (rayon) over images, rows or heads; matrix products inside run on one thread;
//! - work is cut by shape alone, never by the number of threads, and partial sums are combined in a fixed
//!   order, so a result is the same, bit for bit, from run to run and for any number of threads;
//! - instruction sets are chosen at run time ([`simd`]); the only unsafe code is the matrix product ([`gemm`]) and the
//!   convolution's loads (`conv::tile`);
//! - outputs are written whole into buffers that hold anything ([`pool`]).

pub mod activation;
pub mod attention;
pub mod batch_norm;
pub mod conv;
pub mod cosine;
pub mod depthwise;
pub mod gate;
pub mod gemm;
pub mod layer_norm;
pub mod linear;
pub mod mlp;
pub mod norm;
pub mod optimizer;
mod parallel;
pub mod perceptual;
pub mod pool;
mod simd;
#[cfg(test)]
mod testing;
