//! What the transformer draws: the preview grid over time, and pictures on request while it trains.

use std::sync::Arc;

use egui::{ComboBox, DragValue, Grid, Sense, Slider, Ui, Vec2};
use tandem_core::engine::{Question, Start};
use tandem_core::sample::{SampleConfig, Solver};

use super::super::disk::SAMPLES;
use super::super::message::{Answered, Command};
use super::super::state::{AppState, Run};
use super::super::theme::palette;
use super::super::widgets::{Textures, Timeline, card, cell_ui, empty_ui, primary, quiet, title, wipe_ui};

/// The panel.
pub struct SamplesPanel {
    timeline: Timeline,
    other: Timeline,
    compare: bool,
    share: f32,
    ask: Ask,
    /// Ask again whenever something changes.
    follow: bool,
    next_id: u64,
    last: Option<Question>,
    /// The way that was brought into sight.
    seen_path: Option<u64>,
    textures: Textures,
}

/// What is asked for.
#[derive(Clone, PartialEq)]
struct Ask {
    class: Option<usize>,
    count: usize,
    cfg: f64,
    interval: (f64, f64),
    steps: usize,
    solver: Solver,
    seed: u64,
}

impl Default for SamplesPanel {
    fn default() -> Self {
        let ask = Ask {
            class: None,
            count: 16,
            cfg: 2.0,
            interval: (0.0, 1.0),
            steps: 25,
            solver: Solver::Euler,
            seed: 0,
        };
        Self {
            timeline: Timeline::default(),
            other: Timeline::default(),
            compare: false,
            share: 0.5,
            ask,
            follow: true,
            next_id: 1,
            last: None,
            seen_path: None,
            textures: Textures::default(),
        }
    }
}

