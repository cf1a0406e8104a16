//! The run that trains: where it is, what it measures, and what can be changed while it runs.

use std::collections::BTreeMap;

use egui::{Button, DragValue, Grid, RichText, Sense, Ui, Vec2};
use tandem_core::config::KEYS;
use tandem_core::engine::{self, Start};

use super::super::figures;
use super::super::history::Mark;
use super::super::message::Command;
use super::super::prefs::Tab;
use super::super::state::{AppState, Run, Status};
use super::super::theme::palette;
use super::super::widgets::{Textures, bar_ui, card, cell_ui, empty_ui, figure, primary, quiet, title};

/// Keys that may change while a run is on, in groups.
const LIVE: [(&str, &[&str]); 4] = [
    (
        "Autoencoder losses",
        &["loss.reconstruction_weight", "loss.perceptual_weight", "loss.kl_weight", "discriminator.weight"],
    ),
    ("Alignment", &["align.vae_weight", "align.sit_weight"]),
    ("Learning rates", &["optim.vae_lr", "optim.sit_lr", "optim.discriminator_lr", "optim.max_grad_norm"]),
    ("Average and previews", &["ema.decay", "preview.cfg", "preview.every", "train.checkpoint_every"]),
];

/// Metrics that are shown as figures.
const FIGURES: [&str; 6] =
    ["reconstruction_loss", "perceptual_loss", "kl_loss", "denoising_loss", "align_loss", "psnr_held_out"];

/// The least size of a button.
const BUTTON: Vec2 = Vec2::new(96.0, 32.0);

/// The training view.
#[derive(Default)]
pub struct TrainingPanel {
    /// Values that are being dragged or typed, by key.
    dragged: BTreeMap<&'static str, f64>,
    extend_to: Option<u64>,
    textures: Textures,
}

