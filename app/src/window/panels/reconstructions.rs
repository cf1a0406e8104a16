//! Pictures as the autoencoder gives them back, with maps of their latents and of what the teacher sees,
//! over the run: held-out ones and a person's own.

use egui::{Button, RichText, Sense, Slider, TextEdit, Ui, Vec2};
use tandem_core::engine;

use super::super::disk::RECONSTRUCTIONS;
use super::super::history::Mark;
use super::super::message::{Command, Pick};
use super::super::runs::short_source;
use super::super::sheet::Sheet;
use super::super::state::{AppState, Run};
use super::super::theme::palette;
use super::super::widgets::{Textures, Timeline, card, cell_ui, empty_ui, named, quiet, wipe_ui};

/// Rows of a sheet: name and explanation.
const ROWS: [(&str, &str); 5] = [
    ("Original", "Held-out pictures, on which the run never trains, then your own"),
    ("Reconstruction", "Encoded and decoded again"),
    ("Difference", "Reconstruction less original, four times enlarged; grey is none"),
    (
        "Latent map",
        "The latents' first three principal components as colours; one basis until it is refitted, so colours keep their meaning",
    ),
    ("Teacher map", "The same of the features of the (first) teacher, which never changes"),
];

/// The panel.
pub struct ReconstructionsPanel {
    timeline: Timeline,
    other: Timeline,
    compare: bool,
    share: f32,
    /// Side of a picture; none fits them into the width.
    side: Option<f32>,
    /// A path that is being typed.
    typed: String,
    textures: Textures,
}

impl Default for ReconstructionsPanel {
    fn default() -> Self {
        Self {
            timeline: Timeline::default(),
            other: Timeline::default(),
            compare: false,
            share: 0.5,
            side: None,
            typed: String::new(),
            textures: Textures::default(),
        }
    }
}

