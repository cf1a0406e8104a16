//! The scatter plot of the data's latents: training pictures encoded in slices of time by one state of
//! the encoder, and brought to two dimensions on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};

use super::ask::{PictureRef, Scatter, ScatterWish};
use super::gallery::{Gallery, Square};
use crate::data::Split;
use crate::data::resize::center_crop;
use crate::eval::pca::PcaBasis;
use crate::params::host;
use crate::run::Rgb8;
use crate::vae::Vae;

/// Pictures that can be asked for.
const COUNTS: std::ops::RangeInclusive<usize> = 16..=4096;
/// Values of a pooled latent, at most: what the decomposition does in about a second.
const MAX_FLAT: usize = 256;
/// Side of the small pictures, at most.
const THUMB_PX: usize = 48;
/// Pictures in work at once, at most.
const MAX_BATCH: usize = 32;
/// Pictures before the first plot; then at every fourfold.
const FIRST_FIT: usize = 128;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(300);

/// Points, and the components' share of the variance.
type Fit = Result<(Vec<[f32; 2]>, [f32; 2]), String>;

/// The work, and what came of it so far.
pub(super) struct Job {
    wish: ScatterWish,
    step: u64,
    /// The encoder as it was in the beginning; let go when it is done.
    vae: Option<Vae>,
    picks: Vec<usize>,
    next: usize,
    /// Means over tokens, `[pictures, z]`, and pooled latents, `[pictures, flat]`.
    means: Vec<f32>,
    flats: Vec<f32>,
    pictures: Vec<(usize, usize)>,
    thumbs: Arc<Vec<Rgb8>>,
    left_out: usize,
    per_picture_s: f64,
    next_fit: usize,
    fitting: Option<Receiver<Fit>>,
    told: Instant,
    points: Vec<[f32; 2]>,
    share: [f32; 2],
    problem: Option<String>,
}

impl Job {
    /// Work on `wish` with the encoder of `step`.
    ///
    /// # Errors
    /// One line when the data has no pictures.
    pub fn new(wish: ScatterWish, vae: &Vae, step: u64, gallery: &mut Gallery) -> Result<Self, String> {
        let total = gallery.len(Split::Train);
        if total == 0 {
            let reason = gallery.problem().unwrap_or_else(|| "it has no training pictures".into());
            return Err(format!("the data's latents cannot be shown: {reason}"));
        }
        let count = wish.count.clamp(*COUNTS.start(), *COUNTS.end()).min(total);
        Ok(Self {
            wish,
            step,
            // A copy shares its values until training changes them.
            vae: Some(vae.clone()),
            picks: scattered(count).map(|i| i * total / count).collect(),
            next: 0,
            means: Vec::new(),
            flats: Vec::new(),
            pictures: Vec::new(),
            thumbs: Arc::default(),
            left_out: 0,
            per_picture_s: f64::INFINITY,
            next_fit: FIRST_FIT,
            fitting: None,
            told: Instant::now(),
            points: Vec::new(),
            share: [0.0; 2],
            problem: None,
        })
    }

    /// Takes over another wish for the same pictures, if that needs no encoding.
    pub fn suits(&mut self, wish: ScatterWish) -> bool {
        if wish.anew || wish.count != self.wish.count || self.problem.is_some() {
            return false;
        }
        self.wish = ScatterWish { anew: self.wish.anew, ..wish };
        if self.pictures.len() >= FIRST_FIT || self.next == self.picks.len() {
            self.begin_fit();
        }
        true
    }

    /// Whether pictures remain to be encoded, or a plot is being made.
    pub fn is_busy(&self) -> bool {
        self.problem.is_none() && (self.next < self.picks.len() || self.fitting.is_some())
    }

    /// Leaves off encoding; what is done is plotted.
    pub fn stop(&mut self) {
        if self.next < self.picks.len() {
            self.picks.truncate(self.next);
            self.vae = None;
            self.begin_fit();
        }
    }

