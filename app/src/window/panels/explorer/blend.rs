//! A pad between two or four pictures; what lies under the handle is decoded as it moves.

use egui::{
    Color32, CornerRadius, Grid, Key, Pos2, Rect, Sense, Slider, Stroke, StrokeKind, Ui, Vec2, WidgetInfo,
    accesskit::Role,
};
use tandem_core::explore::{Blend, Edit, PictureRef, Wish};

use super::slots::LETTERS;
use super::{Sight, edited_ui, side_of, waiting_ui};
use crate::explorer_state::ExplorerState;
use crate::theme::palette;
use crate::widgets::{Textures, choice_ui, quiet};

/// How far an arrow key goes.
const KEY_STEP: f32 = 0.05;

/// The tool.
pub struct BlendTool {
    at: [f32; 2],
    way: Blend,
    four: bool,
}

impl Default for BlendTool {
    fn default() -> Self {
        Self { at: [0.5, 0.5], way: Blend::Straight, four: true }
    }
}

impl BlendTool {
    /// Draws it and says what it wants to know.
    pub fn ui(&mut self, ui: &mut Ui, sight: &Sight<'_>, textures: &mut Textures) -> Option<Wish> {
        let explorer = &sight.state.explorer;
        ui.horizontal_wrapped(|ui| {
            choice_ui(ui, &mut self.four, &[(false, "Two pictures"), (true, "Four pictures")]);
            ui.separator();
            choice_ui(ui, &mut self.way, &[(Blend::Straight, "Straight"), (Blend::Spherical, "Spherical")]);
        });
        let count = if self.four { 4 } else { 2 };
        let corners: Option<Vec<PictureRef>> = sight.slots[..count].iter().cloned().collect();
        let Some(corners) = corners else {
            waiting_ui(ui, sight);
            return None;
        };
        if !self.four {
            self.at[1] = 0.0;
        }
        let side = side_of(ui, 2, 0.0, 114.0);
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                quiet(ui, "Drag the handle");
                self.pad_ui(ui, explorer, &corners, side, textures);
                self.sliders_ui(ui);
            });
            ui.add_space(10.0);
            let is_shown = |edit: &Edit| matches!(edit, Edit::Blend { corners: of, .. } if *of == corners);
            edited_ui(ui, sight, textures, (side, "Picture between"), is_shown);
        });
        let wish = Edit::Blend { corners, at: self.at, way: self.way };
        let shown = explorer.edited.as_ref();
        let shown = shown.is_some_and(|view| view.edited.edit == wish && sight.is_fresh(view.step));
        (!shown).then_some(Wish::Edit(wish))
    }

    fn pad_ui(
        &mut self,
        ui: &mut Ui,
        explorer: &ExplorerState,
        corners: &[PictureRef],
        side: f32,
        textures: &mut Textures,
    ) {
        let p = palette(ui.visuals());
        let height = if self.four { side } else { side * 0.3 };
        let (rect, response) = ui.allocate_exact_size(Vec2::new(side, height), Sense::click_and_drag());
        let words = format!(
            "Pad between pictures, {:.0} % from the left, {:.0} % from the top",
            100.0 * self.at[0],
            100.0 * self.at[1]
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, &words));
        if response.clicked() {
            response.request_focus();
        }
        let thumb = (height * 0.26).min(side * 0.26);
        // The handle's way ends in the middle of the corner pictures.
        let way = rect.shrink2(Vec2::new(thumb / 2.0, if self.four { thumb / 2.0 } else { height / 2.0 }));
        if let Some(at) = response.interact_pointer_pos() {
            self.at[0] = ((at.x - way.left()) / way.width()).clamp(0.0, 1.0);
            if self.four {
                self.at[1] = ((at.y - way.top()) / way.height()).clamp(0.0, 1.0);
            }
        }
        if response.has_focus() {
            self.keys(ui, response.id);
        }
        let painter = ui.painter();
        painter.rect_filled(rect, CornerRadius::same(6), ui.visuals().extreme_bg_color);
        let edge = if response.has_focus() { p.teal } else { p.line };
        painter.rect_stroke(rect, CornerRadius::same(6), Stroke::new(1.0, edge), StrokeKind::Inside);
        for (index, picture) in corners.iter().enumerate() {
            let (x, y) = (index % 2, index / 2);
            let centre = Pos2::new(
                way.left() + x as f32 * way.width(),
                if self.four { way.top() + y as f32 * way.height() } else { way.center().y },
            );
            let place = Rect::from_center_size(centre, Vec2::splat(thumb - 8.0));
            if let Some(Ok(thumb)) = explorer.thumbs.get(picture) {
                let texture = textures.of(ui.ctx(), &thumb.sheet);
                painter.image(texture, place, thumb.sheet.uv(0, 0), Color32::WHITE);
            }
            let font = egui::FontId::proportional(13.0);
            let at = place.left_top() + Vec2::new(3.0, 2.0);
            let letter = Rect::from_min_size(at - Vec2::new(3.0, 2.0), Vec2::splat(18.0));
            painter.rect_filled(letter, CornerRadius::same(3), p.card);
            painter.text(letter.center(), egui::Align2::CENTER_CENTER, LETTERS[index], font, p.text);
        }
        let y = if self.four { way.top() + self.at[1] * way.height() } else { way.center().y };
        let handle = Pos2::new(way.left() + self.at[0] * way.width(), y);
        painter.circle(handle, 8.0, p.teal, Stroke::new(2.5, Color32::WHITE));
    }

    fn keys(&mut self, ui: &Ui, id: egui::Id) {
        let filter =
            egui::EventFilter { horizontal_arrows: true, vertical_arrows: self.four, ..Default::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
        ui.input(|input| {
            let by = |more: Key, less: Key| {
                let pressed = |key: Key| f32::from(u8::from(input.key_pressed(key)));
                KEY_STEP * (pressed(more) - pressed(less))
            };
            self.at[0] = (self.at[0] + by(Key::ArrowRight, Key::ArrowLeft)).clamp(0.0, 1.0);
            if self.four {
                self.at[1] = (self.at[1] + by(Key::ArrowDown, Key::ArrowUp)).clamp(0.0, 1.0);
            }
        });
    }

    fn sliders_ui(&mut self, ui: &mut Ui) {
        Grid::new("place").num_columns(2).spacing([8.0, 4.0]).show(ui, |ui| {
            let names = ["From the left", "From the top"];
            for (name, share) in names.into_iter().zip(&mut self.at).take(if self.four { 2 } else { 1 }) {
                ui.label(name);
                let mut percent = *share * 100.0;
                let slider = Slider::new(&mut percent, 0.0..=100.0).fixed_decimals(0).suffix(" %");
                if ui.name_inputs(name, |ui| ui.add(slider)).changed() {
                    *share = percent / 100.0;
                }
                ui.end_row();
            }
        });
    }
}
