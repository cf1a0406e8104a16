//! Blocks with two or more users: weights with names, standing on the kernel layer.

mod conv;
mod folded;
mod init;
mod linear;
mod norm;

pub use conv::Conv2d;
pub use folded::FoldedConv;
pub use init::Init;
pub use linear::Linear;
pub use norm::{GroupNorm, LayerNorm};
