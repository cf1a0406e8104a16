//! The form for a new run: pictures, preset, method, teacher, device; then every key there is, each
//! with its sentence, its default, and what is wrong with what is typed.

use std::collections::BTreeMap;

use egui::{CollapsingHeader, ComboBox, DragValue, RichText, Sense, TextEdit, Ui, Vec2};
use tandem_core::align::TeacherSpec;
use tandem_core::align::spec::EMBEDDED;
use tandem_core::config::{Config, KEYS, PRESETS};
use tandem_core::engine::Start;
use tandem_core::train::step::Method;

use super::super::figures;
use super::super::message::{Command, DataPeek, Pick};
use super::super::prefs::Tab;
use super::super::runs::short_source;
use super::super::state::AppState;
use super::super::theme::palette;
use super::super::widgets::{Textures, card, cell_ui, device_ui, named, primary, quiet, row_ui, title};

/// Classes and problems that are listed before "and more".
const LISTED: usize = 12;

/// The form.
pub struct NewRunPanel {
    source: String,
    asked: String,
    preset: &'static str,
    method: Option<Method>,
    teacher: String,
    steps: Option<u64>,
    seed: u64,
    /// What is typed, by key.
    typed: BTreeMap<&'static str, String>,
    filter: String,
    checked: Option<Checked>,
    textures: Textures,
}

