//! Questions about latents and what comes back.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::tokens::TokenFeatures;
use crate::run::Rgb8;

/// A picture that can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PictureRef {
    /// A held-out picture of the data, by number.
    Held(usize),
    /// A training picture, by number.
    Train(usize),
    /// A picture file: its middle square.
    File(PathBuf),
}

impl fmt::Display for PictureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(index) => write!(f, "held-out picture {}", index + 1),
            Self::Train(index) => write!(f, "training picture {}", index + 1),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A question; a newer one overtakes it.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentQuestion {
    /// Comes back with the answer.
    pub id: u64,
    /// What is asked.
    pub wish: Wish,
}

/// What a person wants to see.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// What models and pictures there are.
    About,
    /// Pictures as the model sees them, at most 64.
    Pictures(Vec<PictureRef>),
    /// One picture: its reconstruction, its latents, and its tokens' features.
    Study {
        /// The picture.
        picture: PictureRef,
        /// Time in 0..=1 at which the transformer looks (0 is data, 1 is noise); none leaves the
        /// features out.
        time: Option<f32>,
    },
    /// A picture decoded from changed latents.
    Edit(Edit),
    /// Fit the directions of [`BasisChoice::Fitted`] anew.
    Fit,
    /// Encode training pictures for the scatter plot, in the background.
    Scatter(ScatterWish),
    /// Leave off encoding.
    StopScatter,
}

/// A change of latents.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Along principal directions of the data's latents.
    Push {
        /// The picture.
        picture: PictureRef,
        /// Which directions.
        basis: BasisChoice,
        /// How far along each, in standard deviations of the data.
        amounts: Vec<f32>,
        /// Where, row by row over the latent's positions; none is everywhere.
        mask: Option<Vec<bool>>,
    },
    /// Between pictures.
    Blend {
        /// Two (left, right) or four (top left, top right, bottom left, bottom right).
        corners: Vec<PictureRef>,
        /// Place between them, each in 0..=1, from the left and from the top.
        at: [f32; 2],
        /// The way from one to another.
        way: Blend,
    },
    /// A region of one picture in another.
    Swap {
        /// The picture that is changed.
        into: PictureRef,
        /// The picture that the region comes from.
        from: PictureRef,
        /// The region, as in `Push`.
        mask: Option<Vec<bool>>,
    },
}

impl Edit {
    /// The pictures it is about.
    pub fn pictures(&self) -> Vec<PictureRef> {
        match self {
            Self::Push { picture, .. } => vec![picture.clone()],
            Self::Blend { corners, .. } => corners.clone(),
            Self::Swap { into, from, .. } => vec![into.clone(), from.clone()],
        }
    }
}

/// Which principal directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BasisChoice {
    /// Those that colour the run's latent maps: fixed for the whole run.
    Run,
    /// Fitted to the latents of held-out pictures when first asked for, or anew on [`Wish::Fit`].
    #[default]
    Fitted,
}

/// The way between two latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blend {
    /// In a straight line.
    #[default]
    Straight,
    /// On the arc between them, the norm changing evenly.
    Spherical,
}

/// What the scatter plot is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterWish {
    /// Training pictures, evenly spread over the set.
    pub count: usize,
    /// Latents as they lie (pooled to at most 256 values), instead of their means over tokens.
    pub flat: bool,
    /// Encode again with the weights of now, even when all are encoded already.
    pub anew: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentAnswer {
    /// The question's number.
    pub id: u64,
    /// Steps of training behind the models that answered.
    pub step: u64,
    /// The answer, or in one line why there is none.
    pub found: Result<Found, String>,
}

/// An answer's content.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// To [`Wish::About`].
    About(Box<About>),
    /// To [`Wish::Pictures`], in order; a picture that cannot be read has its own reason.
    Pictures(Vec<(PictureRef, Result<Shown, String>)>),
    /// To [`Wish::Study`].
    Study(Box<Study>),
    /// To [`Wish::Edit`].
    Edited(Box<Edited>),
    /// To [`Wish::Fit`]: the new directions.
    Fitted(Vec<Direction>),
    /// The background work was begun or ended; its results come by themselves.
    Noted,
}

/// What models and pictures there are.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// Side of the pictures.
    pub image_px: usize,
    /// Channels and positions of a latent, `[z, h, w]`.
    pub latent: [usize; 3],
    /// Held-out and training pictures.
    pub counts: (usize, usize),
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Why there are no pictures of the data, if so.
    pub without_data: Option<String>,
    /// Blocks of the transformer before the features, if there is one.
    pub align_depth: Option<usize>,
    /// Directions of the run's own basis; none without a run, or before its first preview.
    pub run_basis: Option<Vec<Direction>>,
}

/// A principal direction of the data's latents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Direction {
    /// Standard deviation of the data along it.
    pub std: f32,
    /// Its share of the whole variance, 0 to 1.
    pub share: f32,
}

/// A picture as the model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The picture.
    pub picture: Rgb8,
    /// What it is called.
    pub name: String,
    /// Its class, when it is one of the data's.
    pub label: Option<usize>,
}

/// One picture and its latents.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// Which picture.
    pub picture: PictureRef,
    /// The time that was asked for.
    pub time: Option<f32>,
    /// The picture.
    pub original: Rgb8,
    /// Encoded and decoded again.
    pub reconstruction: Rgb8,
    /// How close that is, dB.
    pub psnr: f64,
    /// `[z, h, w]`.
    pub shape: [usize; 3],
    /// Means of the posterior, `[z, h, w]`.
    pub mean: Vec<f32>,
    /// Standard deviations of the posterior, `[z, h, w]`.
    pub std: Vec<f32>,
    /// Features of tokens: of the latent, of the transformer, of each teacher.
    pub spaces: Vec<TokenFeatures>,
    /// Why some are missing, a line each.
    pub without: Vec<String>,
}

/// A picture decoded from changed latents.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// The change.
    pub edit: Edit,
    /// The picture.
    pub picture: Rgb8,
    /// For a push, the directions there are.
    pub directions: Vec<Direction>,
}

/// The scatter plot, as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// What was asked for.
    pub wish: ScatterWish,
    /// Steps of training behind the encoder, the same for all points.
    pub step: u64,
    /// Pictures encoded, and to be encoded.
    pub done: (usize, usize),
    /// A place for each of the first pictures, in the first two principal components.
    pub points: Vec<[f32; 2]>,
    /// Their share of the variance.
    pub share: [f32; 2],
    /// Training picture and class of each point.
    pub pictures: Vec<(usize, usize)>,
    /// A small picture of each point.
    pub thumbs: Arc<Vec<Rgb8>>,
    /// Pictures that could not be read.
    pub left_out: usize,
    /// Why it broke off, if so.
    pub problem: Option<String>,
}
