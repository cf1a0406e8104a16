//! A region of latent positions, painted on a picture with the pointer or with arrow keys and Space.

use egui::{
    Color32, CornerRadius, CursorIcon, Key, Mesh, Pos2, Rect, Shape, Slider, Stroke, StrokeKind, TextureId,
    Ui, Vec2,
};

use super::grid;
use crate::theme::palette;
use crate::widgets::choice_ui;

/// The region and the brush.
#[derive(Clone, Debug, Default)]
pub struct Region {
    grid: [usize; 2],
    painted: Vec<bool>,
    /// Positions around the pointer that are painted too.
    reach: usize,
    erase: bool,
    cursor: usize,
}

impl Region {
    /// The mask, row by row, of a latent of `grid`; none where nothing is painted.
    pub fn mask(&self, grid: [usize; 2]) -> Option<Vec<bool>> {
        (self.grid == grid && self.painted.contains(&true)).then(|| self.painted.clone())
    }

    fn fit(&mut self, grid: [usize; 2]) {
        if self.grid != grid {
            (self.grid, self.painted, self.cursor) = (grid, vec![false; grid[0] * grid[1]], 0);
        }
    }

    /// Paints or erases around a position.
    fn brush(&mut self, at: usize) {
        let [rows, columns] = self.grid;
        let (row, column) = (at / columns.max(1), at % columns.max(1));
        for r in row.saturating_sub(self.reach)..=(row + self.reach).min(rows.saturating_sub(1)) {
            for c in column.saturating_sub(self.reach)..=(column + self.reach).min(columns.saturating_sub(1))
            {
                self.painted[r * columns + c] = !self.erase;
            }
        }
    }

    /// Paints along a line: a pointer moves far between two frames.
    fn stroke(&mut self, rect: Rect, from: Pos2, to: Pos2) {
        let cell = grid::cell_rect(rect, self.grid, 0).size().min_elem().max(1.0);
        let steps = (2.0 * from.distance(to) / cell).ceil().clamp(1.0, 1000.0) as usize;
        for step in 0..=steps {
            let at = from.lerp(to, step as f32 / steps as f32);
            if let Some(at) = grid::cell_at(rect, self.grid, at) {
                self.cursor = at;
                self.brush(at);
            }
        }
    }

    /// The brush's controls; `nothing` is what an unpainted picture means.
    pub fn brush_ui(&mut self, ui: &mut Ui, nothing: &str) {
        ui.horizontal_wrapped(|ui| {
            choice_ui(ui, &mut self.erase, &[(false, "Paint"), (true, "Erase")]);
            ui.label("Brush");
            ui.spacing_mut().slider_width = 70.0;
            let mut size = 2 * self.reach + 1;
            let slider = Slider::new(&mut size, 1..=7).step_by(2.0).suffix(" wide");
            if ui.name_inputs("Size of the brush", |ui| ui.add(slider)).changed() {
                self.reach = size / 2;
            }
            let painted = self.painted.contains(&true);
            if ui.add_enabled(painted, egui::Button::new("Clear")).on_hover_text(nothing).clicked() {
                self.painted.fill(false);
            }
        });
    }

    /// A picture to paint on.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        picture: Option<(TextureId, Rect)>,
        size: [usize; 2],
        side: f32,
        name: &str,
    ) {
        self.fit(size);
        let p = palette(ui.visuals());
        let count = self.painted.iter().filter(|there| **there).count();
        let words = format!("{name}, {count} of {} tokens painted", self.painted.len());
        let (rect, response, moved) = grid::sensed(ui, Vec2::splat(side), size, self.cursor, &words);
        if let Some(moved) = moved {
            self.cursor = moved;
        }
        if response.has_focus() && ui.input(|input| input.key_pressed(Key::Space)) {
            self.brush(self.cursor);
        }
        let hovered = response.hover_pos().and_then(|at| grid::cell_at(rect, size, at));
        if let Some(at) = response.interact_pointer_pos() {
            let pressed = ui.input(|input| input.pointer.press_origin()).filter(|_| response.drag_started());
            self.stroke(rect, pressed.unwrap_or(at - response.drag_delta()), at);
        }
        if response.hovered() {
            ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
        }
        let painter = ui.painter();
        match picture {
            Some((texture, uv)) => drop(painter.image(texture, rect, uv, Color32::WHITE)),
            None => drop(painter.rect_filled(rect, CornerRadius::same(3), p.line)),
        }
        let mut mesh = Mesh::default();
        let tint = p.teal.gamma_multiply(0.45);
        for at in (0..self.painted.len()).filter(|at| self.painted[*at]) {
            mesh.add_colored_rect(grid::cell_rect(rect, size, at), tint);
        }
        painter.add(Shape::mesh(mesh));
        let marked = if response.has_focus() { Some(self.cursor) } else { hovered };
        if let Some(at) = marked {
            let cell = grid::cell_rect(rect, size, at);
            painter.rect_stroke(
                cell,
                CornerRadius::ZERO,
                Stroke::new(1.5, Color32::WHITE),
                StrokeKind::Outside,
            );
        }
        let edge = if response.has_focus() { p.teal } else { p.line };
        painter.rect_stroke(rect, CornerRadius::same(2), Stroke::new(1.0, edge), StrokeKind::Outside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brush_paints_around_a_position_and_stays_inside() {
        let mut region = Region::default();
        region.fit([3, 4]);
        assert_eq!(region.mask([3, 4]), None);
        region.brush(5);
        assert_eq!(region.mask([3, 4]).unwrap().iter().filter(|there| **there).count(), 1);
        region.reach = 1;
        region.brush(0);
        let mask = region.mask([3, 4]).unwrap();
        assert_eq!(mask.iter().filter(|there| **there).count(), 4, "a corner has three neighbours");
        region.erase = true;
        region.brush(5);
        assert_eq!(region.mask([3, 4]), None);
        region.erase = false;
        region.reach = 0;
        let rect = Rect::from_min_size(Pos2::ZERO, Vec2::new(40.0, 30.0));
        region.stroke(rect, Pos2::new(5.0, 15.0), Pos2::new(35.0, 15.0));
        let row: Vec<_> = (0..12).map(|at| (4..8).contains(&at)).collect();
        assert_eq!(region.mask([3, 4]).unwrap(), row, "no token between is left out");
        region.brush(11);
        assert_eq!(region.mask([8, 8]), None, "of another latent");
    }
}
