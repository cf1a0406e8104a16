//! A frozen convolution with the batch norm behind it folded into its weights.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::kernel::{self, Conv};
use crate::params::{Param, TensorSource};

/// `norm(conv(x))` as one convolution.
#[derive(Clone, Debug)]
pub struct FoldedConv {
    weight: Param,
    bias: Param,
}

impl FoldedConv {
    /// Reads `CONV.weight` (without bias) and `NORM.{weight, bias, running_mean, running_var}`.
    ///
    /// # Errors
    /// A tensor that is missing or of the wrong shape.
    pub fn load(
        source: &dyn TensorSource,
        (conv, norm): (&str, &str),
        eps: f32,
        device: &Device,
    ) -> Result<Self> {
        let read = |name: String| -> Result<(Vec<usize>, Vec<f32>)> {
            source.tensor(&name)?.ok_or(Error::MissingTensor { name, hint: String::new() })
        };
        let (shape, mut weight) = read(format!("{conv}.weight"))?;
        let [gamma, beta, mean, var] = ["weight", "bias", "running_mean", "running_var"]
            .map(|what| read(format!("{norm}.{what}")).map(|(_, values)| values));
        let (gamma, beta, mean, var) = (gamma?, beta?, mean?, var?);
        let fits = |out: usize| out > 0 && [&gamma, &beta, &mean, &var].iter().all(|v| v.len() == out);
        if shape.len() != 4 || weight.is_empty() || !fits(shape[0]) {
            return Err(Error::Shape { name: conv.into(), expected: vec![gamma.len()], found: shape });
        }
        let mut bias = beta;
        let per_channel = weight.len() / shape[0];
        for (c, row) in weight.chunks_exact_mut(per_channel).enumerate() {
            let scale = gamma[c] / (var[c] + eps).sqrt();
            row.iter_mut().for_each(|w| *w *= scale);
            bias[c] -= mean[c] * scale;
        }
        let out = bias.len();
        Ok(Self { weight: Param::buffer(weight, &shape, device), bias: Param::buffer(bias, &[out], device) })
    }

    /// Shape of the weight, `[out, in / groups, kh, kw]`.
    pub fn shape(&self) -> &[usize] {
        self.weight.shape()
    }

    /// `[B, in, H, W]` → `[B, out, H', W']`.
    pub fn forward(&self, x: Tensor<4>, conv: Conv) -> Tensor<4> {
        kernel::conv2d(x, self.weight.get(), Some(self.bias.get()), conv)
    }
}
