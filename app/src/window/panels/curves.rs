//! Every metric as a curve, grouped; several runs over each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use egui::{Rect, Slider, Ui};
use tandem_core::run::metrics::group;

use super::super::figures;
use super::super::history::{Axis, Mark};
use super::super::message::{Command, Export};
use super::super::prefs::CurvePrefs;
use super::super::state::{AppState, Run};
use super::super::theme::{curve, palette};
use super::super::widgets::{Curve, Decimated, Style, card, chart_ui, choice_ui, empty_ui, quiet, title};

/// Groups in the order in which they are read.
const ORDER: [&str; 12] = [
    "Reconstruction",
    "Transformer",
    "Alignment",
    "Held-out PSNR",
    "KL",
    "Discriminator",
    "Gradient norms",
    "Latent structure",
    "Effective rank",
    "Update over weight",
    "Memory",
    "Other",
];

/// Series this short are drawn as they are.
const FEW: usize = 40;

/// Marks that are drawn at most in one chart.
const MAX_MARKS: usize = 60;

/// The curves.
#[derive(Default)]
pub struct CurvesPanel {
    thin: BTreeMap<(PathBuf, String), Decimated>,
    /// Runs that are not drawn though they are open.
    hidden: BTreeSet<PathBuf>,
}

impl CurvesPanel {
    /// Draws them.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        let Some(main) = state.run() else {
            empty_ui(ui, "No curves yet", "Start a run or open one; every metric will be drawn here.");
            return commands;
        };
        if main.history.series.is_empty() {
            empty_ui(ui, "No curves yet", "The first step of this run has not been measured.");
            return commands;
        }
        let shown: Vec<&Run> = state
            .open
            .iter()
            .filter(|run| run.path == main.path || !self.hidden.contains(&run.path))
            .collect();
        self.toolbar_ui(ui, state, main, &mut commands);
        ui.add_space(10.0);
        let curves = state.prefs.curves;
        let groups = groups(&shown);
        let columns = if ui.available_width() > 780.0 { 2 } else { 1 };
        for row in groups.chunks(columns) {
            ui.columns(columns, |uis| {
                for (ui, (name, metrics)) in uis.iter_mut().zip(row) {
                    let rect = card(ui, |ui| {
                        ui.set_width(ui.available_width());
                        title(ui, name);
                        self.chart(ui, name, metrics, &shown, main, &curves)
                    });
                    // A chart is exported by a click with the other button.
                    let response =
                        ui.interact(rect, ui.scope_id().with(("export", name)), egui::Sense::hover());
                    response.context_menu(|ui| {
                        if ui.button("Export as PNG…").clicked() {
                            let file =
                                format!("{}-{}.png", main.name(), name.to_lowercase().replace(' ', "-"));
                            commands.push(Command::Export(Export::Shot(file, rect)));
                            ui.close();
                        }
                    });
                }
            });
            ui.add_space(10.0);
        }
        commands
    }

    fn toolbar_ui(&mut self, ui: &mut Ui, state: &AppState, main: &Run, commands: &mut Vec<Command>) {
        let mut prefs = state.prefs.clone();
        let curves = &mut prefs.curves;
        ui.horizontal_wrapped(|ui| {
            choice_ui(ui, &mut curves.log, &[(false, "Linear"), (true, "Logarithmic")]);
            ui.separator();
            choice_ui(
                ui,
                &mut curves.axis,
                &[(Axis::Step, "Steps"), (Axis::Time, "Time"), (Axis::Images, "Images")],
            );
            ui.separator();
            ui.label("Smoothing");
            ui.spacing_mut().slider_width = 110.0;
            ui.name_inputs("Smoothing", |ui| {
                ui.add(Slider::new(&mut curves.smoothing, 0.0..=0.99).max_decimals(2))
            });
            ui.checkbox(&mut curves.marks, "Marks").on_hover_text("Checkpoints, skipped steps and changes");
            ui.separator();
            if ui.button("Export CSV…").clicked() {
                commands
                    .push(Command::Export(Export::Text(format!("{}.csv", main.name()), main.history.csv())));
            }
            if ui.button("Export PNG…").on_hover_text("The curves as they are on screen").clicked() {
                let rect = ui.clip_rect();
                commands.push(Command::Export(Export::Shot(format!("{}-curves.png", main.name()), rect)));
            }
        });
        if state.open.len() > 1 {
            ui.horizontal_wrapped(|ui| {
                ui.label("Runs");
                for (index, run) in state.open.iter().enumerate() {
                    let mut on = run.path == main.path || !self.hidden.contains(&run.path);
                    let name = egui::RichText::new(run.name()).color(curve(ui.visuals(), index));
                    if ui.add_enabled(run.path != main.path, egui::Checkbox::new(&mut on, name)).changed() {
                        if on {
                            self.hidden.remove(&run.path)
                        } else {
                            self.hidden.insert(run.path.clone())
                        };
                    }
                }
            });
        }
        if prefs != state.prefs {
            commands.push(Command::Prefs(Box::new(prefs)));
        }
    }

    fn chart(
        &mut self,
        ui: &mut Ui,
        name: &str,
        metrics: &[String],
        runs: &[&Run],
        main: &Run,
        prefs: &CurvePrefs,
    ) -> Rect {
        let wanted = |run: &Run| {
            metrics.iter().filter(|m| run.history.series.contains_key(*m)).cloned().collect::<Vec<_>>()
        };
        for run in runs {
            for metric in wanted(run) {
                let series = &run.history.series[&metric];
                let at = |row: u32| run.history.rows[row as usize];
                let last = series.last().map_or(0, |(row, _)| at(*row).step);
                let source = last << 2 | prefs.axis as u64;
                // What only previews measure has too few points to be averaged.
                let smoothing = if series.len() > FEW { prefs.smoothing } else { 0.0 };
                let style = Style { source, smoothing, log: prefs.log };
                let points = series.iter().map(|(row, value)| [at(*row).on(prefs.axis), *value]);
                let thin = self.thin.entry((run.path.clone(), metric)).or_default();
                thin.update(series.len(), style, points);
            }
        }
        let mut curves = Vec::new();
        let many = runs.len() > 1;
        for (r, run) in runs.iter().enumerate() {
            let there = metrics.iter().filter(|metric| run.history.series.contains_key(*metric));
            for (m, metric) in there.enumerate() {
                let colour = curve(ui.visuals(), if many { r + m * runs.len() } else { m });
                let words = figures::metric(metric);
                let Some(thin) = self.thin.get(&(run.path.clone(), metric.clone())) else { continue };
                let name = if many { format!("{} {words}", run.name()) } else { words };
                curves.push(Curve { name, colour, thin, raw: !many, history: &run.history, metric });
            }
        }
        let marks = if prefs.marks { marks_of(ui, main, prefs.axis) } else { Vec::new() };
        if curves.iter().all(|curve| curve.thin.is_empty()) {
            quiet(ui, "Nothing measured");
        }
        chart_ui(ui, name, 210.0, &curves, &marks, (prefs.log, prefs.axis))
    }
}

