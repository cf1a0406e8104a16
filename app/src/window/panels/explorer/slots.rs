//! The four pictures A to D that all tools work on.

use egui::{
    Button, Color32, CornerRadius, DragValue, RichText, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo,
    accesskit::Role,
};
use tandem_core::explore::PictureRef;

use crate::explorer_state::ExplorerState;
use crate::message::{Command, Pick};
use crate::state::AppState;
use crate::theme::palette;
use crate::widgets::{Textures, choice_ui, quiet};

/// Names of the places.
pub const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// Parts of the data between whose starts the first pictures lie. Not four: a set that holds everything twice, once
/// for each style, would show two pictures twice.
const APART: usize = 5;

/// Side of a small picture.
const SIDE: f32 = 64.0;

/// Which pictures are where.
#[derive(Default)]
pub struct Slots {
    /// Nothing stands for a picture of the data.
    pictures: [Option<PictureRef>; 4],
    chosen: usize,
}

/// Where a picture comes from.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Held,
    Train,
    File,
}

impl Slots {
    /// The place that is chosen.
    pub fn chosen(&self) -> usize {
        self.chosen
    }

    /// Puts a picture into the chosen place.
    pub fn put(&mut self, picture: PictureRef) {
        self.put_at(self.chosen, picture);
    }

    /// Puts a picture into a place and chooses it.
    pub fn put_at(&mut self, slot: usize, picture: PictureRef) {
        self.chosen = slot;
        self.pictures[slot] = Some(picture);
    }

    /// The pictures; places that nobody filled have some of the data, far from each other.
    pub fn all(&self, explorer: &ExplorerState) -> [Option<PictureRef>; 4] {
        let (held, train) = explorer.about.as_ref().map_or((0, 0), |about| about.counts);
        [0, 1, 2, 3].map(|slot| {
            let picture = self.pictures[slot].clone();
            picture.or_else(|| match (held, train) {
                (0, 0) => None,
                (0, train) => Some(PictureRef::Train(slot * train / APART)),
                (held, _) => Some(PictureRef::Held(slot * held / APART)),
            })
        })
    }

