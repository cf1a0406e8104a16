//! `tandem bench` from outside: a profile adds up, plain operations have no kernels in them, a peer is timed in turn.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

mod program;

use std::process::Command;

use program::{TINY, succeed, tandem};
use serde_json::Value;

/// `tandem bench` of the smallest run, on the CPU.
fn bench(args: &[&str]) -> Command {
    let mut command = tandem(["bench", "--device", "cpu", "--steps", "1", "--json"]);
    TINY.iter().for_each(|setting| _ = command.args(["--set", setting]));
    command.args(args);
    command
}

/// What it answers.
fn answered(args: &[&str]) -> Value {
    serde_json::from_slice(&succeed(&mut bench(args)).stdout).unwrap()
}

#[test]
fn a_profile_adds_up_and_plain_operations_leave_the_kernels_out() {
    let seconds = |entries: &Value| -> f64 {
        entries.as_array().unwrap().iter().map(|entry| entry["seconds"].as_f64().unwrap()).sum()
    };
    let profile = &answered(&["--profile"])["profile"];
    let whole = profile["seconds"].as_f64().unwrap();
    assert!((seconds(&profile["phases"]) / whole - 1.0).abs() < 0.05, "{profile}");
    let kernels = seconds(&profile["operations"]);
    assert!(kernels > 0.0 && kernels < whole, "{profile}");
    let plain = &answered(&["--profile", "--plain"])["profile"];
    let named: Vec<_> = plain["operations"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
    let ours = profile["operations"].as_array().unwrap().len();
    assert!(named.len() < ours / 2, "plain operations still run {named:?}");
}

#[test]
fn a_peer_is_timed_in_turn_and_told_its_own_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("peer.sh");
    let told = folder.path().join("told");
    let line = r#"{"peer": "stand-in", "step_s": 1000, "peak_rss_mb": 1}"#;
    std::fs::write(&script, format!("echo \"$@\" >> '{}'\necho '{line}'\n", told.display())).unwrap();
    let [script, told] = [script, told].map(|path| path.to_str().unwrap().to_string());
    let peer =
        ["--peer", &script, "--python", "sh", "--peer-arg=--compile", "--rounds", "2", "--threads", "1"];
    let found = answered(&peer);
    assert_eq!(found["peer"], "stand-in --compile");
    assert_eq!(found["peer_turns_s"].as_array().unwrap().len(), 2);
    let ours = found["step_s"].as_f64().unwrap();
    assert!((found["speed"].as_f64().unwrap() - 1000.0 / ours).abs() < 1e-6 * 1000.0 / ours, "{found}");
    let lines = std::fs::read_to_string(told).unwrap();
    assert_eq!(lines.lines().collect::<Vec<_>>(), ["nano --mode train --steps 1 --threads 1 --compile"; 2]);
}
