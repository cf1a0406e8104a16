//! 2-D convolution in NCHW with PyTorch's weight layout `[O, I, kh, kw]`.

use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

/// Stride and padding of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Step in both directions.
    pub stride: usize,
    /// Zeros added at `[top, left, bottom, right]`.
    pub pad: [usize; 4],
    /// Channel groups (the channel count for a depthwise convolution).
    pub groups: usize,
}

impl Conv {
    /// The same padding on all sides.
    pub const fn new(stride: usize, pad: usize) -> Self {
        Self { stride, pad: [pad; 4], groups: 1 }
    }

    /// diffusers' downsampling: stride 2, one zero at the bottom and the right, none elsewhere.
    pub const fn downsample() -> Self {
        Self { stride: 2, pad: [0, 0, 1, 1], groups: 1 }
    }
}

/// Convolution of `x` with `weight`.
///
/// # Shapes
/// `x [B, I, H, W]`, `weight [O, I / groups, kh, kw]`, `bias [O]` → `[B, O, H', W']`.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, conv: Conv) -> Tensor<4> {
    conv2d_reference(x, weight, bias, conv)
}

/// [`conv2d`] by burn's own convolution.
pub fn conv2d_reference(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    conv: Conv,
) -> Tensor<4> {
    let Conv { stride, pad: [top, left, bottom, right], groups } = conv;
    let mut options = ConvOptions::new([stride; 2], [0; 2], [1; 2], groups);
    options.padding = [(top, bottom), (left, right)];
    burn::tensor::module::conv2d(x, weight, bias, options)
}
