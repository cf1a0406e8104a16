//! In which precision an activation waits for backward.
//!
//! On a GPU it can wait in half precision: half of its memory, and a gradient that is right to about three
//! digits. Arithmetic stays in f32 both ways; weights, statistics and gradients are never halved, and neither are queries
//! and keys: backward weighs scores made from them anew against sums of the whole ones, which must agree.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::tensor::FloatTensor;

use super::backend::KernelBackend;

static HALF: AtomicBool = AtomicBool::new(false);

/// Whether activations on a GPU wait in half precision, from now on and in the whole process.
pub fn keep_half(on: bool) {
    HALF.store(on, Ordering::Relaxed);
}

/// A tensor that waits for backward.
#[derive(Clone, Debug)]
pub enum Kept<B: KernelBackend> {
    /// As it was.
    Whole(FloatTensor<B>),
    /// Two halves in a value's place, and the shape that they had.
    Half(FloatTensor<B>, Vec<usize>),
}

impl<B: KernelBackend> Kept<B> {
    /// `tensor`, in half precision where it `may` be and that is wanted.
    pub fn new(tensor: FloatTensor<B>, may: bool) -> Self {
        if may && HALF.load(Ordering::Relaxed) {
            return B::halved(tensor);
        }
        Self::Whole(tensor)
    }

    /// The tensor in f32.
    pub fn into_whole(self) -> FloatTensor<B> {
        match self {
            Self::Whole(tensor) => tensor,
            Self::Half(packed, shape) => B::whole(packed, &shape),
        }
    }
}
