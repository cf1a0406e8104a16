//! The first page: one button that trains, and the runs there are.

use egui::containers::menu::MenuButton;
use egui::{Button, Response, RichText, Sense, Ui, Vec2, WidgetInfo, accesskit::Role};
use tandem_core::config::Config;
use tandem_core::engine::Start;

use super::super::message::{Command, Pick, RunCard};
use super::super::prefs::Tab;
use super::super::state::AppState;
use super::super::theme::palette;
use super::super::widgets::{Textures, card, cell_ui, primary, quiet, title};

const CARD: f32 = 208.0;

/// The first page.
#[derive(Default)]
pub struct StartPanel {
    textures: Textures,
}

impl StartPanel {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        self.hero_ui(ui, state, &mut commands);
        ui.add_space(18.0);
        ui.horizontal(|ui| {
            title(ui, "Recent runs");
            if ui.small_button("Look again").on_hover_text("Look for runs on disk again").clicked() {
                commands.push(Command::Refresh);
            }
        });
        match &state.cards {
            None => drop(quiet(ui, "Looking for runs…")),
            Some(cards) if cards.is_empty() => {
                quiet(
                    ui,
                    format!(
                        "None yet in {}. The first one will be here, with its last pictures.",
                        state.prefs.runs.display()
                    ),
                );
            }
            Some(cards) => {
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = Vec2::splat(14.0);
                    for run in cards {
                        self.card_ui(ui, run, state, &mut commands);
                    }
                });
            }
        }
        commands
    }

    fn hero_ui(&self, ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.add_space(6.0);
            ui.label(RichText::new("Watch an image generator being born").size(26.0));
            quiet(
                ui,
                "Tandem trains an autoencoder and a diffusion transformer together, end to end, and shows you both \
                 while they learn.",
            );
            ui.add_space(10.0);
            let live = state.live.status.is_live();
            ui.horizontal_wrapped(|ui| {
                if live {
                    if ui.add(primary("See it learn", ui).min_size(Vec2::new(240.0, 46.0))).clicked() {
                        commands.push(Command::Go(Tab::Training));
                    }
                    return;
                }
                let button = primary("Train on the embedded pictures", ui).min_size(Vec2::new(280.0, 46.0));
                if ui.add(button).on_hover_text("Preset nano: a few minutes on two processor cores").clicked()
                {
                    match first_run(state) {
                        Ok(start) => {
                            commands.extend([Command::Train(Box::new(start)), Command::Go(Tab::Training)])
                        }
                        Err(_) => commands.push(Command::Go(Tab::NewRun)),
                    }
                }
                if ui.add(Button::new("New run…").min_size(Vec2::new(110.0, 46.0))).clicked() {
                    commands.push(Command::Go(Tab::NewRun));
                }
                let open = Button::new("Open…").min_size(Vec2::new(90.0, 46.0));
                MenuButton::from_button(open).ui(ui, |ui| open_ui(ui, commands));
            });
            ui.add_space(4.0);
            quiet(
                ui,
                "No data, no download, no graphics card needed. Drop a folder or a zip of your own pictures on the window to train on them.",
            );
        });
    }

    fn card_ui(&mut self, ui: &mut Ui, run: &RunCard, state: &AppState, commands: &mut Vec<Command>) {
        let name = run.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let p = palette(ui.visuals());
        let trains = state.live.status.is_live() && state.live.folder.as_ref() == Some(&run.path);
        // In a wrapped row, a child's width must be known before it is drawn.
        ui.allocate_ui(Vec2::new(CARD + 34.0, CARD + 160.0), |ui| {
            card(ui, |ui| {
                ui.set_width(CARD);
                ui.spacing_mut().item_spacing.y = 4.0;
                if self.picture_ui(ui, run, &format!("Open {name}")).clicked() {
                    commands.extend([Command::Open(run.path.clone()), Command::Go(Tab::Reconstructions)]);
                }
                ui.add_space(4.0);
                ui.horizontal(|ui| {
                    ui.strong(&name);
                    if trains {
                        ui.label(RichText::new("training").small().color(p.teal));
                    }
                });
                quiet(ui, &run.about);
                let (step, steps) = run.steps;
                let of = steps.map(|steps| format!(" of {steps}")).unwrap_or_default();
                let quality = run.psnr.map(|db| format!(" · {db:.1} dB")).unwrap_or_default();
                quiet(ui, format!("step {step}{of}{quality}"));
                ui.horizontal(|ui| {
                    ui.label(RichText::new(age(run.age_s)).small().color(p.quiet));
                    let unfinished = steps.is_some_and(|steps| step < steps) && step > 0;
                    if unfinished && !state.live.status.is_live() {
                        resume_ui(ui, run, &name, state, commands);
                    }
                });
            });
        });
    }

    /// The newest picture of a run, or its place.
    fn picture_ui(&mut self, ui: &mut Ui, run: &RunCard, words: &str) -> Response {
        let Some(sheet) = &run.picture else {
            let text = RichText::new("no picture yet").color(palette(ui.visuals()).quiet);
            let response = ui.add(Button::new(text).min_size(Vec2::splat(CARD)));
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, words));
            return response;
        };
        let texture = self.textures.of(ui.ctx(), sheet);
        let [w, h] = sheet.image.size;
        let (uv, aspect) = cover(w as f32, h as f32);
        cell_ui(ui, texture, uv, Vec2::new(CARD, CARD * aspect), words, Sense::click())
    }
}

fn resume_ui(ui: &mut Ui, run: &RunCard, name: &str, state: &AppState, commands: &mut Vec<Command>) {
    let resume = ui.small_button("Resume");
    resume.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Resume {name}")));
    if resume.on_hover_text("Train on from the last checkpoint").clicked() {
        commands.extend([
            Command::Open(run.path.clone()),
            Command::Train(Box::new(resume_of(run, state))),
            Command::Go(Tab::Training),
        ]);
    }
}

/// The part of a picture that fills a square or wider place, and the height of that place.
fn cover(width: f32, height: f32) -> (egui::Rect, f32) {
    let whole = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::Pos2::new(1.0, 1.0));
    (whole, (height / width.max(1.0)).min(1.0))
}

fn resume_of(run: &RunCard, state: &AppState) -> Start {
    let device = state.prefs.device.parse().unwrap_or_default();
    Start::Resume { folder: run.path.clone(), steps: None, device }
}

/// What the big button starts.
fn first_run(state: &AppState) -> tandem_core::Result<Start> {
    let config = Box::new(Config::load("nano", &[])?);
    let device = state.prefs.device.parse().unwrap_or_default();
    Ok(Start::New { config, out: None, name: "nano".into(), device })
}

/// "3 hours ago".
fn age(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => "just now".into(),
        s if s < 5400.0 => format!("{:.0} minutes ago", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} hours ago", s / 3600.0),
        s => format!("{:.0} days ago", s / 86_400.0),
    }
}

/// What can be opened.
fn open_ui(ui: &mut Ui, commands: &mut Vec<Command>) {
    let kinds = [
        ("Folder…", "A run, an autoencoder as diffusers saves it, or pictures", Pick::Folder),
        ("File…", "An autoencoder (.safetensors, .pt) or a picture", Pick::File),
    ];
    for (name, words, pick) in kinds {
        if ui.button(name).on_hover_text(words).clicked() {
            commands.push(Command::Pick(pick));
        }
    }
    if ui.button("By name…").on_hover_text("The name of a fetched model, or a path").clicked() {
        commands.push(Command::Go(Tab::Explorer));
    }
}