/// The configuration that the form says, and what is wrong with it.
struct Checked {
    of: (Vec<String>, &'static str),
    outcome: Result<Config, String>,
    defaults: BTreeMap<String, String>,
    /// Key by key.
    wrong: BTreeMap<&'static str, String>,
}

impl Default for NewRunPanel {
    fn default() -> Self {
        Self {
            source: "embedded".into(),
            asked: String::new(),
            preset: "nano",
            method: None,
            teacher: String::new(),
            steps: None,
            seed: 0,
            typed: BTreeMap::new(),
            filter: String::new(),
            checked: None,
            textures: Textures::default(),
        }
    }
}

impl NewRunPanel {
    /// Takes `source` for the pictures.
    pub fn use_source(&mut self, source: String) {
        self.source = source;
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.source != self.asked && !self.source.is_empty() {
            self.asked.clone_from(&self.source);
            commands.push(Command::Peek(self.source.clone()));
        }
        self.check();
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "Pictures");
            self.data_ui(ui, state, &mut commands);
        });
        ui.add_space(12.0);
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            title(ui, "Model and method");
            self.model_ui(ui, state, &mut commands);
        });
        ui.add_space(12.0);
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            self.keys_ui(ui);
        });
        ui.add_space(12.0);
        self.start_ui(ui, state, &mut commands);
        ui.add_space(24.0);
        commands
    }

    fn settings(&self) -> Vec<String> {
        let text = |key: &str, value: &str| format!("{key}={}", serde_json::Value::from(value));
        let mut all = vec![text("data.source", &self.source), format!("train.seed={}", self.seed)];
        all.extend(self.method.map(|method| text("method", method.name())));
        if !self.teacher.trim().is_empty() {
            all.push(text("align.teacher", self.teacher.trim()));
        }
        all.extend(self.steps.map(|steps| format!("train.steps={steps}")));
        let typed = self.typed.iter().filter(|(_, value)| !value.trim().is_empty());
        all.extend(typed.map(|(key, value)| format!("{key}={value}")));
        all
    }

    /// Checks the form again when it has changed.
    fn check(&mut self) {
        let of = (self.settings(), self.preset);
        if self.checked.as_ref().is_some_and(|checked| checked.of == of) {
            return;
        }
        let outcome = Config::load(self.preset, &of.0).and_then(|config| {
            TeacherSpec::parse_all(&config.align.teacher)?;
            Ok(config)
        });
        let outcome = outcome.map_err(|e| e.to_string());
        let defaults = Config::load(self.preset, &[]).map(|config| config.values()).unwrap_or_default();
        let typed = self.typed.iter().filter(|(_, value)| !value.trim().is_empty());
        let wrong = typed.filter_map(|(key, value)| {
            let error = Config::load(self.preset, &[format!("{key}={value}")]).err()?;
            Some((*key, error.to_string()))
        });
        let wrong = wrong.collect();
        self.checked = Some(Checked { of, outcome, defaults: defaults.into_iter().collect(), wrong });
    }

    fn data_ui(&mut self, ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
        ui.horizontal_wrapped(|ui| {
            if ui.selectable_label(self.source == "embedded", "Embedded set").clicked() {
                self.source = "embedded".into();
            }
            if ui.button("Folder…").clicked() {
                commands.push(Command::Pick(Pick::DataFolder));
            }
            if ui.button("Zip…").clicked() {
                commands.push(Command::Pick(Pick::DataZip));
            }
            let edit =
                TextEdit::singleline(&mut self.source).desired_width(320.0).hint_text("embedded, or a path");
            named(ui.add(edit), "Source of the pictures");
        });
        quiet(
            ui,
            "Or drop a folder or a zip on the window. Folders in it are classes; train/ and test/ are taken as such.",
        );
        match &state.data {
            _ if state.peeking.is_some() => drop(quiet(ui, "Looking at the pictures…")),
            Some(peek) if peek.source == self.source => self.peek_ui(ui, peek),
            _ => {}
        }
    }

    fn peek_ui(&mut self, ui: &mut Ui, peek: &DataPeek) {
        let p = palette(ui.visuals());
        if let Some(problem) = &peek.problem {
            ui.colored_label(p.bad, problem);
            return;
        }
        let (train, held) = peek.counts;
        let classes = peek.classes.len();
        ui.label(format!(
            "{} training and {} held-out pictures, {classes} {}",
            figures::count(train as u64),
            figures::count(held as u64),
            if classes == 1 { "class" } else { "classes" }
        ));
        if let Some(sheet) = &peek.thumbs {
            let texture = self.textures.of(ui.ctx(), sheet);
            let width = ui.available_width().min(52.0 * sheet.columns as f32);
            let [w, h] = sheet.image.size;
            let side = Vec2::new(width, width * h as f32 / w as f32);
            let whole = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::Pos2::new(1.0, 1.0));
            cell_ui(ui, texture, whole, side, "Some of the pictures", Sense::hover());
        }
        ui.horizontal_wrapped(|ui| {
            for (name, count) in peek.classes.iter().take(LISTED) {
                ui.label(
                    RichText::new(format!("{name} {count}"))
                        .small()
                        .background_color(ui.visuals().code_bg_color),
                );
            }
            if classes > LISTED {
                quiet(ui, format!("and {} more", classes - LISTED));
            }
        });
        if !peek.left_out.is_empty() {
            CollapsingHeader::new(format!("{} passed over", peek.left_out.len())).show(ui, |ui| {
                for line in peek.left_out.iter().take(LISTED) {
                    ui.colored_label(p.amber, line);
                }
            });
        }
    }

    fn model_ui(&mut self, ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
        let now = self.checked.as_ref().and_then(|checked| checked.outcome.as_ref().ok());
        let method_now = self.method.or(now.map(|c| c.method)).unwrap_or(Method::RepaE);
        let steps_now = self.steps.or(now.map(|c| c.train.steps)).unwrap_or(1);
        row_ui(ui, "Preset", preset_words(self.preset), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            for (name, _) in PRESETS {
                if ui.selectable_label(self.preset == name, name).clicked() {
                    self.preset = name;
                }
            }
        });
        let mut method = method_now;
        row_ui(ui, "Method", method_words(method), |ui| {
            ui.name_inputs("Method", |ui| {
                ComboBox::from_id_salt("method").selected_text(method.name()).show_ui(ui, |ui| {
                    for choice in Method::ALL {
                        ui.selectable_value(&mut method, choice, choice.name())
                            .on_hover_text(method_words(choice));
                    }
                })
            });
        });
        if method != method_now {
            self.method = Some(method);
        }
        row_ui(ui, "Teacher", "Frozen vision encoders to align with, with commas between", |ui| {
            let edit = TextEdit::singleline(&mut self.teacher).hint_text(EMBEDDED).desired_width(230.0);
            named(ui.add_enabled(method.aligns(), edit), "Teacher").on_hover_text(
                "efficientnet-lite0 comes with the program; dinov2-b=PATH and others are read from files",
            );
        });
        let mut prefs = state.prefs.clone();
        let words = "auto takes a graphics card, and the processor where there is none";
        row_ui(ui, "Device", words, |ui| device_ui(ui, &mut prefs.device));
        if prefs != state.prefs {
            commands.push(Command::Prefs(Box::new(prefs)));
        }
        let mut steps = steps_now;
        row_ui(ui, "Steps", "A run can be extended later", |ui| {
            ui.name_inputs("Steps", |ui| ui.add(DragValue::new(&mut steps).range(1..=100_000_000).speed(5)))
        });
        if steps != steps_now {
            self.steps = Some(steps);
        }
        row_ui(ui, "Seed", "The same seed gives the same run, on any device", |ui| {
            ui.name_inputs("Seed", |ui| ui.add(DragValue::new(&mut self.seed).speed(0.1)))
        });
    }

    fn keys_ui(&mut self, ui: &mut Ui) {
        let Self { typed, filter, checked, .. } = self;
        let changed = typed.values().filter(|value| !value.trim().is_empty()).count();
        let heading = if changed > 0 { format!("All keys ({changed} changed)") } else { "All keys".into() };
        CollapsingHeader::new(RichText::new(heading).size(16.0).strong()).id_salt("keys").show(ui, |ui| {
            ui.add(TextEdit::singleline(filter).hint_text("Filter by name or sentence").desired_width(320.0));
            ui.add_space(4.0);
            let wanted = filter.to_lowercase();
            let own = ["method", "data.source", "align.teacher", "train.steps", "train.seed"];
            let shown = KEYS
                .iter()
                .filter(|key| !own.contains(&key.name))
                .filter(|key| key.name.contains(&wanted) || key.sentence.to_lowercase().contains(&wanted));
            let p = palette(ui.visuals());
            for key in shown {
                let default =
                    checked.as_ref().and_then(|c| c.defaults.get(key.name)).map_or("", String::as_str);
                let wrong = checked.as_ref().and_then(|c| c.wrong.get(key.name));
                ui.horizontal(|ui| {
                    ui.allocate_ui_with_layout(
                        Vec2::new(230.0, 24.0),
                        egui::Layout::left_to_right(egui::Align::Center),
                        |ui| {
                            ui.set_min_width(230.0);
                            ui.monospace(key.name);
                        },
                    );
                    let value = typed.entry(key.name).or_default();
                    let mut edit =
                        TextEdit::singleline(value).desired_width(150.0).hint_text(default.to_string());
                    if wrong.is_some() {
                        edit = edit.text_color(p.bad);
                    }
                    named(ui.add(edit), key.name);
                    match wrong {
                        Some(reason) => ui.colored_label(p.bad, reason),
                        None => {
                            ui.add(egui::Label::new(RichText::new(key.sentence).color(p.quiet)).truncate())
                        }
                    };
                });
            }
        });
    }

    fn start_ui(&mut self, ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
        let p = palette(ui.visuals());
        let Some(checked) = &self.checked else { return };
        let blocked = state
            .data
            .as_ref()
            .filter(|peek| peek.source == self.source)
            .and_then(|peek| peek.problem.clone());
        let live = state.live.status.is_live();
        ui.horizontal(|ui| {
            let ready = checked.outcome.is_ok() && blocked.is_none() && !live;
            let button = primary("Start training", ui).min_size(Vec2::new(180.0, 42.0));
            if ui.add_enabled(ready, button).clicked()
                && let Ok(config) = &checked.outcome
            {
                let device = state.prefs.device.parse().unwrap_or_default();
                let name = if self.source == "embedded" {
                    self.preset.to_string()
                } else {
                    format!("{}-{}", self.preset, short_source(&self.source))
                };
                let start = Start::New { config: Box::new(config.clone()), out: None, name, device };
                commands.extend([Command::Train(Box::new(start)), Command::Go(Tab::Training)]);
            }
            match &checked.outcome {
                _ if live => drop(quiet(ui, "A run is training; stop it first")),
                Err(reason) => drop(ui.colored_label(p.bad, reason)),
                Ok(_) if blocked.is_some() => drop(ui.colored_label(p.bad, "These pictures cannot be used")),
                Ok(config) => {
                    quiet(
                        ui,
                        format!(
                            "{} steps of {} pictures at {} px",
                            config.train.steps,
                            config.train.batch * config.train.accumulate,
                            config.data.image_px
                        ),
                    );
                }
            }
        });
    }
}

fn preset_words(preset: &str) -> &'static str {
    match preset {
        "nano" => "32 px; minutes on two processor cores",
        "tiny" => "32 px; wider and deeper than nano",
        "small" => "64 px; for a laptop's graphics card",
        "base256" => "256 px; for a graphics card with much memory",
        "paper" => "256 px; what the paper trains, on eight large cards",
        _ => "",
    }
}

fn method_words(method: Method) -> &'static str {
    match method {
        Method::RepaE => "Autoencoder and transformer together",
        Method::Repa => "Transformer with alignment on a frozen autoencoder",
        Method::Vanilla => "Transformer alone on a frozen autoencoder",
        Method::Naive => "Diffusion loss into the autoencoder: shows the collapse",
        Method::Vae => "The autoencoder alone",
    }
}
