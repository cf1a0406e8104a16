//! What stands around the panels: navigation, notice, page head, and the question before closing.

use egui::{
    Align, Button, CentralPanel, Color32, CornerRadius, Frame, Layout, Margin, Panel, RichText, Stroke, Ui,
    Vec2,
};
use tandem_core::engine;

use super::message::{Closing, Command, Level};
use super::panels::Panels;
use super::prefs::Tab;
use super::state::{AppState, Status};
use super::theme::{mix, palette};
use super::widgets::{bar_ui, primary, question, quiet};

/// Width of the navigation.
const WIDTH: f32 = 178.0;

/// The side with the panels' names, and where training is.
pub fn navigation_ui(ui: &mut Ui, state: &AppState) -> Vec<Command> {
    let mut commands = Vec::new();
    let p = palette(ui.visuals());
    let frame = Frame::new().fill(p.card).inner_margin(Margin::symmetric(10, 14));
    let panel = Panel::left("navigation").exact_size(WIDTH).resizable(false).frame(frame);
    panel.show(ui, |ui| {
        brand_ui(ui);
        ui.add_space(12.0);
        ui.spacing_mut().item_spacing.y = 3.0;
        for tab in Tab::ALL {
            if tab == Tab::Training || tab == Tab::Explorer || tab == Tab::Health || tab == Tab::Log {
                ui.add_space(8.0);
            }
            if item_ui(ui, tab, state) {
                commands.push(Command::Go(tab));
            }
        }
        ui.with_layout(Layout::bottom_up(Align::Min), |ui| live_ui(ui, state, &mut commands));
    });
    commands
}

fn brand_ui(ui: &mut Ui) {
    let p = palette(ui.visuals());
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(Vec2::new(34.0, 22.0), egui::Sense::hover());
        let (left, right) =
            (rect.left_center() + Vec2::new(9.0, 0.0), rect.right_center() - Vec2::new(9.0, 0.0));
        ui.painter().line_segment([left, right], Stroke::new(1.5, p.quiet));
        for (centre, colour) in [(left, p.teal), (right, p.amber)] {
            ui.painter().circle(centre, 6.5, p.card, Stroke::new(3.0, colour));
        }
        ui.label(RichText::new("Tandem").size(19.0).strong());
    });
}

fn item_ui(ui: &mut Ui, tab: Tab, state: &AppState) -> bool {
    let p = palette(ui.visuals());
    let chosen = state.prefs.tab == tab;
    let text = RichText::new(tab.name()).color(if chosen { p.text } else { p.quiet });
    let text = if chosen { text.strong() } else { text };
    let button = Button::new(text)
        .stroke(Stroke::NONE)
        .corner_radius(CornerRadius::same(7))
        .selected(false)
        .min_size(Vec2::new(WIDTH - 20.0, 32.0))
        .right_text("");
    let response = ui.scope(|ui| {
        let widgets = &mut ui.visuals_mut().widgets;
        let fill = if chosen { mix(p.card, p.teal, 0.22) } else { Color32::TRANSPARENT };
        (widgets.inactive.weak_bg_fill, widgets.hovered.weak_bg_fill) =
            if chosen { (fill, fill) } else { (fill, mix(p.card, p.text, 0.08)) };
        ui.add(button)
    });
    let response = response.inner;
    response.widget_info(|| egui::WidgetInfo::selected(egui::accesskit::Role::Tab, true, chosen, tab.name()));
    if chosen {
        let rect = response.rect;
        let bar = egui::Rect::from_min_size(
            rect.left_top() + Vec2::new(0.0, 7.0),
            Vec2::new(3.0, rect.height() - 14.0),
        );
        ui.painter().rect_filled(bar, CornerRadius::same(2), p.teal);
    }
    response.clicked()
}

/// Where training is, at the foot of the navigation.
fn live_ui(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let p = palette(ui.visuals());
    let live = &state.live;
    if matches!(live.status, Status::Idle | Status::Looking) {
        return;
    }
    let colour = match live.status {
        Status::Failed(_) => p.bad,
        Status::Paused | Status::Stopping | Status::Starting => p.amber,
        Status::Finished => p.good,
        _ => p.teal,
    };
    // From the bottom up.
    match live.status {
        Status::Running
            if ui
                .add(Button::new(RichText::new("Pause training")).min_size(Vec2::new(WIDTH - 20.0, 28.0)))
                .clicked() =>
        {
            commands.push(Command::Engine(engine::Command::Pause));
        }
        Status::Paused
            if ui.add(primary("Resume training", ui).min_size(Vec2::new(WIDTH - 20.0, 28.0))).clicked() =>
        {
            commands.push(Command::Engine(engine::Command::Resume));
        }
        _ => {}
    }
    ui.add_space(4.0);
    let share = if live.steps > 0 { live.step as f32 / live.steps as f32 } else { 0.0 };
    bar_ui(ui, share, colour, 6.0);
    ui.add_space(2.0);
    let parts: Vec<String> = state.headline().split(" · ").map(str::to_string).collect();
    for part in parts.iter().rev() {
        ui.label(RichText::new(part).small().color(p.quiet));
    }
    let run = live
        .folder
        .as_deref()
        .and_then(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned());
    if let Some(run) = run {
        ui.label(RichText::new(run).small().strong());
    }
}

