//! Answers about latents with their pictures ready to draw; made off the thread that draws.

use std::sync::Arc;

use tandem_core::explore::{
    About, Direction, Edited, Found, LatentAnswer, PictureRef, Scatter, Study, TokenFeatures,
};
use tandem_core::run::Rgb8;

use super::colours::{one_sided, two_sided};
use super::sheet::Sheet;

/// Small pictures are enlarged until they have about this side, so that each pixel is a square.
const WANTED_PX: usize = 192;
/// Side of a map of one channel.
const MAP_PX: usize = 64;
/// Channels in a row.
pub const MAP_COLUMNS: usize = 8;

/// An answer, ready to draw.
#[derive(Debug)]
pub struct Ready {
    /// The question's number.
    pub id: u64,
    /// Steps of training behind the models that answered.
    pub step: u64,
    /// The answer, or why there is none.
    pub found: Result<View, String>,
}

/// What an answer shows.
#[derive(Debug)]
pub enum View {
    /// What models and pictures there are.
    About(Box<About>),
    /// Pictures by name.
    Pictures(Vec<(PictureRef, Result<Arc<Thumb>, String>)>),
    /// One picture and its latents.
    Study(Arc<StudyView>),
    /// A picture decoded from changed latents.
    Edited(Arc<EditedView>),
    /// Directions fitted anew.
    Fitted(Vec<Direction>),
    /// Nothing to show.
    Noted,
}

/// A picture that was asked for.
#[derive(Debug)]
pub struct Thumb {
    /// The picture.
    pub sheet: Sheet,
    /// What it is called.
    pub name: String,
    /// Its class, where it has one.
    pub label: Option<usize>,
}

/// One picture and its latents.
#[derive(Debug)]
pub struct StudyView {
    /// Which picture.
    pub picture: PictureRef,
    /// The time at which the transformer looked.
    pub time: Option<f32>,
    /// Steps behind the models.
    pub step: u64,
    /// Original and reconstruction.
    pub pictures: Sheet,
    /// How close they are, dB.
    pub psnr: f64,
    /// `[z, h, w]`.
    pub shape: [usize; 3],
    /// Means and deviations.
    pub mean: ChannelMaps,
    /// Deviations.
    pub std: ChannelMaps,
    /// Features of tokens.
    pub spaces: Vec<TokenFeatures>,
    /// Why some are missing.
    pub without: Vec<String>,
}

/// A map of each channel.
#[derive(Debug)]
pub struct ChannelMaps {
    /// The maps, [`MAP_COLUMNS`] in a row.
    pub sheet: Sheet,
    /// Least and greatest value of each channel.
    pub ranges: Vec<(f32, f32)>,
    /// `[z, h, w]`.
    pub values: Vec<f32>,
}

/// A picture decoded from changed latents.
#[derive(Debug)]
pub struct EditedView {
    /// The change, and the directions of a push.
    pub edited: Edited,
    /// Steps behind the models.
    pub step: u64,
    /// The picture.
    pub sheet: Sheet,
}

/// The scatter plot.
#[derive(Debug)]
pub struct ScatterView {
    /// What the engine said.
    pub scatter: Scatter,
    /// All small pictures.
    pub atlas: Sheet,
    /// Least and greatest of each coordinate.
    pub bounds: ([f32; 2], [f32; 2]),
}

/// The picture large enough that its pixels are squares.
pub fn enlarged(picture: &Rgb8) -> Rgb8 {
    picture.enlarged(WANTED_PX / picture.width.max(1))
}

/// Makes an answer ready.
pub fn ready(answer: LatentAnswer) -> Ready {
    let LatentAnswer { id, step, found } = answer;
    Ready { id, step, found: found.map(|found| view(found, step)) }
}

fn view(found: Found, step: u64) -> View {
    match found {
        Found::About(about) => View::About(about),
        Found::Pictures(all) => {
            let thumb = |shown: tandem_core::explore::Shown| {
                let sheet = Sheet::of_pictures(&[enlarged(&shown.picture)], 1);
                Arc::new(Thumb { sheet, name: shown.name, label: shown.label })
            };
            View::Pictures(all.into_iter().map(|(which, shown)| (which, shown.map(thumb))).collect())
        }
        Found::Study(study) => View::Study(Arc::new(study_view(*study, step))),
        Found::Edited(edited) => {
            let sheet = Sheet::of_pictures(&[enlarged(&edited.picture)], 1);
            View::Edited(Arc::new(EditedView { edited: *edited, step, sheet }))
        }
        Found::Fitted(directions) => View::Fitted(directions),
        Found::Noted => View::Noted,
    }
}

