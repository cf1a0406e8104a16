//! Alignment with a frozen vision encoder: teachers, the projector onto their features, the loss
//! (REPA, arXiv 2410.06940, section 3).

pub mod efficientnet;
mod loss;
mod projector;
pub mod teacher;

pub use loss::alignment_loss;
pub use projector::Projector;
pub use teacher::Teacher;
