//! Training: the draws, the step of three passes, the optimizer, the averages, and the trainer
//! that owns a run.

pub mod draws;
pub mod ema;
pub mod optim;
pub mod step;
