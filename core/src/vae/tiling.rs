//! Large pictures in overlapping tiles, with diffusers' sizes and blending (`tiled_encode`,
//! `tiled_decode`): memory is that of one tile and two rows of results.

use burn::tensor::{Tensor, TensorData};

use super::VaeConfig;
use crate::error::{Error, Result};

/// Sizes of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Side of a tile in pixels; smaller pictures are done whole.
    sample: usize,
    /// Pixels from one tile to the next when encoding.
    sample_stride: usize,
    /// Side of a tile in latent positions.
    latent: usize,
    /// Latent positions from one tile to the next when decoding.
    latent_stride: usize,
    /// Latent positions over which encoded tiles are blended.
    latent_blend: usize,
    /// Pixels over which decoded tiles are blended.
    sample_blend: usize,
}

impl Tiling {
    /// Tiles of `px` pixels that overlap by `overlap` (a quarter in diffusers), for a model with
    /// `factor` pixels per latent position.
    ///
    /// # Errors
    /// A tile that is no multiple of the factor, or so small that nothing would be left of it.
    pub fn new(px: usize, overlap: f64, factor: usize) -> Result<Self> {
        let tiling = Self::sizes(px, overlap, factor);
        let fits = px.is_multiple_of(factor) && tiling.sample_stride.is_multiple_of(factor);
        if !fits || tiling.sample_stride == 0 || tiling.latent_stride == 0 || !(0.0..1.0).contains(&overlap) {
            return Err(Error::Config(format!(
                "tiles of {px} pixels with an overlap of {overlap} do not fit a factor of {factor}; take a \
                 multiple of {}",
                4 * factor
            )));
        }
        Ok(tiling)
    }

    /// The tiles that diffusers would take: AutoencoderKL's of the sample size (which may be tiny
    /// where the configuration does not tell it), Qwen-Image's of 256 pixels.
    pub fn of(config: &VaeConfig) -> Self {
        let px = if config.qwen.is_some() { 256 } else { config.sample_size };
        let factor = config.downsampling();
        Self::new(px, 0.25, factor).unwrap_or_else(|_| Self::sizes(32 * factor, 0.25, factor))
    }

    fn sizes(px: usize, overlap: f64, factor: usize) -> Self {
        let latent = px / factor;
        let part = |side: usize, share: f64| (side as f64 * share) as usize;
        Self {
            sample: px,
            sample_stride: part(px, 1.0 - overlap),
            latent,
            latent_stride: part(latent, 1.0 - overlap),
            latent_blend: part(latent, overlap),
            sample_blend: part(px, overlap),
        }
    }

    /// Side of a tile in pixels.
    pub fn px(&self) -> usize {
        self.sample
    }

    /// Whether latents are decoded in tiles.
    pub(super) fn splits_latent(&self, z: &Tensor<4>) -> bool {
        let [_, _, h, w] = z.dims();
        h > self.latent || w > self.latent
    }

    /// Pictures to moments.
    pub(super) fn encode(&self, x: Tensor<4>, run: &dyn Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let [_, _, h, w] = x.dims();
        if h <= self.sample && w <= self.sample {
            return run(x);
        }
        let keep = self.latent - self.latent_blend;
        tiled(x, (self.sample, self.sample_stride), (self.latent_blend, keep), run)
    }

    /// Latents to pictures.
    pub(super) fn decode(&self, z: Tensor<4>, run: &dyn Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let keep = self.sample - self.sample_blend;
        tiled(z, (self.latent, self.latent_stride), (self.sample_blend, keep), run)
    }
}

/// Runs tiles of `tile` every `stride`; each result is blended with the one above and the one to the
/// left over `blend`, then cut to `keep`.
fn tiled(
    x: Tensor<4>,
    (tile, stride): (usize, usize),
    (blend, keep): (usize, usize),
    run: &dyn Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let mut above: Vec<Tensor<4>> = Vec::new();
    let mut rows = Vec::new();
    for top in (0..height).step_by(stride) {
        let band = x.clone().narrow(2, top, tile.min(height - top));
        // Tiles are blended as they stand after their own blending, so the order matters.
        let mut row: Vec<Tensor<4>> = Vec::new();
        let mut kept = Vec::new();
        for (j, left) in (0..width).step_by(stride).enumerate() {
            let mut result = run(band.clone().narrow(3, left, tile.min(width - left)));
            if let Some(upper) = above.get(j) {
                result = blended(upper, result, blend, 2);
            }
            if let Some(before) = row.last() {
                result = blended(before, result, blend, 3);
            }
            let [_, _, h, w] = result.dims();
            kept.push(result.clone().narrow(2, 0, keep.min(h)).narrow(3, 0, keep.min(w)));
            row.push(result);
        }
        rows.push(Tensor::cat(kept, 3));
        above = row;
    }
    Tensor::cat(rows, 2)
}

/// `b` with its first `extent` rows (or columns) faded in from the last ones of `a`.
fn blended(a: &Tensor<4>, b: Tensor<4>, extent: usize, axis: usize) -> Tensor<4> {
    let (have, length) = (a.dims()[axis], b.dims()[axis]);
    let extent = extent.min(have).min(length);
    if extent == 0 {
        return b;
    }
    let ramp: Vec<f32> = (0..extent).map(|i| i as f32 / extent as f32).collect();
    let mut shape = [1; 4];
    shape[axis] = extent;
    let ramp = Tensor::<4>::from_data(TensorData::new(ramp, shape), &b.device());
    let old = a.clone().narrow(axis, have - extent, extent) * (ramp.clone().neg() + 1.0);
    let new = b.clone().narrow(axis, 0, extent) * ramp;
    let mixed = old + new;
    if extent == length {
        return mixed;
    }
    Tensor::cat(vec![mixed, b.narrow(axis, extent, length - extent)], axis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::host;

    #[test]
    fn tiles_of_something_local_give_the_whole() {
        let device = crate::device::cpu();
        let values: Vec<f32> = (0..2 * 40 * 52).map(|i| i as f32).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 2, 40, 52]), &device);
        let tiling = Tiling::new(16, 0.25, 1).unwrap();
        let whole = host(x.clone() * 2.0);
        let tiles = host(tiling.encode(x.clone(), &|x| x * 2.0));
        let worst = whole.iter().zip(&tiles).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(whole.len() == tiles.len() && worst <= 1e-3, "{worst}");
        // A function of the tile's place shows its seams.
        let shifted = host(tiling.encode(x, &|x| x.clone() - x.mean().reshape([1, 1, 1, 1])));
        assert!(whole.iter().zip(&shifted).any(|(a, b)| (a / 2.0 - b).abs() > 1.0));
    }

    #[test]
    fn sizes_are_those_of_diffusers() {
        let mut config = VaeConfig::plain(&[32, 64, 64, 64], 2, 4, 32, 256);
        let tiling = Tiling::of(&config);
        assert_eq!((tiling.sample_stride, tiling.latent_blend, tiling.latent_stride), (192, 8, 24));
        assert_eq!((tiling.sample_blend, tiling.px()), (64, 256));
        config.sample_size = 3;
        assert_eq!(Tiling::of(&config).px(), 256, "a sample size that is no tile");
        assert!(Tiling::new(12, 0.25, 8).is_err() && Tiling::new(8, 0.25, 8).is_err());
    }
}