    /// Works for about `budget` (one picture at least) and tells when there is news.
    pub fn work(&mut self, gallery: &mut Gallery, device: &Device, budget: Duration) -> Option<Scatter> {
        if let Some(fitting) = &self.fitting {
            match fitting.try_recv() {
                Ok(Ok((points, share))) => {
                    (self.points, self.share, self.fitting) = (points, share, None);
                    return Some(self.tell());
                }
                Ok(Err(reason)) => return Some(self.fail(reason)),
                Err(TryRecvError::Disconnected) => {
                    return Some(self.fail("the plot's thread broke off".into()));
                }
                Err(TryRecvError::Empty) => {}
            }
        }
        if self.next < self.picks.len() && self.problem.is_none() {
            self.encode_slice(gallery, device, budget);
            let ended = self.next == self.picks.len();
            if ended {
                self.vae = None;
            }
            if ended || self.fitting.is_none() && self.pictures.len() >= self.next_fit {
                self.next_fit *= 4;
                self.begin_fit();
            }
            if self.problem.is_some() || self.told.elapsed() >= TELL_EVERY {
                return Some(self.tell());
            }
        }
        None
    }

    fn encode_slice(&mut self, gallery: &mut Gallery, device: &Device, budget: Duration) {
        let Some(vae) = self.vae.clone() else { return };
        let began = Instant::now();
        let fits = (budget.as_secs_f64() / self.per_picture_s) as usize; // the cast takes NaN to 0
        let picks = &self.picks[self.next..];
        let picks = picks[..picks.len().min(fits.clamp(1, MAX_BATCH))].to_vec();
        self.next += picks.len();
        let tried = picks.len();
        let mut squares = Vec::new();
        for index in picks {
            match gallery.square(&PictureRef::Train(index)) {
                Ok(square) => squares.push((index, square)),
                Err(_) => self.left_out += 1,
            }
        }
        if !squares.is_empty() {
            self.take_in(&vae, &squares, device);
        }
        self.per_picture_s = (began.elapsed().as_secs_f64() / tried as f64).max(1e-6);
    }

    fn take_in(&mut self, vae: &Vae, squares: &[(usize, Square)], device: &Device) {
        let px = squares[0].1.picture.width;
        let values: Vec<f32> = squares.iter().flat_map(|(_, square)| square.picture.values()).collect();
        let images = Tensor::<4>::from_data(TensorData::new(values, [squares.len(), 3, px, px]), device);
        let z = vae.encode(images).mode();
        let [_, c, h, w] = z.dims();
        for latent in host(z).chunks_exact((c * h * w).max(1)) {
            self.means.extend(pooled(latent, [c, h, w], h.max(w)));
            self.flats.extend(pooled(latent, [c, h, w], pooling([c, h, w])));
        }
        let thumbs = Arc::make_mut(&mut self.thumbs);
        for (index, square) in squares {
            self.pictures.push((*index, square.label.unwrap_or(0)));
            let whole = super::study::shown(square);
            let side = px.min(THUMB_PX);
            let pixels = center_crop(&whole.pixels, whole.width, whole.height, side);
            thumbs.push(Rgb8 { width: side, height: side, pixels });
        }
    }

    fn begin_fit(&mut self) {
        let count = self.pictures.len();
        if count == 0 {
            self.problem = Some("none of the pictures could be read".into());
            return;
        }
        let rows = if self.wish.flat { self.flats.clone() } else { self.means.clone() };
        let width = rows.len() / count;
        let (sender, receiver) = channel();
        let work = move || {
            // Nobody waits for it any more when another plot was asked for.
            let _ = sender.send(in_two(&rows, width));
        };
        match std::thread::Builder::new().name("tandem-scatter".into()).spawn(work) {
            Ok(_) => self.fitting = Some(receiver),
            Err(error) => self.problem = Some(format!("no thread for the plot: {error}")),
        }
    }

    /// Breaks off.
    pub fn fail(&mut self, reason: String) -> Scatter {
        (self.problem, self.fitting, self.vae) = (Some(reason), None, None);
        self.tell()
    }

    /// The plot as it is.
    pub fn tell(&mut self) -> Scatter {
        self.told = Instant::now();
        Scatter {
            wish: self.wish,
            step: self.step,
            done: (self.next, self.picks.len()),
            points: self.points.clone(),
            share: self.share,
            pictures: self.pictures[..self.points.len().min(self.pictures.len())].to_vec(),
            thumbs: self.thumbs.clone(),
            left_out: self.left_out,
            problem: self.problem.clone(),
        }
    }
}

