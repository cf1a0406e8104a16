//! Maps of a latent's channels, beside the picture and its reconstruction.

use egui::{Color32, CornerRadius, RichText, Sense, Stroke, StrokeKind, Ui, Vec2};
use tandem_core::explore::Wish;

use super::{Sight, at_step, grid, waiting_ui};
use crate::explorer_views::{ChannelMaps, StudyView};
use crate::theme::palette;
use crate::widgets::{Textures, cell_ui, choice_ui, quiet};

/// The tool.
#[derive(Default)]
pub struct ChannelsTool {
    /// Deviations instead of means.
    deviations: bool,
}

impl ChannelsTool {
    /// Draws it and says what it wants to know.
    pub fn ui(&mut self, ui: &mut Ui, sight: &Sight<'_>, textures: &mut Textures) -> Option<Wish> {
        let picture = sight.picture().cloned();
        let wish = picture.clone().map(|picture| Wish::Study { picture, time: None });
        let study = sight.state.explorer.study.as_ref();
        let Some(study) = study.filter(|study| Some(&study.picture) == picture.as_ref()) else {
            waiting_ui(ui, sight);
            return wish;
        };
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| pictures_ui(ui, study, textures));
            ui.add_space(10.0);
            ui.vertical(|ui| {
                choice_ui(ui, &mut self.deviations, &[(false, "Mean"), (true, "Deviation")]);
                let maps = if self.deviations { &study.std } else { &study.mean };
                maps_ui(ui, maps, study.shape, textures);
            });
        });
        wish.filter(|_| !sight.is_fresh(study.step))
    }
}

/// Original and reconstruction, with how close they are.
fn pictures_ui(ui: &mut Ui, study: &StudyView, textures: &mut Textures) {
    let texture = textures.of(ui.ctx(), &study.pictures);
    let height = ui.clip_rect().bottom() - ui.cursor().top() - 90.0;
    let side = Vec2::splat((height / 2.0).clamp(96.0, 180.0));
    ui.spacing_mut().item_spacing.y = 4.0;
    for (column, name) in ["Original", "Reconstruction"].into_iter().enumerate() {
        quiet(ui, name);
        cell_ui(ui, texture, study.pictures.uv(column, 0), side, name, Sense::hover());
    }
    quiet(ui, format!("{:.2} dB{}", study.psnr, at_step(study.step)));
}

fn maps_ui(ui: &mut Ui, maps: &ChannelMaps, [_, h, w]: [usize; 3], textures: &mut Textures) {
    let p = palette(ui.visuals());
    let texture = textures.of(ui.ctx(), &maps.sheet);
    let count = maps.ranges.len();
    let fit = (ui.available_width() / 164.0) as usize;
    let in_row = match count {
        0..=4 if fit < 4 => 2,
        0..=4 => 4,
        _ => fit.clamp(4, 8),
    };
    let rows = count.div_ceil(in_row).min(3) as f32;
    let height = (ui.clip_rect().bottom() - ui.cursor().top() - 14.0) / rows - 30.0;
    let room = (ui.available_width() / in_row as f32 - 14.0).min(height);
    let side = room.clamp(56.0, if count <= 4 { 180.0 } else { 112.0 });
    egui::Grid::new("channels").spacing(Vec2::new(14.0, 10.0)).show(ui, |ui| {
        for (channel, (low, high)) in maps.ranges.iter().enumerate() {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                let uv = maps.sheet.uv(channel % maps.sheet.columns, channel / maps.sheet.columns);
                let name = format!("Channel {channel}, from {low:.2} to {high:.2}");
                let response = cell_ui(ui, texture, uv, Vec2::splat(side), &name, Sense::hover());
                let range = RichText::new(format!("{channel}:  {low:.2} … {high:.2}")).small().color(p.quiet);
                ui.label(range);
                let Some(at) = response.hover_pos().and_then(|at| grid::cell_at(response.rect, [h, w], at))
                else {
                    return;
                };
                let cell = grid::cell_rect(response.rect, [h, w], at);
                ui.painter().rect_stroke(
                    cell,
                    CornerRadius::ZERO,
                    Stroke::new(1.5, Color32::BLACK),
                    StrokeKind::Outside,
                );
                let value = maps.values.get(channel * h * w + at).copied().unwrap_or(f32::NAN);
                let words = format!("Channel {channel}, row {}, column {}: {value:.3}", at / w, at % w);
                response.on_hover_text_at_pointer(words);
            });
            if (channel + 1) % in_row == 0 {
                ui.end_row();
            }
        }
    });
}
