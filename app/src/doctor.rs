//! `tandem doctor`: what this machine offers, and what would be used.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::data::embedded;
use tandem_core::device::{self, DeviceChoice};
use tandem_core::weights;

use crate::progress::answer;

/// Options.
#[derive(Args)]
pub struct DoctorArgs {
    /// The choice to explain: auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Looks and tells.
pub fn run(args: &DoctorArgs) -> Result<()> {
    let choice: DeviceChoice = args.device.parse()?;
    let adapters = device::adapters();
    let chosen = device::choose(choice)?;
    let memory = tandem_core::memory::total_and_free_bytes();
    let pictures = embedded::pack_bytes();
    if args.json {
        let weights: Vec<_> =
            weights::embedded().iter().map(|(n, b)| json!({ "name": n, "bytes": b })).collect();
        answer(
            &json!({ "adapters": adapters, "chosen": chosen.name, "reason": chosen.reason,
            "memory_bytes": memory.0, "free_bytes": memory.1,
            "assets": { "pictures_bytes": pictures, "weights": weights } })
            .to_string(),
        );
        return Ok(());
    }
    answer(&format!("tandem {}", env!("CARGO_PKG_VERSION")));
    answer(&format!("device {choice}: {} ({})", chosen.name, chosen.reason));
    if adapters.is_empty() {
        answer("adapters: none found");
    }
    for (n, a) in adapters.iter().enumerate() {
        answer(&format!("adapter {n}: {} ({}, {}, {})", a.name, a.kind, a.api, a.driver));
        answer(&format!(
            "  largest buffer {} MiB, workgroup {} with {} KiB shared, f16 {}",
            a.max_buffer_bytes >> 20,
            a.max_workgroup,
            a.workgroup_bytes >> 10,
            if a.shader_f16 { "yes" } else { "no" }
        ));
    }
    answer(&format!("memory: {:.1} GiB, {:.1} GiB free", gib(memory.0), gib(memory.1)));
    answer(&format!("embedded pictures: {:.1} MB", pictures as f64 / 1e6));
    for (name, bytes) in weights::embedded() {
        answer(&format!("embedded weights: {name}, {:.1} MB", bytes as f64 / 1e6));
    }
    Ok(())
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
