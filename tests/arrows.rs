//! The arrows of ARCHITECTURE.md, read from the source: which room may use which. A path that points
//! the wrong way fails here before it becomes a habit.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

use std::fs;
use std::path::Path;

/// Rooms of core from the bottom up: a room uses rooms of lower levels, never of its own or a higher one.
const LEVELS: [&[&str]; 14] = [
    &["error"],
    &["kernel", "device", "memory", "hub"],
    &["params"],
    &["layers", "latent_norm", "files"],
    &["run"],
    &["data"],
    &["vae", "align"],
    &["sit"],
    &["config"],
    &["weights", "sample"],
    &["eval"],
    &["train"],
    &["formats", "explore"],
    &["engine"],
];

/// Arrows that the levels would allow and the design forbids: (from, to).
const NEVER: [(&str, &str); 1] = [("sit", "vae")];

/// Crates that core must not know: windows, command lines, errors without facts.
const NOT_IN_CORE: [&str; 8] = ["anyhow", "clap", "ctrlc", "eframe", "egui", "egui_plot", "indicatif", "rfd"];
/// What prints.
const PRINTING: [&str; 7] = ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!(", "stdout(", "stderr("];
/// Crates that the app must not know: tensors are the engine's.
const NOT_IN_APP: [&str; 3] = ["burn", "cubecl", "wgpu"];

/// A source file: its path below the repository and its text.
type Source = (String, String);

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// The text without comments, strings and the tests at its end, one blank for each thing left out.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap();
        for (index, piece) in line.split('"').enumerate() {
            code.push_str(if index % 2 == 0 { piece } else { " " });
        }
        code.push('\n');
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names that follow each `prefix` in `code`: one, or all heads of a `{…}` group.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c| is_word(c) || c == ':') {
            continue; // a longer word, or the middle of a path
        }
        names.extend(heads(&code[at + prefix.len()..]));
    }
    names
}

/// The first segment of a path, or of each path in a group.
fn heads(rest: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|&c| is_word(c)).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut starts) = (0, vec![0]);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts.into_iter().map(|at| word(group[at..].trim_start())).filter(|name| !name.is_empty()).collect()
}

/// Rooms that a file of core uses: `crate::room` and as many `super::` as lead to the root.
fn rooms_used(inner: &str, code: &str) -> Vec<String> {
    let depth = inner.trim_end_matches("/mod.rs").matches('/').count() + 1;
    let mut rooms = names_after(code, "crate::");
    rooms.extend(names_after(code, &"super::".repeat(depth)));
    rooms
}

fn core_violations(path: &str, inner: &str, code: &str) -> Vec<String> {
    let room = inner.split(['/', '.']).next().unwrap();
    let mut found = Vec::new();
    if room != "lib" {
        let Some(own) = level(room) else {
            return vec![format!("{path}: {room} has no level in tests/arrows.rs")];
        };
        for used in rooms_used(inner, code).into_iter().filter(|used| used != room) {
            match level(&used) {
                Some(theirs) if theirs < own && !NEVER.contains(&(room, used.as_str())) => {}
                // `crate::Error` and the like stand for their room.
                None if used.starts_with(char::is_uppercase) => {}
                _ => found.push(format!("{path}: {room} must not use {used}")),
            }
        }
    }
    let foreign = NOT_IN_CORE.iter().filter(|name| !names_after(code, &format!("{name}::")).is_empty());
    found.extend(foreign.map(|name| format!("{path}: core must not know {name}")));
    let printing = PRINTING
        .iter()
        .filter(|call| code.match_indices(*call).any(|(at, _)| !code[..at].ends_with(is_word)));
    found.extend(printing.map(|call| format!("{path}: core must not print ({call}…))")));
    found
}

