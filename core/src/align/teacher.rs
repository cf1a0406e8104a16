//! The frozen vision encoder whose patch features the transformer is aligned with.

use burn::tensor::{Device, Tensor};

use super::efficientnet::{self, EfficientNetLite0};
use crate::error::{Error, Result};
use crate::params::TensorSource;

/// Names of the teachers that can be asked for.
pub const TEACHERS: [&str; 1] = ["efficientnet-lite0"];

/// A loaded teacher.
#[derive(Clone, Debug)]
pub enum Teacher {
    /// The one that comes with the program.
    EfficientNetLite0(Box<EfficientNetLite0>),
}

impl Teacher {
    /// Loads the teacher called `name` from `source`.
    ///
    /// # Errors
    /// An unknown name, or weights that do not fit.
    pub fn load(name: &str, source: &dyn TensorSource, device: &Device) -> Result<Self> {
        match name {
            "efficientnet-lite0" => {
                let net = EfficientNetLite0::load(source, false, device)?;
                Ok(Self::EfficientNetLite0(Box::new(net)))
            }
            other => Err(Error::Config(format!(
                "align.teacher = {other} is not known; known are {}",
                TEACHERS.join(", ")
            ))),
        }
    }

    /// Features along one side of the picture.
    pub fn grid(&self) -> usize {
        match self {
            Self::EfficientNetLite0(_) => efficientnet::GRID,
        }
    }

    /// Feature width.
    pub fn channels(&self) -> usize {
        match self {
            Self::EfficientNetLite0(_) => efficientnet::CHANNELS,
        }
    }

    /// Checks that the teacher's grid is the transformer's.
    ///
    /// # Errors
    /// [`Error::Config`] that proposes what would fit.
    pub fn check_grid(&self, tokens: usize) -> Result<()> {
        if self.grid() == tokens {
            return Ok(());
        }
        let grid = self.grid();
        Err(Error::Config(format!(
            "the transformer has {tokens} x {tokens} tokens, the teacher {grid} x {grid}: choose data.image_px, \
             vae.channels and sit.patch so that image_px / 2^(levels - 1) / patch = {grid}, or method = \"vanilla\""
        )))
    }

    /// Features of pictures `[B, 3, H, W]` in [−1, 1] → `[B, grid², channels]`, off the tape.
    pub fn features(&self, images: Tensor<4>) -> Tensor<3> {
        match self {
            Self::EfficientNetLite0(net) => net.features(images),
        }
    }
}
