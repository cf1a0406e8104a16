//! Peer and Tandem in turn (A B A B …), each in a process of its own, and the ratio of their medians:
//! the machine's speed drifts, and only neighbours in time compare.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{BenchArgs, median};
use crate::progress::{answer, line};

/// What one run reported.
struct Timing {
    step_s: f64,
    peak_mb: f64,
    name: String,
}

/// Runs the turns and tells the ratios.
pub fn run(args: &BenchArgs, script: &Path) -> Result<()> {
    let threads = args.threads.unwrap_or_else(tandem_core::device::threads);
    let mode = args.mode_name();
    let (mut peer, mut ours): (Vec<Timing>, Vec<Timing>) = Default::default();
    for round in 1..=args.rounds {
        let mut timing = timed(peer_command(args, script, threads, &mode), "peer")?;
        timing.name = [timing.name].iter().chain(&args.peer_args).cloned().collect::<Vec<_>>().join(" ");
        peer.push(timing);
        ours.push(timed(own_command(args, threads, &mode)?, "device")?);
        let (a, b) = (&peer[round - 1], &ours[round - 1]);
        line(&format!(
            "turn {round}: {} {:.3} s, Tandem {:.3} s: {:.2} x",
            a.name,
            a.step_s,
            b.step_s,
            a.step_s / b.step_s
        ));
    }
    let middle = |all: &[Timing], of: fn(&Timing) -> f64| median(&mut all.iter().map(of).collect::<Vec<_>>());
    let (peer_s, ours_s) = (middle(&peer, |t| t.step_s), middle(&ours, |t| t.step_s));
    let (peer_mb, ours_mb) = (middle(&peer, |t| t.peak_mb), middle(&ours, |t| t.peak_mb));
    if args.json {
        let each = |all: &[Timing]| all.iter().map(|t| t.step_s).collect::<Vec<_>>();
        answer(
            &json!({ "preset": args.preset, "mode": mode, "threads": threads, "rounds": args.rounds,
                "peer": peer[0].name, "device": ours[0].name, "peer_step_s": peer_s, "step_s": ours_s,
                "speed": peer_s / ours_s, "peer_peak_rss_mb": peer_mb, "peak_rss_mb": ours_mb,
                "memory": ours_mb / peer_mb, "peer_turns_s": each(&peer), "turns_s": each(&ours) })
            .to_string(),
        );
    } else {
        answer(&format!(
            "{} {mode}, {threads} threads, medians of {} turns: Tandem {ours_s:.3} s, {} {peer_s:.3} s: speed {:.2} x; \
             peak memory {ours_mb:.0} MiB against {peer_mb:.0}: {:.2} x",
            args.preset,
            args.rounds,
            peer[0].name,
            peer_s / ours_s,
            ours_mb / peer_mb,
        ));
    }
    Ok(())
}

fn peer_command(args: &BenchArgs, script: &Path, threads: usize, mode: &str) -> Command {
    let mut command = Command::new(&args.python);
    command.arg(script).arg(&args.preset);
    with_numbers(&mut command, args, threads, mode);
    command.args(&args.peer_args);
    command
}

fn own_command(args: &BenchArgs, threads: usize, mode: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
    command.args(["bench", "--json", "--preset", &args.preset, "--device", &args.device]);
    with_numbers(&mut command, args, threads, mode);
    for setting in &args.settings {
        command.args(["--set", setting]);
    }
    Ok(command)
}

/// The options that peer and Tandem share.
fn with_numbers(command: &mut Command, args: &BenchArgs, threads: usize, mode: &str) {
    command.args(["--mode", mode, "--steps", &args.steps.to_string(), "--threads", &threads.to_string()]);
    if let Some(batch) = args.batch {
        command.args(["--batch", &batch.to_string()]);
    }
}

/// Runs `command` and reads the JSON line it ends with; `name` is the key of what it calls itself.
fn timed(mut command: Command, name: &str) -> Result<Timing> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({}): {}", output.status, text.trim().lines().last().unwrap_or("no message"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.trim().lines().last().unwrap_or_default();
    let object: Value = serde_json::from_str(last)
        .with_context(|| format!("{program} did not end with a line of JSON but with {last:?}"))?;
    let number =
        |key: &str| object[key].as_f64().with_context(|| format!("{program} reported no number {key}"));
    Ok(Timing {
        step_s: number("step_s")?,
        peak_mb: number("peak_rss_mb")?,
        name: object[name].as_str().unwrap_or(&program).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_last_line_is_read() {
        let json = r#"echo warm; echo '{"peer": "torch", "step_s": 0.5, "peak_rss_mb": 100}'"#;
        let timing = timed(shell(json), "peer").unwrap();
        assert_eq!((timing.step_s, timing.peak_mb, timing.name.as_str()), (0.5, 100.0, "torch"));
    }

    #[test]
    fn a_failing_peer_is_one_clear_line() {
        let of = |script: &str| format!("{:#}", timed(shell(script), "peer").err().unwrap());
        assert!(of("echo no module named torch >&2; exit 3").contains("no module named torch"));
        assert!(of("echo hello").contains("JSON"));
        assert!(of(r#"echo '{"step_s": "fast"}'"#).contains("step_s"));
        let missing = timed(Command::new("/no/such/python"), "peer").err().unwrap();
        assert!(format!("{missing:#}").contains("cannot run"));
    }
}
