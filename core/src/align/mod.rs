//! Alignment with frozen vision encoders: teachers, the projector onto their features, the loss
//! (REPA, arXiv 2410.06940, section 3).

pub mod efficientnet;
mod loss;
mod projector;
pub mod spec;
pub mod teacher;
pub mod vit;

pub use loss::{alignment_loss, alignment_losses, mean_of};
pub use projector::Projector;
pub use spec::{TeacherSpec, TokenGrid};
pub use teacher::Teacher;