/// Groups with the metrics that any of `runs` has, in reading order.
fn groups(runs: &[&Run]) -> Vec<(&'static str, Vec<String>)> {
    let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.history.series.keys()).collect();
    let mut by_group: BTreeMap<usize, (&'static str, Vec<String>)> = BTreeMap::new();
    for name in names {
        let group = group(name);
        let place = ORDER.iter().position(|g| *g == group).unwrap_or(ORDER.len());
        by_group.entry(place).or_insert_with(|| (group, Vec::new())).1.push(name.clone());
    }
    by_group.into_values().collect()
}

fn marks_of(ui: &Ui, run: &Run, axis: Axis) -> Vec<(f64, String, egui::Color32)> {
    let p = palette(ui.visuals());
    let rows = &run.history.rows;
    let marks = run.history.marks.iter().rev().take(MAX_MARKS);
    let placed = marks.filter_map(|(step, mark)| {
        let row = rows.partition_point(|row| row.step < *step).min(rows.len().checked_sub(1)?);
        let (words, colour) = match mark {
            Mark::Checkpoint => (format!("checkpoint {step}"), p.line),
            Mark::Skipped => (format!("skipped {step}"), p.bad),
            Mark::Changed(setting) => (format!("{setting} at {step}"), p.amber),
            Mark::Refit => (format!("maps refitted at {step}"), p.quiet),
        };
        Some((rows[row].on(axis), words, colour))
    });
    placed.collect()
}