fn study_view(study: Study, step: u64) -> StudyView {
    let pictures = [enlarged(&study.original), enlarged(&study.reconstruction)];
    let Study { picture, time, psnr, shape, mean, std, spaces, without, .. } = study;
    let two = |value: f32, (low, high): (f32, f32)| two_sided(value, low.abs().max(high.abs()));
    let one = |value: f32, (_, high): (f32, f32)| one_sided(value, 0.0, high);
    StudyView {
        picture,
        time,
        step,
        pictures: Sheet::of_pictures(&pictures, 2),
        psnr,
        shape,
        mean: channel_maps(mean, shape, two),
        std: channel_maps(std, shape, one),
        spaces,
        without,
    }
}

fn channel_maps(
    values: Vec<f32>,
    [_, h, w]: [usize; 3],
    colour: impl Fn(f32, (f32, f32)) -> [u8; 3],
) -> ChannelMaps {
    let (mut maps, mut ranges) = (Vec::new(), Vec::new());
    for plane in values.chunks_exact((h * w).max(1)) {
        let range = plane.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
        let pixels = plane.iter().flat_map(|value| colour(*value, range)).collect();
        let map = Rgb8 { width: w, height: h, pixels };
        maps.push(map.enlarged(MAP_PX / w.max(1)));
        ranges.push(range);
    }
    ChannelMaps { sheet: Sheet::of_pictures(&maps, MAP_COLUMNS), ranges, values }
}

/// Makes a scatter plot ready.
pub fn scatter_view(scatter: Scatter) -> ScatterView {
    let columns = (scatter.thumbs.len() as f64).sqrt().ceil() as usize;
    let atlas = Sheet::of_pictures(&scatter.thumbs, columns);
    let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for point in &scatter.points {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    ScatterView { scatter, atlas, bounds: (low, high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_maps_have_a_cell_and_a_range_for_each_channel() {
        let values: Vec<f32> = (0..40).map(|i| i as f32 - 20.0).collect();
        let maps = channel_maps(values, [10, 2, 2], |value, (low, high)| {
            if value == low {
                [1, 0, 0]
            } else if value == high {
                [0, 1, 0]
            } else {
                [0, 0, 1]
            }
        });
        assert_eq!((maps.sheet.columns, maps.sheet.rows, maps.ranges.len()), (8, 2, 10));
        assert_eq!(maps.ranges[9], (16.0, 19.0));
        let [width, height] = maps.sheet.image.size;
        let at = |column: usize, row: usize, fx: f32, fy: f32| {
            let uv = maps.sheet.uv(column, row);
            let (x, y) = (uv.left() + fx * uv.width(), uv.top() + fy * uv.height());
            maps.sheet.image[((x * width as f32) as usize, (y * height as f32) as usize)].to_array()
        };
        assert_eq!((at(1, 1, 0.2, 0.2), at(1, 1, 0.8, 0.8)), ([1, 0, 0, 255], [0, 1, 0, 255]));
        assert_eq!(at(0, 0, 0.8, 0.2), [0, 0, 1, 255]);
    }

    #[test]
    fn bounds_hold_every_point() {
        let scatter = Scatter {
            wish: tandem_core::explore::ScatterWish { count: 16, flat: false, anew: false },
            step: 3,
            done: (2, 16),
            points: vec![[1.0, -2.0], [-4.0, 3.0]],
            share: [0.6, 0.3],
            pictures: vec![(0, 0), (1, 1)],
            thumbs: Arc::new(vec![Rgb8::filled(4, 4, [9; 3]); 2]),
            left_out: 0,
            problem: None,
        };
        let view = scatter_view(scatter);
        assert_eq!(view.bounds, ([-4.0, -2.0], [1.0, 3.0]));
        assert_eq!((view.atlas.columns, view.atlas.rows), (2, 1));
    }
}
