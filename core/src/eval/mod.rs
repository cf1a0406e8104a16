//! Figures of merit: how good pictures are, and how much structure latents carry.
//!
//! Everything is computed in f64 from features, pictures or latents on the host; statistics of sets
//! are streamed or kept to a bounded number of samples.

pub mod bootstrap;
pub mod cka;
pub mod comparison;
pub mod eigen;
pub mod frechet;
pub mod image_quality;
pub mod inception;
pub mod inception_score;
pub mod judge;
pub mod kid;
pub mod latents;
mod leading;
mod linear;
pub mod moments;
pub mod pca;
pub mod precision_recall;
pub mod reconstruction;
pub mod roundtrip;
pub mod set;
pub mod statistics;

pub use bootstrap::{Estimate, Spread};
pub use cka::{cknna, linear_cka};
pub use comparison::Comparison;
pub use frechet::{FrechetReference, Gaussian, frechet_distance};
pub use image_quality::{SsimCovariance, ms_ssim, psnr, ssim};
pub use inception::{Inception, InceptionFeatures, Preparation};
pub use inception_score::InceptionScore;
pub use judge::Judge;
pub use kid::{kid, kid_of_subsets};
pub use latents::{LatentStructure, StructureSums};
pub use moments::Moments;
pub use pca::PcaBasis;
pub use precision_recall::Coverage;
pub use set::FeatureSet;
