//! Which model is explored, and how to open another one.

use egui::{ComboBox, RichText, TextEdit, Ui};
use tandem_core::engine::{self, Start};

use crate::figures;
use crate::message::{Command, Pick};
use crate::state::{AppState, Status};
use crate::theme::palette;
use crate::widgets::{named, primary, quiet};

/// Sides to which pictures can be brought for an autoencoder without a run.
const SIDES: [usize; 5] = [32, 64, 128, 256, 512];

/// Room for the buttons beside the field.
const BUTTONS: f32 = 270.0;

/// What is typed.
#[derive(Default)]
pub struct Source {
    text: String,
}

impl Source {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
        ui.horizontal_wrapped(|ui| {
            model_ui(ui, state, commands);
            // What opens another one stays together: beside the model where there is room, else below it.
            if ui.available_size_before_wrap().x < BUTTONS + 170.0 {
                ui.end_row();
            } else {
                ui.separator();
            }
            let edit = TextEdit::singleline(&mut self.text)
                .hint_text("Path, or name of a fetched model")
                .desired_width((ui.available_size_before_wrap().x - BUTTONS).clamp(140.0, 300.0));
            let typed = named(ui.add(edit), "Path or name of what to open");
            let entered = typed.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let full = !self.text.trim().is_empty();
            let clicked = ui.add_enabled(full, egui::Button::new("Open")).clicked();
            if full && (clicked || entered) {
                commands.push(Command::OpenAny(self.text.trim().to_string()));
            }
            let folder = ui
                .button("Folder…")
                .on_hover_text("A run, an autoencoder as diffusers saves it, or pictures");
            if folder.clicked() {
                commands.push(Command::Pick(Pick::Folder));
            }
            let file = ui.button("File…").on_hover_text("An autoencoder (.safetensors, .pt) or a picture");
            if file.clicked() {
                commands.push(Command::Pick(Pick::File));
            }
        });
    }
}

/// What answers now, and the button that changes it.
fn model_ui(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let p = palette(ui.visuals());
    let name = |path: &std::path::Path| {
        path.file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let live = &state.live;
    if state.explores() {
        match (&state.explorer.model, &live.folder) {
            (Some(model), _) => {
                ui.strong(name(std::path::Path::new(&model.name))).on_hover_text(&model.name);
                quiet(ui, &model.about);
                side_ui(ui, state, model.image_px, &model.name, commands);
            }
            (None, Some(folder)) => {
                ui.strong(name(folder)).on_hover_text(folder.display().to_string());
                let word = match live.status {
                    Status::Running => "in training, step",
                    Status::Paused => "paused at step",
                    _ => "step",
                };
                ui.label(RichText::new(format!("{word} {}", figures::count(live.step))).color(p.quiet));
            }
            (None, None) => {}
        }
        if live.status == Status::Looking
            && ui.small_button("Close").on_hover_text("Free its memory").clicked()
        {
            commands.push(Command::Engine(engine::Command::Stop));
        }
    } else {
        ui.strong("No model is loaded");
    }
    let other = state.run().filter(|run| !state.explores() || live.folder.as_ref() != Some(&run.path));
    if let Some(run) = other.filter(|_| !live.status.is_live()) {
        let text = format!("Load {}", run.name());
        if ui.add(primary(&text, ui)).on_hover_text("The newest checkpoint of the run that is open").clicked()
        {
            let device = state.prefs.device.parse().unwrap_or_default();
            commands.push(Command::Train(Box::new(Start::Look { folder: run.path.clone(), device })));
        }
    }
}

/// Pictures of another side, for an autoencoder without a run.
fn side_ui(ui: &mut Ui, state: &AppState, px: usize, model: &str, commands: &mut Vec<Command>) {
    let mut chosen = px;
    ui.name_inputs("Side of the pictures", |ui| {
        ComboBox::from_id_salt("side").width(80.0).selected_text(format!("{px} px")).show_ui(ui, |ui| {
            for side in SIDES {
                ui.selectable_value(&mut chosen, side, format!("{side} px"));
            }
        })
    });
    if chosen != px {
        let device = state.prefs.device.parse().unwrap_or_default();
        let start = Start::Explore { model: model.to_string(), px: Some(chosen), device };
        commands.push(Command::Train(Box::new(start)));
    }
}
