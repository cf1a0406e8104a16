//! The window of Tandem: it drives the same engine as the command line and waits for nothing.
//!
//! [`state::AppState`] holds all that is shown and changes by [`message::Event`]s alone. Panels see
//! it and answer with [`message::Command`]s, which [`app::App`] carries out: to the engine
//! (`engine_link`), to the threads that read and write files (`disk`), or back to the state.

pub mod app;
mod chrome;
pub mod colours;
mod dialogs;
mod disk;
mod engine_link;
pub mod explorer_state;
pub mod explorer_views;
pub mod figures;
pub mod history;
mod identify;
mod keys;
pub mod message;
mod panels;
mod peek;
pub mod prefs;
pub mod runs;
pub mod sheet;
pub mod state;
pub mod theme;
pub mod typed;
mod widgets;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow, bail};

use app::App;

/// Opens the window and returns when it is closed: with the run that was left unfinished, if one was.
///
/// # Errors
/// No display, or no graphics adapter that can draw, in one line that says what to do.
pub fn open() -> Result<Option<PathBuf>> {
    let unix = cfg!(all(unix, not(target_os = "macos")));
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if unix && !set("DISPLAY") && !set("WAYLAND_DISPLAY") && !set("WAYLAND_SOCKET") {
        bail!(
            "there is no display to open a window on; `tandem train` works without one, `tandem --help` lists the rest"
        );
    }
    // Refused only when something was computed already; the window opens either way.
    let _ = tandem_core::device::stand_back();
    let unfinished = Arc::new(OnceLock::new());
    let left = unfinished.clone();
    let viewport = egui::ViewportBuilder::default()
        .with_title("Tandem")
        .with_app_id("tandem")
        .with_inner_size([1280.0, 820.0])
        .with_min_inner_size([880.0, 560.0])
        .with_drag_and_drop(true)
        .with_icon(icon());
    // Nothing here is a soft gradient whose bands dithering would hide, and a software adapter pays for every pixel.
    let options = eframe::NativeOptions { viewport, dithering: false, ..eframe::NativeOptions::default() };
    let opened = eframe::run_native("tandem", options, Box::new(move |cc| Ok(Box::new(App::new(cc, left)?))));
    opened.map_err(|error| {
        let reason = error.to_string().replace('\n', " ");
        anyhow!("the window cannot be opened ({reason}); `tandem train` works without one")
    })?;
    Ok(unfinished.get().cloned())
}

/// Two wheels, one frame: teal and amber.
fn icon() -> egui::IconData {
    const SIDE: usize = 64;
    let mut rgba = Vec::with_capacity(4 * SIDE * SIDE);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let ring = |cx: f32, cy: f32| {
                let away = (x as f32 - cx).hypot(y as f32 - cy);
                (1.0 - ((away - 13.0).abs() - 3.5).max(0.0)).clamp(0.0, 1.0)
            };
            let (left, right) = (ring(19.0, 36.0), ring(44.0, 36.0));
            let (r, g, b, a) =
                if left >= right { (0x3F, 0xBF, 0xB0, left) } else { (0xF0, 0xA8, 0x4F, right) };
            rgba.extend([r, g, b, (a * 255.0) as u8]);
        }
    }
    egui::IconData { rgba, width: SIDE as u32, height: SIDE as u32 }
}
