//! What happened, with filters.

use egui::{RichText, ScrollArea, TextEdit, TextStyle, Ui};

use super::super::figures;
use super::super::message::{Command, Export, Level};
use super::super::state::{AppState, LogLine};
use super::super::theme::palette;
use super::super::widgets::{empty_ui, named, quiet};

/// The log.
pub struct LogPanel {
    info: bool,
    warnings: bool,
    errors: bool,
    words: String,
}

impl Default for LogPanel {
    fn default() -> Self {
        Self { info: true, warnings: true, errors: true, words: String::new() }
    }
}

impl LogPanel {
    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        if state.log.is_empty() {
            empty_ui(
                ui,
                "Nothing has happened yet",
                "What the engine does and what goes wrong is written here.",
            );
            return commands;
        }
        let lines: Vec<&LogLine> = state.log.iter().filter(|line| self.wants(line)).collect();
        ui.horizontal_wrapped(|ui| {
            ui.checkbox(&mut self.info, "Facts");
            ui.checkbox(&mut self.warnings, "Warnings");
            ui.checkbox(&mut self.errors, "Errors");
            let edit =
                TextEdit::singleline(&mut self.words).hint_text("Only lines with…").desired_width(220.0);
            named(ui.add(edit), "Only lines with");
            quiet(ui, format!("{} of {} lines", lines.len(), state.log.len()));
            let text = || lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n");
            if ui.button("Copy").clicked() {
                ui.ctx().copy_text(text());
            }
            if ui.button("Save…").clicked() {
                commands.push(Command::Export(Export::Text("tandem-log.txt".into(), text() + "\n")));
            }
        });
        ui.add_space(6.0);
        let p = palette(ui.visuals());
        let height = ui.text_style_height(&TextStyle::Monospace);
        ui.spacing_mut().item_spacing.y = 4.0;
        ScrollArea::both().auto_shrink(false).stick_to_bottom(true).show_rows(
            ui,
            height,
            lines.len(),
            |ui, rows| {
                for line in &lines[rows] {
                    ui.horizontal(|ui| {
                        ui.label(RichText::new(figures::clock(line.at_s)).monospace().color(p.quiet));
                        let colour = match line.level {
                            Level::Info => p.text,
                            Level::Warning => p.amber,
                            Level::Error => p.bad,
                        };
                        ui.add(
                            egui::Label::new(RichText::new(&line.text).monospace().color(colour)).extend(),
                        );
                    });
                }
            },
        );
        commands
    }

    fn wants(&self, line: &LogLine) -> bool {
        let level = match line.level {
            Level::Info => self.info,
            Level::Warning => self.warnings,
            Level::Error => self.errors,
        };
        level && (self.words.is_empty() || line.text.to_lowercase().contains(&self.words.to_lowercase()))
    }
}

fn plain(line: &LogLine) -> String {
    let level = match line.level {
        Level::Info => "",
        Level::Warning => "warning ",
        Level::Error => "error ",
    };
    format!("{} {level}{}", figures::clock(line.at_s), line.text)
}