impl TrainingPanel {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        let live = state.live.status.is_live();
        // A run that is being opened has no folder yet.
        let trained = || state.live.folder.as_deref().and_then(|path| state.run_at(path));
        let run = if live { trained() } else { state.run() };
        if run.is_none() && !live {
            if let Status::Failed(reason) = &state.live.status {
                failed_ui(ui, state, reason);
                ui.add_space(12.0);
            }
            empty_ui(
                ui,
                "Nothing is training",
                "Start a run, or open one and train on from its last checkpoint.",
            );
            ui.vertical_centered(|ui| {
                if ui.add(primary("New run…", ui).min_size(Vec2::new(140.0, 36.0))).clicked() {
                    commands.push(Command::Go(Tab::NewRun));
                }
            });
            return commands;
        }
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            self.state_ui(ui, state, run, &mut commands);
        });
        if let Status::Failed(reason) = &state.live.status {
            ui.add_space(12.0);
            failed_ui(ui, state, reason);
        }
        let Some(run) = run else { return commands };
        ui.add_space(12.0);
        let wide = ui.available_width() > 900.0;
        if wide {
            ui.columns_const(|[left, right]| {
                self.now_ui(left, state, run, &mut commands);
                self.controls_ui(right, state, run, &mut commands);
            });
        } else {
            self.now_ui(ui, state, run, &mut commands);
            ui.add_space(12.0);
            self.controls_ui(ui, state, run, &mut commands);
        }
        commands
    }

    fn state_ui(&mut self, ui: &mut Ui, state: &AppState, run: Option<&Run>, commands: &mut Vec<Command>) {
        let p = palette(ui.visuals());
        let live = &run.map_or_else(|| state.live.clone(), |run| state.progress_of(run));
        let name = run.map_or("One moment".into(), Run::name);
        let (word, colour) = match &live.status {
            Status::Running => ("training", p.teal),
            Status::Starting => ("starting", p.amber),
            Status::Paused => ("paused", p.amber),
            Status::Stopping => ("saving", p.amber),
            Status::Failed(_) => ("failed", p.bad),
            Status::Finished => ("done", p.good),
            Status::Idle | Status::Looking => ("not training", p.quiet),
        };
        ui.horizontal(|ui| {
            ui.label(RichText::new(name).size(20.0));
            ui.label(RichText::new(word).color(colour));
        });
        ui.add_space(2.0);
        let share = if live.steps > 0 { live.step as f32 / live.steps as f32 } else { 0.0 };
        bar_ui(ui, share, colour, 8.0);
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 34.0;
            let shown = |is: bool, text: String| if is { text } else { "–".into() };
            let runs = live.status == Status::Running;
            figure(ui, "Step", format!("{} / {}", figures::count(live.step), figures::count(live.steps)), "");
            figure(
                ui,
                "Images a second",
                shown(runs && live.images_per_s > 0.0, format!("{:.1}", live.images_per_s)),
                "Over the last 20 steps",
            );
            figure(
                ui,
                "Time left",
                shown(runs && live.eta_s > 0.0, figures::duration(live.eta_s)),
                "At the rate of the last steps",
            );
            figure(
                ui,
                "Trained for",
                shown(live.wall_s > 0.0, figures::duration(live.wall_s)),
                "Seconds in training steps, resumed parts included",
            );
            figure(
                ui,
                "Memory",
                shown(live.memory_bytes > 0, figures::bytes(live.memory_bytes)),
                "What this program holds",
            );
            figure(ui, "Last checkpoint", live.saved.map_or("–".into(), |step| format!("step {step}")), "");
        });
        if !live.device.is_empty() {
            quiet(ui, format!("On {}", live.device)).on_hover_text(live.description.join("\n"));
        }
        ui.add_space(6.0);
        self.buttons_ui(ui, state, run, commands);
    }

    fn buttons_ui(&mut self, ui: &mut Ui, state: &AppState, run: Option<&Run>, commands: &mut Vec<Command>) {
        ui.horizontal_wrapped(|ui| match run {
            _ if state.live.status.is_live() => live_buttons_ui(ui, state, commands),
            Some(run) => self.rest_buttons_ui(ui, state, run, commands),
            None => {}
        });
    }

    /// What a run that does not train can do.
    fn rest_buttons_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run, commands: &mut Vec<Command>) {
        let last = run.history.rows.last().map_or(0, |row| row.step);
        let planned = run.config.as_ref().map_or(last, |config| config.train.steps);
        let default = if last >= planned { planned + planned / 2 } else { planned };
        let mut to = self.extend_to.unwrap_or(default);
        if ui.add_enabled(to > last, primary("Train on", ui).min_size(BUTTON)).clicked() {
            let device = state.prefs.device.parse().unwrap_or_default();
            let start = Start::Resume { folder: run.path.clone(), steps: Some(to), device };
            commands.push(Command::Train(Box::new(start)));
            self.extend_to = None;
        }
        ui.label("to step");
        if ui.name_inputs("Train on to step", |ui| ui.add(DragValue::new(&mut to).speed(10))).changed() {
            self.extend_to = Some(to);
        }
        if ui.add(Button::new("Open folder").min_size(BUTTON)).clicked() {
            commands.push(Command::Reveal(run.path.clone()));
        }
    }

    /// Figures and newest pictures.
    fn now_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run, commands: &mut Vec<Command>) {
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "Now");
            let shown: Vec<_> =
                FIGURES.iter().filter_map(|name| Some((*name, run.history.last(name)?))).collect();
            if shown.is_empty() {
                quiet(ui, "The first step has not been done yet.");
            }
            Grid::new("figures").num_columns(3).spacing([28.0, 10.0]).show(ui, |ui| {
                for (i, (name, value)) in shown.iter().enumerate() {
                    figure(ui, &figures::metric(name), figures::value(*value), name);
                    if i % 3 == 2 {
                        ui.end_row();
                    }
                }
            });
            ui.add_space(6.0);
            let newest = |name: &str| Some((name.to_string(), *run.previews.get(name)?.last()?));
            let Some((name, step)) = newest("samples").or_else(|| newest("reconstructions")) else {
                if let Some(config) = &run.config {
                    quiet(ui, format!("The first pictures come at step {}.", config.preview.every));
                }
                return;
            };
            let key = run.sheet_key(&name, step);
            match state.sheet(&key) {
                Some(Ok(sheet)) => {
                    let texture = self.textures.of(ui.ctx(), sheet);
                    let [w, h] = sheet.image.size;
                    let width = ui.available_width().min(460.0);
                    let whole = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::Pos2::new(1.0, 1.0));
                    let side = Vec2::new(width, width * h as f32 / w as f32);
                    let words = format!("Newest {name}, step {step}");
                    if cell_ui(ui, texture, whole, side, &words, Sense::click()).clicked() {
                        let tab = if name == "samples" { Tab::Samples } else { Tab::Reconstructions };
                        commands.push(Command::Go(tab));
                    }
                    quiet(
                        ui,
                        format!(
                            "{} of step {step}",
                            if name == "samples" { "Samples" } else { "Reconstructions" }
                        ),
                    );
                }
                Some(Err(reason)) => drop(ui.colored_label(palette(ui.visuals()).bad, reason)),
                None => commands.push(Command::Load(key, run.image_px())),
            }
        });
    }

    /// Values that may change while training runs, and what was changed so far.
    fn controls_ui(&mut self, ui: &mut Ui, state: &AppState, run: &Run, commands: &mut Vec<Command>) {
        let Some(config) = &run.config else { return };
        let values: BTreeMap<String, String> = config.values().into_iter().collect();
        let on = matches!(state.live.status, Status::Running | Status::Paused)
            && state.live.folder.as_ref() == Some(&run.path);
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "Change while it trains");
            quiet(
                ui,
                if on {
                    "Drag or type; each change is noted with its step."
                } else {
                    "These can be changed while the run trains."
                },
            );
            for (group, keys) in LIVE {
                ui.add_space(4.0);
                ui.label(RichText::new(group).small().color(palette(ui.visuals()).quiet));
                Grid::new(group).num_columns(2).min_col_width(170.0).spacing([14.0, 5.0]).show(ui, |ui| {
                    for key in keys {
                        let Some(now) = values.get(*key).and_then(|text| text.parse::<f64>().ok()) else {
                            continue;
                        };
                        self.control_ui(ui, key, now, on, commands);
                        ui.end_row();
                    }
                });
            }
            let changes: Vec<_> = run
                .history
                .marks
                .iter()
                .filter_map(|(step, mark)| match mark {
                    Mark::Changed(setting) => Some((step, setting.clone())),
                    Mark::Refit => Some((step, "colours of the maps fitted anew".into())),
                    Mark::Checkpoint | Mark::Skipped => None,
                })
                .collect();
            if !changes.is_empty() {
                ui.add_space(8.0);
                title(ui, "Changed so far");
                for (step, setting) in changes.iter().rev().take(8) {
                    let line = egui::RichText::new(format!("step {step:>6}  {setting}")).monospace();
                    ui.add(egui::Label::new(line).truncate()).on_hover_text(setting);
                }
            }
        });
    }

    fn control_ui(
        &mut self,
        ui: &mut Ui,
        key: &'static str,
        now: f64,
        on: bool,
        commands: &mut Vec<Command>,
    ) {
        let entry = KEYS.iter().find(|entry| entry.name == key);
        ui.label(words(key)).on_hover_text(entry.map_or(key, |entry| entry.sentence));
        let mut value = self.dragged.get(key).copied().unwrap_or(now);
        let whole = key.ends_with("every");
        let mut drag =
            DragValue::new(&mut value).speed((now.abs() * 0.01).max(if whole { 0.3 } else { 1e-9 }));
        drag = drag.custom_formatter(|x, _| figures::value(x)).custom_parser(|text| text.trim().parse().ok());
        if whole {
            drag = drag.max_decimals(0);
        }
        if let Some((low, high)) = entry.and_then(|entry| entry.range) {
            drag = drag.range(low..=high);
        }
        let response = ui.name_inputs(key, |ui| ui.add_enabled(on, drag.update_while_editing(false)));
        if response.changed() {
            self.dragged.insert(key, value);
        }
        if let Some(value) = self.dragged.get(key).copied().filter(|_| !response.dragged()) {
            self.dragged.remove(key);
            if value != now {
                let text = if whole { format!("{key}={value:.0}") } else { format!("{key}={value}") };
                commands.push(Command::Engine(engine::Command::Set(text)));
            }
        }
    }
}

