//! The points themselves: one mesh for all of them, the nearest under the pointer, and the line that is
//! drawn around some.

use egui::{
    Color32, CornerRadius, Mesh, Pos2, Rect, Sense, Shape, Stroke, StrokeKind, TextureId, Ui, Vec2,
    WidgetInfo, accesskit::Role,
};

use crate::colours::of_class;
use crate::explorer_views::ScatterView;
use crate::theme::palette;

/// Half the side of a point.
const POINT: f32 = 2.3;
/// How far from a point the pointer still means it.
const NEAR: f32 = 12.0;
/// Side of the picture that hovering shows.
const HOVER: f32 = 96.0;
/// A line goes on when the pointer has moved this far.
const LINE_STEP: f32 = 3.0;

/// The line that is being drawn.
#[derive(Default)]
pub struct Plot {
    line: Vec<Pos2>,
}

/// What came of a frame.
pub struct Shown {
    /// Points that were just picked.
    pub picked: Option<Vec<usize>>,
}

impl Plot {
    /// Draws the points in a place of `size`.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        view: &ScatterView,
        (atlas, classes): (TextureId, &[String]),
        picked: &[usize],
        size: Vec2,
    ) -> Shown {
        let p = palette(ui.visuals());
        let dark = ui.visuals().dark_mode;
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        let count = view.scatter.points.len();
        response
            .widget_info(|| WidgetInfo::labeled(Role::Canvas, true, format!("Latents of {count} pictures")));
        let places: Vec<Pos2> =
            view.scatter.points.iter().map(|point| place(*point, view.bounds, rect)).collect();
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, CornerRadius::same(6), ui.visuals().extreme_bg_color);
        let mut mesh = Mesh::default();
        let faded = !picked.is_empty();
        let mut chosen = vec![false; count];
        picked.iter().filter(|at| **at < count).for_each(|at| chosen[*at] = true);
        for (at, centre) in places.iter().enumerate() {
            let label = view.scatter.pictures.get(at).map_or(0, |(_, label)| *label);
            let colour = of_class(label, dark);
            let colour = if faded && !chosen[at] { colour.gamma_multiply(0.25) } else { colour };
            mesh.add_colored_rect(Rect::from_center_size(*centre, Vec2::splat(2.0 * POINT)), colour);
        }
        painter.add(Shape::mesh(mesh));
        let picked = self.draw(&response, &places);
        if self.line.len() > 1 {
            painter.add(Shape::closed_line(self.line.clone(), Stroke::new(1.5, p.teal)));
        }
        if self.line.is_empty()
            && let Some(near) = response.hover_pos().and_then(|at| nearest(&places, at))
        {
            painter.rect_stroke(
                Rect::from_center_size(places[near], Vec2::splat(4.0 * POINT)),
                CornerRadius::same(2),
                Stroke::new(1.5, p.text),
                StrokeKind::Outside,
            );
            let (index, label) = view.scatter.pictures.get(near).copied().unwrap_or_default();
            let name = classes.get(label).map_or("no class", String::as_str);
            let uv = view.atlas.uv(near % view.atlas.columns, near / view.atlas.columns);
            response.on_hover_ui_at_pointer(|ui| {
                let (rect, _) = ui.allocate_exact_size(Vec2::splat(HOVER), Sense::hover());
                ui.painter().image(atlas, rect, uv, Color32::WHITE);
                ui.label(format!("{name}, training picture {}", index + 1));
            });
        }
        Shown { picked }
    }

    /// Follows the pointer; a finished line or a click picks.
    fn draw(&mut self, response: &egui::Response, places: &[Pos2]) -> Option<Vec<usize>> {
        if response.dragged()
            && let Some(at) = response.interact_pointer_pos()
            && self.line.last().is_none_or(|last| last.distance(at) >= LINE_STEP)
        {
            self.line.push(at);
        }
        if response.drag_stopped() {
            let line = std::mem::take(&mut self.line);
            return Some((0..places.len()).filter(|at| is_inside(&line, places[*at])).collect());
        }
        if response.clicked() {
            let at = response.interact_pointer_pos()?;
            return Some(nearest(places, at).into_iter().collect());
        }
        None
    }
}

/// Where a point lies: both axes have the same scale, so that distances are true.
fn place(point: [f32; 2], (low, high): ([f32; 2], [f32; 2]), rect: Rect) -> Pos2 {
    let inner = rect.shrink(12.0);
    let span = [0, 1].map(|axis| (high[axis] - low[axis]).max(f32::MIN_POSITIVE));
    let middle = [0, 1].map(|axis| (low[axis] + high[axis]) / 2.0);
    let scale = (inner.width() / span[0]).min(inner.height() / span[1]).min(f32::MAX);
    Pos2::new(
        inner.center().x + (point[0] - middle[0]) * scale,
        inner.center().y - (point[1] - middle[1]) * scale,
    )
}

/// The point nearest to `at`, if one is near.
fn nearest(places: &[Pos2], at: Pos2) -> Option<usize> {
    let distances = places.iter().map(|place| place.distance_sq(at)).enumerate();
    let (index, distance) = distances.min_by(|a, b| a.1.total_cmp(&b.1))?;
    (distance <= NEAR * NEAR).then_some(index)
}

/// Whether `at` lies inside the closed `line`: a ray from it crosses the line an odd number of times.
fn is_inside(line: &[Pos2], at: Pos2) -> bool {
    let ends = line.iter().zip(line.iter().cycle().skip(1));
    let crossings = ends.filter(|(a, b)| {
        (a.y > at.y) != (b.y > at.y) && at.x < (b.x - a.x) * (at.y - a.y) / (b.y - a.y) + a.x
    });
    crossings.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_picks_what_lies_inside() {
        let line =
            [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 4.0), (0.0, 10.0)].map(|(x, y)| Pos2::new(x, y));
        let inside = |x: f32, y: f32| is_inside(&line, Pos2::new(x, y));
        assert!(inside(2.0, 2.0) && inside(8.0, 2.0) && inside(9.0, 7.0));
        assert!(!inside(5.0, 8.0), "the notch is outside");
        assert!(!inside(11.0, 5.0) && !inside(-1.0, 5.0) && !is_inside(&[], Pos2::ZERO));
    }

    #[test]
    fn points_fill_the_square_with_one_scale_and_the_nearest_is_found() {
        let rect = Rect::from_min_size(Pos2::ZERO, Vec2::splat(124.0));
        let bounds = ([-1.0, 0.0], [1.0, 1.0]);
        let (a, b) = (place([-1.0, 0.0], bounds, rect), place([1.0, 1.0], bounds, rect));
        assert!((a.x - 12.0).abs() < 1e-3 && (b.x - 112.0).abs() < 1e-3);
        assert!((a.y - b.y - 50.0).abs() < 1e-3, "up is up, at the scale of the other axis");
        assert_eq!(nearest(&[a, b], Pos2::new(110.0, b.y)), Some(1));
        assert_eq!(nearest(&[a, b], Pos2::new(60.0, 0.0)), None);
        assert!(place([3.0, 3.0], ([3.0, 3.0], [3.0, 3.0]), rect).x.is_finite(), "one point");
    }
}