impl SamplesPanel {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        let Some(run) = state.run() else {
            empty_ui(ui, "No samples yet", "Start a run or open one to see what its transformer draws.");
            return commands;
        };
        let live = state.answers();
        let has_grid = run.previews.get(SAMPLES).is_some_and(|steps| !steps.is_empty());
        if !has_grid && !live && state.live.saved.is_none() && run.history.rows.is_empty() {
            empty_ui(ui, "No samples yet", "This run has not come far enough to draw any.");
            return commands;
        }
        if ui.available_width() > 820.0 {
            ui.columns_const(|[left, right]| {
                self.grid_ui(left, state, run, &mut commands);
                self.ask_ui(right, state, run, live, &mut commands);
            });
        } else {
            self.grid_ui(ui, state, run, &mut commands);
            ui.add_space(12.0);
            self.ask_ui(ui, state, run, live, &mut commands);
        }
        commands
    }

    fn grid_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run, commands: &mut Vec<Command>) {
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "Over the run");
            quiet(ui, "Always the same noise and classes, so that only the transformer changes.");
            let Some(steps) = run.previews.get(SAMPLES).filter(|steps| !steps.is_empty()) else {
                let every = run.config.as_ref().map_or(0, |config| config.preview.every);
                return drop(quiet(ui, format!("The first grid comes at step {every}.")));
            };
            self.timeline.ui(ui, (steps, &[]), state.now_s, "samples");
            if self.compare {
                self.other.ui(ui, (steps, &[]), state.now_s, "comparison");
            }
            ui.checkbox(&mut self.compare, "Compare two steps").on_hover_text("Drag the line between them");
            let step = self.timeline.step(steps).unwrap_or_default();
            let second = self.other.step(steps).unwrap_or_default();
            for step in [step, second].into_iter().chain(steps.range(step + 1..).take(2).copied()) {
                let key = run.sheet_key(SAMPLES, step);
                if state.sheet(&key).is_none() {
                    commands.push(Command::Load(key, run.image_px()));
                }
            }
            let sheet = match state.sheet(&run.sheet_key(SAMPLES, step)) {
                Some(Ok(sheet)) => sheet.clone(),
                Some(Err(reason)) => return drop(ui.colored_label(palette(ui.visuals()).bad, reason)),
                None => return drop(quiet(ui, "Reading…")),
            };
            let texture = self.textures.of(ui.ctx(), &sheet);
            let [w, h] = sheet.image.size;
            let width = ui.available_width().min(620.0);
            let side = Vec2::new(width, width * h as f32 / w as f32);
            let whole = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::Pos2::new(1.0, 1.0));
            let other = state.sheet(&run.sheet_key(SAMPLES, second)).and_then(|sheet| sheet.as_ref().ok());
            match other.filter(|_| self.compare) {
                Some(other) => {
                    let right = self.textures.of(ui.ctx(), other);
                    let name = format!("Samples of step {step} and step {second}");
                    wipe_ui(ui, ((texture, whole), (right, whole)), side, &mut self.share, &name);
                }
                None => drop(cell_ui(
                    ui,
                    texture,
                    whole,
                    side,
                    &format!("Samples of step {step}"),
                    Sense::hover(),
                )),
            }
        });
    }

    fn ask_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run, live: bool, commands: &mut Vec<Command>) {
        let before = self.ask.clone();
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "On request");
            if !live {
                quiet(
                    ui,
                    "Load the model of the last checkpoint to draw what you ask for; a run in training does so between two steps.",
                );
                let free = !state.live.status.is_live();
                if ui
                    .add_enabled(free, primary("Load the model", ui))
                    .on_disabled_hover_text("A run is training")
                    .clicked()
                {
                    let device = state.prefs.device.parse().unwrap_or_default();
                    commands.push(Command::Train(Box::new(Start::Look { folder: run.path.clone(), device })));
                }
            }
            ui.add_enabled_ui(live, |ui| self.form_ui(ui, state, run));
            ui.horizontal(|ui| {
                let asked = ui.add_enabled(live, primary("Draw", ui)).clicked();
                ui.checkbox(&mut self.follow, "when something changes");
                if live && (asked || self.follow && self.ask != before) {
                    let question = self.question(run, state.live.classes.len(), None);
                    commands.push(Command::Ask(Box::new(question)));
                }
                if state.waiting.is_some() {
                    quiet(ui, "drawing…");
                }
            });
            if let Some(answered) = &state.samples {
                self.answer_ui(ui, run, state, answered, live, commands);
            }
            if let Some(path) = &state.path {
                self.path_ui(ui, path);
                if self.seen_path != Some(path.answer.id) {
                    // It comes below what was clicked, perhaps out of sight.
                    self.seen_path = Some(path.answer.id);
                    ui.scroll_to_cursor(Some(egui::Align::Max));
                }
            }
        });
    }

    fn form_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run) {
        let ask = &mut self.ask;
        let classes = &state.live.classes;
        Grid::new("ask").num_columns(2).spacing([14.0, 6.0]).show(ui, |ui| {
            ui.label("Class");
            let name = |class: Option<usize>| match class {
                None => "all in turn".to_string(),
                Some(class) => classes.get(class).cloned().unwrap_or_else(|| "no class".into()),
            };
            ui.name_inputs("Class", |ui| {
                ComboBox::from_id_salt("class").selected_text(name(ask.class)).show_ui(ui, |ui| {
                    let all = std::iter::once(None).chain((0..=classes.len()).map(Some));
                    for class in all {
                        ui.selectable_value(&mut ask.class, class, name(class));
                    }
                })
            });
            ui.end_row();
            ui.label("Guidance").on_hover_text("How much more of the class than without one; 1 is none");
            ui.name_inputs("Guidance", |ui| ui.add(Slider::new(&mut ask.cfg, 1.0..=8.0).max_decimals(2)));
            ui.end_row();
            ui.label("Between times").on_hover_text("Guidance acts between these; 1 is noise, 0 is data");
            ui.horizontal(|ui| {
                let (low, high) = &mut ask.interval;
                ui.name_inputs("Guidance from time", |ui| {
                    ui.add(DragValue::new(low).range(0.0..=1.0).speed(0.01))
                });
                ui.label("and");
                ui.name_inputs("Guidance to time", |ui| {
                    ui.add(DragValue::new(high).range(0.0..=1.0).speed(0.01))
                });
            });
            ui.end_row();
            ui.label("Solver");
            ui.horizontal(|ui| {
                for (solver, name) in [(Solver::Euler, "Euler"), (Solver::Heun, "Heun"), (Solver::Sde, "SDE")]
                {
                    ui.selectable_value(&mut ask.solver, solver, name);
                }
            });
            ui.end_row();
            ui.label("Steps");
            ui.name_inputs("Solver steps", |ui| {
                ui.add(Slider::new(&mut ask.steps, 1..=250).logarithmic(true))
            });
            ui.end_row();
            ui.label("Seed");
            ui.horizontal(|ui| {
                ui.name_inputs("Noise seed", |ui| ui.add(DragValue::new(&mut ask.seed).speed(0.1)));
                if ui.button("Next").on_hover_text("Other noise").clicked() {
                    ask.seed += 1;
                }
                if let Some(seed) = run.config.as_ref().map(|config| config.train.seed)
                    && ui.button("As previews").clicked()
                {
                    ask.seed = seed;
                }
            });
            ui.end_row();
            ui.label("Pictures");
            ui.name_inputs("Number of pictures", |ui| ui.add(Slider::new(&mut ask.count, 1..=64)));
            ui.end_row();
        });
    }

    fn question(&mut self, run: &Run, classes: usize, path_of: Option<usize>) -> Question {
        let ask = &self.ask;
        let labels = (0..ask.count).map(|i| ask.class.unwrap_or(i % classes.max(1))).collect();
        let path = run.config.as_ref().map_or(tandem_core::sit::Path::Linear, |config| config.sit.path);
        let config =
            SampleConfig { solver: ask.solver, steps: ask.steps, cfg: ask.cfg, interval: ask.interval, path };
        let question = Question { id: self.next_id, labels, seed: ask.seed, config, path_of };
        self.next_id += 1;
        if path_of.is_none() {
            self.last = Some(question.clone());
        }
        question
    }

    fn answer_ui(
        &mut self,
        ui: &mut Ui,
        run: &Run,
        state: &AppState,
        answered: &Arc<Answered>,
        live: bool,
        commands: &mut Vec<Command>,
    ) {
        let sheet = &answered.pictures;
        let texture = self.textures.of(ui.ctx(), sheet);
        let step = answered.answer.step;
        quiet(ui, format!("Drawn at step {step}. Click a picture to see its way from noise."));
        let gap = 4.0;
        let side = ((ui.available_width().min(520.0) - gap * (sheet.columns as f32 - 1.0))
            / sheet.columns as f32)
            .clamp(20.0, 200.0);
        let mut clicked = None;
        ui.spacing_mut().item_spacing = Vec2::splat(gap);
        for row in 0..sheet.rows {
            ui.horizontal(|ui| {
                for column in 0..sheet.columns {
                    let index = row * sheet.columns + column;
                    if index < answered.answer.pictures.len() {
                        let name = format!("Sample {}", index + 1);
                        if cell_ui(
                            ui,
                            texture,
                            sheet.uv(column, row),
                            Vec2::splat(side),
                            &name,
                            Sense::click(),
                        )
                        .clicked()
                        {
                            clicked = Some(index);
                        }
                    }
                }
            });
        }
        if let Some(index) = clicked.filter(|_| live) {
            let mut question = self.question(run, state.live.classes.len(), Some(index));
            // The way of the picture that was clicked, whatever the form says by now.
            if let Some(last) = &self.last {
                question = Question { id: question.id, path_of: Some(index), ..last.clone() };
            }
            commands.push(Command::Ask(Box::new(question)));
        }
    }

    fn path_ui(&mut self, ui: &mut Ui, answered: &Arc<Answered>) {
        ui.add_space(8.0);
        title(ui, "From noise to picture");
        let rows = [
            ("The picture that each step points to", Some(&answered.pictures)),
            ("The state itself, decoded", answered.states.as_ref()),
        ];
        for (words, sheet) in rows {
            let Some(sheet) = sheet else { continue };
            let texture = self.textures.of(ui.ctx(), sheet);
            quiet(ui, words);
            let side = Vec2::splat(
                ((ui.available_width() - 4.0 * sheet.columns as f32) / sheet.columns as f32)
                    .clamp(20.0, 72.0),
            );
            ui.spacing_mut().item_spacing = Vec2::splat(4.0);
            for row in 0..sheet.rows {
                ui.horizontal(|ui| {
                    for column in 0..sheet.columns {
                        let index = row * sheet.columns + column;
                        if index < answered.answer.pictures.len() {
                            let name = format!("{words}, step {index}");
                            cell_ui(ui, texture, sheet.uv(column, row), side, &name, Sense::hover());
                        }
                    }
                });
            }
        }
    }
}
