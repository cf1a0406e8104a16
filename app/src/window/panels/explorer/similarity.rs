//! How like one token all others are: in the latent, in the transformer at the aligned block, in the
//! teachers. The features are here already, so hovering asks nobody.

use egui::{
    Color32, CornerRadius, Mesh, Rect, RichText, Shape, Slider, Stroke, StrokeKind, TextureId, Ui, Vec2,
};
use tandem_core::explore::{TokenFeatures, Wish};

use super::{Sight, grid, side_of, waiting_ui};
use crate::colours::{colour, one_sided};
use crate::explorer_views::StudyView;
use crate::theme::palette;
use crate::widgets::{Textures, quiet};

/// The tool.
pub struct SimilarityTool {
    /// Time at which the transformer looks.
    time: f32,
    /// Where the hovered or chosen token is, in the latent's grid.
    token: Option<usize>,
    /// Similarities of the token that is shown, of each space.
    rows: Option<(usize, std::sync::Weak<StudyView>, Vec<Vec<f32>>)>,
}

impl Default for SimilarityTool {
    fn default() -> Self {
        Self { time: 0.25, token: None, rows: None }
    }
}

impl SimilarityTool {
    /// Draws it and says what it wants to know.
    pub fn ui(&mut self, ui: &mut Ui, sight: &Sight<'_>, textures: &mut Textures) -> Option<Wish> {
        let picture = sight.picture().cloned();
        ui.horizontal(|ui| {
            ui.label("The transformer looks at time");
            let slider = Slider::new(&mut self.time, 0.0..=1.0).step_by(0.05).max_decimals(2);
            ui.name_inputs("Time at which the transformer looks", |ui| ui.add(slider))
                .on_hover_text("0 is the picture, 1 is noise; the noise is always the same");
        });
        let time = (self.time * 20.0).round() / 20.0;
        let wish = picture.clone().map(|picture| Wish::Study { picture, time: Some(time) });
        let study = sight.state.explorer.study.as_ref();
        let study = study.filter(|study| Some(&study.picture) == picture.as_ref() && study.time.is_some());
        let Some(study) = study else {
            waiting_ui(ui, sight);
            return wish;
        };
        let [_, h, w] = study.shape;
        let middle = (h / 2) * w + w / 2;
        let token = self.token.filter(|token| *token < h * w).unwrap_or(middle);
        self.update(study, token);
        let texture = textures.of(ui.ctx(), &study.pictures);
        let count = study.spaces.len() + 1;
        let side = side_of(ui, count, 0.0, 70.0);
        let mut wanted = None;
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::new(12.0, 10.0);
            let place = Place { grid: [h, w], token, side };
            let uv = study.pictures.uv(0, 0);
            wanted = wanted.or(place.ui(ui, "Original", "", Fill::Picture(texture, uv)));
            for (index, space) in study.spaces.iter().enumerate() {
                let row = self.rows.as_ref().and_then(|(_, _, rows)| rows.get(index));
                let Some(row) = row else { continue };
                let low = row.iter().copied().fold(f32::INFINITY, f32::min);
                let place =
                    Place { grid: space.grid, token: grid::translated(token, [h, w], space.grid), side };
                let range = format!("{low:.2} … 1");
                let at = place.ui(ui, &space.name, &range, Fill::Map(row, low));
                wanted = wanted.or(at.map(|at| grid::translated(at, space.grid, [h, w])));
            }
        });
        if let Some(wanted) = wanted {
            self.token = Some(wanted);
        }
        for line in &study.without {
            quiet(ui, format!("Not shown: {line}."));
        }
        wish.filter(|_| study.time != Some(time) || !sight.is_fresh(study.step))
    }

    fn update(&mut self, study: &std::sync::Arc<StudyView>, token: usize) {
        let [_, h, w] = study.shape;
        let known = self.rows.as_ref().is_some_and(|(at, of, _)| {
            *at == token && of.upgrade().is_some_and(|of| std::sync::Arc::ptr_eq(&of, study))
        });
        if !known {
            let row = |space: &TokenFeatures| space.similarities(grid::translated(token, [h, w], space.grid));
            let rows = study.spaces.iter().map(row).collect();
            self.rows = Some((token, std::sync::Arc::downgrade(study), rows));
        }
    }
}

/// What is drawn in a place.
enum Fill<'a> {
    Picture(TextureId, Rect),
    Map(&'a [f32], f32),
}

/// One picture or map with the token marked.
struct Place {
    grid: [usize; 2],
    token: usize,
    side: f32,
}

impl Place {
    /// Draws it; returns the token that the pointer or a key went to.
    fn ui(&self, ui: &mut Ui, name: &str, range: &str, fill: Fill<'_>) -> Option<usize> {
        let p = palette(ui.visuals());
        ui.allocate_ui(Vec2::new(self.side, self.side + 40.0), |ui| {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 3.0;
                ui.set_width(self.side);
                ui.add(egui::Label::new(RichText::new(name).color(p.quiet)).truncate());
                let [_, columns] = self.grid;
                let words = format!(
                    "{name}, token in row {}, column {}{}",
                    self.token / columns.max(1) + 1,
                    self.token % columns.max(1) + 1,
                    if range.is_empty() { String::new() } else { format!(", likeness {range}") }
                );
                let side = Vec2::splat(self.side);
                let (rect, response, moved) = grid::sensed(ui, side, self.grid, self.token, &words);
                match fill {
                    Fill::Picture(texture, uv) => drop(ui.painter().image(texture, rect, uv, Color32::WHITE)),
                    Fill::Map(row, low) => drop(ui.painter().add(map(rect, self.grid, row, low))),
                }
                let cell = grid::cell_rect(rect, self.grid, self.token);
                let painter = ui.painter();
                painter.rect_stroke(
                    cell,
                    CornerRadius::ZERO,
                    Stroke::new(3.0, Color32::BLACK),
                    StrokeKind::Outside,
                );
                painter.rect_stroke(
                    cell,
                    CornerRadius::ZERO,
                    Stroke::new(1.5, Color32::WHITE),
                    StrokeKind::Outside,
                );
                if response.has_focus() {
                    painter.rect_stroke(
                        rect,
                        CornerRadius::same(2),
                        Stroke::new(2.0, p.teal),
                        StrokeKind::Outside,
                    );
                }
                ui.label(RichText::new(range).small().color(p.quiet));
                // A pointer that rests does not take back what a key moved.
                let pointed = |event: &egui::Event| matches!(event, egui::Event::PointerMoved(_));
                let points = ui.input(|input| input.events.iter().any(pointed));
                let hovered = response.hover_pos().filter(|_| points);
                moved.or_else(|| hovered.and_then(|at| grid::cell_at(rect, self.grid, at)))
            })
            .inner
        })
        .inner
    }
}

/// A square for each token.
fn map(rect: Rect, size: [usize; 2], row: &[f32], low: f32) -> Shape {
    let mut mesh = Mesh::default();
    for (index, value) in row.iter().enumerate() {
        mesh.add_colored_rect(grid::cell_rect(rect, size, index), colour(one_sided(*value, low, 1.0)));
    }
    Shape::mesh(mesh)
}
