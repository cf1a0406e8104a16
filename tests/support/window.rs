//! A window's state as it is in the middle of a run, made of numbers that never change.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tandem_core::config::Config;
use tandem_core::engine::Event as Engine;
use tandem_core::run::picture::grid;
use tandem_core::run::{Rgb8, Row};
use tandem_window::message::{DataPeek, Event, OpenedRun, RunCard};
use tandem_window::prefs::{Look, Prefs, Tab};
use tandem_window::sheet::{Sheet, SheetKey};
use tandem_window::state::{AppState, Status};

/// Steps at which previews were made.
pub const PREVIEWS: [u64; 2] = [60, 120];

/// A loss that falls.
pub fn loss(step: u64) -> f32 {
    0.1 + 1.0 / (1.0 + step as f32 * 0.05) + 0.02 * (step as f32 * 0.7).sin()
}

/// Step number `step` of `steps`.
pub fn step_event(step: u64, steps: u64) -> Engine {
    let l = loss(step);
    let values = vec![
        ("reconstruction_loss", l),
        ("perceptual_loss", 0.8 * l),
        ("vae_loss", 2.0 * l),
        ("kl_loss", 900.0 + step as f32),
        ("vae_align_loss", -0.4 + 0.3 * l),
        ("adversarial_loss", 0.1 * l),
        ("discriminator_loss", 1.0 + 0.1 * l),
        ("denoising_loss", 1.2 * l),
        ("align_loss", -0.5 + 0.3 * l),
        ("sit_loss", l),
        ("grad_norm_vae", 3.0 * l),
        ("grad_norm_sit", 0.9 * l),
        ("grad_norm_discriminator", 0.5 * l),
    ];
    Engine::Step {
        step,
        steps,
        values,
        images_per_s: 91.4,
        eta_s: (steps - step) as f64 * 0.35,
        skipped: false,
        wall_s: step as f64 * 0.35,
        images: step * 32,
        memory_bytes: 812 << 20,
    }
}

