//! Whether training is well: each figure with the range in which it should be, and why.

use egui::{Color32, RichText, Ui};

use super::super::figures;
use super::super::history::Axis;
use super::super::message::Command;
use super::super::state::{AppState, Run};
use super::super::theme::{Palette, curve, palette};
use super::super::widgets::{Curve, Decimated, Style, card, chart_ui, empty_ui, quiet, title};

/// Steps that a rate looks back over.
const BACK: usize = 100;

/// One figure: how it is judged.
struct Sign {
    name: String,
    value: Option<f64>,
    unit: &'static str,
    /// What is normal, and what it means when it is not.
    words: &'static str,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Good,
    Watch,
    Bad,
    /// There is no range that is right for every run.
    Open,
}

impl Verdict {
    /// Good inside `good`, to be watched inside `watch`, else bad.
    fn of(value: Option<f64>, good: (f64, f64), watch: (f64, f64)) -> Self {
        match value {
            None => Self::Open,
            Some(x) if (good.0..=good.1).contains(&x) => Self::Good,
            Some(x) if (watch.0..=watch.1).contains(&x) => Self::Watch,
            Some(_) => Self::Bad,
        }
    }

    fn words(self, p: &Palette) -> (&'static str, Color32) {
        match self {
            Self::Good => ("well", p.good),
            Self::Watch => ("watch", p.amber),
            Self::Bad => ("not well", p.bad),
            Self::Open => ("", p.quiet),
        }
    }
}

/// The panel.
#[derive(Default)]
pub struct HealthPanel {
    thin: Vec<Decimated>,
}

impl HealthPanel {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let Some(run) = state.run().filter(|run| !run.history.rows.is_empty()) else {
            empty_ui(ui, "Nothing to examine yet", "Start a run or open one; its pulse will be here.");
            return Vec::new();
        };
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "The collapse meter");
            quiet(
                ui,
                "When the diffusion loss reaches the autoencoder, latents become trivially easy: their spatial variance \
                 and rank fall while the denoising loss looks better and better. Alignment keeps them rich.",
            );
            ui.add_space(4.0);
            let channels =
                run.config.as_ref().map_or(f64::INFINITY, |config| config.vae.latent_channels as f64);
            signs_ui(ui, &latents(run, channels));
        });
        ui.add_space(12.0);
        let steps = steps(run);
        if ui.available_width() > 860.0 {
            ui.columns_const(|[left, right]| {
                signs_card(left, "Gradients and steps", &steps);
                self.charts_ui(right, run);
            });
        } else {
            signs_card(ui, "Gradients and steps", &steps);
            ui.add_space(12.0);
            self.charts_ui(ui, run);
        }
        Vec::new()
    }

    fn charts_ui(&mut self, ui: &mut Ui, run: &Run) {
        let charts = [
            ("Effective rank over the run", "latent_effective_rank"),
            ("Spatial variance over the run", "latent_spatial_variance"),
            ("Memory over the run, MiB", "memory_mib"),
        ];
        self.thin.resize_with(charts.len(), Decimated::default);
        for (index, (words, metric)) in charts.into_iter().enumerate() {
            let Some(series) = run.history.series.get(metric) else { continue };
            let at = |row: u32| run.history.rows[row as usize].step;
            let last = series.last().map_or(0, |(row, _)| at(*row));
            let thin = &mut self.thin[index];
            let style = Style { source: last ^ egui::Id::unique(&run.path).value(), ..Style::default() };
            thin.update(series.len(), style, series.iter().map(|(row, value)| [at(*row) as f64, *value]));
            card(ui, |ui| {
                ui.set_width(ui.available_width());
                title(ui, words);
                let colour = curve(ui.visuals(), index);
                let name = figures::metric(metric);
                let line = Curve { name, colour, thin, raw: false, history: &run.history, metric };
                chart_ui(ui, metric, 130.0, &[line], &[], (false, Axis::Step));
            });
            ui.add_space(10.0);
        }
    }
}

fn signs_card(ui: &mut Ui, words: &str, signs: &[Sign]) {
    card(ui, |ui| {
        ui.set_width(ui.available_width());
        title(ui, words);
        signs_ui(ui, signs);
    });
}

fn signs_ui(ui: &mut Ui, signs: &[Sign]) {
    let p = palette(ui.visuals());
    for sign in signs {
        let Some(value) = sign.value else { continue };
        let (word, colour) = sign.verdict.words(&p);
        ui.horizontal(|ui| {
            let (dot, _) = ui.allocate_exact_size(egui::Vec2::splat(10.0), egui::Sense::hover());
            ui.painter().circle_filled(dot.center(), 4.0, colour);
            ui.label(&sign.name);
            let text = format!("{}{}", figures::value(value), sign.unit);
            ui.label(RichText::new(text).strong());
            ui.label(RichText::new(word).small().color(colour));
        });
        ui.label(RichText::new(sign.words).small().color(p.quiet));
        ui.add_space(4.0);
    }
}

