//! From tensors to pixels: pictures, and latents as colours of their principal components. On a GPU the
//! bytes are made there, and a third of the data crosses to the host.

use burn::backend::wgpu::{CubeBackend, CubeTensor, into_contiguous};
use burn::tensor::{Device, Tensor, TensorData};

use super::form::{Form, runs_on};
use super::gpu::screen as gpu;
use super::read::host;

/// Three directions in latent space and the range that is shown along each.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    /// Mean of each channel `[C]`.
    pub mean: &'a [f32],
    /// Three components `[C]` each.
    pub components: [&'a [f32]; 3],
    /// Coordinate of colour 0, along each.
    pub low: [f32; 3],
    /// Coordinate of colour 255.
    pub high: [f32; 3],
}

/// Pictures `[B, 3, H, W]` in [−1, 1] as `B·H·W` pixels of four bytes. Reads back.
pub fn rgba(pictures: Tensor<4>) -> Vec<u8> {
    if runs_on(&pictures, true) == Form::Wgsl {
        return words(&gpu::rgba(&primitive(pictures), None));
    }
    rgba_reference(pictures)
}

/// [`rgba`] on the host.
pub fn rgba_reference(pictures: Tensor<4>) -> Vec<u8> {
    let [_, _, h, w] = pictures.dims();
    packed(&host(pictures), h * w, |planes, at, c| (f64::from(planes[c * h * w + at]) + 1.0) / 2.0)
}

/// Latents `[B, C, H, W]` along three components as `B·H·W` pixels of four bytes. Reads back.
pub fn projected_rgba(latents: Tensor<4>, projection: &Projection) -> Vec<u8> {
    if runs_on(&latents, true) != Form::Wgsl {
        return projected_rgba_reference(latents, projection);
    }
    let device: Device = latents.device().without_autodiff();
    let mut values = projection.mean.to_vec();
    projection.components.iter().for_each(|component| values.extend_from_slice(component));
    values.extend(projection.low.iter().chain(&projection.high));
    let count = values.len();
    let basis = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 1, count]), &device);
    words(&gpu::rgba(&primitive(latents), Some(&primitive(basis))))
}

/// [`projected_rgba`] on the host.
pub fn projected_rgba_reference(latents: Tensor<4>, projection: &Projection) -> Vec<u8> {
    let [_, channels, h, w] = latents.dims();
    let area = h * w;
    let values = host(latents);
    let pixels = values.chunks_exact((channels * area).max(1)).flat_map(|picture| {
        (0..area).flat_map(move |at| {
            let byte = |k: usize| {
                let terms = projection.components[k].iter().zip(projection.mean).enumerate();
                let along: f64 = terms
                    .map(|(c, (weight, mean))| {
                        f64::from(*weight) * (f64::from(picture[c * area + at]) - f64::from(*mean))
                    })
                    .sum();
                let (low, high) = (f64::from(projection.low[k]), f64::from(projection.high[k]));
                byte_of(if high > low { (along - low) / (high - low) } else { 0.5 })
            };
            [byte(0), byte(1), byte(2), 255]
        })
    });
    pixels.collect()
}

fn packed(values: &[f32], area: usize, share: impl Fn(&[f32], usize, usize) -> f64) -> Vec<u8> {
    let pixels = values.chunks_exact((3 * area).max(1)).flat_map(|planes| {
        let share = &share;
        (0..area).flat_map(move |at| {
            let byte = |c| byte_of(share(planes, at, c));
            [byte(0), byte(1), byte(2), 255]
        })
    });
    pixels.collect()
}

/// A share of [0, 1] as a byte, rounded.
fn byte_of(share: f64) -> u8 {
    // The cast truncates and takes NaN to 0.
    (share.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

fn primitive(tensor: Tensor<4>) -> CubeTensor {
    match tensor.without_autodiff().try_into_primitive::<CubeBackend>() {
        Ok(tensor) => into_contiguous(tensor),
        Err(error) => unreachable!("the form was chosen by the device: {error:?}"),
    }
}

/// The bytes of a tensor of words. A device that fails while reading gives black.
fn words(pixels: &CubeTensor) -> Vec<u8> {
    let count = super::gpu::launch::len(pixels) * size_of::<u32>();
    match pixels.client.read_one(pixels.handle.clone()) {
        Ok(bytes) => bytes[..count].to_vec(),
        Err(_) => vec![0; count],
    }
}
