//! A window's state with the explorer's answers in it, made of numbers that never change.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use tandem_core::engine::Event as Engine;
use tandem_core::explore::{
    About, BasisChoice, Direction, Edit, Edited, Found, LatentAnswer, LatentQuestion, PictureRef, Scatter,
    ScatterWish, Shown, Study, TokenFeatures, Wish,
};
use tandem_core::run::Rgb8;
use tandem_window::explorer_state::ExplorerEvent;
use tandem_window::explorer_views::{ready, scatter_view};
use tandem_window::message::Event;
use tandem_window::state::AppState;

pub const CLASSES: [&str; 4] = ["activities", "animals", "flags", "food"];

/// A picture of two tones in large squares: it makes a small file.
pub fn picture(hue: usize) -> Rgb8 {
    let tone = |x: usize, y: usize| if (x / 8 + y / 8 + hue).is_multiple_of(2) { 210 } else { 60 };
    let channel = |tone: u8, c: usize| if c == hue % 3 { tone } else { tone / 2 };
    let pixels =
        (0..32 * 32).flat_map(|at| (0..3).map(move |c| channel(tone(at % 32, at / 32), c))).collect();
    Rgb8 { width: 32, height: 32, pixels }
}

/// The question goes out and is answered.
pub fn answer(state: &mut AppState, wish: Wish, found: Result<Found, String>) {
    let id = state.explorer.last_id + 1;
    let question = Box::new(LatentQuestion { id, wish });
    state.apply(Event::Explorer(ExplorerEvent::Asked(question)));
    let answer = Box::new(ready(LatentAnswer { id, step: state.live.step, found }));
    state.apply(Event::Explorer(ExplorerEvent::Answered(answer)));
}

pub fn held(index: usize) -> PictureRef {
    PictureRef::Held(index)
}

/// The four pictures that the places hold at first.
pub fn first_pictures() -> Vec<PictureRef> {
    (0..4).map(|slot| held(slot * 180 / 5)).collect()
}

/// What models and pictures there are.
pub fn with_about(state: &mut AppState) {
    let about = About {
        image_px: 32,
        latent: [4, 8, 8],
        counts: (180, 3600),
        classes: CLASSES.map(String::from).into(),
        without_data: None,
        align_depth: Some(2),
        run_basis: Some(directions()[..3].to_vec()),
    };
    answer(state, Wish::About, Ok(Found::About(Box::new(about))));
    let shown = |(index, which): (usize, PictureRef)| {
        let name = format!("{} number {index}", CLASSES[index % 4]);
        (which, Ok(Shown { picture: picture(index), name, label: Some(index % 4) }))
    };
    let pictures = first_pictures();
    let all = pictures.clone().into_iter().enumerate().map(shown).collect();
    answer(state, Wish::Pictures(pictures), Ok(Found::Pictures(all)));
}

pub fn directions() -> Vec<Direction> {
    [0.55, 0.25, 0.12, 0.08].map(|share: f32| Direction { std: share.sqrt(), share }).to_vec()
}

/// A look at the first picture, with the features of its tokens at `time`.
pub fn with_study(state: &mut AppState, time: Option<f32>) {
    let wave = |c: usize, at: usize| {
        let (x, y) = ((at % 8) as f32 / 8.0, (at / 8) as f32 / 8.0);
        ((1.0 + c as f32) * x + y * 2.0).sin() * (1.0 + c as f32)
    };
    let mean: Vec<f32> = (0..256).map(|i| wave(i / 64, i % 64)).collect();
    let rows = |width: usize| (0..64 * width).map(|i| wave(i % width, i / width) + 0.3).collect::<Vec<f32>>();
    let spaces = ["Latent", "Transformer, block 2", "efficientnet-lite0"];
    let features = |name: &str| TokenFeatures::new(name, [8, 8], 4, rows(4));
    let study = Study {
        picture: held(0),
        time,
        original: picture(0),
        reconstruction: picture(0),
        psnr: 24.31,
        shape: [4, 8, 8],
        std: mean.iter().map(|value| 0.1 + value.abs() / 9.0).collect(),
        mean,
        spaces: if time.is_some() { spaces.map(features).into() } else { Vec::new() },
        without: Vec::new(),
    };
    answer(state, Wish::Study { picture: held(0), time }, Ok(Found::Study(Box::new(study))));
}

/// An edit decoded.
pub fn with_edited(state: &mut AppState, edit: Edit) {
    let push = matches!(&edit, Edit::Push { .. });
    let directions = if push { directions() } else { Vec::new() };
    let edited = Edited { edit: edit.clone(), picture: picture(2), directions };
    answer(state, Wish::Edit(edit), Ok(Found::Edited(Box::new(edited))));
}

/// The first picture pushed by nothing.
pub fn still() -> Edit {
    Edit::Push { picture: held(0), basis: BasisChoice::Fitted, amounts: vec![0.0; 4], mask: None }
}

/// A plot of 200 pictures in four heaps, one for each class.
pub fn with_scatter(state: &mut AppState) {
    let point = |i: usize| {
        let (label, turn) = (i % 4, i as f32 * 2.4);
        let radius = (i as f32 / 200.0).sqrt();
        let centre = [[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, -2.0]][label];
        [centre[0] + radius * turn.cos(), centre[1] + radius * turn.sin()]
    };
    let scatter = Scatter {
        wish: ScatterWish { count: 200, flat: false, anew: false },
        step: state.live.step,
        done: (200, 200),
        points: (0..200).map(point).collect(),
        share: [0.61, 0.22],
        pictures: (0..200).map(|i| (18 * i, i % 4)).collect(),
        thumbs: Arc::new((0..200).map(|i| picture(i % 4)).collect()),
        left_out: 0,
        problem: None,
    };
    state.apply(Event::Explorer(ExplorerEvent::Scatter(Arc::new(scatter_view(scatter)))));
}

/// An autoencoder without a run.
pub fn with_model(state: &mut AppState) {
    state.apply(Event::EngineStarting);
    state.apply(Event::Engine(Engine::Exploring {
        model: "stabilityai/sd-vae-ft-mse".into(),
        about: "autoencoder in a diffusers folder: 4 channels at 1/8".into(),
        device: "CPU (2 threads): no graphics adapter was found".into(),
        image_px: 256,
    }));
}
