//! A window without threads and with a clock that stands.
#![allow(dead_code, reason = "each test file uses its own part")]

use egui::Vec2;
use egui_kittest::Harness;
use tandem_window::app::App;
use tandem_window::state::AppState;

/// What is looked at and clicked.
pub type Window = Harness<'static, App>;

/// A window of usual size that shows `state`; `pixels` draws it too.
pub fn window(state: AppState, pixels: bool) -> Window {
    window_of(state, pixels, Vec2::new(1024.0, 640.0), 0.5)
}

/// [`window`] of another size in points, at `scale` pixels to a point.
pub fn window_of(state: AppState, pixels: bool, size: Vec2, scale: f32) -> Window {
    let mut builder = Harness::builder().with_size(size).with_pixels_per_point(scale).with_max_steps(12);
    if pixels {
        builder = builder.wgpu();
    }
    let mut window = builder.build_eframe(move |cc| App::still(state, cc.egui_ctx.clone()));
    window.run();
    window
}

/// Whether pictures are waived, and says so.
pub fn no_gpu() -> bool {
    let waived = std::env::var("TANDEM_NO_GPU").is_ok_and(|v| v == "1");
    if waived {
        eprintln!("TANDEM_NO_GPU=1: pictures of the window are waived");
    }
    waived
}