impl ReconstructionsPanel {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        let Some(run) = state.run() else {
            empty_ui(
                ui,
                "No pictures yet",
                "Start a run or open one to see how its autoencoder learns to see.",
            );
            return commands;
        };
        let Some(steps) = run.previews.get(RECONSTRUCTIONS).filter(|steps| !steps.is_empty()) else {
            let every = run.config.as_ref().map_or(0, |config| config.preview.every);
            empty_ui(ui, "No pictures yet", &format!("The first reconstructions come at step {every}."));
            return commands;
        };
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            let refits = refits(run);
            self.timeline.ui(ui, (steps, &refits), state.now_s, "reconstructions");
            if self.compare {
                self.other.ui(ui, (steps, &refits), state.now_s, "comparison");
            }
            ui.horizontal_wrapped(|ui| {
                self.view_ui(ui);
                if let Some(psnr) =
                    self.timeline.step(steps).and_then(|step| run.history.at("psnr_held_out", step))
                {
                    quiet(ui, format!("held-out PSNR {psnr:.2} dB"));
                }
                if let Some(step) = refits.last() {
                    quiet(ui, format!("maps refitted at step {step}"))
                        .on_hover_text("Colours before and after it do not compare");
                }
            });
            self.own_ui(ui, state, run, &mut commands);
        });
        ui.add_space(12.0);
        let step = self.timeline.step(steps).unwrap_or_default();
        let second = self.other.step(steps).unwrap_or_default();
        let mut wanted = vec![step];
        if self.compare {
            wanted.push(second);
        }
        // The neighbours are read ahead, so that playing does not stutter.
        wanted.extend(steps.range(step + 1..).take(2));
        for step in wanted {
            let key = run.sheet_key(RECONSTRUCTIONS, step);
            if state.sheet(&key).is_none() {
                commands.push(Command::Load(key, run.image_px()));
            }
        }
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            self.rows_ui(ui, state, run, step, self.compare.then_some(second));
        });
        commands
    }

    /// How the pictures are shown.
    fn view_ui(&mut self, ui: &mut Ui) {
        ui.checkbox(&mut self.compare, "Compare two steps")
            .on_hover_text("Left of the line the first step, right of it the second; drag the line");
        ui.label("Size");
        ui.spacing_mut().slider_width = 120.0;
        let mut side = self.side.unwrap_or(96.0);
        let slider = Slider::new(&mut side, 32.0..=256.0).show_value(false);
        if ui.name_inputs("Size of the pictures", |ui| ui.add(slider)).changed() {
            self.side = Some(side);
        }
        if ui.add_enabled(self.side.is_some(), Button::new("Fit")).clicked() {
            self.side = None;
        }
    }

    /// A person's own pictures, and the colours of the maps.
    fn own_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run, commands: &mut Vec<Command>) {
        use engine::Command as C;
        let on = state.trains_view();
        ui.horizontal_wrapped(|ui| {
            ui.add_enabled_ui(on, |ui| {
                let hint = "Show pictures of your own beside the held-out ones; or drop them here";
                if ui.button("Pin pictures…").on_hover_text(hint).clicked() {
                    commands.push(Command::Pick(Pick::Pinned));
                }
                let edit =
                    TextEdit::singleline(&mut self.typed).desired_width(190.0).hint_text("or type a path");
                let typed = named(ui.add(edit), "Path of a picture to pin");
                let entered = typed.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
                if entered && !self.typed.trim().is_empty() {
                    commands.push(Command::Engine(C::Pin(vec![self.typed.trim().into()])));
                    self.typed.clear();
                }
                let hint = "Fit the maps' colours to what latents and features are now; earlier pictures keep theirs";
                if ui.button("Refit colours").on_hover_text(hint).clicked() {
                    commands.push(Command::Engine(C::Refit));
                }
                let own = run.config.as_ref().map_or(&[][..], |config| &config.preview.images);
                for image in own {
                    let name = short_source(image);
                    let button = Button::new(format!("{name}  ×")).small();
                    let response = ui.add(button).on_hover_text(format!("Show {image} no more"));
                    response.widget_info(|| {
                        egui::WidgetInfo::labeled(egui::accesskit::Role::Button, on, format!("Unpin {name}"))
                    });
                    if response.clicked() {
                        commands.push(Command::Engine(C::Unpin(image.into())));
                    }
                }
            });
            if !on {
                quiet(ui, "Your own pictures and new colours: while the run trains");
            }
        });
    }

    fn rows_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run, step: u64, second: Option<u64>) {
        let p = palette(ui.visuals());
        let sheet = match state.sheet(&run.sheet_key(RECONSTRUCTIONS, step)) {
            Some(Ok(sheet)) => sheet.clone(),
            Some(Err(reason)) => return drop(ui.colored_label(p.bad, reason)),
            None => return drop(quiet(ui, "Reading…")),
        };
        let texture = self.textures.of(ui.ctx(), &sheet);
        let right = second
            .and_then(|second| state.sheet(&run.sheet_key(RECONSTRUCTIONS, second))?.as_ref().ok().cloned());
        let right = right.map(|sheet| (self.textures.of(ui.ctx(), &sheet), sheet));
        let fit = (ui.available_width() / sheet.columns as f32 - 6.0).clamp(32.0, 150.0);
        let side = Vec2::splat(self.side.unwrap_or(fit));
        egui::ScrollArea::horizontal().show(ui, |ui| {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(6.0);
                for row in 0..sheet.rows {
                    let (name, words) =
                        if sheet.rows == 1 { ("Picture", "") } else { ROWS[row.min(ROWS.len() - 1)] };
                    ui.label(RichText::new(name).color(p.quiet)).on_hover_text(words);
                    ui.horizontal(|ui| {
                        for column in 0..sheet.columns {
                            let label = format!("{name} {}", column + 1);
                            let left = (texture, sheet.uv(column, row));
                            // Pictures that were pinned in between are on one side only.
                            let there = |other: &Sheet| column < other.columns && row < other.rows && row > 0;
                            match right.as_ref().filter(|(_, other)| there(other)) {
                                Some((texture, other)) => {
                                    let right = (*texture, other.uv(column, row));
                                    wipe_ui(ui, (left, right), side, &mut self.share, &label);
                                }
                                None => drop(cell_ui(ui, left.0, left.1, side, &label, Sense::hover())),
                            }
                        }
                    });
                    ui.add_space(4.0);
                }
            });
        });
    }
}

/// The steps at which the maps were refitted.
fn refits(run: &Run) -> Vec<u64> {
    let marks = run.history.marks.iter();
    marks.filter(|(_, mark)| *mark == Mark::Refit).map(|(step, _)| *step).collect()
}
