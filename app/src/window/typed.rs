//! Where a path is wanted: the system's dialog, and where it shows none, a path typed by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Button, ColorImage, Context, Key, RichText, TextEdit, Vec2};

use super::message::Pick;
use super::widgets::{named, primary, question, quiet};

/// What a path is wanted for.
#[derive(Clone, Debug)]
pub enum PathWish {
    /// Something to open.
    Pick(Pick),
    /// A place for text, under a proposed name.
    Text(String, String),
    /// A place for a picture, under a proposed name.
    Picture(String, Arc<ColorImage>),
}

impl PathWish {
    /// What a person is asked for.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Pick(Pick::Run) => "Open a run",
            Self::Pick(Pick::DataFolder | Pick::DataZip) => "Pictures to train on",
            Self::Pick(Pick::Pinned) => "Pictures to pin",
            Self::Pick(Pick::Folder) => "Open a run, an autoencoder or pictures",
            Self::Pick(Pick::File) => "Open an autoencoder or a picture",
            Self::Text(..) | Self::Picture(..) => "Save as",
        }
    }

    /// The proposed name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Pick(_) => None,
            Self::Text(name, _) | Self::Picture(name, _) => Some(name),
        }
    }
}

/// A path that is being typed.
pub struct Typed {
    wish: PathWish,
    text: String,
    /// Whether the field has had the focus.
    begun: bool,
}

/// What became of it.
pub enum Done {
    /// The path.
    Path(PathWish, PathBuf),
    /// The person changed their mind.
    Never,
}

impl Typed {
    /// For `wish`, starting in `folder`.
    pub fn new(wish: PathWish, folder: &Path) -> Self {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let start = folder.join(wish.name().unwrap_or_default());
        Self { wish, text: start.display().to_string(), begun: false }
    }

    /// Draws the question.
    pub fn ui(&mut self, ctx: &Context) -> Option<Done> {
        let mut done = None;
        question(ctx, "typed path").show(ctx, |ui| {
            ui.set_width(560.0);
            ui.label(RichText::new(self.wish.title()).size(20.0).strong());
            quiet(ui, "The system showed no file dialog (no desktop portal and no zenity): type the path.");
            ui.add_space(4.0);
            let edit = named(ui.add(TextEdit::singleline(&mut self.text).desired_width(540.0)), "Path");
            let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            if !std::mem::replace(&mut self.begun, true) {
                edit.request_focus();
            }
            ui.add_space(6.0);
            ui.horizontal(|ui| {
                let word = if self.wish.name().is_some() { "Save" } else { "Open" };
                let button = primary(word, ui).min_size(Vec2::new(110.0, 32.0));
                let ready = !self.text.trim().is_empty();
                if ready && (ui.add_enabled(ready, button).clicked() || entered) {
                    done = Some(Done::Path(self.wish.clone(), path_of(self.text.trim())));
                }
                if ui.add(Button::new("Cancel").min_size(Vec2::new(90.0, 32.0))).clicked()
                    || ui.input(|input| input.key_pressed(Key::Escape))
                {
                    done = Some(Done::Never);
                }
            });
        });
        done
    }
}

/// The path that `text` means; `~/` is the person's own folder.
fn path_of(text: &str) -> PathBuf {
    let home = std::env::home_dir();
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => text.into(),
    }
}
