//! The latent explorer's tools as pictures, driven through the accessibility tree. `UPDATE_SNAPSHOTS=1`
//! writes the pictures anew; look at them before keeping them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

#[path = "support/explorer.rs"]
mod explored;
#[path = "support/still.rs"]
mod still;
#[path = "support/window.rs"]
mod support;

use egui::{Vec2, accesskit::Role};
use egui_kittest::kittest::Queryable;
use egui_kittest::{SnapshotOptions, SnapshotResults};
use explored::{first_pictures, held};
use still::{Window, no_gpu, window};
use tandem_core::engine::Start;
use tandem_core::explore::{BasisChoice, Blend, Edit, Found, PictureRef, ScatterWish, Wish};
use tandem_window::message::{Command, Event, Pick};
use tandem_window::prefs::{Look, Tab};
use tandem_window::state::{AppState, Status};

fn options() -> SnapshotOptions {
    SnapshotOptions::new().output_path("../tests/snapshots").threshold(1.5).max_failed_pixels(400usize)
}

/// A run in training, with everything answered that the explorer asks in the beginning.
fn explored() -> AppState {
    let mut state = support::running(125);
    state.prefs.tab = Tab::Explorer;
    explored::with_about(&mut state);
    state
}

fn blend(at: [f32; 2]) -> Edit {
    Edit::Blend { corners: first_pictures(), at, way: Blend::Straight }
}

