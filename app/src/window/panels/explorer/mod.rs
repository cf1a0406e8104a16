//! The latent explorer: pick up to four pictures, then look into their latents, move them, mix them,
//! and see the whole data at once. One tool a file; a tool draws itself and says what it wants to know.

mod blend;
mod channels;
mod grid;
mod push;
mod region;
mod scatter;
mod similarity;
mod slots;
mod source;
mod swap;

use std::path::PathBuf;

use egui::{RichText, Sense, Ui, Vec2};
use tandem_core::explore::{Edit, PictureRef, Wish};

use crate::figures;
use crate::message::Command;
use crate::state::{AppState, Status};
use crate::theme::palette;
use crate::widgets::{Textures, card, cell_ui, choice_ui, empty_ui, quiet};

/// What is done with the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tool {
    #[default]
    Channels,
    Similarity,
    Push,
    Blend,
    Swap,
    Scatter,
}

const TOOLS: [(Tool, &str); 6] = [
    (Tool::Channels, "Channels"),
    (Tool::Similarity, "Similarity"),
    (Tool::Push, "Push"),
    (Tool::Blend, "Blend"),
    (Tool::Swap, "Swap"),
    (Tool::Scatter, "Scatter"),
];

/// What each tool shows, in a sentence.
fn about_tool(tool: Tool) -> &'static str {
    match tool {
        Tool::Channels => "Each channel of the latent as a map; hover a place to read its value.",
        Tool::Similarity => {
            "Hover a token: how like it all others are, in the latent, in the transformer, in the teacher."
        }
        Tool::Push => "Move the latent along the data's principal directions, everywhere or where you paint.",
        Tool::Blend => "Drag between two or four pictures; what lies between is decoded as you go.",
        Tool::Swap => "Paint a region of A; there the latent is that of B.",
        Tool::Scatter => {
            "The data's latents in two dimensions; hover a point, draw around points to pick them."
        }
    }
}

/// What tools see beside the state.
struct Sight<'a> {
    state: &'a AppState,
    /// Pictures A to D.
    slots: [Option<PictureRef>; 4],
    /// The one that tools of one picture are about.
    chosen: usize,
    /// Answers of before this step are out of date; none when any will do.
    since: Option<u64>,
}

impl Sight<'_> {
    /// Whether an answer of `step` is new enough.
    fn is_fresh(&self, step: u64) -> bool {
        self.since.is_none_or(|since| step >= since)
    }

    fn picture(&self) -> Option<&PictureRef> {
        self.slots[self.chosen].as_ref()
    }
}

/// The panel.
#[derive(Default)]
pub struct ExplorerPanel {
    tool: Tool,
    slots: slots::Slots,
    source: source::Source,
    follow: bool,
    channels: channels::ChannelsTool,
    similarity: similarity::SimilarityTool,
    push: push::PushTool,
    blend: blend::BlendTool,
    swap: swap::SwapTool,
    scatter: scatter::ScatterTool,
    textures: Textures,
}

impl ExplorerPanel {
    /// A picture file for the chosen place.
    pub fn use_picture(&mut self, path: PathBuf) {
        self.slots.put(PictureRef::File(path));
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let mut commands = Vec::new();
        let ready = state.explores();
        card(ui, |ui| {
            ui.set_width(ui.available_width());
            self.source.ui(ui, state, &mut commands);
            if ready {
                ui.add_space(6.0);
                self.slots.ui(ui, state, &mut self.textures, &mut commands);
            }
        });
        if !ready {
            unready_ui(ui, state);
            return commands;
        }
        ui.add_space(10.0);
        let sight = Sight {
            state,
            slots: self.slots.all(&state.explorer),
            chosen: self.slots.chosen(),
            since: (self.follow && state.live.status == Status::Running).then_some(state.live.step),
        };
        let wish = card(ui, |ui| {
            ui.set_width(ui.available_width());
            self.tool_ui(ui, &sight, &mut commands)
        });
        self.ask(state, wish, &mut commands);
        commands
    }