/// What can be told to a run in training.
fn live_buttons_ui(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    use engine::Command as C;
    let status = &state.live.status;
    let on = matches!(status, Status::Running | Status::Paused);
    if *status == Status::Paused {
        if ui.add(primary("Resume", ui).min_size(BUTTON)).clicked() {
            commands.push(Command::Engine(C::Resume));
        }
    } else if button_ui(ui, on, "Pause", "Hold after this step (Ctrl+P)") {
        commands.push(Command::Engine(C::Pause));
    }
    for (name, hint, command) in [
        ("Save now", "Write a checkpoint (Ctrl+S)", C::Save),
        ("Preview now", "Make pictures of this step", C::Preview),
        ("Stop", "Save and end; the run can go on later", C::Stop),
    ] {
        if button_ui(ui, on, name, hint) {
            commands.push(Command::Engine(command));
        }
    }
    let hint = "Forget what came after the last checkpoint and train on from there";
    if button_ui(ui, on && state.live.saved.is_some(), "Back to the last checkpoint", hint) {
        commands.push(Command::BackToCheckpoint);
    }
}

fn button_ui(ui: &mut Ui, on: bool, name: &str, hint: &str) -> bool {
    ui.add_enabled(on, Button::new(name).min_size(BUTTON)).on_hover_text(hint).clicked()
}

fn failed_ui(ui: &mut Ui, state: &AppState, reason: &str) {
    card(ui, |ui| {
        ui.set_width(ui.available_width());
        let name = state.live.folder.as_deref().and_then(|path| path.file_name());
        let (what, words) = match name {
            Some(name) => (
                format!("Training of {} broke off", name.to_string_lossy()),
                "Everything up to the last checkpoint is on disk; the log has the whole story.",
            ),
            None => ("It could not begin".into(), "Nothing was written; the log has the whole story."),
        };
        ui.label(RichText::new(what).size(16.0).strong().color(palette(ui.visuals()).bad));
        ui.label(reason);
        quiet(ui, words);
    });
}

/// What a key is called beside its value.
fn words(key: &str) -> &str {
    match key {
        "loss.reconstruction_weight" => "L1 weight",
        "loss.perceptual_weight" => "LPIPS weight",
        "loss.kl_weight" => "KL weight",
        "discriminator.weight" => "Adversarial weight",
        "align.vae_weight" => "In the autoencoder pass",
        "align.sit_weight" => "In the transformer pass",
        "optim.vae_lr" => "Autoencoder",
        "optim.sit_lr" => "Transformer",
        "optim.discriminator_lr" => "Discriminator",
        "optim.max_grad_norm" => "Clip gradients at norm",
        "ema.decay" => "Decay of the average",
        "preview.cfg" => "Guidance of previews",
        "preview.every" => "Steps between previews",
        "train.checkpoint_every" => "Steps between checkpoints",
        other => other,
    }
}
