//! Keyboard shortcuts: one list that is obeyed and shown.

use egui::{Context, Key, KeyboardShortcut, Modifiers};
use tandem_core::engine;

use super::message::{Command, Pick};
use super::prefs::Tab;
use super::state::{AppState, Status};

const fn ctrl(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const NEW: KeyboardShortcut = ctrl(Key::N);
const OPEN: KeyboardShortcut = ctrl(Key::O);
const PAUSE: KeyboardShortcut = ctrl(Key::P);
const SAVE: KeyboardShortcut = ctrl(Key::S);

/// Every shortcut and what it does.
pub const SHORTCUTS: [(KeyboardShortcut, &str); 14] = [
    (NEW, "New run"),
    (OPEN, "Open a run"),
    (PAUSE, "Pause or resume training"),
    (SAVE, "Write a checkpoint now"),
    (ctrl(Key::Num1), "Start"),
    (ctrl(Key::Num2), "Training"),
    (ctrl(Key::Num3), "Curves"),
    (ctrl(Key::Num4), "Reconstructions"),
    (ctrl(Key::Num5), "Samples"),
    (ctrl(Key::Num6), "Health"),
    (ctrl(Key::Num7), "Compare"),
    (ctrl(Key::Num8), "Log"),
    (ctrl(Key::Num9), "Explorer"),
    (ctrl(Key::Comma), "Settings"),
];

/// What the keys that were pressed ask for.
pub fn commands(ctx: &Context, state: &AppState) -> Vec<Command> {
    let mut commands = Vec::new();
    let pressed = |shortcut: &KeyboardShortcut| ctx.input_mut(|input| input.consume_shortcut(shortcut));
    if pressed(&NEW) {
        commands.push(Command::Go(Tab::NewRun));
    }
    if pressed(&OPEN) {
        commands.push(Command::Pick(Pick::Run));
    }
    if pressed(&PAUSE) {
        match state.live.status {
            Status::Running => commands.push(Command::Engine(engine::Command::Pause)),
            Status::Paused => commands.push(Command::Engine(engine::Command::Resume)),
            _ => {}
        }
    }
    if pressed(&SAVE) && matches!(state.live.status, Status::Running | Status::Paused) {
        commands.push(Command::Engine(engine::Command::Save));
    }
    for tab in Tab::ALL {
        if tab.key().is_some_and(|key| pressed(&ctrl(key))) {
            commands.push(Command::Go(tab));
        }
    }
    commands
}
