//! Where questions about latents are answered.

use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::ask::{
    About, BasisChoice, Direction, Edit, Edited, Found, LatentAnswer, LatentQuestion, PictureRef, Scatter,
    ScatterWish, Shown, Wish,
};
use super::edit::{blend, push, swap};
use super::gallery::Gallery;
use super::scatter::Job;
use super::shelf::Shelf;
use super::study::shown;
use crate::align::Teacher;
use crate::data::Split;
use crate::eval::pca::{PcaBasis, rows_from_latents};
use crate::eval::roundtrip::decode;
use crate::run::Rgb8;
use crate::sit::{Path, Sit};
use crate::vae::Vae;

/// Pictures that one question may ask for.
const MAX_PICTURES: usize = 64;
/// Directions that are fitted.
const MAX_DIRECTIONS: usize = 8;
/// Pictures that directions are fitted to, and the time after which fewer must do.
const FIT_PICTURES: usize = 64;
const FIT_TIME: Duration = Duration::from_millis(1500);
const FIT_LEAST: usize = 4;

/// The teachers of a run, opened when they are first needed.
pub trait Teachers {
    /// All of them.
    ///
    /// # Errors
    /// One line: why there are none.
    fn all(&self) -> Result<Vec<&Teacher>, String>;
}

/// The models of a moment.
pub struct View<'a> {
    /// The autoencoder.
    pub vae: &'a Vae,
    /// The averaged transformer, if there is one.
    pub sit: Option<&'a Sit>,
    /// Said where there is none.
    pub without_sit: &'a str,
    /// The transformer's path between data and noise.
    pub path: Path,
    /// The teachers.
    pub teachers: &'a dyn Teachers,
    /// The run's fixed basis.
    pub basis: Option<&'a PcaBasis>,
    /// Where they live.
    pub device: &'a Device,
    /// Steps done; latents of another step are encoded again.
    pub step: u64,
}

/// Answers, with the pictures and latents that they stand on.
pub struct Desk {
    pub(super) gallery: Gallery,
    pub(super) shelf: Shelf,
    fitted: Option<PcaBasis>,
    scatter: Option<Job>,
    asked: Option<Instant>,
}

impl Desk {
    /// A desk for the pictures of `gallery`.
    pub fn new(gallery: Gallery) -> Self {
        Self { gallery, shelf: Shelf::default(), fitted: None, scatter: None, asked: None }
    }

    /// Pictures that went through the encoder to answer questions.
    pub fn encodings(&self) -> u64 {
        self.shelf.encodings
    }

    /// Answers `question`; nothing when `newer` says that another one waits. A question that cannot be
    /// answered comes back with the reason.
    pub fn answer(
        &mut self,
        view: &View<'_>,
        question: &LatentQuestion,
        newer: &dyn Fn() -> bool,
    ) -> Option<LatentAnswer> {
        self.asked = Some(Instant::now());
        let found = match &question.wish {
            Wish::About => Ok(Some(Found::About(Box::new(self.about(view))))),
            Wish::Pictures(wanted) => self.pictures(wanted).map(Some),
            Wish::Study { picture, time } => {
                let found = self.study(view, picture, *time, newer);
                found.map(|study| study.map(|study| Found::Study(Box::new(study))))
            }
            Wish::Edit(edit) => {
                let found = self.edited(view, edit, newer);
                found.map(|edited| edited.map(|edited| Found::Edited(Box::new(edited))))
            }
            Wish::Fit => {
                self.fitted = None;
                self.fitted(view).map(|basis| Some(Found::Fitted(directions(basis))))
            }
            Wish::Scatter(wish) => self.begin_scatter(*wish, view).map(|()| Some(Found::Noted)),
            Wish::StopScatter => {
                self.scatter.iter_mut().for_each(Job::stop);
                Ok(Some(Found::Noted))
            }
        };
        // What a person reads is one line.
        let found = found.map_err(|reason| reason.replace(|c: char| c.is_control(), " ")).transpose()?;
        Some(LatentAnswer { id: question.id, step: view.step, found })
    }

    /// Whether there is something to do in the background.
    pub fn is_busy(&self) -> bool {
        self.scatter.as_ref().is_some_and(Job::is_busy)
    }

    /// Works in the background for about `budget`; news of the scatter plot, if there are any.
    pub fn work(&mut self, device: &Device, budget: Duration) -> Option<Scatter> {
        self.scatter.as_mut()?.work(&mut self.gallery, device, budget)
    }

    /// Ends background work that broke off.
    pub fn give_up(&mut self, reason: &str) -> Option<Scatter> {
        self.scatter.as_mut().map(|job| job.fail(reason.into()))
    }

    /// Time since the last question, if there was one.
    pub fn since_last_question(&self) -> Option<Duration> {
        self.asked.map(|asked| asked.elapsed())
    }

    fn begin_scatter(&mut self, wish: ScatterWish, view: &View<'_>) -> Result<(), String> {
        if !self.scatter.as_mut().is_some_and(|job| job.suits(wish)) {
            self.scatter = Some(Job::new(wish, view.vae, view.step, &mut self.gallery)?);
        }
        Ok(())
    }

    fn about(&mut self, view: &View<'_>) -> About {
        let config = view.vae.config();
        let side = self.gallery.px() / config.downsampling();
        About {
            image_px: self.gallery.px(),
            latent: [config.latent_channels, side, side],
            counts: (self.gallery.len(Split::Held), self.gallery.len(Split::Train)),
            classes: self.gallery.classes(),
            without_data: self.gallery.problem(),
            align_depth: view.sit.map(|sit| sit.config().encoder_depth),
            run_basis: view.basis.map(directions),
        }
    }

