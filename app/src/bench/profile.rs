//! The profile of a benchmark as tables: phases, operations, GPU launches, each for one step.

use anyhow::Result;
use serde_json::json;
use tandem_core::kernel::profile::{Cost, Entry, Profile};

use super::BenchArgs;
use crate::progress::answer;

/// GPU kernels shown by name.
const SHOWN_LAUNCHES: usize = 20;

/// Prints `profile` of `args.steps` steps.
pub fn tell(args: &BenchArgs, device: &str, batch: usize, profile: &Profile) -> Result<()> {
    if args.json {
        let object = json!({ "preset": args.preset, "mode": args.mode_name(), "device": device,
            "batch": batch, "steps": args.steps, "threads": tandem_core::device::threads(),
            "bytes": profile.bytes(), "launches_counted": profile.num_launches(), "profile": profile });
        answer(&object.to_string());
        return Ok(());
    }
    let steps = args.steps as f64;
    let step = profile.seconds / steps;
    answer(&format!(
        "{} {}, batch {batch} on {device}: {:.1} ms a step (mean of {}, watched)",
        args.preset,
        args.mode_name(),
        step * 1e3,
        args.steps
    ));
    let launches = profile.num_launches();
    table("phase", &profile.phases, profile, steps, launches > 0);
    let mut operations = profile.operations.clone();
    let known: f64 = operations.iter().map(|entry| entry.cost.seconds).sum();
    operations.sort_by(|a, b| b.cost.seconds.total_cmp(&a.cost.seconds));
    let seconds = profile.seconds - known;
    let rest = Cost { seconds, ..Cost::default() };
    operations.push(Entry { name: "plain tensor operations", backward: false, cost: rest });
    table("operation", &operations, profile, steps, launches > 0);
    answer(&format!(
        "bytes moved by hand-written operations: {:.1} MB a step",
        profile.bytes() as f64 / 1e6 / steps
    ));
    if launches > 0 {
        answer(&format!("GPU launches: {:.0} a step", launches as f64 / steps));
        let mut all = profile.launches.clone();
        all.sort_by_key(|entry| std::cmp::Reverse(entry.cost.calls));
        all.truncate(SHOWN_LAUNCHES);
        table("GPU kernel", &all, profile, steps, false);
    }
    Ok(())
}

/// One line for each entry; times and counts are those of one step.
fn table(title: &str, entries: &[Entry], profile: &Profile, steps: f64, launches: bool) {
    let heading = if launches { "  launches" } else { "" };
    answer(&format!(
        "\n{title:<34}{:>8}{:>10}{:>8}{:>10}{:>9}{:>10}{heading}",
        "calls", "ms", "share", "MB", "GB/s", "GFLOP/s"
    ));
    for Entry { name, backward, cost } in entries {
        let name = if *backward { format!("{name}, backward") } else { (*name).to_string() };
        let per_second = |amount: u64| {
            if amount == 0 { String::new() } else { format!("{:.1}", amount as f64 / 1e9 / cost.seconds) }
        };
        let megabytes =
            if cost.bytes == 0 { String::new() } else { format!("{:.1}", cost.bytes as f64 / 1e6 / steps) };
        let launched =
            if launches { format!("{:>10.0}", cost.launches as f64 / steps) } else { String::new() };
        answer(&format!(
            "{:<34}{:>8.0}{:>10.2}{:>7.1}%{megabytes:>10}{:>9}{:>10}{launched}",
            shortened(&name),
            cost.calls as f64 / steps,
            cost.seconds * 1e3 / steps,
            100.0 * cost.seconds / profile.seconds,
            per_second(cost.bytes),
            per_second(cost.flops),
        ));
    }
}

/// The end of a long name, which is where generated kernels differ.
fn shortened(name: &str) -> String {
    const WIDTH: usize = 33;
    let skip = name.chars().count().saturating_sub(WIDTH);
    name.chars().skip(skip).collect()
}
