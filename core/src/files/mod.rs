//! Files of named tensors: safetensors (single, sharded) and PyTorch's pickles (zip and legacy),
//! read lazily from a memory map behind one [`TensorFile`], and written.
//!
//! What the tensors mean is [`formats`](crate::formats)' business; here they have names, dtypes and
//! shapes. Everything read is checked before it is used: files come from anywhere.

mod below;
mod bytes;
mod convert;
mod folder;
pub mod npy;
pub mod npz;
pub mod pickle;
mod safetensors;
mod sharded;
mod tensor_file;
mod torch;
mod torch_legacy;
mod torch_zip;
pub mod write;

pub use below::Below;
pub use convert::{bytes_from_f32, f32_from_bytes};
pub use folder::WeightNames;
pub use tensor_file::{FileKind, TensorFile, TensorInfo};
pub use write::NamedTensor;

/// How values are stored; the safetensors crate's list, in the order in which files are laid out.
pub use ::safetensors::Dtype;
