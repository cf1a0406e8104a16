//! The data room: from what `--data` names to batches in a fixed order.
//!
//! [`DataSource`] (a word on the command line) → `source` (which files) → `layout` (classes, split)
//! → `decode` (bytes to RGB8) → `resize` (ADM centre crop) → [`Dataset`] (squares in memory)
//! → [`Loader`] (batches prepared ahead, order a function of seed and epoch only).
//! Nothing here knows tensors or models.

pub mod archive;
pub mod dataset;
pub mod decode;
pub mod embedded;
pub mod interpolate;
pub mod layout;
pub mod loader;
pub mod npz;
pub mod order;
pub mod picture;
pub mod pixels;
pub mod resize;
pub mod source;
pub mod stream;

pub use dataset::{Dataset, Problem, Split};
pub use loader::{Batch, Loader};
pub use picture::Picture;
pub use source::DataSource;