/// The newest warning or error, until it is put away.
pub fn notice_ui(ui: &mut Ui, state: &AppState) -> Vec<Command> {
    let mut commands = Vec::new();
    let Some((level, text)) = &state.notice else { return commands };
    let p = palette(ui.visuals());
    let (word, colour) = match level {
        Level::Error => ("Error", p.bad),
        Level::Warning => ("Warning", p.amber),
        Level::Info => ("Done", p.teal),
    };
    let frame = Frame::new().fill(mix(p.ground, colour, 0.16)).inner_margin(Margin::symmetric(20, 8));
    Panel::bottom("notice").frame(frame).resizable(false).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(RichText::new(word).color(colour).strong());
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.small_button("Put away").clicked() {
                    commands.push(Command::NoticeRead);
                }
                if ui.small_button("Log").on_hover_text("Show the log").clicked() {
                    commands.extend([Command::NoticeRead, Command::Go(Tab::Log)]);
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.add(egui::Label::new(text).truncate()).on_hover_text(text);
                });
            });
        });
    });
    commands
}

/// The head of the page and the panel that is shown, on `ground`.
pub fn page_ui(ui: &mut Ui, state: &AppState, panels: &mut Panels, ground: Color32) -> Vec<Command> {
    let mut commands = Vec::new();
    let frame = Frame::new().fill(ground).inner_margin(Margin { left: 26, right: 22, top: 18, bottom: 12 });
    CentralPanel::default().frame(frame).show(ui, |ui| {
        let tab = state.prefs.tab;
        ui.horizontal(|ui| {
            ui.label(RichText::new(tab.name()).size(22.0).strong());
            let about_runs = !matches!(
                tab,
                Tab::Start | Tab::NewRun | Tab::Explorer | Tab::Compare | Tab::Log | Tab::Settings
            );
            if about_runs && let Some(run) = state.run() {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if state.open.len() > 1 {
                        run_choice_ui(ui, state, &mut commands);
                    } else {
                        quiet(ui, run.name()).on_hover_text(run.path.display().to_string());
                    }
                });
            }
        });
        ui.add_space(8.0);
        commands.extend(panels.ui(ui, state));
    });
    commands
}

fn run_choice_ui(ui: &mut Ui, state: &AppState, commands: &mut Vec<Command>) {
    let Some(shown) = state.run() else { return };
    ui.name_inputs("Run that is shown", |ui| {
        egui::ComboBox::from_id_salt("run").selected_text(shown.name()).show_ui(ui, |ui| {
            for run in &state.open {
                let label = ui.selectable_label(run.path == shown.path, run.name());
                if label.on_hover_text(run.path.display().to_string()).clicked() {
                    commands.push(Command::View(run.path.clone()));
                }
            }
        })
    });
}

/// What closing means while training runs.
pub fn closing_ui(ui: &mut Ui, state: &AppState) -> Vec<Command> {
    let mut commands = Vec::new();
    if !matches!(state.closing, Closing::Asked | Closing::Saving) {
        return commands;
    }
    let resume =
        state.live.folder.as_deref().map(|folder| format!("tandem train --resume {}", folder.display()));
    question(ui.ctx(), "closing").show(ui.ctx(), |ui| {
        ui.set_width(430.0);
        ui.label(RichText::new("A run is training").size(20.0).strong());
        ui.add_space(4.0);
        if state.closing == Closing::Saving {
            ui.label("Saving after this step, then the window closes…");
            return;
        }
        ui.label("Closing the window saves the run and ends training. It can go on later, from the first page or with");
        if let Some(resume) = resume {
            ui.add_space(2.0);
            ui.code(resume);
        }
        ui.add_space(10.0);
        ui.horizontal(|ui| {
            if ui.add(primary("Save and close", ui).min_size(Vec2::new(140.0, 34.0))).clicked() {
                commands.push(Command::Closing(Closing::Saving));
            }
            if ui.add(Button::new("Keep training").min_size(Vec2::new(130.0, 34.0))).clicked() {
                commands.push(Command::Closing(Closing::No));
            }
        });
    });
    commands
}
