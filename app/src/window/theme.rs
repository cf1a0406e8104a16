//! How the window looks: one function for both themes. Two hues carry meaning: teal for the
//! autoencoder and for what can be pressed, amber for the transformer.

use egui::{
    Color32, Context, CornerRadius, FontFamily, FontId, Margin, Shadow, Stroke, Style, TextStyle, Theme,
    Vec2, Visuals,
};

/// Colours beyond those that egui's style has room for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// Window background.
    pub ground: Color32,
    /// Cards and side navigation.
    pub card: Color32,
    /// Lines between and around.
    pub line: Color32,
    /// Text.
    pub text: Color32,
    /// Text that explains.
    pub quiet: Color32,
    /// What can be pressed; the autoencoder.
    pub teal: Color32,
    /// Text on `teal`.
    pub on_teal: Color32,
    /// The transformer; what waits.
    pub amber: Color32,
    /// All is well.
    pub good: Color32,
    /// Something failed.
    pub bad: Color32,
}

const DARK: Palette = Palette {
    ground: Color32::from_rgb(0x12, 0x15, 0x19),
    card: Color32::from_rgb(0x1A, 0x1F, 0x25),
    line: Color32::from_rgb(0x2C, 0x33, 0x3C),
    text: Color32::from_rgb(0xE6, 0xE9, 0xEC),
    quiet: Color32::from_rgb(0x98, 0xA3, 0xAF),
    teal: Color32::from_rgb(0x3F, 0xBF, 0xB0),
    on_teal: Color32::from_rgb(0x06, 0x20, 0x1D),
    amber: Color32::from_rgb(0xF0, 0xA8, 0x4F),
    good: Color32::from_rgb(0x7A, 0xC8, 0x7A),
    bad: Color32::from_rgb(0xF0, 0x72, 0x6B),
};

const LIGHT: Palette = Palette {
    ground: Color32::from_rgb(0xF5, 0xF4, 0xF0),
    card: Color32::from_rgb(0xFF, 0xFF, 0xFD),
    line: Color32::from_rgb(0xDC, 0xDA, 0xD2),
    text: Color32::from_rgb(0x1C, 0x22, 0x28),
    quiet: Color32::from_rgb(0x5C, 0x66, 0x70),
    teal: Color32::from_rgb(0x0B, 0x7C, 0x72),
    on_teal: Color32::from_rgb(0xFF, 0xFF, 0xFF),
    amber: Color32::from_rgb(0xB2, 0x66, 0x0A),
    good: Color32::from_rgb(0x2F, 0x7D, 0x32),
    bad: Color32::from_rgb(0xB9, 0x2D, 0x26),
};

/// Colours of curves, apart from each other in both themes and for most colour-blind eyes.
const CURVES: [[Color32; 2]; 8] = [
    [Color32::from_rgb(0x3F, 0xBF, 0xB0), Color32::from_rgb(0x0B, 0x7C, 0x72)],
    [Color32::from_rgb(0xF0, 0xA8, 0x4F), Color32::from_rgb(0xC2, 0x6E, 0x08)],
    [Color32::from_rgb(0x8F, 0xA8, 0xF5), Color32::from_rgb(0x3F, 0x5B, 0xC4)],
    [Color32::from_rgb(0xE8, 0x83, 0xB2), Color32::from_rgb(0xB0, 0x34, 0x74)],
    [Color32::from_rgb(0xB6, 0xD0, 0x5C), Color32::from_rgb(0x5F, 0x7D, 0x0E)],
    [Color32::from_rgb(0xC6, 0x9B, 0xE8), Color32::from_rgb(0x7B, 0x46, 0xB3)],
    [Color32::from_rgb(0x6C, 0xC4, 0xEE), Color32::from_rgb(0x12, 0x77, 0xA8)],
    [Color32::from_rgb(0xD9, 0xC8, 0x9A), Color32::from_rgb(0x8A, 0x70, 0x2A)],
];

/// The palette of the theme in use.
pub fn palette(visuals: &Visuals) -> Palette {
    if visuals.dark_mode { DARK } else { LIGHT }
}