    /// Draws them, and what changes the chosen one.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        state: &AppState,
        textures: &mut Textures,
        commands: &mut Vec<Command>,
    ) {
        let all = self.all(&state.explorer);
        ui.horizontal_wrapped(|ui| {
            for (slot, picture) in all.iter().enumerate() {
                if slot_ui(ui, slot, picture.as_ref(), self.chosen == slot, state, textures) {
                    self.chosen = slot;
                }
            }
            ui.add_space(8.0);
            ui.vertical(|ui| self.choose_ui(ui, state, all[self.chosen].as_ref(), commands));
        });
    }

    fn choose_ui(
        &mut self,
        ui: &mut Ui,
        state: &AppState,
        picture: Option<&PictureRef>,
        commands: &mut Vec<Command>,
    ) {
        let Some(about) = &state.explorer.about else {
            quiet(ui, "Asking which pictures there are…");
            return;
        };
        let letter = LETTERS[self.chosen];
        let (held, train) = about.counts;
        ui.horizontal(|ui| {
            ui.strong(format!("Picture {letter}"));
            let mut from = match picture {
                Some(PictureRef::Train(_)) => From::Train,
                Some(PictureRef::File(_)) => From::File,
                _ => From::Held,
            };
            let mut kinds = Vec::new();
            if held > 0 {
                kinds.push((From::Held, "Held-out"));
            }
            if train > 0 {
                kinds.push((From::Train, "Training"));
            }
            kinds.push((From::File, "File…"));
            if choice_ui(ui, &mut from, &kinds) {
                match from {
                    From::Held => self.put(PictureRef::Held(0)),
                    From::Train => self.put(PictureRef::Train(0)),
                    From::File => commands.push(Command::Pick(Pick::File)),
                }
            }
        });
        ui.horizontal(|ui| match picture {
            Some(PictureRef::Held(index)) => self.number_ui(ui, *index, held, PictureRef::Held),
            Some(PictureRef::Train(index)) => self.number_ui(ui, *index, train, PictureRef::Train),
            Some(PictureRef::File(path)) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                ui.add(egui::Label::new(name).truncate()).on_hover_text(path.display().to_string());
            }
            None => drop(quiet(ui, "Drop a picture on the window.")),
        });
        match (&about.without_data, picture.and_then(|picture| state.explorer.thumbs.get(picture))) {
            (_, Some(Err(reason))) => drop(ui.colored_label(palette(ui.visuals()).bad, reason)),
            (_, Some(Ok(thumb))) => {
                let class = thumb.label.and_then(|label| about.classes.get(label));
                let class = class.filter(|class| **class != thumb.name);
                let class = class.map_or(String::new(), |class| format!(" · {class}"));
                ui.add(
                    egui::Label::new(
                        RichText::new(format!("{}{class}", thumb.name)).color(palette(ui.visuals()).quiet),
                    )
                    .truncate(),
                );
            }
            (Some(reason), None) => drop(quiet(ui, format!("No pictures of the data: {reason}"))),
            (None, None) => drop(quiet(ui, " ")),
        }
    }

    fn number_ui(&mut self, ui: &mut Ui, index: usize, count: usize, of: fn(usize) -> PictureRef) {
        let last = count.saturating_sub(1);
        let letter = LETTERS[self.chosen];
        let mut number = index.min(last) + 1;
        let step = |ui: &mut Ui, text: &str, words: &str, enabled: bool| {
            let button = ui.add_enabled(enabled, Button::new(text));
            button
                .widget_info(|| WidgetInfo::labeled(Role::Button, enabled, format!("{words} for {letter}")));
            button.on_hover_text(words).clicked()
        };
        if step(ui, "‹", "Picture before", number > 1) {
            number -= 1;
        }
        ui.name_inputs(format!("Number of picture {letter}"), |ui| {
            ui.add(DragValue::new(&mut number).range(1..=count.max(1)).speed(0.2))
        });
        if step(ui, "›", "Picture after", number <= last) {
            number += 1;
        }
        quiet(ui, format!("of {count}"));
        if number != index + 1 {
            self.put(of(number - 1));
        }
    }
}

/// One place; returns whether it was clicked.
fn slot_ui(
    ui: &mut Ui,
    slot: usize,
    picture: Option<&PictureRef>,
    chosen: bool,
    state: &AppState,
    textures: &mut Textures,
) -> bool {
    let p = palette(ui.visuals());
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(SIDE + 8.0), Sense::click());
    let letter = LETTERS[slot];
    let words = picture.map_or_else(|| "empty".into(), ToString::to_string);
    response.widget_info(|| {
        WidgetInfo::selected(Role::Button, true, chosen, format!("Picture {letter}, {words}"))
    });
    let inner = rect.shrink(4.0);
    let painter = ui.painter();
    match picture.and_then(|picture| state.explorer.thumbs.get(picture)) {
        Some(Ok(thumb)) => {
            let texture = textures.of(ui.ctx(), &thumb.sheet);
            painter.image(texture, inner, thumb.sheet.uv(0, 0), Color32::WHITE);
        }
        other => {
            painter.rect_filled(inner, CornerRadius::same(3), p.line);
            let sign = if matches!(other, Some(Err(_))) { "!" } else { "" };
            let font = egui::FontId::proportional(22.0);
            painter.text(inner.center(), egui::Align2::CENTER_CENTER, sign, font, p.bad);
        }
    }
    let badge = egui::Rect::from_min_size(inner.left_top(), Vec2::splat(18.0));
    painter.rect_filled(badge, CornerRadius::same(3), if chosen { p.teal } else { p.card });
    let colour = if chosen { p.on_teal } else { p.text };
    painter.text(
        badge.center(),
        egui::Align2::CENTER_CENTER,
        letter,
        egui::FontId::proportional(13.0),
        colour,
    );
    if chosen || response.hovered() || response.has_focus() {
        let colour = if chosen { p.teal } else { p.quiet };
        painter.rect_stroke(
            rect.shrink(2.0),
            CornerRadius::same(5),
            Stroke::new(2.0, colour),
            StrokeKind::Middle,
        );
    }
    response.on_hover_text(words).clicked()
}
