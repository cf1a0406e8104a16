//! Look, size, device, what lies on disk, and the keys.

use egui::{Grid, Slider, Ui};

use super::super::figures;
use super::super::keys::SHORTCUTS;
use super::super::message::Command;
use super::super::prefs::{Look, Prefs};
use super::super::state::AppState;
use super::super::widgets::{card, choice_ui, device_ui, quiet, title};

/// The settings.
#[derive(Default)]
pub struct SettingsPanel {
    measured: bool,
    /// The size while its slider is held: applied at the end, or the slider would run away.
    scale: Option<f32>,
}

impl SettingsPanel {
    /// Draws them.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        if !self.measured {
            self.measured = true;
            commands.push(Command::Measure);
        }
        let mut prefs = state.prefs.clone();
        section_ui(ui, "Look", |ui| self.look_ui(ui, &mut prefs));
        section_ui(ui, "Device for new runs", |ui| {
            device_ui(ui, &mut prefs.device);
            quiet(
                ui,
                "auto takes a graphics card through Vulkan, Metal or DirectX, and the processor where there is none. A software adapter is far slower than the processor; it is for tests.",
            );
        });
        section_ui(ui, "On disk", |ui| places_ui(ui, state, &mut commands));
        section_ui(ui, "Keys", |ui| {
            Grid::new("keys").num_columns(2).spacing([24.0, 5.0]).show(ui, |ui| {
                for (shortcut, words) in SHORTCUTS {
                    ui.monospace(ui.ctx().format_shortcut(&shortcut));
                    ui.label(words);
                    ui.end_row();
                }
            });
        });
        if prefs != state.prefs {
            commands.push(Command::Prefs(Box::new(prefs)));
        }
        commands
    }
    fn look_ui(&mut self, ui: &mut Ui, prefs: &mut Prefs) {
        Grid::new("look").num_columns(2).spacing([20.0, 10.0]).show(ui, |ui| {
            ui.label("Theme");
            let themes = [(Look::System, "As the system"), (Look::Light, "Light"), (Look::Dark, "Dark")];
            choice_ui(ui, &mut prefs.look, &themes);
            ui.end_row();
            ui.label("Size of everything");
            let mut scale = self.scale.unwrap_or(prefs.scale);
            let slider = Slider::new(&mut scale, 0.7..=2.5).step_by(0.05).suffix(" ×");
            let response = ui.name_inputs("Size of everything", |ui| ui.add(slider));
            self.scale = response.dragged().then_some(scale);
            if self.scale.is_none() {
                prefs.scale = scale;
            }
            ui.end_row();
        });
    }
}

fn section_ui(ui: &mut Ui, words: &str, add: impl FnOnce(&mut Ui)) {
    card(ui, |ui| {
        ui.set_width(ui.available_width());
        title(ui, words);
        add(ui);
    });
    ui.add_space(12.0);
}

fn places_ui(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    for (name, path, bytes) in &state.places {
        ui.horizontal(|ui| {
            ui.label(name);
            ui.strong(figures::bytes(*bytes));
            quiet(ui, path.display().to_string());
            if ui.small_button("Show").on_hover_text(format!("Open {name} in the file manager")).clicked() {
                commands.push(Command::Reveal(path.clone()));
            }
        });
    }
    if ui.button("Measure again").clicked() {
        commands.push(Command::Measure);
    }
}
