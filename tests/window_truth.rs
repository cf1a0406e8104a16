//! Nothing on screen lies: two real short runs, and each number that the panels show of them against
//! their `metrics.jsonl`. Numbers on screen have four digits; they are read back as a person would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "tests fail loudly"
)]

mod tiny;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use egui::{Pos2, Rect, Vec2, accesskit::Role};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use tandem_core::config::Config;
use tandem_core::device::DeviceChoice;
use tandem_core::engine::{Command, Engine, Start};
use tandem_core::run::{Row, latest_complete, metrics};
use tandem_window::app::App;
use tandem_window::message::Event;
use tandem_window::prefs::Tab;
use tandem_window::state::AppState;
use tandem_window::{figures, runs};
use tiny::TINY;

const STEPS: u64 = 14;

/// A run on disk and what its log says.
struct Run {
    path: PathBuf,
    rows: Vec<Row>,
    config: Config,
}

impl Run {
    fn name(&self) -> String {
        self.path.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The last value of a metric at or before `step`.
    fn at(&self, metric: &str, step: u64) -> Option<f64> {
        let rows = self.rows.iter().filter(|row| row.step <= step);
        rows.filter_map(|row| row.values.get(metric)).next_back().copied()
    }

    fn last(&self, metric: &str) -> f64 {
        self.at(metric, u64::MAX).unwrap_or_else(|| panic!("{metric} was not measured"))
    }

    /// All values of a metric, in order.
    fn all(&self, metric: &str) -> Vec<f64> {
        self.rows.iter().filter_map(|row| row.values.get(metric).copied()).collect()
    }

    fn metrics(&self) -> BTreeSet<String> {
        self.rows.iter().flat_map(|row| row.values.keys().cloned()).collect()
    }
}

/// Trains, and tells `state` what the engine tells, as the window does.
fn train(out: &Path, seed: u64, state: &mut AppState) -> Run {
    let own = [
        format!("train.steps={STEPS}"),
        format!("train.seed={seed}"),
        "preview.every=4".into(),
        "eval.every=4".into(),
        "eval.num=4".into(),
        "train.checkpoint_every=5".into(),
    ];
    let settings: Vec<String> = TINY.iter().map(|s| s.to_string()).chain(own).collect();
    let config = Config::load("nano", &settings).unwrap();
    let start = Start::New {
        config: Box::new(config.clone()),
        out: Some(out.to_path_buf()),
        name: "truth".into(),
        device: DeviceChoice::Cpu,
    };
    state.apply(Event::EngineStarting);
    let engine = Engine::start(start).unwrap();
    engine.commands.send(Command::Set("optim.vae_lr=2e-4".into())).unwrap();
    for event in engine.events.iter() {
        state.apply(Event::Engine(event));
    }
    state.apply(Event::EngineClosed);
    assert!(!matches!(state.live.status, tandem_window::state::Status::Failed(_)), "{:?}", state.live);
    let rows = metrics::read(&out.join("metrics.jsonl")).unwrap();
    Run { path: out.to_path_buf(), rows, config }
}

/// A run that the window watched, and one that it reads from disk.
fn two_runs(folder: &Path) -> (AppState, Run, Run) {
    let mut state = AppState::default();
    let watched = train(&folder.join("watched"), 0, &mut state);
    let read = train(&folder.join("read"), 1, &mut AppState::default());
    state.apply(Event::Opened(Box::new(runs::open(&read.path).unwrap())));
    state.apply(Event::View(watched.path.clone()));
    (state, watched, read)
}

/// Whether `shown`, which has four digits, stands for `truth`.
fn agrees(shown: f64, truth: f64) -> bool {
    (shown - truth).abs() <= 6e-4 * truth.abs() + 1e-12
}

/// The number at the start of `text`.
fn number(text: &str) -> f64 {
    let word = text.split(' ').next().unwrap();
    word.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// A page of the window, and its words in the order in which they are drawn.
struct Page {
    window: Harness<'static, App>,
}

impl Page {
    fn new(mut state: AppState, tab: Tab) -> Self {
        state.prefs.tab = tab;
        let mut window = Harness::builder()
            .with_size(Vec2::new(1440.0, 3600.0))
            .build_eframe(move |cc| App::still(state, cc.egui_ctx.clone()));
        // Pictures that nobody reads are asked for in every frame, so it never comes to rest.
        window.run_steps(4);
        Self { window }
    }

    fn words(&self) -> Vec<(String, Rect)> {
        let labels = self.window.root().query_all_by_role(Role::Label).map(|node| {
            let text = node.accesskit_node().value().or_else(|| node.accesskit_node().label());
            (text.unwrap_or_default(), node.rect())
        });
        labels.collect()
    }

    /// The texts that follow the label `name`.
    fn after(&self, name: &str, count: usize) -> Vec<String> {
        let words = self.words();
        let at = words.iter().position(|(text, _)| text == name);
        let at = at.unwrap_or_else(|| panic!("{name} is not on the page: {words:#?}"));
        words[at + 1..].iter().take(count).map(|(text, _)| text.clone()).collect()
    }

    fn state(self) -> AppState {
        self.window.into_state().take_state()
    }
}

#[test]
fn figures_signs_and_comparisons_are_those_of_the_log() {
    assert!(agrees(0.1234, 0.12342) && !agrees(0.1234, 0.1236) && !agrees(1234.0, 1236.0));
    let folder = tempfile::tempdir().unwrap();
    let (state, watched, read) = two_runs(folder.path());
    let state = training(state, &watched);
    let state = health(state, &watched);
    compare(state, &watched, &read);
}

fn training(state: AppState, run: &Run) -> AppState {
    let page = Page::new(state, Tab::Training);
    for (name, metric) in [
        ("L1", "reconstruction_loss"),
        ("LPIPS", "perceptual_loss"),
        ("KL", "kl_loss"),
        ("denoising", "denoising_loss"),
        ("alignment, transformer pass", "align_loss"),
        ("held-out PSNR, dB", "psnr_held_out"),
    ] {
        let shown = number(&page.after(name, 1)[0]);
        assert!(agrees(shown, run.last(metric)), "{name}: {shown}, {metric} {}", run.last(metric));
    }
    let last = run.rows.last().unwrap();
    assert_eq!(page.after("Step", 1)[0], format!("{} / {STEPS}", last.step));
    assert_eq!(page.after("Trained for", 1)[0], format!("{:.0} s", last.wall_s));
    let saved = latest_complete(&run.path).unwrap().newest.unwrap().0;
    assert_eq!(page.after("Last checkpoint", 1)[0], format!("step {saved}"));
    let memory = page.after("Memory", 1)[0].clone();
    assert!(memory.ends_with("MiB"), "{memory}");
    // Read at another moment of the same run.
    assert!((number(&memory) / run.last("memory_mib") - 1.0).abs() < 0.25, "{memory}");
    page.state()
}

fn health(state: AppState, run: &Run) -> AppState {
    let page = Page::new(state, Tab::Health);
    for (name, metric) in [
        ("Effective rank", "latent_effective_rank"),
        ("Spatial variance", "latent_spatial_variance"),
        ("Total variation", "latent_total_variation"),
        ("KL", "kl_loss"),
        ("Gradient norm, autoencoder", "grad_norm_vae"),
        ("Gradient norm, transformer", "grad_norm_sit"),
        ("Gradient norm, discriminator", "grad_norm_discriminator"),
        ("Update over weight, autoencoder", "update_ratio_vae"),
        ("Update over weight, transformer", "update_ratio_sit"),
        ("Update over weight, discriminator", "update_ratio_discriminator"),
        ("Alignment, autoencoder pass", "vae_align_loss"),
        ("Alignment, transformer pass", "align_loss"),
    ] {
        let shown = number(&page.after(name, 1)[0]);
        assert!(agrees(shown, run.last(metric)), "{name}: {shown}, {metric} {}", run.last(metric));
    }
    let variance = run.all("latent_spatial_variance");
    let kept = number(&page.after("Variance kept since the first preview", 1)[0]);
    assert!(agrees(kept, variance.last().unwrap() / variance[0]), "{kept}, {variance:?}");
    for (name, metric) in [
        ("Clipped, autoencoder", "grad_norm_vae"),
        ("Clipped, transformer", "grad_norm_sit"),
        ("Clipped, discriminator", "grad_norm_discriminator"),
    ] {
        let norms = run.all(metric);
        let over = norms.iter().filter(|norm| **norm > run.config.optim.max_grad_norm).count();
        let shown = number(&page.after(name, 1)[0]);
        assert!(agrees(shown, 100.0 * over as f64 / norms.len() as f64), "{name}: {shown}");
    }
    let skipped = run.rows.iter().filter(|row| row.values.values().any(|value| !value.is_finite())).count();
    assert_eq!(number(&page.after("Skipped steps", 1)[0]), skipped as f64);
    page.state()
}

fn compare(state: AppState, watched: &Run, read: &Run) {
    let page = Page::new(state, Tab::Compare);
    assert_eq!(page.after("step", 2), [STEPS.to_string(), STEPS.to_string()]);
    let mut different = 0;
    for metric in [
        "psnr_held_out",
        "reconstruction_loss",
        "perceptual_loss",
        "denoising_loss",
        "align_loss",
        "latent_effective_rank",
        "latent_spatial_variance",
    ] {
        let shown = page.after(&figures::metric(metric), 2);
        for (shown, run) in shown.iter().zip([watched, read]) {
            assert!(agrees(number(shown), run.last(metric)), "{metric} of {}: {shown}", run.name());
        }
        different += usize::from(shown[0] != shown[1]);
    }
    assert!(different > 4, "two seeds, two runs");
}

/// What a line says that was read at the pointer: run, metric and value, and its step where it is another.
type Reading<'a> = (&'a Run, String, f64, Option<u64>);

fn line<'a>(text: &str, runs: &[&'a Run]) -> Option<Reading<'a>> {
    let mut best: Option<(usize, Reading<'a>)> = None;
    for run in runs {
        for metric in run.metrics() {
            let name = format!("{} {} ", run.name(), figures::metric(&metric));
            let Some(rest) = text.strip_prefix(&name) else { continue };
            let (value, step) = match rest.split_once(" (step ") {
                Some((value, step)) => (value, step.trim_end_matches(')').parse().ok()),
                None => (rest, None),
            };
            let Ok(value) = value.parse::<f64>() else { continue };
            if best.as_ref().is_none_or(|(length, _)| name.len() > *length) {
                best = Some((name.len(), (run, metric, value, step)));
            }
        }
    }
    best.map(|(_, found)| found)
}