/// In a folder `panels`, no file uses a neighbour.
fn app_violations(path: &str, code: &str, all: &[Source]) -> Vec<String> {
    let foreign = NOT_IN_APP.iter().filter(|name| !names_after(code, &format!("{name}::")).is_empty());
    let mut found: Vec<_> = foreign.map(|name| format!("{path}: the app must not use {name}")).collect();
    let (folder, file) = path.rsplit_once('/').unwrap();
    if folder.ends_with("/panels") && file != "mod.rs" {
        let neighbours = all.iter().filter_map(|(other, _)| other.strip_prefix(folder)?.strip_prefix('/'));
        for name in neighbours.filter(|name| *name != file && *name != "mod.rs") {
            let name = name.split(['/', '.']).next().unwrap().to_string();
            let used = ["super::", "panels::"].iter().flat_map(|prefix| {
                let at = code.match_indices(prefix).map(|(at, _)| at + prefix.len());
                at.flat_map(|at| heads(&code[at..])).collect::<Vec<_>>()
            });
            if used.into_iter().any(|used| used == name) {
                found.push(format!("{path}: a panel must not use the panel {name}"));
            }
        }
    }
    found
}

/// Every forbidden arrow in `sources`.
fn violations(sources: &[Source]) -> Vec<String> {
    let of_file = |(path, text): &Source| {
        let code = code_of(text);
        match path.strip_prefix("core/src/") {
            Some(inner) => core_violations(path, inner, &code),
            None => app_violations(path, &code, sources),
        }
    };
    sources.iter().flat_map(of_file).collect()
}

fn read_into(folder: &Path, name: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() && path.ends_with("tests") {
            continue; // as the tests at the end of a file
        } else if path.is_dir() {
            read_into(&path, &name, sources);
        } else if name.ends_with(".rs") {
            sources.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Vec::new();
    for name in ["core/src", "app/src"] {
        read_into(&root.join(name), name, &mut sources);
    }
    assert!(sources.len() > 50, "the source was not found");
    let found = violations(&sources);
    assert!(found.is_empty(), "forbidden arrows:\n{}", found.join("\n"));
}

#[test]
fn every_kind_of_forbidden_arrow_is_found() {
    let cases = [
        ("core/src/sit/mod.rs", "use crate::vae::Vae;", "sit must not use vae"),
        ("core/src/vae/loss.rs", "use crate::{error::Error, sit::{Sit, Path}};", "vae must not use sit"),
        ("core/src/align/loss.rs", "fn f() { crate::sit::g() }", "align must not use sit"),
        ("core/src/layers/conv.rs", "use super::super::vae::Vae;", "layers must not use vae"),
        ("core/src/layers/mod.rs", "use super::vae::Vae;", "layers must not use vae"),
        ("core/src/train/step.rs", "use crate::engine::Engine;", "train must not use engine"),
        ("core/src/params.rs", "use super::layers::Linear;", "params must not use layers"),
        ("core/src/attic.rs", "", "attic has no level"),
        ("core/src/run/disk.rs", "use clap::Parser;", "core must not know clap"),
        ("core/src/run/disk.rs", "fn f() { println!(\"x\") }", "core must not print"),
        ("core/src/run/disk.rs", "fn f() { std::io::stderr(); }", "core must not print"),
        ("app/src/train.rs", "use burn::tensor::Tensor;", "the app must not use burn"),
        (
            "app/src/window/panels/curves.rs",
            "use super::{gallery::Gallery};",
            "must not use the panel gallery",
        ),
        (
            "app/src/window/panels/curves.rs",
            "use crate::window::panels::gallery;",
            "must not use the panel gallery",
        ),
    ];
    let gallery = ("app/src/window/panels/gallery.rs".to_string(), String::new());
    for (path, line, expected) in cases {
        let found = violations(&[(path.into(), format!("//! Head.\n{line}\n")), gallery.clone()]);
        assert!(found.len() == 1 && found[0].contains(expected), "{path}: {line}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let cases = [
        ("core/src/vae/loss.rs", "use super::Posterior;\nuse crate::kernel::{self, Conv};"),
        (
            "core/src/vae/mod.rs",
            "//! Beside crate::sit, println!(\nconst A: &str = \"crate::sit\"; // crate::sit",
        ),
        ("core/src/vae/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::sit::Sit;\n}"),
        ("core/src/engine/mod.rs", "use crate::train::Trainer;\npub use crate::error::Result;"),
        ("core/src/engine/mod.rs", "use crate::Error;\nfn eprint(x: u8) {}"),
        ("app/src/window/panels/curves.rs", "use super::super::state::AppState;\nuse super::shared;"),
    ];
    for (path, text) in cases {
        let found = violations(&[(path.into(), text.into())]);
        assert!(found.is_empty(), "{found:?}");
    }
}
