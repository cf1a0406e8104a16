//! Runs side by side: what differs in their configurations, figures and pictures at equal step or
//! equal time.

use std::collections::{BTreeMap, BTreeSet};

use egui::{Grid, RichText, Sense, Slider, Ui, Vec2};

use super::super::disk::{RECONSTRUCTIONS, SAMPLES};
use super::super::figures;
use super::super::history::{Axis, When};
use super::super::message::Command;
use super::super::state::{AppState, Run};
use super::super::theme::{curve, palette};
use super::super::widgets::{Textures, card, cell_ui, choice_ui, empty_ui, quiet, title};

/// Metrics that are compared.
const FIGURES: [&str; 7] = [
    "psnr_held_out",
    "reconstruction_loss",
    "perceptual_loss",
    "denoising_loss",
    "align_loss",
    "latent_effective_rank",
    "latent_spatial_variance",
];

/// The panel.
pub struct ComparePanel {
    axis: Axis,
    /// How far along the shortest run.
    share: f64,
    textures: Textures,
}

impl Default for ComparePanel {
    fn default() -> Self {
        Self { axis: Axis::Step, share: 1.0, textures: Textures::default() }
    }
}

impl ComparePanel {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "Runs");
            self.choose_ui(ui, state, &mut commands);
        });
        ui.add_space(12.0);
        let runs: Vec<&Run> = state.open.iter().filter(|run| !run.history.rows.is_empty()).collect();
        if runs.len() < 2 {
            empty_ui(
                ui,
                "Take two runs",
                "Choose at least two above; what differs, their figures and their pictures will be here.",
            );
            return commands;
        }
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "What differs");
            differences_ui(ui, &runs);
        });
        ui.add_space(12.0);
        let span = runs
            .iter()
            .filter_map(|run| run.history.rows.last())
            .map(|row| row.on(self.axis))
            .fold(f64::INFINITY, f64::min);
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal_wrapped(|ui| {
                title(ui, "At equal");
                choice_ui(
                    ui,
                    &mut self.axis,
                    &[(Axis::Step, "step"), (Axis::Time, "time"), (Axis::Images, "images")],
                );
                ui.spacing_mut().slider_width = 260.0;
                ui.name_inputs("Point of comparison", |ui| {
                    ui.add(Slider::new(&mut self.share, 0.0..=1.0).show_value(false))
                });
                let at = span * self.share;
                quiet(
                    ui,
                    match self.axis {
                        Axis::Step => format!("step {at:.0}"),
                        Axis::Time => figures::duration(at),
                        Axis::Images => format!("{} images", figures::count(at as u64)),
                    },
                );
            });
            self.side_by_side_ui(ui, state, &runs, span * self.share, &mut commands);
        });
        commands
    }

    fn choose_ui(&mut self, ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
        let cards = state.cards.as_deref().unwrap_or_default();
        let on_disk = cards.iter().map(|card| &card.path);
        let paths: BTreeSet<_> = state.open.iter().map(|run| &run.path).chain(on_disk).collect();
        if paths.is_empty() {
            quiet(ui, "There are none yet.");
        }
        ui.horizontal_wrapped(|ui| {
            for path in paths {
                let mut open = state.run_at(path).is_some();
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                if ui.checkbox(&mut open, name).on_hover_text(path.display().to_string()).changed() {
                    commands.push(if open {
                        Command::Open(path.clone())
                    } else {
                        Command::Close(path.clone())
                    });
                }
            }
        });
    }

    fn side_by_side_ui(
        &mut self,
        ui: &mut Ui,
        state: &AppState,
        runs: &[&Run],
        at: f64,
        commands: &mut Vec<Command>,
    ) {
        let axis = self.axis;
        let steps: Vec<u64> = runs.iter().map(|run| row_at(run, axis, at).step).collect();
        egui::ScrollArea::horizontal().show(ui, |ui| {
            Grid::new("compare").num_columns(runs.len() + 1).spacing([24.0, 8.0]).show(ui, |ui| {
                ui.label("");
                for (i, run) in runs.iter().enumerate() {
                    let index = state.open.iter().position(|other| other.path == run.path).unwrap_or(i);
                    ui.label(RichText::new(run.name()).strong().color(curve(ui.visuals(), index)));
                }
                ui.end_row();
                ui.label("step");
                steps.iter().for_each(|step| drop(ui.label(figures::count(*step))));
                ui.end_row();
                for metric in FIGURES {
                    if !runs.iter().any(|run| run.history.series.contains_key(metric)) {
                        continue;
                    }
                    ui.label(figures::metric(metric));
                    for (run, step) in runs.iter().zip(&steps) {
                        ui.monospace(run.history.at(metric, *step).map_or("–".into(), figures::value));
                    }
                    ui.end_row();
                }
                for name in [SAMPLES, RECONSTRUCTIONS] {
                    if runs.iter().any(|run| run.previews.contains_key(name)) {
                        ui.label(name);
                        for (run, step) in runs.iter().zip(&steps) {
                            self.picture_ui(ui, state, run, name, *step, commands);
                        }
                        ui.end_row();
                    }
                }
            });
        });
    }

    fn picture_ui(
        &mut self,
        ui: &mut Ui,
        state: &AppState,
        run: &Run,
        name: &str,
        step: u64,
        commands: &mut Vec<Command>,
    ) {
        let Some(step) = run.previews.get(name).and_then(|steps| steps.range(..=step).next_back()) else {
            return drop(quiet(ui, "none yet"));
        };
        let key = run.sheet_key(name, *step);
        match state.sheet(&key) {
            Some(Ok(sheet)) => {
                let texture = self.textures.of(ui.ctx(), sheet);
                let [w, h] = sheet.image.size;
                let side = Vec2::new(300.0, 300.0 * h as f32 / w as f32);
                let whole = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::Pos2::new(1.0, 1.0));
                ui.vertical(|ui| {
                    cell_ui(ui, texture, whole, side, &format!("{name} of {}", run.name()), Sense::hover());
                    quiet(ui, format!("step {step}"));
                });
            }
            Some(Err(reason)) => drop(ui.colored_label(palette(ui.visuals()).bad, reason)),
            None => {
                commands.push(Command::Load(key, run.image_px()));
                quiet(ui, "reading…");
            }
        }
    }
}