fn preview_event(step: u64) -> Engine {
    let share = step as f64 / 240.0;
    let values: BTreeMap<String, f64> = [
        ("psnr_held_out", 14.0 + 10.0 * share),
        ("latent_spatial_variance", 0.8 + 0.3 * share),
        ("latent_total_variation", 0.6 + 0.1 * share),
        ("latent_effective_rank", 2.1 + share),
        ("memory_mib", 800.0 + 12.0 * share),
        ("update_ratio_vae", 2e-3),
        ("update_ratio_sit", 1e-3),
        ("update_ratio_discriminator", 4e-2),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into();
    let row = Row { step, wall_s: step as f64 * 0.35, images: step * 32, values };
    Engine::Preview { step, psnr: 14.0 + 10.0 * share, row: Box::new(row) }
}

/// A picture of soft stripes that `share` sharpens.
fn stripes(px: usize, hue: usize, share: f32) -> Rgb8 {
    let mut pixels = Vec::new();
    for y in 0..px {
        for x in 0..px {
            // Plain stripes: they make small files.
            let wave = if (x * 4 / px + y * 2 / px + hue).is_multiple_of(2) { share } else { -0.5 * share };
            for c in 0..3 {
                let tone = 128.0 + 100.0 * wave * (1.0 + ((hue + c) % 3) as f32) / 3.0;
                pixels.push(tone.clamp(0.0, 255.0) as u8);
            }
        }
    }
    Rgb8 { width: px, height: px, pixels }
}

/// A sheet of samples.
pub fn sheet(columns: usize, rows: usize, share: f32) -> Sheet {
    let cells: Vec<_> = (0..columns * rows).map(|i| stripes(32, i, share)).collect();
    Sheet::of_preview(&grid(&cells, columns, 2, [255; 3], 3), 32)
}

/// A sheet of reconstructions.
pub fn reconstructions(share: f32) -> Sheet {
    let row = |share: f32| (0..8).map(move |i| stripes(32, i, share));
    let maps = |hue: usize| (0..8).map(move |i| stripes(8, i + hue, 1.0).enlarged(4));
    let cells: Vec<_> = row(1.0).chain(row(share)).chain(maps(3)).chain(maps(5)).collect();
    Sheet::of_reconstructions(&grid(&cells, 8, 2, [255; 3], 3), 32)
}

/// Settings that do not depend on the machine.
pub fn prefs(tab: Tab) -> Prefs {
    Prefs { tab, look: Look::Dark, ..Prefs::default() }
}

/// A run in training after `step` of 240 steps.
pub fn running(step: u64) -> AppState {
    let mut state = AppState { prefs: prefs(Tab::Training), ..AppState::default() };
    state.now_s = 12.0;
    state.apply(Event::EngineStarting);
    let folder = PathBuf::from("runs/nano-001");
    state.apply(Event::Engine(Engine::Started {
        folder: folder.clone(),
        device: "CPU (2 threads): no graphics adapter was found".into(),
        description: vec!["embedded emoji: 3600 training and 180 held-out images, 9 classes, 32 px".into()],
        step: 0,
        steps: 240,
        config: Box::new(Config::load("nano", &[]).unwrap()),
        classes: ["activities", "animals", "flags", "food"].map(String::from).into(),
    }));
    for step in 1..=step {
        state.now_s += 0.35;
        state.apply(Event::Engine(step_event(step, 240)));
        if PREVIEWS.contains(&step) {
            let share = step as f32 / 240.0;
            let key = |name: &str| SheetKey { run: folder.clone(), name: name.into(), step };
            state.apply(Event::Engine(preview_event(step)));
            state.apply(Event::Sheet(key("samples"), Ok(Arc::new(sheet(4, 4, share)))));
            state.apply(Event::Sheet(key("reconstructions"), Ok(Arc::new(reconstructions(0.3 + share)))));
        }
        if step == 90 {
            let mut config = Box::new(Config::load("nano", &[]).unwrap());
            config.preview.images = vec!["/pictures/cat.png".into()];
            let setting = "preview.images=[\"/pictures/cat.png\"]".into();
            state.apply(Event::Engine(Engine::Changed { step, setting, config }));
            state.apply(Event::Engine(Engine::Refit { step }));
        }
        if step == 120 {
            state.apply(Event::Engine(Engine::Saved {
                step,
                path: "runs/nano-001/checkpoints/step-00000120".into(),
            }));
        }
    }
    state
}

/// A run that broke off.
pub fn failed() -> AppState {
    let mut state = running(130);
    state.apply(Event::Engine(Engine::Failed(
        "vae_loss was not finite in 3 steps in a row (last: step 133); the weights are those of the last good step. \
         Lower the learning rates and go on from the last checkpoint"
            .into(),
    )));
    assert!(matches!(state.live.status, Status::Failed(_)));
    state
}

/// Nothing has happened yet.
pub fn empty() -> AppState {
    AppState { prefs: prefs(Tab::Start), cards: Some(Vec::new()), ..AppState::default() }
}

/// A second run, read from disk, and cards of both.
pub fn with_others(mut state: AppState) -> AppState {
    let view = state.view.clone();
    let run = state.run().unwrap();
    let mut config = run.config.clone().unwrap();
    config.optim.vae_lr = 1e-3;
    config.method = tandem_core::train::step::Method::Naive;
    let mut history = run.history.clone();
    for series in history.series.values_mut() {
        series.iter_mut().for_each(|(_, value)| *value *= 1.15);
    }
    let path = PathBuf::from("runs/naive-001");
    let previews = vec![("samples".to_string(), 60), ("samples".to_string(), 120)];
    state.apply(Event::Opened(Box::new(OpenedRun {
        path: path.clone(),
        config: Some(config),
        history,
        previews,
    })));
    for step in PREVIEWS {
        let key = SheetKey { run: path.clone(), name: "samples".into(), step };
        state.apply(Event::Sheet(key, Ok(Arc::new(sheet(4, 4, 0.2)))));
    }
    if let Some(view) = view {
        state.apply(Event::View(view));
    }
    let card = |path: &str, step, psnr, age_s, share| RunCard {
        path: path.into(),
        steps: (step, Some(240)),
        about: "repa-e on embedded".into(),
        psnr: Some(psnr),
        age_s,
        picture: Some(Arc::new(sheet(4, 4, share))),
    };
    state.apply(Event::Runs(vec![
        card("runs/nano-001", 120, 19.0, 12.0, 0.5),
        card("runs/naive-001", 240, 17.2, 7300.0, 0.2),
        RunCard {
            picture: None,
            psnr: None,
            steps: (0, None),
            ..card("runs/broken-004", 0, 0.0, 400_000.0, 0.1)
        },
    ]));
    state
}

/// What the embedded set would show.
pub fn peek() -> DataPeek {
    let pictures: Vec<_> = (0..24).map(|i| stripes(64, i, 0.9)).collect();
    DataPeek {
        source: "embedded".into(),
        problem: None,
        counts: (3600, 180),
        classes: ["activities", "animals", "flags", "food"].map(|name| (name.to_string(), 900)).into(),
        left_out: vec!["food/broken.png: not a picture".into()],
        thumbs: Some(Arc::new(Sheet::of_pictures(&pictures, 12))),
    }
}
