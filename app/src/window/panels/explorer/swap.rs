//! A painted region of one picture takes the latent of another.

use egui::{ComboBox, Sense, Ui, Vec2};
use tandem_core::explore::{Edit, PictureRef, Wish};

use super::region::Region;
use super::slots::LETTERS;
use super::{Sight, edited_ui, side_of, waiting_ui};
use crate::widgets::{Textures, cell_ui, quiet};

/// The tool.
pub struct SwapTool {
    into: usize,
    from: usize,
    region: Region,
}

impl Default for SwapTool {
    fn default() -> Self {
        Self { into: 0, from: 1, region: Region::default() }
    }
}

impl SwapTool {
    /// Draws it and says what it wants to know.
    pub fn ui(&mut self, ui: &mut Ui, sight: &Sight<'_>, textures: &mut Textures) -> Option<Wish> {
        ui.horizontal_wrapped(|ui| {
            slot_choice_ui(ui, "Into picture", &mut self.into);
            slot_choice_ui(ui, "from picture", &mut self.from);
            if ui.button("Exchange").on_hover_text("The other way round").clicked() {
                std::mem::swap(&mut self.into, &mut self.from);
            }
        });
        let explorer = &sight.state.explorer;
        let (Some(about), Some(into), Some(from)) =
            (&explorer.about, sight.slots[self.into].clone(), sight.slots[self.from].clone())
        else {
            waiting_ui(ui, sight);
            return None;
        };
        let [_, h, w] = about.latent;
        let side = side_of(ui, 3, 0.0, 80.0);
        ui.horizontal_top(|ui| {
            let mut shown = |ui: &mut Ui, picture: &PictureRef| {
                let thumb = explorer.thumbs.get(picture)?.as_ref().ok()?;
                Some((textures.of(ui.ctx(), &thumb.sheet), thumb.sheet.uv(0, 0)))
            };
            ui.vertical(|ui| {
                quiet(ui, format!("Paint on {}", LETTERS[self.into]));
                let picture = shown(ui, &into);
                self.region.ui(ui, picture, [h, w], side, "Region to swap");
            });
            ui.vertical(|ui| {
                quiet(ui, format!("Taken from {}", LETTERS[self.from]));
                if let Some((texture, uv)) = shown(ui, &from) {
                    cell_ui(
                        ui,
                        texture,
                        uv,
                        Vec2::splat(side),
                        "Picture that the region comes from",
                        Sense::hover(),
                    );
                }
            });
            let is_shown =
                |edit: &Edit| matches!(edit, Edit::Swap { into: a, from: b, .. } if *a == into && *b == from);
            edited_ui(ui, sight, textures, (side, "Swapped picture"), is_shown);
        });
        self.region.brush_ui(ui, "Nothing is swapped then");
        // Nothing painted swaps nothing.
        let mask = Some(self.region.mask([h, w]).unwrap_or_else(|| vec![false; h * w]));
        let wish = Edit::Swap { into, from, mask };
        let shown = explorer.edited.as_ref();
        let shown = shown.is_some_and(|view| view.edited.edit == wish && sight.is_fresh(view.step));
        (!shown).then_some(Wish::Edit(wish))
    }
}

fn slot_choice_ui(ui: &mut Ui, name: &str, slot: &mut usize) {
    ui.label(name);
    ui.name_inputs(name, |ui| {
        ComboBox::from_id_salt(name).width(56.0).selected_text(LETTERS[*slot]).show_ui(ui, |ui| {
            for (index, letter) in LETTERS.into_iter().enumerate() {
                ui.selectable_value(slot, index, letter);
            }
        })
    });
}
