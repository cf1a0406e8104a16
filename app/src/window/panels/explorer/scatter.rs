//! The data's latents in two dimensions, coloured by class: hover shows a picture, a line drawn around
//! points picks them, a picked picture goes to A, B, C or D.

mod plot;

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::{Button, ComboBox, RichText, Sense, Slider, Ui, Vec2, WidgetInfo, accesskit::Role};
use tandem_core::explore::{PictureRef, ScatterWish, Wish};

use self::plot::Plot;
use super::slots::LETTERS;
use super::{Sight, at_step};
use crate::colours::of_class;
use crate::explorer_views::ScatterView;
use crate::figures;
use crate::message::Command;
use crate::theme::palette;
use crate::widgets::{Textures, bar_ui, cell_ui, choice_ui, primary, quiet};

/// Pictures of a selection that are shown.
const SHOWN: usize = 24;
/// Classes that are named.
const CLASSES: usize = 12;

/// The tool.
pub struct ScatterTool {
    count: usize,
    flat: bool,
    plot: Plot,
    /// Numbers of points that are picked, and the plot that they belong to.
    picked: Vec<usize>,
    /// The point that buttons are about.
    at: Option<usize>,
    of: Option<(u64, usize)>,
    textures: Textures,
}

impl Default for ScatterTool {
    fn default() -> Self {
        Self {
            count: 1000,
            flat: false,
            plot: Plot::default(),
            picked: Vec::new(),
            at: None,
            of: None,
            textures: Textures::default(),
        }
    }
}

impl ScatterTool {
    /// Draws it; returns a picture that is to go into one of the places.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        sight: &Sight<'_>,
        commands: &mut Vec<Command>,
    ) -> Option<(usize, PictureRef)> {
        self.controls_ui(ui, sight, commands);
        let classes = sight.state.explorer.about.as_ref().map_or(&[][..], |about| &about.classes);
        let view = sight.state.explorer.scatter.as_ref()?;
        progress_ui(ui, view);
        if view.scatter.points.is_empty() {
            return None;
        }
        self.keep_to(view);
        let mut put = None;
        let height = ui.clip_rect().bottom() - ui.cursor().top() - 40.0;
        let size = Vec2::new((ui.available_width() - 300.0).clamp(260.0, 860.0), height.clamp(220.0, 620.0));
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                let texture = self.textures.of(ui.ctx(), &view.atlas);
                let shown = self.plot.ui(ui, view, (texture, classes), &self.picked, size);
                if let Some(picked) = shown.picked {
                    (self.at, self.picked) = (picked.first().copied(), picked);
                }
                let [x, y] = view.scatter.share;
                quiet(
                    ui,
                    format!(
                        "First components of {} latents{}: {:.0} % and {:.0} % of the variance",
                        figures::count(view.scatter.points.len() as u64),
                        at_step(view.scatter.step),
                        100.0 * x,
                        100.0 * y
                    ),
                );
            });
            ui.vertical(|ui| {
                self.class_ui(ui, view, classes);
                put = self.selection_ui(ui, view, classes);
            });
        });
        put
    }

    fn controls_ui(&mut self, ui: &mut Ui, sight: &Sight<'_>, commands: &mut Vec<Command>) {
        let explorer = &sight.state.explorer;
        let total = explorer.about.as_ref().map_or(0, |about| about.counts.1);
        let scatter = explorer.scatter.as_ref().map(|view| &view.scatter);
        let busy =
            scatter.is_some_and(|scatter| scatter.problem.is_none() && scatter.done.0 < scatter.done.1);
        let ask = |wish: ScatterWish| Command::Explore(Box::new(Wish::Scatter(wish)));
        ui.horizontal_wrapped(|ui| {
            ui.label("Pictures");
            ui.spacing_mut().slider_width = 110.0;
            let most = total.clamp(16, 4096);
            self.count = self.count.min(most);
            ui.name_inputs("Training pictures in the plot", |ui| {
                ui.add_enabled(!busy, Slider::new(&mut self.count, 16.min(most)..=most).logarithmic(true))
            });
            let choices = [(false, "Mean over tokens"), (true, "Whole latent")];
            if choice_ui(ui, &mut self.flat, &choices) && scatter.is_some() && !busy {
                let count = scatter.map_or(self.count, |scatter| scatter.wish.count);
                commands.push(ask(ScatterWish { count, flat: self.flat, anew: false }));
            }
            let text = if scatter.is_some() { "Encode again" } else { "Encode" };
            let ready = total > 0 && !busy;
            if ui
                .add_enabled(ready, primary(text, ui))
                .on_hover_text("With the weights of now, between the steps of training")
                .clicked()
            {
                commands.push(ask(ScatterWish {
                    count: self.count,
                    flat: self.flat,
                    anew: scatter.is_some(),
                }));
            }
            if ui.add_enabled(busy, Button::new("Stop")).on_hover_text("Plot what is encoded").clicked() {
                commands.push(Command::Explore(Box::new(Wish::StopScatter)));
            }
        });
        let failed = explorer.problem.as_ref().filter(|(wish, _)| matches!(wish, Wish::Scatter(_)));
        if let Some((_, reason)) = failed {
            ui.colored_label(palette(ui.visuals()).bad, reason);
        } else if scatter.is_none() {
            quiet(
                ui,
                "Encodes a part of the training pictures in the background; training goes on meanwhile.",
            );
        }
    }

    /// A selection is of one plot: points of another have other numbers.
    fn keep_to(&mut self, view: &Arc<ScatterView>) {
        let of = Some((view.scatter.step, view.scatter.done.1));
        if self.of != of {
            self.of = of;
            self.picked.clear();
            self.at = None;
        }
    }

    /// Picks a whole class: a selection without a pointer.
    fn class_ui(&mut self, ui: &mut Ui, view: &ScatterView, classes: &[String]) {
        let mut chosen = None;
        ui.horizontal(|ui| {
            ui.name_inputs("Pick a class", |ui| {
                ComboBox::from_id_salt("class").selected_text("Pick a class").show_ui(ui, |ui| {
                    for (label, name) in classes.iter().enumerate() {
                        if ui.selectable_label(false, name).clicked() {
                            chosen = Some(label);
                        }
                    }
                })
            });
            if ui.add_enabled(!self.picked.is_empty(), Button::new("Clear")).clicked() {
                self.picked.clear();
                self.at = None;
            }
        });
        if let Some(label) = chosen {
            let of_class = view.scatter.pictures.iter().enumerate().filter(|(_, (_, of))| *of == label);
            self.picked = of_class.map(|(index, _)| index).collect();
            self.at = self.picked.first().copied();
        }
    }

    fn selection_ui(
        &mut self,
        ui: &mut Ui,
        view: &ScatterView,
        classes: &[String],
    ) -> Option<(usize, PictureRef)> {
        let name = |label: usize| classes.get(label).map_or("no class", String::as_str);
        if self.picked.is_empty() {
            quiet(ui, "Draw around points to pick them.");
        } else {
            ui.strong(format!("{} picked", figures::count(self.picked.len() as u64)));
        }
        let put = self.at.and_then(|at| use_ui(ui, view, at, &name));
        self.pictures_ui(ui, view, &name);
        let label_of = |index: &usize| view.scatter.pictures.get(*index).map_or(0, |(_, label)| *label);
        let mut counts = BTreeMap::<usize, usize>::new();
        if self.picked.is_empty() {
            view.scatter.pictures.iter().for_each(|(_, label)| *counts.entry(*label).or_default() += 1);
        } else {
            self.picked.iter().for_each(|index| *counts.entry(label_of(index)).or_default() += 1);
        }
        counts_ui(ui, counts, &name);
        put
    }

    fn pictures_ui<'a>(&mut self, ui: &mut Ui, view: &ScatterView, name: &dyn Fn(usize) -> &'a str) {
        let texture = self.textures.of(ui.ctx(), &view.atlas);
        let p = palette(ui.visuals());
        let mut clicked = None;
        if self.picked.is_empty() {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::splat(4.0);
            // Spread over the selection.
            let shown = self.picked.len().min(SHOWN);
            for i in 0..shown {
                let at = self.picked[i * self.picked.len() / shown];
                let Some((index, label)) = view.scatter.pictures.get(at) else { continue };
                let uv = view.atlas.uv(at % view.atlas.columns, at / view.atlas.columns);
                let words = format!("Training picture {}, {}", index + 1, name(*label));
                let response = cell_ui(ui, texture, uv, Vec2::splat(40.0), &words, Sense::click());
                if self.at == Some(at) {
                    let stroke = egui::Stroke::new(2.0, p.teal);
                    ui.painter().rect_stroke(
                        response.rect,
                        egui::CornerRadius::same(2),
                        stroke,
                        egui::StrokeKind::Outside,
                    );
                }
                if response.on_hover_text(words).clicked() {
                    clicked = Some(at);
                }
            }
        });
        self.at = clicked.or(self.at);
    }
}

