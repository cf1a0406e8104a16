//! Writing tensor files: what they hold is described first, values follow one tensor at a time, so
//! that memory holds one of them at once.

mod named;
mod safetensors;
mod torch;

use std::borrow::Cow;

pub use named::{Layout, NamedTensor};
pub use safetensors::{Plan, plan};
pub use torch::write_torch;

use super::Dtype;
use crate::error::Result;

/// Name, dtype and shape of a tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The name in the file.
    pub name: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Axis lengths.
    pub shape: Vec<usize>,
}

impl Outgoing {
    /// Size of its values in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * (self.dtype.bitsize() / 8)
    }
}

/// Gives the stored bytes of a tensor by its number.
pub type Values<'v> = dyn Fn(usize) -> Result<Cow<'v, [u8]>> + 'v;