    fn pictures(&mut self, wanted: &[PictureRef]) -> Result<Found, String> {
        if wanted.len() > MAX_PICTURES {
            return Err(format!("at most {MAX_PICTURES} pictures can be asked for at once"));
        }
        let mut all = Vec::new();
        for which in wanted {
            if matches!(which, PictureRef::File(_)) {
                // A file may have changed since.
                self.shelf.forget(which);
            }
            let found = self.shelf.get(which, &mut self.gallery).map(|shelved| {
                let square = &shelved.square;
                Shown { picture: shown(square), name: square.name.clone(), label: square.label }
            });
            all.push((which.clone(), found));
        }
        Ok(Found::Pictures(all))
    }

    fn edited(
        &mut self,
        view: &View<'_>,
        edit: &Edit,
        newer: &dyn Fn() -> bool,
    ) -> Result<Option<Edited>, String> {
        let mut latents = Vec::new();
        for which in edit.pictures() {
            latents.push(self.shelf.latents(&which, &mut self.gallery, view)?.1);
            if newer() {
                return Ok(None);
            }
        }
        let Some(first) = latents.first() else {
            return Err("a blend is between two or four pictures".into());
        };
        let shape = first.shape;
        let mut z = first.mean.clone();
        let mut found = Vec::new();
        match edit {
            Edit::Push { basis, amounts, mask, .. } => {
                let basis = self.basis(*basis, view)?;
                found = directions(basis);
                check_mask(mask.as_deref(), shape)?;
                if basis.channels() != shape[0] {
                    return Err("the run's directions are of latents with other channels".into());
                }
                if amounts.iter().any(|amount| !amount.is_finite()) {
                    return Err("a push is by finite amounts".into());
                }
                push(&mut z, shape, basis, amounts, mask.as_deref());
            }
            Edit::Blend { at, way, .. } => {
                if !matches!(latents.len(), 2 | 4) || at.iter().any(|share| share.is_nan()) {
                    return Err("a blend is between two or four pictures".into());
                }
                let corners: Vec<&[f32]> = latents.iter().map(|latent| latent.mean.as_slice()).collect();
                z = blend(&corners, *at, *way);
            }
            Edit::Swap { mask, .. } => {
                check_mask(mask.as_deref(), shape)?;
                swap(&mut z, &latents[1].mean, shape, mask.as_deref());
            }
        }
        let (values, height, width) = decode(view.vae, &z, shape, false, view.device);
        let picture = Rgb8::from_planar_f32(&values, height, width);
        Ok(Some(Edited { edit: edit.clone(), picture, directions: found }))
    }

    fn basis<'a>(&'a mut self, choice: BasisChoice, view: &'a View<'_>) -> Result<&'a PcaBasis, String> {
        match (choice, view.basis) {
            (BasisChoice::Run, Some(basis)) => Ok(basis),
            (BasisChoice::Run, None) => {
                Err("the run has no basis of its own before its first preview; take the fitted one".into())
            }
            (BasisChoice::Fitted, _) => self.fitted(view),
        }
    }

    /// The fitted directions, fitted now if they are not there.
    fn fitted(&mut self, view: &View<'_>) -> Result<&PcaBasis, String> {
        let basis = match self.fitted.take() {
            Some(basis) => basis,
            None => self.fit(view)?,
        };
        Ok(self.fitted.insert(basis))
    }

    /// Fits directions to latents of held-out pictures; without data, of the pictures looked at.
    fn fit(&mut self, view: &View<'_>) -> Result<PcaBasis, String> {
        let mut wanted = Vec::new();
        for split in [Split::Held, Split::Train] {
            let total = self.gallery.len(split);
            let count = total.min(FIT_PICTURES);
            if wanted.is_empty() {
                wanted = (0..count).map(|i| of_split(split, i * total / count)).collect();
            }
        }
        if wanted.is_empty() {
            wanted = self.shelf.known();
        }
        let (began, mut rows, mut problem, mut read) = (Instant::now(), Vec::new(), None, 0);
        let channels = view.vae.config().latent_channels;
        for which in &wanted {
            match self.shelf.latents(which, &mut self.gallery, view) {
                Ok((_, encoded)) => {
                    let [c, h, w] = encoded.shape;
                    rows.extend(rows_from_latents(&encoded.mean, [1, c, h, w]).map_err(|e| e.to_string())?);
                    read += 1;
                }
                Err(reason) => problem = Some(reason),
            }
            if read >= FIT_LEAST && began.elapsed() > FIT_TIME {
                break;
            }
        }
        let basis = PcaBasis::fit(&rows, channels, channels.min(MAX_DIRECTIONS));
        basis.map_err(|error| problem.unwrap_or_else(|| error.to_string()))
    }
}

fn of_split(split: Split, index: usize) -> PictureRef {
    if split == Split::Held { PictureRef::Held(index) } else { PictureRef::Train(index) }
}

fn check_mask(mask: Option<&[bool]>, [_, h, w]: [usize; 3]) -> Result<(), String> {
    match mask {
        Some(mask) if mask.len() != h * w => {
            Err(format!("the region is of {} positions, the latent has {h} x {w}", mask.len()))
        }
        _ => Ok(()),
    }
}

fn directions(basis: &PcaBasis) -> Vec<Direction> {
    let shares = basis.explained_variance.iter().zip(&basis.explained_variance_ratio);
    shares.map(|(variance, share)| Direction { std: variance.sqrt(), share: *share }).collect()
}