/// Puts the picture of point `at` into one of the places.
fn use_ui<'a>(
    ui: &mut Ui,
    view: &ScatterView,
    at: usize,
    name: &dyn Fn(usize) -> &'a str,
) -> Option<(usize, PictureRef)> {
    let (index, label) = *view.scatter.pictures.get(at)?;
    let mut put = None;
    ui.horizontal_wrapped(|ui| {
        quiet(ui, "Use as").on_hover_text(format!("Training picture {}, {}", index + 1, name(label)));
        for (slot, letter) in LETTERS.into_iter().enumerate() {
            let button = ui.small_button(letter);
            let words = format!("Use as picture {letter}");
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
            if button.on_hover_text(words).clicked() {
                put = Some((slot, PictureRef::Train(index)));
            }
        }
    });
    put
}

/// How many points there are of each class, the most first.
fn counts_ui<'a>(ui: &mut Ui, counts: BTreeMap<usize, usize>, name: &dyn Fn(usize) -> &'a str) {
    let dark = ui.visuals().dark_mode;
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    egui::Grid::new("classes").num_columns(2).spacing(Vec2::new(14.0, 2.0)).show(ui, |ui| {
        for (place, (label, count)) in counts.iter().take(CLASSES).enumerate() {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 5.0;
                let (rect, _) = ui.allocate_exact_size(Vec2::splat(9.0), Sense::hover());
                ui.painter().circle_filled(rect.center(), 4.0, of_class(*label, dark));
                ui.label(RichText::new(format!("{} {count}", name(*label))).small());
            });
            if place % 2 == 1 {
                ui.end_row();
            }
        }
    });
    if counts.len() > CLASSES {
        quiet(ui, format!("and {} more", counts.len() - CLASSES));
    }
}

fn progress_ui(ui: &mut Ui, view: &ScatterView) {
    let p = palette(ui.visuals());
    let scatter = &view.scatter;
    if let Some(reason) = &scatter.problem {
        ui.colored_label(p.bad, reason);
    } else if scatter.done.0 < scatter.done.1 {
        let (done, all) = scatter.done;
        quiet(ui, format!("Encoded {} of {}", figures::count(done as u64), figures::count(all as u64)));
        bar_ui(ui, done as f32 / all.max(1) as f32, p.teal, 5.0);
    } else if scatter.left_out > 0 {
        quiet(ui, format!("{} could not be read", figures::count(scatter.left_out as u64)));
    }
}
