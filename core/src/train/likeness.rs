//! Do a run's latents, and its transformer, see the likenesses that a teacher sees? Linear CKA and
//! CKNNA on pictures that the run never trained on.
//!
//! - *Latents* are compared place by place: from each picture one token of the normalised latents (the
//!   transformer's patch, `C p²` values) with the teacher's feature of the same place. A mean over a
//!   picture would leave of four channels four numbers.
//! - *The transformer* is compared picture by picture, as REPA does: its hidden features at the depth
//!   that is aligned, at t = 0.5 and without a class, averaged over tokens, with the teacher's average.

use burn::tensor::{Device, Tensor, TensorData};

use super::batches::pictures;
use super::evaluate::{BATCH, Progress, go_on};
use super::restored::Restored;
use crate::align::Teacher;
use crate::data::stream::PictureStream;
use crate::error::Result;
use crate::eval::cka::{NEIGHBOURS, cknna, linear_cka};
use crate::params::host;
use crate::sample::noise::{Stream, normal, rng};

/// Where on the path the transformer is looked at.
const TIME: f32 = 0.5;
/// A step through places that has no common divisor with any grid of 2ⁿ or 3·2ⁿ places.
const STRIDE: usize = 29;

/// How alike two networks see: 0 is not at all, 1 the same.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Likeness {
    /// Linear CKA.
    pub cka: f64,
    /// CKNNA with ten neighbours; an unbiased estimate, which leaves 0 to 1 with very few pictures.
    pub cknna: f64,
}

/// Likenesses of a run with one teacher.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Likenesses {
    /// The teacher.
    pub teacher: String,
    /// Pictures.
    pub num: usize,
    /// Of the latents.
    pub latents: Likeness,
    /// Of the transformer; absent where none was trained.
    pub transformer: Option<Likeness>,
}

/// Rows of one network: `[N, width]`.
#[derive(Default)]
struct Rows {
    values: Vec<f32>,
    width: usize,
}

impl Rows {
    fn add(&mut self, rows: Tensor<2>) {
        self.width = rows.dims()[1];
        self.values.extend(host(rows));
    }

    fn likeness(&self, other: &Self) -> Result<Likeness> {
        let (a, b, widths) = (&self.values, &other.values, (self.width, other.width));
        Ok(Likeness { cka: linear_cka(a, b, widths)?, cknna: cknna(a, b, widths, NEIGHBOURS)? })
    }
}

/// Compares the run with `teacher`, made for the run's token grid, on the pictures of `stream`; none when
/// there are no more pictures than neighbours.
///
/// # Errors
/// A picture that cannot be read, or when `progress` breaks off.
pub fn likenesses(
    restored: &Restored,
    teacher: &Teacher,
    stream: &PictureStream,
    device: &Device,
    progress: Progress,
) -> Result<Option<Likenesses>> {
    if stream.len() <= NEIGHBOURS {
        return Ok(None);
    }
    let px = stream.px();
    let (mut latents, mut places) = (Rows::default(), Rows::default());
    let (mut hidden, mut means) = (Rows::default(), Rows::default());
    let mut done = 0;
    stream.each(BATCH, |planar| {
        let count = planar.len() / (3 * px * px);
        let x = pictures(planar, count, px, device);
        let features = teacher.features(x.clone());
        let z = restored.sit.latent_norm.normalize_running(restored.vae.encode(x).mode());
        latents.add(one_place(tokens(z.clone(), restored.sit.config().patch_size), done));
        places.add(one_place(features.clone(), done));
        if restored.config.method.trains_sit() {
            hidden.add(over_tokens(seen(restored, z, done, device)));
            means.add(over_tokens(features));
        }
        done += count;
        go_on(progress(done as u64))
    })?;
    let transformer = restored.config.method.trains_sit().then(|| hidden.likeness(&means)).transpose()?;
    let latents = latents.likeness(&places)?;
    Ok(Some(Likenesses { teacher: teacher.name().into(), num: done, latents, transformer }))
}

/// The transformer's hidden features `[B, N, D]` of normalised latents; the noise of picture n is that of
/// sample n of seed 0.
fn seen(restored: &Restored, z: Tensor<4>, first: usize, device: &Device) -> Tensor<3> {
    let (sit, [b, c, h, w]) = (&restored.sit, z.dims());
    let noise = (0..b).flat_map(|i| normal(&mut rng(0, Stream::Sample((first + i) as u64)), c * h * w));
    let noise = Tensor::from_data(TensorData::new(noise.collect::<Vec<f32>>(), [b, c, h, w]), device);
    let (t, labels) = (vec![TIME; b], vec![sit.config().null_label(); b]);
    let x_t = restored.config.sit.path.interpolate(z, noise, &t);
    sit.features(x_t, &t, &labels, restored.config.align.depth)
}

/// Latents `[B, C, H, W]` as patches `[B, (H/p)(W/p), C p²]`, rows first.
fn tokens(z: Tensor<4>, patch: usize) -> Tensor<3> {
    let [b, c, h, w] = z.dims();
    let (rows, columns) = (h / patch, w / patch);
    let cut = z.reshape([b, c, rows, patch, columns, patch]).permute([0, 2, 4, 1, 3, 5]);
    cut.reshape([b, rows * columns, c * patch * patch])
}

/// `[B, N, D]` → `[B, D]`: of each picture the token of one place, another for each picture.
fn one_place(tokens: Tensor<3>, first: usize) -> Tensor<2> {
    let [count, places, width] = tokens.dims();
    let row = |i: usize| {
        let place = (first + i) * STRIDE % places;
        tokens.clone().slice([i..i + 1, place..place + 1, 0..width]).reshape([1, width])
    };
    Tensor::cat((0..count).map(row).collect(), 0)
}

/// `[B, N, D]` → `[B, D]`.
fn over_tokens(tokens: Tensor<3>) -> Tensor<2> {
    let [count, _, width] = tokens.dims();
    tokens.mean_dim(1).reshape([count, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu;

    fn counted(shape: [usize; 3]) -> Tensor<3> {
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &cpu())
    }

    #[test]
    fn patches_hold_the_values_of_their_place() {
        let values: Vec<f32> = (0..2 * 4 * 4).map(|i| i as f32).collect();
        let z = Tensor::from_data(TensorData::new(values, [1, 2, 4, 4]), &cpu());
        let cut = tokens(z, 2);
        assert_eq!(cut.dims(), [1, 4, 8]);
        // Second patch of the first row: columns 2 and 3 of rows 0 and 1, both channels.
        assert_eq!(host(cut)[8..16], [2.0, 3.0, 6.0, 7.0, 18.0, 19.0, 22.0, 23.0]);
    }

    #[test]
    fn every_picture_shows_another_place_and_means_are_means() {
        let all = counted([3, 4, 2]);
        // Places 29 · n mod 4: 1, 2, 3 for pictures 1, 2, 3.
        assert_eq!(host(one_place(all.clone(), 1)), [2.0, 3.0, 12.0, 13.0, 22.0, 23.0]);
        assert_eq!(host(over_tokens(all)), [3.0, 4.0, 11.0, 12.0, 19.0, 20.0]);
    }

    #[test]
    fn rows_are_like_themselves() {
        let mut rows = Rows::default();
        let values: Vec<f32> = (0..20 * 3).map(|i| ((i * i * 7) % 31) as f32 - 15.0).collect();
        rows.add(Tensor::from_data(TensorData::new(values, [20, 3]), &cpu()));
        let same = rows.likeness(&rows).unwrap();
        assert!((same.cka - 1.0).abs() < 1e-6 && (same.cknna - 1.0).abs() < 1e-3, "{same:?}");
    }
}
