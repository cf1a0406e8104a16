//! Resizing of pictures as tensors, differentiable: nearest ×2 inside the decoder, and
//! separable interpolation as two matrix products (burn gives a gradient to nearest only).

use burn::backend::wgpu::CubeTensor;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};

use super::form::{Form, runs_on};
use super::gpu::pointwise as gpu;
use super::op::{Kernel, apply1};

/// Every pixel becomes a 2×2 square. `[B, C, H, W]` → `[B, C, 2H, 2W]`.
pub fn nearest_x2(x: Tensor<4>) -> Tensor<4> {
    if runs_on(&x, true) == Form::Wgsl { apply1(NearestX2, x) } else { nearest_x2_reference(x) }
}

/// Keeps nothing.
#[derive(Debug)]
struct NearestX2;

impl Kernel for NearestX2 {
    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        (gpu::nearest_x2(&inputs[0]), Vec::new())
    }

    fn gpu_backward(
        &self,
        _: &[Option<CubeTensor>],
        _: &[CubeTensor],
        grad: CubeTensor,
        _: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        vec![Some(gpu::nearest_x2_backward(&grad))]
    }

    fn keeps(&self, _: usize) -> bool {
        false
    }
}

/// [`nearest_x2`] in plain tensor operations.
pub fn nearest_x2_reference(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    nearest_to(x, [2 * h, 2 * w])
}

/// Each new pixel is the old one it falls into (`F.interpolate(mode="nearest")`).
///
/// # Shapes
/// `[B, C, H, W]` → `[B, C, height, width]`.
pub fn nearest_to(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size);
    burn::tensor::module::interpolate(x, options)
}

/// The kernel that interpolates between pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Two nearest pixels.
    Bilinear,
    /// Two nearest pixels, pixel corners in place of centres, as TensorFlow 1.
    BilinearCorner,
    /// Four nearest pixels, Keys' cubic with a = −0.75, as PyTorch.
    Bicubic,
}

/// Resizes to `size` × `size`, as [`resize_to`].
pub fn resize(x: Tensor<4>, size: usize, filter: Filter) -> Tensor<4> {
    resize_to(x, [size, size], filter)
}

/// Resizes with edge pixels repeated, no antialiasing; half-pixel centres
/// (`F.interpolate(align_corners=False)`) except for [`Filter::BilinearCorner`].
///
/// # Shapes
/// `[B, C, H, W]` → `[B, C, height, width]`.
pub fn resize_to(x: Tensor<4>, [height, width]: [usize; 2], filter: Filter) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    if h == height && w == width {
        return x;
    }
    let device = x.device().without_autodiff();
    let columns = matrix(w, width, filter, &device); // [width, W]
    let rows = matrix(h, height, filter, &device); // [height, H]
    let wide = x.reshape([b * c * h, w]).matmul(columns.transpose()).reshape([b * c, h, width]);
    rows.unsqueeze::<3>().matmul(wide).reshape([b, c, height, width])
}

/// The `[out, in]` matrix of one-dimensional interpolation.
fn matrix(from: usize, to: usize, filter: Filter, device: &Device) -> Tensor<2> {
    let mut values = vec![0.0f32; to * from];
    let scale = from as f64 / to as f64;
    for (i, row) in values.chunks_exact_mut(from).enumerate() {
        let centre = (i as f64 + 0.5) * scale - 0.5;
        let centre = match filter {
            // PyTorch clamps the bilinear centre at zero; bicubic clamps indices only.
            Filter::Bilinear => centre.max(0.0),
            Filter::BilinearCorner => i as f64 * scale,
            Filter::Bicubic => centre,
        };
        let first = centre.floor();
        let reach = if filter == Filter::Bicubic { -1..=2 } else { 0..=1 };
        for tap in reach {
            let weight = filter.weight(centre - first - f64::from(tap));
            let index = (first as i64 + i64::from(tap)).clamp(0, from as i64 - 1);
            row[index as usize] += weight as f32;
        }
    }
    Tensor::from_data(TensorData::new(values, [to, from]), device)
}

impl Filter {
    /// The kernel at signed `distance` in pixels.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Bilinear | Self::BilinearCorner => (1.0 - x).max(0.0),
            Self::Bicubic => {
                const A: f64 = -0.75;
                if x <= 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
                } else {
                    0.0
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::host;

    fn row(values: &[f32]) -> Tensor<4> {
        let data = TensorData::new(values.to_vec(), [1, 1, 1, values.len()]);
        Tensor::from_data(data, &crate::device::cpu())
    }

    #[test]
    fn bilinear_doubling_matches_torch() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 4.]]]]), (1, 4), mode="bilinear")
        let doubled = resize_to(row(&[0.0, 4.0]), [1, 4], Filter::Bilinear);
        assert_eq!(host(doubled), [0.0, 1.0, 3.0, 4.0]);
        // Halving without antialiasing takes the mean of the two middle pixels.
        let halved = resize_to(row(&[0.0, 1.0, 2.0, 5.0]), [1, 2], Filter::Bilinear);
        assert_eq!(host(halved), [0.5, 3.5]);
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            assert_eq!(host(resize_to(row(&[3.0, 1.0, 2.0]), [1, 3], filter)), [3.0, 1.0, 2.0]);
            // Through the matrices too, along the axis that stays.
            assert_eq!(host(resize_to(row(&[3.0, 1.0]), [2, 2], filter)), [3.0, 1.0, 3.0, 1.0]);
        }
    }
}
