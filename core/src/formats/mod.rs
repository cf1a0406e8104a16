//! Files of other programs: safetensors, and the names that CompVis and REPA-E give to weights.

pub mod compvis;
pub mod safetensors;
