//! Drawing pictures from a trained transformer.

pub mod labels;
pub mod noise;
pub mod output;
mod sampler;
mod solver;

pub use labels::{LabelChoice, Labels};
pub use output::{Output, OutputKind};
pub use sampler::Sampler;
pub use solver::{SampleConfig, Solver, sample};