/// Colour number `index` for a curve.
pub fn curve(visuals: &Visuals, index: usize) -> Color32 {
    CURVES[index % CURVES.len()][usize::from(!visuals.dark_mode)]
}

/// Gives `ctx` both themes.
pub fn install(ctx: &Context) {
    for theme in [Theme::Dark, Theme::Light] {
        ctx.style_mut_of(theme, |style| shape(style, if theme == Theme::Dark { DARK } else { LIGHT }));
    }
}

fn shape(style: &mut Style, p: Palette) {
    let font = |size| FontId::new(size, FontFamily::Proportional);
    style.text_styles = [
        (TextStyle::Small, font(12.0)),
        (TextStyle::Body, font(14.5)),
        (TextStyle::Button, font(14.5)),
        (TextStyle::Heading, font(22.0)),
        (TextStyle::Monospace, FontId::new(13.0, FontFamily::Monospace)),
    ]
    .into();
    style.spacing.item_spacing = Vec2::new(10.0, 8.0);
    style.spacing.button_padding = Vec2::new(12.0, 5.0);
    style.spacing.interact_size = Vec2::new(40.0, 28.0);
    style.spacing.slider_width = 180.0;
    style.spacing.combo_width = 150.0;
    style.spacing.icon_width = 18.0;
    // The bar stands beside the content, not on it.
    style.spacing.scroll.floating_allocated_width = 12.0;
    style.spacing.tooltip_width = 360.0;
    style.spacing.window_margin = Margin::same(20);
    // Things that move by themselves cost frames that training could use.
    style.animation_time = 0.0;
    let v = &mut style.visuals;
    v.text_cursor.blink = false;
    v.image_loading_spinners = false;
    v.panel_fill = p.ground;
    v.window_fill = p.card;
    v.window_stroke = Stroke::new(1.0, p.line);
    v.window_corner_radius = CornerRadius::same(12);
    v.menu_corner_radius = CornerRadius::same(8);
    v.window_shadow = Shadow {
        offset: [0, 12],
        blur: 40,
        spread: 0,
        color: Color32::from_black_alpha(if v.dark_mode { 140 } else { 50 }),
    };
    v.popup_shadow = Shadow {
        offset: [0, 4],
        blur: 16,
        spread: 0,
        color: Color32::from_black_alpha(if v.dark_mode { 110 } else { 40 }),
    };
    v.extreme_bg_color = if v.dark_mode { Color32::from_rgb(0x0D, 0x10, 0x13) } else { Color32::WHITE };
    v.faint_bg_color = mix(p.card, p.text, 0.04);
    v.code_bg_color = mix(p.card, p.text, 0.08);
    v.weak_text_color = Some(p.quiet);
    v.hyperlink_color = p.teal;
    v.warn_fg_color = p.amber;
    v.error_fg_color = p.bad;
    v.selection.bg_fill = mix(p.card, p.teal, 0.35);
    v.selection.stroke = Stroke::new(1.0, if v.dark_mode { Color32::WHITE } else { p.text });
    v.slider_trailing_fill = true;
    v.disabled_alpha = 0.45;
    let w = &mut v.widgets;
    for (visuals, fill, edge, text) in [
        (&mut w.noninteractive, p.card, p.line, p.text),
        (&mut w.inactive, mix(p.card, p.text, 0.09), mix(p.card, p.text, 0.16), p.text),
        (&mut w.hovered, mix(p.card, p.text, 0.15), mix(p.card, p.text, 0.30), p.text),
        (&mut w.active, mix(p.card, p.teal, 0.30), p.teal, p.text),
        (&mut w.open, mix(p.card, p.text, 0.12), p.line, p.text),
    ] {
        visuals.bg_fill = fill;
        visuals.weak_bg_fill = fill;
        visuals.bg_stroke = Stroke::new(1.0, edge);
        visuals.fg_stroke = Stroke::new(1.2, text);
        visuals.corner_radius = CornerRadius::same(7);
        visuals.expansion = 0.0;
    }
}

/// A colour `share` of the way from `a` to `b`.
pub fn mix(a: Color32, b: Color32, share: f32) -> Color32 {
    a.lerp_to_gamma(b, share)
}
