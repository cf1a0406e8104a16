//! Pieces with two or more users.

mod picture;
mod plot;
mod timeline;

use egui::{
    Button, Color32, ComboBox, Context, CornerRadius, Frame, Id, Label, Margin, Modal, Response, RichText,
    Stroke, TextEdit, Ui, Vec2,
};

pub use picture::{Textures, cell_ui, wipe_ui};
pub use plot::{Curve, Decimated, Style, chart_ui};
pub use timeline::Timeline;

use super::theme::palette;

/// A card with `add` on it.
pub fn card<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    let p = palette(ui.visuals());
    let frame = Frame::new()
        .fill(p.card)
        .stroke(Stroke::new(1.0, p.line))
        .corner_radius(CornerRadius::same(10))
        .inner_margin(Margin::symmetric(16, 14));
    // Columns justify what is in them: buttons would be as wide as they are, and words spread.
    frame.show(ui, |ui| ui.vertical(add).inner).inner
}

/// A question over everything else; `id` tells it from others.
pub fn question(ctx: &Context, id: &str) -> Modal {
    let frame = Frame::window(&ctx.global_style()).inner_margin(Margin::same(20));
    Modal::new(Id::unique(id)).frame(frame)
}

/// The title of a card.
pub fn title(ui: &mut Ui, text: &str) -> Response {
    ui.label(RichText::new(text).size(16.0).strong())
}

/// Words that explain.
pub fn quiet(ui: &mut Ui, text: impl Into<String>) -> Response {
    let colour = palette(ui.visuals()).quiet;
    ui.label(RichText::new(text).color(colour))
}

/// The button that a page is for.
pub fn primary(text: &str, ui: &Ui) -> Button<'static> {
    let p = palette(ui.visuals());
    Button::new(RichText::new(text).color(p.on_teal).strong()).fill(p.teal).stroke(Stroke::NONE)
}

/// A figure under its name.
pub fn figure(ui: &mut Ui, name: &str, value: impl Into<String>, hint: &str) {
    let quiet = palette(ui.visuals()).quiet;
    let response = ui
        .vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.add(Label::new(RichText::new(name).small().color(quiet)).extend());
            ui.add(Label::new(RichText::new(value).size(19.0)).extend());
        })
        .response;
    if !hint.is_empty() {
        response.on_hover_text(hint);
    }
}

/// What a panel shows when it has nothing to show.
pub fn empty_ui(ui: &mut Ui, heading: &str, text: &str) {
    let quiet = palette(ui.visuals()).quiet;
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.28).min(220.0));
        ui.label(RichText::new(heading).size(20.0));
        ui.set_max_width(ui.available_width().min(520.0));
        ui.label(RichText::new(text).color(quiet));
        ui.add_space(8.0);
    });
}

/// A bar that is `share` full, with room for nothing else.
pub fn bar_ui(ui: &mut Ui, share: f32, colour: Color32, height: f32) {
    let width = ui.available_width();
    let (rect, _) = ui.allocate_exact_size(Vec2::new(width, height), egui::Sense::hover());
    let radius = CornerRadius::same((height / 2.0) as u8);
    ui.painter().rect_filled(rect, radius, palette(ui.visuals()).line);
    let mut full = rect;
    full.set_width(width * share.clamp(0.0, 1.0));
    if full.width() > 1.0 {
        ui.painter().rect_filled(full, radius, colour);
    }
}

/// A few choices side by side, one of them taken. Returns whether another was taken.
pub fn choice_ui<T: Copy + PartialEq>(ui: &mut Ui, value: &mut T, choices: &[(T, &str)]) -> bool {
    let before = *value;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for (choice, name) in choices {
            ui.selectable_value(value, *choice, *name);
        }
    });
    *value != before
}

/// Names an input for those who do not see it; a hint alone would be taken for its name.
pub fn named(response: Response, name: &str) -> Response {
    response.ctx.accesskit_node_builder(response.id, |node| node.set_label(name));
    response
}

/// A row of a form: name, input, and words that explain as far as there is room.
pub fn row_ui<R>(ui: &mut Ui, name: &str, words: &str, add: impl FnOnce(&mut Ui) -> R) {
    let column = |ui: &mut Ui, width: f32| {
        let layout = egui::Layout::left_to_right(egui::Align::Center);
        let (rect, _) = ui.allocate_exact_size(Vec2::new(width, 28.0), egui::Sense::hover());
        ui.new_child(egui::UiBuilder::new().max_rect(rect).layout(layout))
    };
    ui.horizontal(|ui| {
        column(ui, 76.0).label(name);
        add(&mut column(ui, 318.0));
        let quiet = palette(ui.visuals()).quiet;
        ui.add(Label::new(RichText::new(words).color(quiet)).truncate()).on_hover_text(words);
    });
}

/// A choice of device, with room for the number of an adapter.
pub fn device_ui(ui: &mut Ui, device: &mut String) {
    ui.horizontal(|ui| {
        ui.name_inputs("Device", |ui| {
            ComboBox::from_id_salt("device").selected_text(device.clone()).show_ui(ui, |ui| {
                for name in ["auto", "cpu", "gpu", "software"] {
                    ui.selectable_value(device, name.to_string(), name);
                }
            })
        });
        let edit = TextEdit::singleline(device).desired_width(70.0);
        ui.name_inputs("Device by name", |ui| ui.add(edit))
            .on_hover_text("gpu:1 is adapter 1 of tandem doctor");
        if device.parse::<tandem_core::device::DeviceChoice>().is_err() {
            let bad = palette(ui.visuals()).bad;
            ui.colored_label(bad, "unknown device");
        }
    });
}
