//! Latents and teacher features as colours, in bases that stay the same until a person wants them
//! fitted anew.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::batches::pictures;
use crate::align::Teacher;
use crate::error::Result;
use crate::eval::pca::PcaBasis;
use crate::params::host;
use crate::run::Rgb8;

/// Pictures that a teacher looks at together.
const TEACHER_BATCH: usize = 16;
/// Features that a basis of a teacher is fitted to, at least where there are as many.
const FITTED_FEATURES: usize = 4096;

/// The bases of the maps: fitted at the first preview, then kept. They are part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MapColours {
    /// Of the latents.
    #[serde(rename = "basis")]
    pub latents: Option<PcaBasis>,
    /// Of the features of the first teacher.
    #[serde(default)]
    pub teacher_basis: Option<PcaBasis>,
}

/// Maps of latents `[N, C, h, w]`, a picture of `px` pixels a side for each of the `shown` ones; a basis
/// that is not there yet is fitted to those of `fitted`.
///
/// # Errors
/// Latents that are not finite, or of another width than the basis.
pub fn latent_maps(
    (fitted, fitted_shape): (&[f32], [usize; 4]),
    (shown, shape): (&[f32], [usize; 4]),
    px: usize,
    basis: &mut Option<PcaBasis>,
) -> Result<Vec<Rgb8>> {
    let basis = match basis {
        Some(basis) => basis,
        None => basis.insert(PcaBasis::fit_latents(fitted, fitted_shape)?),
    };
    let [_, _, h, w] = shape;
    let colours = basis.rgb_from_latents(shown, shape)?;
    let map = |colours: &[u8]| Rgb8::from_planar_u8(colours, h, w).enlarged(px / w);
    Ok(colours.chunks_exact(3 * h * w).map(map).collect())
}

/// Maps of what `teacher` sees in the `shown` pictures; a basis that is not there yet, or that is of
/// another teacher, is fitted to what it sees in those of `fitted`. Pictures are planar, `[N, 3, px, px]`.
///
/// # Errors
/// Features that are not finite.
pub fn teacher_maps(
    teacher: &Teacher,
    (fitted, shown): (&[u8], &[u8]),
    px: usize,
    basis: &mut Option<PcaBasis>,
    device: &Device,
) -> Result<Vec<Rgb8>> {
    let (side, channels) = (teacher.grid(), teacher.channels());
    if basis.as_ref().is_some_and(|basis| basis.channels() != channels) {
        *basis = None;
    }
    let shape = |pictures: &[u8]| [pictures.len() / (3 * px * px), channels, side, side];
    let mut fit_on = Vec::new();
    if basis.is_none() {
        let count = FITTED_FEATURES.div_ceil(side * side);
        let part = &fitted[..fitted.len().min(count * 3 * px * px)];
        fit_on = features(teacher, part, px, device);
    }
    let fit_shape = [fit_on.len() / (channels * side * side), channels, side, side];
    let seen = features(teacher, shown, px, device);
    latent_maps((&fit_on, fit_shape), (&seen, shape(shown)), px, basis)
}

/// Features of planar pictures, `[N, channels, grid, grid]`.
fn features(teacher: &Teacher, planar: &[u8], px: usize, device: &Device) -> Vec<f32> {
    let size = 3 * px * px;
    let batch = |planar: &[u8]| {
        let found = teacher.features(pictures(planar, planar.len() / size, px, device));
        let by_channel: Tensor<3> = found.swap_dims(1, 2);
        host(by_channel)
    };
    planar.chunks(TEACHER_BATCH * size).flat_map(batch).collect()
}
