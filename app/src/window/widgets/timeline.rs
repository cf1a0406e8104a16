//! The steps of a run's previews: a slider over them, a button that plays them.

use std::collections::BTreeSet;
use std::time::Duration;

use egui::{Button, Key, Rect, Slider, Stroke, Ui};

use super::super::theme::palette;

/// Pictures a second while playing.
const RATE: f64 = 5.0;

/// Where on the way a panel is.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The step looked at; none follows the newest.
    at: Option<u64>,
    playing: bool,
    next_s: f64,
}

impl Timeline {
    /// The step that is looked at.
    pub fn step(&self, steps: &BTreeSet<u64>) -> Option<u64> {
        let newest = steps.last().copied();
        match self.at {
            Some(at) => steps.range(..=at).next_back().copied().or(steps.first().copied()),
            None => newest,
        }
    }

    /// Draws it with `marks` at their steps; `name` tells the slider from others.
    pub fn ui(&mut self, ui: &mut Ui, (steps, marks): (&BTreeSet<u64>, &[u64]), now_s: f64, name: &str) {
        let all: Vec<u64> = steps.iter().copied().collect();
        let Some(current) = self.step(steps) else { return };
        let mut index = all.iter().position(|step| *step == current).unwrap_or(0);
        let last = all.len() - 1;
        let before = index;
        ui.horizontal(|ui| {
            let label = if self.playing { "Hold" } else { "Play" };
            let play = ui.add(Button::new(label).min_size(egui::vec2(56.0, 0.0)));
            play.widget_info(|| {
                egui::WidgetInfo::labeled(egui::accesskit::Role::Button, true, format!("{label} {name}"))
            });
            if play.on_hover_text("Play the pictures from the first step to the last").clicked() {
                self.playing = !self.playing;
                self.next_s = now_s + 1.0 / RATE;
                if self.playing && index == last {
                    index = 0;
                }
            }
            if ui.add_enabled(index > 0, Button::new("‹")).on_hover_text("One picture back").clicked() {
                index -= 1;
            }
            if ui.add_enabled(index < last, Button::new("›")).on_hover_text("One picture on").clicked() {
                index += 1;
            }
            let width = (ui.available_width() - 190.0).clamp(80.0, 620.0);
            ui.spacing_mut().slider_width = width;
            let slider = Slider::new(&mut index, 0..=last).show_value(false);
            let slider = ui.name_inputs(format!("Step of {name}"), |ui| ui.add_enabled(last > 0, slider));
            marks_ui(ui, slider.rect, &all, marks);
            ui.monospace(format!("step {}", all[index]));
            let mut follow = self.at.is_none();
            if ui.checkbox(&mut follow, "newest").on_hover_text("Follow the run as it trains").changed() {
                self.at = if follow { None } else { Some(all[index]) };
                if follow {
                    index = last;
                }
            }
        });
        if self.playing {
            if now_s >= self.next_s {
                index = (index + 1).min(last);
                self.next_s = now_s + 1.0 / RATE;
            }
            self.playing = index < last;
            ui.ctx().request_repaint_after(Duration::from_secs_f64(1.0 / RATE));
        }
        if index != before {
            self.at = (index != last || self.playing).then(|| all[index]);
        }
        if ui.ctx().input(|input| input.key_pressed(Key::Escape)) {
            self.playing = false;
        }
    }
}

/// A tick over the slider at the first picture that each of `marks` touches.
fn marks_ui(ui: &Ui, slider: Rect, steps: &[u64], marks: &[u64]) {
    let colour = palette(ui.visuals()).amber;
    // The slider's handle keeps this far from both ends.
    let inset = slider.height() / 2.5;
    let last = steps.len().saturating_sub(1).max(1) as f32;
    for mark in marks {
        let index = steps.partition_point(|step| step < mark).min(steps.len().saturating_sub(1));
        let x = egui::lerp(slider.left() + inset..=slider.right() - inset, index as f32 / last);
        ui.painter().vline(x, slider.top() - 1.0..=slider.top() + 5.0, Stroke::new(2.0, colour));
    }
}