/// The last row that is not after `at`.
fn row_at(run: &Run, axis: Axis, at: f64) -> When {
    let rows = &run.history.rows;
    let after = rows.partition_point(|row| row.on(axis) <= at);
    rows[..after].last().or(rows.first()).copied().unwrap_or_default()
}

/// Keys whose values are not the same in all runs, with a sentence.
fn differences_ui(ui: &mut Ui, runs: &[&Run]) {
    let values: Vec<BTreeMap<String, String>> = runs
        .iter()
        .map(|run| {
            run.config.as_ref().map(|config| config.values().into_iter().collect()).unwrap_or_default()
        })
        .collect();
    let keys: BTreeSet<&String> = values.iter().flat_map(|values| values.keys()).collect();
    let differ: Vec<&String> =
        keys.into_iter().filter(|key| values.iter().any(|v| v.get(*key) != values[0].get(*key))).collect();
    quiet(ui, sentence(&differ));
    if differ.is_empty() {
        return;
    }
    Grid::new("differences").num_columns(runs.len() + 1).spacing([24.0, 6.0]).show(ui, |ui| {
        ui.label("");
        runs.iter().for_each(|run| drop(ui.strong(run.name())));
        ui.end_row();
        for key in differ {
            let entry = tandem_core::config::KEYS.iter().find(|entry| entry.name == key);
            ui.monospace(key).on_hover_text(entry.map_or("", |entry| entry.sentence));
            for values in &values {
                ui.monospace(values.get(key).map_or("–", |value| value.trim_matches('"')));
            }
            ui.end_row();
        }
    });
}

fn sentence(differ: &[&String]) -> String {
    match differ {
        [] => {
            "Their configurations are the same: what differs is chance of the device, or the time they had."
                .into()
        }
        [one] => format!("They differ in {one} alone."),
        [first, second] => format!("They differ in {first} and {second}."),
        many => {
            let sections: BTreeSet<&str> =
                many.iter().map(|key| key.split('.').next().unwrap_or(key)).collect();
            let sections: Vec<_> = sections.into_iter().collect();
            format!("They differ in {} keys, of: {}.", many.len(), sections.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_what_differs() {
        let (a, b, c) = ("method".to_string(), "train.seed".to_string(), "train.steps".to_string());
        assert!(sentence(&[]).contains("the same"));
        assert_eq!(sentence(&[&a]), "They differ in method alone.");
        assert_eq!(sentence(&[&a, &b, &c]), "They differ in 3 keys, of: method, train.");
    }
}
