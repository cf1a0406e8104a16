//! Pushes a picture's latent along principal directions of the data's latents.

use egui::{Button, Grid, Slider, Ui};
use tandem_core::explore::{BasisChoice, Direction, Edit, Wish};

use super::region::Region;
use super::{Sight, edited_ui, side_of, waiting_ui};
use crate::message::Command;
use crate::widgets::{Textures, choice_ui, quiet};

/// Directions that are offered before they are known.
const FEW: usize = 8;
/// How far a direction goes, in standard deviations.
const FAR: f32 = 6.0;

/// The tool.
#[derive(Default)]
pub struct PushTool {
    basis: BasisChoice,
    amounts: Vec<f32>,
    region: Region,
}

impl PushTool {
    /// Draws it and says what it wants to know.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        sight: &Sight<'_>,
        textures: &mut Textures,
        commands: &mut Vec<Command>,
    ) -> Option<Wish> {
        let explorer = &sight.state.explorer;
        let (Some(about), Some(picture)) = (&explorer.about, sight.picture()) else {
            waiting_ui(ui, sight);
            return None;
        };
        let [channels, h, w] = about.latent;
        let known = match self.basis {
            BasisChoice::Run => about.run_basis.as_ref(),
            BasisChoice::Fitted => explorer.fitted.as_ref(),
        };
        self.amounts.resize(known.map_or(channels.min(FEW), Vec::len), 0.0);
        let side = side_of(ui, 2, 290.0, 80.0);
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                quiet(ui, "Where");
                let thumb = explorer.thumbs.get(picture).and_then(|thumb| thumb.as_ref().ok());
                let shown = thumb.map(|thumb| (textures.of(ui.ctx(), &thumb.sheet), thumb.sheet.uv(0, 0)));
                self.region.ui(ui, shown, [h, w], side, "Region to push");
            });
            let is_shown = |edit: &Edit| matches!(edit, Edit::Push { picture: of, .. } if of == picture);
            edited_ui(ui, sight, textures, (side, "Pushed picture"), is_shown);
            ui.vertical(|ui| {
                self.basis_ui(ui, about.run_basis.is_some(), commands);
                self.amounts_ui(ui, known);
            });
        });
        self.region.brush_ui(ui, "An unpainted picture is pushed everywhere");
        let edit = Edit::Push {
            picture: picture.clone(),
            basis: self.basis,
            amounts: self.amounts.clone(),
            mask: self.region.mask([h, w]),
        };
        let shown = explorer.edited.as_ref();
        let shown = shown.is_some_and(|view| view.edited.edit == edit && sight.is_fresh(view.step));
        (!shown).then_some(Wish::Edit(edit))
    }

    fn basis_ui(&mut self, ui: &mut Ui, has_run_basis: bool, commands: &mut Vec<Command>) {
        ui.horizontal(|ui| {
            let mut choices = vec![(BasisChoice::Fitted, "Fitted directions")];
            if has_run_basis {
                choices.push((BasisChoice::Run, "The run's"));
            } else {
                self.basis = BasisChoice::Fitted;
            }
            if choice_ui(ui, &mut self.basis, &choices) {
                self.amounts.clear();
            }
        });
        ui.horizontal(|ui| {
            let moved = self.amounts.iter().any(|amount| *amount != 0.0);
            if ui.add_enabled(moved, Button::new("Reset")).clicked() {
                self.amounts.fill(0.0);
            }
            if self.basis == BasisChoice::Fitted
                && ui
                    .button("Fit anew")
                    .on_hover_text(
                        "Fit the directions to latents of held-out pictures with the weights of now",
                    )
                    .clicked()
            {
                commands.push(Command::Explore(Box::new(Wish::Fit)));
            }
        });
    }

    fn amounts_ui(&mut self, ui: &mut Ui, known: Option<&Vec<Direction>>) {
        Grid::new("directions").num_columns(2).spacing([8.0, 4.0]).show(ui, |ui| {
            for (index, amount) in self.amounts.iter_mut().enumerate() {
                let share = known.and_then(|all| all.get(index)).map(|direction| direction.share);
                let share = share.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share));
                ui.label(format!("{}", index + 1)).on_hover_text(format!("{share} of the latents' variance"));
                ui.spacing_mut().slider_width = 110.0;
                let slider = Slider::new(amount, -FAR..=FAR).step_by(0.1).fixed_decimals(1).suffix(" σ");
                ui.name_inputs(format!("Push along direction {}, in standard deviations", index + 1), |ui| {
                    ui.add(slider)
                });
                quiet(ui, share);
                ui.end_row();
            }
        });
    }
}
