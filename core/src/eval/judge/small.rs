//! The judge that comes with the program: a residual classifier of 32 × 32 pictures that was trained
//! for this alone (`assets/judge`: script, data, accuracy). No run trains against it.

use burn::tensor::{Device, Tensor};

use super::means;
use crate::error::{Error, Result};
use crate::kernel::resample::{Filter, resize};
use crate::kernel::{self, Conv};
use crate::layers::Conv2d;
use crate::params::{Param, TensorSource};

/// Side of the pictures that it was trained on.
const INPUT_PX: usize = 32;
const BLOCKS: usize = 4;
/// The block whose output, 8 × 8, gives the spatial features.
const SPATIAL_BLOCK: usize = 2;

struct Block {
    first: Conv2d,
    second: Conv2d,
    skip: Option<Conv2d>,
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.second.forward(kernel::relu(self.first.forward(x.clone())));
        let around = match &self.skip {
            Some(skip) => skip.forward(x),
            None => x,
        };
        kernel::relu(h + around)
    }
}

/// The loaded network.
pub struct SmallClassifier {
    stem: Conv2d,
    blocks: Vec<Block>,
    head: (Param, Param),
}

impl SmallClassifier {
    /// Loads it under the names that `assets/judge/train.py` writes.
    pub fn load(source: &dyn TensorSource, device: &Device) -> Result<Self> {
        let block = |i: usize| {
            let stride = if i == 0 { 1 } else { 2 };
            let part = |name: &str, conv: Conv| conv_of(source, &format!("blocks.{i}.{name}"), conv, device);
            Ok(Block {
                first: part("conv1", Conv::new(stride, 1))?,
                second: part("conv2", Conv::new(1, 1))?,
                skip: if i == 0 { None } else { Some(part("skip", Conv::new(stride, 0))?) },
            })
        };
        Ok(Self {
            stem: conv_of(source, "stem", Conv::new(1, 1), device)?,
            blocks: (0..BLOCKS).map(block).collect::<Result<_>>()?,
            head: (read(source, "fc", "weight", device)?, read(source, "fc", "bias", device)?),
        })
    }

    /// Pictures `[B, 3, H, W]` in [−1, 1] → an 8 × 8 grid, the last stage, and class scores.
    pub fn forward(&self, x: Tensor<4>) -> (Tensor<4>, Tensor<4>, Option<Tensor<2>>) {
        let mut h = kernel::relu(self.stem.forward(resize(x, INPUT_PX, Filter::Bicubic)));
        let mut grid = h.clone();
        for (index, block) in self.blocks.iter().enumerate() {
            h = block.forward(h);
            if index == SPATIAL_BLOCK {
                grid = h.clone();
            }
        }
        let pooled: Tensor<2> = means(h.clone());
        let logits =
            pooled.matmul(self.head.0.get::<2>().transpose()) + self.head.1.get::<1>().unsqueeze::<2>();
        (grid, h, Some(logits))
    }
}

/// A convolution whose batch norm is folded in already.
fn conv_of(source: &dyn TensorSource, name: &str, conv: Conv, device: &Device) -> Result<Conv2d> {
    let (weight, bias) = (read(source, name, "weight", device)?, read(source, name, "bias", device)?);
    if weight.shape().len() != 4 || bias.shape() != &weight.shape()[..1] {
        let (expected, found) = (weight.shape().to_vec(), bias.shape().to_vec());
        return Err(Error::Shape { name: name.into(), expected, found });
    }
    Ok(Conv2d::from_parts(weight, Some(bias), conv))
}

fn read(source: &dyn TensorSource, name: &str, what: &str, device: &Device) -> Result<Param> {
    let name = format!("{name}.{what}");
    match source.tensor(&name)? {
        Some((shape, values)) => Ok(Param::buffer(values, &shape, device)),
        None => Err(Error::MissingTensor { name, hint: "; the file is not the judge's".into() }),
    }
}
