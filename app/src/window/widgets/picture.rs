//! Pictures on screen: textures of sheets, one cell of a sheet, and two cells with a line to drag
//! between them.

use std::collections::VecDeque;
use std::sync::Arc;

use egui::{
    Color32, Context, CornerRadius, CursorIcon, Pos2, Rect, Response, Sense, Shape, Stroke, StrokeKind,
    TextureHandle, TextureId, TextureOptions, Ui, Vec2, WidgetInfo, accesskit::Role,
};

use super::super::sheet::Sheet;
use super::super::theme::palette;

/// Textures that are kept for each panel.
const MAX_TEXTURES: usize = 16;

/// Sheets on the graphics card, the least used forgotten.
#[derive(Default)]
pub struct Textures {
    held: VecDeque<(Arc<egui::ColorImage>, TextureHandle)>,
}

impl Textures {
    /// The texture of a sheet; uploads it on first sight.
    pub fn of(&mut self, ctx: &Context, sheet: &Sheet) -> TextureId {
        if let Some(at) = self.held.iter().position(|(image, _)| Arc::ptr_eq(image, &sheet.image))
            && let Some(found) = self.held.remove(at)
        {
            let id = found.1.id();
            self.held.push_back(found);
            return id;
        }
        let handle = ctx.load_texture("sheet", sheet.image.clone(), TextureOptions::LINEAR);
        let id = handle.id();
        self.held.push_back((sheet.image.clone(), handle));
        if self.held.len() > MAX_TEXTURES {
            self.held.pop_front();
        }
        id
    }
}

/// One picture of `side` points; `name` is what it is called for those who do not see it.
pub fn cell_ui(ui: &mut Ui, texture: TextureId, uv: Rect, side: Vec2, name: &str, sense: Sense) -> Response {
    let (rect, response) = ui.allocate_exact_size(side, sense);
    response.widget_info(|| {
        WidgetInfo::labeled(if sense.senses_click() { Role::Button } else { Role::Image }, true, name)
    });
    if ui.is_rect_visible(rect) {
        ui.painter().image(texture, rect, uv, Color32::WHITE);
        if sense.senses_click() && (response.hovered() || response.has_focus()) {
            let stroke = Stroke::new(2.0, palette(ui.visuals()).teal);
            ui.painter().rect_stroke(rect, CornerRadius::same(2), stroke, StrokeKind::Outside);
        }
    }
    response
}

/// Two pictures in one place: `left` up to the line at `share`, `right` after it. Dragging moves the
/// line.
pub fn wipe_ui(
    ui: &mut Ui,
    (left, right): ((TextureId, Rect), (TextureId, Rect)),
    side: Vec2,
    share: &mut f32,
    name: &str,
) -> Response {
    let (rect, mut response) = ui.allocate_exact_size(side, Sense::click_and_drag());
    let enabled = ui.is_enabled();
    if let Some(at) = response.interact_pointer_pos() {
        let moved = ((at.x - rect.left()) / rect.width()).clamp(0.0, 1.0);
        if moved != *share {
            *share = moved;
            response.mark_changed();
        }
    }
    response.widget_info(|| WidgetInfo::slider(enabled, f64::from(*share), name));
    if response.hovered() {
        ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
    }
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let part = |uv: Rect, from: f32, to: f32| {
        let area = Rect::from_min_max(
            Pos2::new(rect.left() + from * rect.width(), rect.top()),
            Pos2::new(rect.left() + to * rect.width(), rect.bottom()),
        );
        let uv = Rect::from_min_max(
            Pos2::new(uv.left() + from * uv.width(), uv.top()),
            Pos2::new(uv.left() + to * uv.width(), uv.bottom()),
        );
        (area, uv)
    };
    let painter = ui.painter();
    for ((texture, uv), from, to) in [(left, 0.0, *share), (right, *share, 1.0)] {
        if to > from {
            let (area, uv) = part(uv, from, to);
            painter.image(texture, area, uv, Color32::WHITE);
        }
    }
    let x = rect.left() + *share * rect.width();
    painter.vline(x, rect.y_range(), Stroke::new(3.0, Color32::from_black_alpha(120)));
    painter.vline(x, rect.y_range(), Stroke::new(1.0, Color32::WHITE));
    let middle = Pos2::new(x, rect.center().y);
    painter.add(Shape::circle_filled(middle, 4.0, Color32::WHITE));
    response
}
