//! Figures of merit: how good pictures are, and how much structure latents carry.

pub mod eigen;
pub mod image_quality;
pub mod inception;
pub mod latents;
pub mod pca;
pub mod reconstruction;

pub use image_quality::{SsimCovariance, ms_ssim, psnr, ssim};
pub use inception::{Inception, InceptionFeatures, Preparation};
pub use latents::{LatentStructure, effective_rank};
pub use pca::PcaBasis;
