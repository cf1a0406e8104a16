//! One picture through the networks: reconstruction, latents, and the features of its tokens in the
//! latent, in the transformer at the aligned block, and in the teachers.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::ask::{PictureRef, Study};
use super::desk::{Desk, View};
use super::gallery::Square;
use super::tokens::TokenFeatures;
use crate::align::Teacher;
use crate::eval::pca::rows_from_latents;
use crate::eval::psnr;
use crate::eval::roundtrip::{Encoded, decode};
use crate::params::host;
use crate::run::Rgb8;
use crate::run::picture::byte_from_model_value;
use crate::sample::noise::{Stream, normal, rng};
use crate::sit::Sit;

/// Seed of the noise that the transformer sees: always the same, so that times can be compared.
const NOISE_SEED: u64 = 0;

impl Desk {
    /// Looks at `picture`; nothing when `newer` says that another question waits.
    ///
    /// # Errors
    /// One line: a picture that cannot be read, or latents that are not finite.
    pub(super) fn study(
        &mut self,
        view: &View<'_>,
        picture: &PictureRef,
        time: Option<f32>,
        newer: &dyn Fn() -> bool,
    ) -> Result<Option<Study>, String> {
        let (square, encoded) = self.shelf.latents(picture, &mut self.gallery, view)?;
        if newer() {
            return Ok(None);
        }
        let Encoded { shape, mean, std } = encoded.as_ref();
        if mean.iter().any(|value| !value.is_finite()) {
            return Err(format!("the latents of {picture} are not finite"));
        }
        let (recon, height, width) = decode(view.vae, mean, *shape, false, view.device);
        let bytes: Vec<u8> = recon.iter().map(|value| byte_from_model_value(*value)).collect();
        let mut study = Study {
            picture: picture.clone(),
            time,
            original: shown(&square),
            reconstruction: Rgb8::from_planar_u8(&bytes, height, width),
            psnr: psnr(&square.picture.planar, &bytes).map_err(|error| error.to_string())?,
            shape: *shape,
            mean: mean.clone(),
            std: std.clone(),
            spaces: Vec::new(),
            without: Vec::new(),
        };
        let Some(time) = time else { return Ok(Some(study)) };
        let [c, h, w] = *shape;
        let rows = rows_from_latents(mean, [1, c, h, w]).map_err(|error| error.to_string())?;
        study.spaces.push(TokenFeatures::new("Latent", [h, w], c, rows));
        if newer() {
            return Ok(None);
        }
        match view.sit {
            Some(sit) if sit.config().input_size == h && h == w && sit.config().in_channels == c => {
                study.spaces.push(transformer_features(sit, view, &encoded, square.label, time));
            }
            Some(_) => study.without.push("the transformer takes latents of another size".into()),
            None => study.without.push(view.without_sit.into()),
        }
        if newer() {
            return Ok(None);
        }
        match self.teacher_features(view, picture, &square) {
            Ok(features) => study.spaces.extend(features.iter().cloned()),
            Err(reason) => study.without.push(reason),
        }
        Ok(Some(study))
    }

    /// Features of each teacher, computed once for each picture.
    fn teacher_features(
        &mut self,
        view: &View<'_>,
        picture: &PictureRef,
        square: &Square,
    ) -> Result<Arc<Vec<TokenFeatures>>, String> {
        let shelved = self.shelf.get(picture, &mut self.gallery)?;
        if let Some(features) = &shelved.teachers {
            return Ok(features.clone());
        }
        let teachers = view.teachers.all()?;
        if teachers.is_empty() {
            return Err("this run has no teacher".into());
        }
        let px = square.picture.width;
        let data = TensorData::new(square.picture.values(), [1, 3, px, px]);
        let image = Tensor::<4>::from_data(data, view.device);
        let features = |teacher: &&Teacher| {
            let side = teacher.grid();
            let rows = host(teacher.features(image.clone()));
            TokenFeatures::new(teacher.name(), [side, side], teacher.channels(), rows)
        };
        let features = Arc::new(teachers.iter().map(features).collect::<Vec<_>>());
        shelved.teachers = Some(features.clone());
        Ok(features)
    }
}

/// Tokens after the aligned block, of the picture's latents with fixed noise at `time`.
fn transformer_features(
    sit: &Sit,
    view: &View<'_>,
    encoded: &Encoded,
    label: Option<usize>,
    time: f32,
) -> TokenFeatures {
    let [c, h, w] = encoded.shape;
    let tensor =
        |values: Vec<f32>| Tensor::<4>::from_data(TensorData::new(values, [1, c, h, w]), view.device);
    let z = sit.latent_norm.normalize_running(tensor(encoded.mean.clone()));
    let noise = tensor(normal(&mut rng(NOISE_SEED, Stream::Sample(0)), c * h * w));
    let x_t = view.path.interpolate(z, noise, &[time]);
    let config = sit.config();
    let null = config.null_label();
    let label = label.filter(|label| *label < null).unwrap_or(null);
    let rows = host(sit.features(x_t, &[time], &[label], config.encoder_depth));
    let name = format!("Transformer, block {}", config.encoder_depth);
    TokenFeatures::new(name, [config.grid(); 2], config.hidden_size, rows)
}

/// The picture as a person sees it.
pub(super) fn shown(square: &Square) -> Rgb8 {
    Rgb8::from_planar_u8(&square.picture.planar, square.picture.height, square.picture.width)
}
