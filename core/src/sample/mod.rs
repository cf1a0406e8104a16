//! Drawing pictures from a trained transformer.

mod solver;

pub use solver::{SampleConfig, Solver, sample};