/// All numbers below `count`, neighbours far apart: data is sorted by class, and a part of the way should
/// show every class.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let common = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (count as f64 * 0.618_034) as usize;
    let stride = (golden.max(1)..).find(|stride| common(*stride, count) == 1).unwrap_or(1);
    (0..count).map(move |i| i * stride % count)
}

/// `rows`, `[N, width]`, in their first two principal components.
fn in_two(rows: &[f32], width: usize) -> Fit {
    let words = |error: crate::error::Error| error.to_string();
    let basis = PcaBasis::fit(rows, width, 2).map_err(words)?;
    let projected = basis.project(rows, [rows.len() / width, width, 1, 1]).map_err(words)?;
    let share = [basis.explained_variance_ratio[0], basis.explained_variance_ratio[1]];
    Ok((projected.chunks_exact(2).map(|point| [point[0], point[1]]).collect(), share))
}

/// The side of the squares over which a latent is averaged until few enough values remain.
fn pooling([c, h, w]: [usize; 3]) -> usize {
    let fits = |side: &usize| c * h.div_ceil(*side) * w.div_ceil(*side) <= MAX_FLAT;
    (0..).map(|power| 1usize << power).find(|side| fits(side) || *side >= h.max(w)).unwrap_or(1)
}

/// Means over squares of `side` positions, channel by channel.
fn pooled(latent: &[f32], [c, h, w]: [usize; 3], side: usize) -> Vec<f32> {
    let (rows, columns) = (h.div_ceil(side), w.div_ceil(side));
    let mut values = Vec::with_capacity(c * rows * columns);
    for plane in latent.chunks_exact((h * w).max(1)) {
        for row in 0..rows {
            for column in 0..columns {
                let (mut sum, mut count) = (0.0f64, 0);
                for y in row * side..((row + 1) * side).min(h) {
                    for x in column * side..((column + 1) * side).min(w) {
                        sum += f64::from(plane[y * w + x]);
                        count += 1;
                    }
                }
                values.push((sum / f64::from(count.max(1))) as f32);
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_are_pooled_until_they_are_few() {
        assert_eq!((pooling([4, 8, 8]), pooling([8, 8, 8]), pooling([16, 32, 32])), (1, 2, 8));
        let latent: Vec<f32> = (0..18).map(|i| i as f32).collect();
        assert_eq!(pooled(&latent, [2, 3, 3], 1), latent);
        assert_eq!(pooled(&latent, [2, 3, 3], 3), [4.0, 13.0], "means over tokens");
        assert_eq!(pooled(&latent, [2, 3, 3], 2)[..4], [2.0, 3.5, 6.5, 8.0], "the rest at the border counts");
    }

    #[test]
    fn every_picture_has_its_turn_and_the_first_ones_are_spread() {
        for count in [1, 2, 3, 16, 20, 1000, 4096] {
            let mut all: Vec<_> = scattered(count).collect();
            let tenths: std::collections::BTreeSet<_> = all.iter().take(40).map(|i| i * 10 / count).collect();
            assert!(count < 40 || tenths.len() == 10, "{count}: {tenths:?}");
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count), "{count}");
        }
    }

    #[test]
    fn the_plot_is_the_projection_on_the_first_two_components() {
        let rows: Vec<f32> = (0..5 * 40).map(|i| ((i * 31 % 47) as f32).sin() * (1 + i % 5) as f32).collect();
        let (points, share) = in_two(&rows, 5).unwrap();
        let basis = PcaBasis::fit(&rows, 5, 5).unwrap();
        for (row, point) in rows.chunks_exact(5).zip(&points) {
            let all = basis.project(row, [1, 5, 1, 1]).unwrap();
            assert!((all[0] - point[0]).abs() < 1e-5 && (all[1] - point[1]).abs() < 1e-5);
        }
        assert_eq!(share.as_slice(), &basis.explained_variance_ratio[..2]);
        assert!(in_two(&[f32::NAN, 1.0], 1).is_err());
    }
}