/// Each tool with its answer; its button's name.
fn tools() -> [(&'static str, AppState); 6] {
    let with = |add: fn(&mut AppState)| {
        let mut state = explored();
        add(&mut state);
        state
    };
    [
        ("Channels", with(|state| explored::with_study(state, None))),
        ("Similarity", with(|state| explored::with_study(state, Some(0.25)))),
        ("Push", with(|state| explored::with_edited(state, explored::still()))),
        ("Blend", with(|state| explored::with_edited(state, blend([0.5, 0.5])))),
        (
            "Swap",
            with(|state| {
                let edit = Edit::Swap { into: held(0), from: held(36), mask: Some(vec![false; 64]) };
                explored::with_edited(state, edit);
            }),
        ),
        ("Scatter", with(explored::with_scatter)),
    ]
}

fn at_tool(state: AppState, tool: &str, pixels: bool) -> Window {
    let mut window = window(state, pixels);
    window.get_by_label(tool).click();
    window.run();
    window
}

/// What was asked about latents since the last time.
fn asked(window: &mut Window) -> Vec<Wish> {
    let commands = window.state_mut().take_asked();
    let wishes = commands.into_iter().filter_map(|command| match command {
        Command::Explore(wish) => Some(*wish),
        _ => None,
    });
    wishes.collect()
}

#[test]
fn every_tool_looks_as_it_should() {
    if no_gpu() {
        return;
    }
    let mut results = SnapshotResults::new();
    for (tool, state) in tools() {
        let mut window = at_tool(state, tool, true);
        let name = format!("explorer-tool-{}", tool.to_lowercase());
        results.add(window.try_snapshot_options(name, &options()));
    }
    let mut state = tools().into_iter().next().unwrap().1;
    state.prefs.look = Look::Light;
    results.add(window(state, true).try_snapshot_options("explorer-light", &options()));
    let mut state = support::empty();
    state.prefs.tab = Tab::Explorer;
    explored::with_model(&mut state);
    explored::with_about(&mut state);
    results.add(window(state, true).try_snapshot_options("explorer-model", &options()));
    results.unwrap();
}

#[test]
fn what_is_missing_is_asked_for_in_order_and_once() {
    let mut state = support::running(125);
    state.prefs.tab = Tab::Explorer;
    let mut window = window(state, false);
    assert_eq!(asked(&mut window), [Wish::About]);
    window.run();
    assert!(asked(&mut window).is_empty(), "a question that waits is not asked again");
    let mut state = window.state_mut().take_state();
    explored::with_about(&mut state);
    let mut window = self::window(state, false);
    assert_eq!(asked(&mut window), [Wish::Study { picture: held(0), time: None }]);
}

#[test]
fn an_answered_tool_asks_nothing_and_needs_no_frame() {
    for (tool, state) in tools() {
        let mut window = at_tool(state, tool, false);
        window.state_mut().take_asked();
        window.run();
        assert!(asked(&mut window).is_empty(), "{tool}");
        window.step();
        let delay = window.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
        assert!(delay > std::time::Duration::from_secs(60), "{tool}: repaints after {delay:?}");
    }
}

#[test]
fn a_question_that_failed_is_told_and_asked_again_only_on_request() {
    let mut state = explored();
    let wish = Wish::Study { picture: held(0), time: None };
    explored::answer(&mut state, wish.clone(), Err("the latents of this picture are not finite".into()));
    let mut window = window(state, false);
    assert!(asked(&mut window).is_empty());
    assert_eq!(window.query_all_by_label_contains("not finite").count(), 1);
    window.get_by_label("Try again").click();
    window.run();
    assert_eq!(asked(&mut window), [wish]);
}

#[test]
fn every_slider_of_a_push_asks_for_what_it_says() {
    let mut window = at_tool(tools().into_iter().nth(2).unwrap().1, "Push", false);
    window.state_mut().take_asked();
    let name = "Push along direction 2, in standard deviations";
    let slider = window.get_by_role_and_label(Role::Slider, name);
    slider.focus();
    window.run();
    window.key_press(egui::Key::ArrowRight);
    window.run();
    let wishes = asked(&mut window);
    let [Wish::Edit(Edit::Push { picture, basis, amounts, mask })] = wishes.as_slice() else {
        panic!("{wishes:?}")
    };
    assert_eq!((picture, *basis, mask), (&held(0), BasisChoice::Fitted, &None));
    assert!(amounts[1] > 0.0 && amounts[0] == 0.0 && amounts.len() == 4, "{amounts:?}");
    window.get_by_label("Fit anew").click();
    window.run();
    assert!(asked(&mut window).contains(&Wish::Fit));
}

#[test]
fn the_pad_follows_keys_and_pointer() {
    let mut window = at_tool(tools().into_iter().nth(3).unwrap().1, "Blend", false);
    window.state_mut().take_asked();
    let pad = window.get_by_role(Role::Canvas);
    pad.focus();
    window.run();
    window.key_press(egui::Key::ArrowLeft);
    window.run();
    let at = |wishes: Vec<Wish>| match wishes.as_slice() {
        [.., Wish::Edit(Edit::Blend { at, .. })] => *at,
        other => panic!("{other:?}"),
    };
    let place = at(asked(&mut window));
    assert!((place[0] - 0.45).abs() < 1e-5 && place[1] == 0.5, "{place:?}");
    let rect = window.get_by_role(Role::Canvas).rect();
    window.drag_at(rect.center());
    window.run();
    window.hover_at(rect.right_bottom() - Vec2::splat(2.0));
    window.run();
    assert_eq!(at(asked(&mut window)), [1.0, 1.0], "the handle stays on the pad");
    window.drop_at(rect.right_bottom() - Vec2::splat(2.0));
    window.run();
    window.get_by_label("Spherical").click();
    window.run();
    let wishes = asked(&mut window);
    assert!(
        matches!(wishes.as_slice(), [Wish::Edit(Edit::Blend { way: Blend::Spherical, .. })]),
        "{wishes:?}"
    );
}

#[test]
fn a_region_is_painted_with_keys() {
    let mut window = at_tool(tools().into_iter().nth(4).unwrap().1, "Swap", false);
    window.state_mut().take_asked();
    window.get_by_role(Role::Canvas).focus();
    window.run();
    for key in [egui::Key::ArrowDown, egui::Key::ArrowRight, egui::Key::Space] {
        window.key_press(key);
        window.run();
    }
    let wishes = asked(&mut window);
    let Some(Wish::Edit(Edit::Swap { into, from, mask: Some(mask) })) = wishes.last() else {
        panic!("{wishes:?}")
    };
    assert_eq!((into, from), (&held(0), &held(36)));
    assert_eq!(
        mask.iter().enumerate().filter(|(_, there)| **there).map(|(at, _)| at).collect::<Vec<_>>(),
        [9]
    );
}

#[test]
fn hovering_a_token_asks_nobody() {
    let mut window = at_tool(tools().into_iter().nth(1).unwrap().1, "Similarity", false);
    window.state_mut().take_asked();
    let before = window.query_all_by_label_contains("token in row 5, column 5").count();
    assert_eq!(before, 4, "original and three maps show the token in the middle");
    let rect = window.query_all_by_role(Role::Canvas).nth(1).unwrap().rect();
    window.hover_at(rect.left_top() + Vec2::splat(3.0));
    window.run();
    assert_eq!(window.query_all_by_label_contains("token in row 1, column 1").count(), 4);
    assert!(asked(&mut window).is_empty());
}

#[test]
fn a_class_is_picked_and_one_of_its_pictures_goes_to_a_place() {
    let mut window = at_tool(tools().into_iter().nth(5).unwrap().1, "Scatter", false);
    window.state_mut().take_asked();
    window.get_by_role_and_label(Role::ComboBox, "Pick a class").click();
    window.run();
    window.get_by_role_and_label(Role::Button, "animals").click();
    window.run();
    assert_eq!(window.query_all_by_label_contains("50 picked").count(), 1);
    window.get_by_label("Use as picture B").click();
    window.run();
    assert_eq!(asked(&mut window), [Wish::Pictures(vec![PictureRef::Train(18)])]);
    window.get_by_label("Encode again").click();
    window.run();
    let wish = Wish::Scatter(ScatterWish { count: 1000, flat: false, anew: true });
    assert!(asked(&mut window).contains(&wish));
}

#[test]
fn a_line_around_points_picks_them() {
    let mut window = at_tool(tools().into_iter().nth(5).unwrap().1, "Scatter", false);
    let rect = window.get_by_role(Role::Canvas).rect();
    // The left half holds the heap of class 0, and parts of two others.
    let corners = [(0.01, 0.01), (0.43, 0.01), (0.43, 0.99), (0.01, 0.99)];
    let at = |(x, y): (f32, f32)| rect.min + Vec2::new(x, y) * rect.size();
    window.drag_at(at(corners[0]));
    window.run();
    for corner in &corners[1..] {
        window.hover_at(at(*corner));
        window.run();
    }
    window.drop_at(at(corners[3]));
    window.run();
    assert_eq!(window.query_all_by_label_contains(" picked").count(), 1);
    let of_class = window.query_all_by_label_contains("activities 4").count()
        + window.query_all_by_label_contains("activities 50").count();
    assert!(of_class >= 1, "most of the heap of class 0 lies there");
}

#[test]
fn opening_asks_for_a_dialog_or_takes_what_is_typed() {
    let mut state = support::empty();
    state.prefs.tab = Tab::Explorer;
    let mut window = window(state, false);
    window.get_by_label("Folder…").click();
    window.run();
    window.get_by_label("File…").click();
    window.run();
    let commands = window.state_mut().take_asked();
    assert!(
        matches!(commands.as_slice(), [Command::Pick(Pick::Folder), Command::Pick(Pick::File)]),
        "{commands:?}"
    );
    let name = "Path or name of what to open";
    window.get_by_role_and_label(Role::TextInput, name).focus();
    window.run();
    window.get_by_role_and_label(Role::TextInput, name).type_text("owner/model");
    window.run();
    window.get_by_role_and_label(Role::Button, "Open").click();
    window.run();
    let commands = window.state_mut().take_asked();
    assert!(matches!(commands.as_slice(), [Command::OpenAny(text)] if text == "owner/model"), "{commands:?}");
}

#[test]
fn a_run_that_does_not_train_is_loaded_with_a_button() {
    let mut state = support::running(120);
    state.apply(Event::EngineStopping);
    state.apply(Event::EngineClosed);
    state.prefs.tab = Tab::Explorer;
    let mut window = window(state, false);
    window.get_by_label("Load nano-001").click();
    window.run();
    let commands = window.state_mut().take_asked();
    let [Command::Train(start)] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(matches!(start.as_ref(), Start::Look { folder, .. } if folder.ends_with("nano-001")));
}

#[test]
fn an_opened_autoencoder_takes_the_place_of_the_run_and_goes_when_the_engine_does() {
    let mut state = explored();
    state.apply(Event::EngineClosed);
    explored::with_model(&mut state);
    assert_eq!(state.live.status, Status::Looking);
    assert!(state.explores() && !state.answers(), "there is nothing to sample");
    assert!(state.explorer.about.is_none() && state.explorer.thumbs.is_empty(), "nothing is left of the run");
    assert_eq!(state.explorer.model.as_ref().unwrap().image_px, 256);
    explored::answer(&mut state, Wish::Fit, Ok(Found::Fitted(explored::directions())));
    assert_eq!(state.explorer.fitted.as_ref().map(Vec::len), Some(4));
    state.apply(Event::EngineClosed);
    assert!(!state.explores());
}
