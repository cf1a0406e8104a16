//! Training: the draws, the step of three passes, the optimizer, the averages, and the trainer
//! that owns them all.

pub mod batches;
pub mod cache;
pub mod cost;
pub mod draws;
pub mod ema;
pub mod optim;
pub mod preview;
pub mod restored;
pub mod state;
pub mod step;
pub mod trainer;

pub use restored::Restored;
pub use trainer::{StepReport, Trainer};