#[test]
fn what_the_pointer_reads_off_the_curves_is_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (state, watched, read) = two_runs(folder.path());
    let both = [&watched, &read];
    let mut page = Page::new(state, Tab::Curves);
    let groups: BTreeSet<&str> = watched.metrics().iter().map(|name| metrics::group(name)).collect();
    let titles = page.words().into_iter().filter(|(text, _)| groups.contains(text.as_str()));
    let places: Vec<Rect> = titles.map(|(_, rect)| rect).collect();
    assert_eq!(places.len(), groups.len(), "each group has its chart");
    let (mut checked, mut seen) = (0, BTreeSet::new());
    for place in places {
        for k in 0..14 {
            let at = Pos2::new(place.left() + 60.0 + 36.0 * k as f32, place.bottom() + 150.0);
            page.window.hover_at(at);
            page.window.run_steps(2);
            let words = page.words();
            let mut tips = words.iter().filter(|(text, _)| text.starts_with("step ") && text.contains('\n'));
            let Some((tip, _)) = tips.next_back() else { continue };
            let head = tip.lines().next().unwrap();
            let step: u64 = head.trim_start_matches("step ").parse().unwrap();
            for text in
                tip.lines().skip(1).filter(|text| !text.contains(" at ") && !text.contains("checkpoint"))
            {
                let (run, metric, value, other) =
                    line(text, &both).unwrap_or_else(|| panic!("{text:?} is nothing that was measured"));
                let step = other.unwrap_or(step);
                let rows = run.rows.iter().filter(|row| row.step == step);
                let truths: Vec<f64> = rows.filter_map(|row| row.values.get(&metric).copied()).collect();
                assert!(
                    truths.iter().any(|truth| agrees(value, *truth)),
                    "{metric} of {} at step {step}: {value} is shown, the log says {truths:?}",
                    run.name()
                );
                checked += 1;
                seen.insert(metric);
            }
        }
    }
    println!("{checked} readings of {} metrics", seen.len());
    assert_eq!(seen, watched.metrics(), "every metric was read");
    assert!(checked > 200);
}