    fn tool_ui(&mut self, ui: &mut Ui, sight: &Sight<'_>, commands: &mut Vec<Command>) -> Option<Wish> {
        ui.horizontal_wrapped(|ui| {
            choice_ui(ui, &mut self.tool, &TOOLS);
            if sight.state.live.status == Status::Running {
                ui.checkbox(&mut self.follow, "Follow training")
                    .on_hover_text("Ask again after every step; costs training a little time");
            }
        });
        quiet(ui, about_tool(self.tool));
        ui.add_space(6.0);
        let wish = match self.tool {
            Tool::Channels => self.channels.ui(ui, sight, &mut self.textures),
            Tool::Similarity => self.similarity.ui(ui, sight, &mut self.textures),
            Tool::Push => self.push.ui(ui, sight, &mut self.textures, commands),
            Tool::Blend => self.blend.ui(ui, sight, &mut self.textures),
            Tool::Swap => self.swap.ui(ui, sight, &mut self.textures),
            Tool::Scatter => {
                if let Some((slot, picture)) = self.scatter.ui(ui, sight, commands) {
                    self.slots.put_at(slot, picture);
                }
                None
            }
        };
        if let Some(reason) = wish.as_ref().and_then(|wish| sight.state.explorer.failed(wish)) {
            ui.add_space(4.0);
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(palette(ui.visuals()).bad, reason);
                if let (true, Some(wish)) = (ui.small_button("Try again").clicked(), &wish) {
                    commands.push(Command::Explore(Box::new(wish.clone())));
                }
            });
        }
        wish
    }

    /// Asks for what is missing, the first of it; what already waits or has failed is not asked again.
    fn ask(&self, state: &AppState, wish: Option<Wish>, commands: &mut Vec<Command>) {
        let explorer = &state.explorer;
        let about = (explorer.about.is_none() || explorer.about_is_old).then_some(Wish::About);
        let mut missing = self.slots.all(explorer).into_iter().flatten().collect::<Vec<_>>();
        missing.retain(|picture| !explorer.thumbs.contains_key(picture));
        missing.dedup();
        let pictures = (!missing.is_empty()).then_some(Wish::Pictures(missing));
        let wanted =
            [about, pictures, wish].into_iter().flatten().find(|wish| explorer.failed(wish).is_none());
        let Some(wanted) = wanted else { return };
        let waits = explorer.waiting.as_ref().is_some_and(|question| question.wish == wanted);
        if !waits && !commands.iter().any(|command| matches!(command, Command::Explore(_))) {
            commands.push(Command::Explore(Box::new(wanted)));
        }
    }
}

/// What stands in place of the tools when no engine answers.
fn unready_ui(ui: &mut Ui, state: &AppState) {
    match &state.live.status {
        Status::Starting => empty_ui(ui, "One moment", "Reading the model and its pictures…"),
        Status::Stopping => empty_ui(ui, "One moment", "Stopping…"),
        Status::Failed(reason) => {
            let bad = palette(ui.visuals()).bad;
            empty_ui(ui, "Nothing to explore", "The engine broke off; load a model to go on.");
            ui.vertical_centered(|ui| {
                ui.set_max_width(ui.available_width().min(640.0));
                ui.label(RichText::new(reason).color(bad));
            });
        }
        _ => empty_ui(
            ui,
            "Nothing to explore yet",
            "Load the model of a run, or open any autoencoder: a diffusers folder, a .safetensors, a .pt, or the name of a \
             fetched model. While a run trains, its newest weights answer.",
        ),
    }
}

/// The side of pictures of which `count` stand side by side, besides `beside` points: as large as the
/// width and what is left of the height allow, `beneath` points less.
fn side_of(ui: &Ui, count: usize, beside: f32, beneath: f32) -> f32 {
    let width = (ui.available_width() - beside) / count as f32 - 12.0;
    let height = ui.clip_rect().bottom() - ui.cursor().top() - beneath;
    width.min(height).clamp(120.0, 320.0)
}

/// The picture decoded from changed latents, if it is of an edit that `is_shown`.
fn edited_ui(
    ui: &mut Ui,
    sight: &Sight<'_>,
    textures: &mut Textures,
    (side, name): (f32, &str),
    is_shown: impl Fn(&Edit) -> bool,
) {
    ui.vertical(|ui| {
        let edited = sight.state.explorer.edited.as_ref().filter(|view| is_shown(&view.edited.edit));
        let Some(view) = edited else { return drop(quiet(ui, "Asking the model…")) };
        quiet(ui, format!("Decoded{}", at_step(view.step)));
        let texture = textures.of(ui.ctx(), &view.sheet);
        cell_ui(ui, texture, view.sheet.uv(0, 0), Vec2::splat(side), name, Sense::hover());
    });
}

/// A line of what is being waited for.
fn waiting_ui(ui: &mut Ui, sight: &Sight<'_>) {
    let text = if sight.slots.iter().all(Option::is_none) && sight.state.explorer.about.is_some() {
        "Choose a picture above, or drop one on the window."
    } else {
        "Asking the model…"
    };
    quiet(ui, text);
}

/// " at step N" behind what was computed; nothing for weights that no training of a run has touched.
fn at_step(step: u64) -> String {
    if step == 0 { String::new() } else { format!(" at step {}", figures::count(step)) }
}