fn latents(run: &Run, channels: f64) -> Vec<Sign> {
    let history = &run.history;
    let last = |name: &str| history.last(name);
    let rank = last("latent_effective_rank");
    let variance = last("latent_spatial_variance");
    // The first preview is the yardstick: what counts is whether it falls.
    let first =
        history.series.get("latent_spatial_variance").and_then(|series| series.first()).map(|(_, v)| *v);
    let kept = variance.zip(first).map(|(now, first)| now / first.max(1e-12));
    vec![
        Sign {
            name: "Effective rank".into(),
            value: rank,
            unit: "",
            words: "How many latent channels are really used, from 1 to their number. Above half is rich; near 1 everything \
                    lies on one line: collapse.",
            verdict: Verdict::of(rank.map(|rank| rank / channels), (0.5, 1.01), (0.3, 0.5)),
        },
        Sign {
            name: "Spatial variance".into(),
            value: variance,
            unit: "",
            words: "How much latents differ from place to place within a picture.",
            verdict: Verdict::Open,
        },
        Sign {
            name: "Variance kept since the first preview".into(),
            value: kept,
            unit: " ×",
            words: "Around 1 or above is healthy. A steady fall below a half while the denoising loss improves is the collapse \
                    that the method exists to prevent.",
            verdict: Verdict::of(kept, (0.6, f64::INFINITY), (0.3, 0.6)),
        },
        Sign {
            name: "Total variation".into(),
            value: last("latent_total_variation"),
            unit: "",
            words: "Mean step between neighbours in the latents. Noise-like latents have much, flat ones none.",
            verdict: Verdict::Open,
        },
        Sign {
            name: "KL".into(),
            value: last("kl_loss"),
            unit: "",
            words: "Distance of the posterior from a unit normal, summed over a picture. It grows at first and levels off; \
                    growth without end means latents run away.",
            verdict: Verdict::Open,
        },
    ]
}

fn steps(run: &Run) -> Vec<Sign> {
    let history = &run.history;
    let max = run.config.as_ref().map_or(f64::INFINITY, |config| config.optim.max_grad_norm);
    let mut signs = Vec::new();
    for (network, metric, ratio) in [
        ("autoencoder", "grad_norm_vae", "update_ratio_vae"),
        ("transformer", "grad_norm_sit", "update_ratio_sit"),
        ("discriminator", "grad_norm_discriminator", "update_ratio_discriminator"),
    ] {
        let tail = history.tail(metric, BACK);
        signs.push(Sign {
            name: format!("Gradient norm, {network}"),
            value: tail.last().map(|(_, value)| *value),
            unit: "",
            words: "Global norm before clipping. Sudden jumps by a factor of ten announce trouble.",
            verdict: Verdict::Open,
        });
        let clipped = tail.iter().filter(|(_, value)| *value > max).count();
        let rate = (!tail.is_empty()).then(|| 100.0 * clipped as f64 / tail.len() as f64);
        signs.push(Sign {
            name: format!("Clipped, {network}"),
            value: rate,
            unit: " % of the last 100 steps",
            words: "Early on, clipping is normal. When nearly every step is clipped late in a run, the learning rate is really \
                    set by the clip.",
            verdict: Verdict::of(rate, (0.0, 90.0), (90.0, 100.0)),
        });
        let update = history.last(ratio);
        signs.push(Sign {
            name: format!("Update over weight, {network}"),
            value: update,
            unit: "",
            words: "How far one step moves the weights, as a share of them. Around 1e-3 is usual; above 1e-2 is wild, below 1e-5 \
                    hardly anything is learned.",
            verdict: Verdict::of(update, (1e-5, 1e-2), (1e-7, 5e-2)),
        });
    }
    let align =
        [("vae_align_loss", "Alignment, autoencoder pass"), ("align_loss", "Alignment, transformer pass")];
    for (metric, name) in align {
        let value = history.last(metric);
        signs.push(Sign {
            name: name.into(),
            value,
            unit: "",
            words: "Minus the mean cosine similarity with the teacher: −1 is perfect, 0 is chance.",
            verdict: Verdict::of(value, (-1.0, -0.2), (-0.2, 0.05)),
        });
    }
    let skipped = history.num_skipped() as f64;
    signs.push(Sign {
        name: "Skipped steps".into(),
        value: Some(skipped),
        unit: "",
        words: "Steps dropped whole because a value was not finite. Three in a row end a run.",
        verdict: Verdict::of(Some(skipped), (0.0, 0.0), (1.0, 5.0)),
    });
    signs
}
