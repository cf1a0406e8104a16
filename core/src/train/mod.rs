//! Training: the draws, the step of three passes, the optimizer, the averages, and the trainer
//! that owns them all.

pub mod batches;
pub mod cache;
pub mod cost;
pub mod draws;
pub mod ema;
pub mod evaluate;
pub mod fit;
mod latent_index;
pub mod latent_store;
pub mod likeness;
pub mod maps;
pub mod measure;
mod norms;
pub mod open;
pub mod optim;
pub mod outcome;
pub mod pinned;
pub mod preview;
mod reports;
pub mod restored;
pub mod state;
pub mod step;
pub mod teacher_metrics;
pub mod trainer;

pub use pinned::Pinned;
pub use reports::StepReport;
pub use restored::Restored;
pub use trainer::Trainer;
