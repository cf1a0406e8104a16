//! `tandem doctor`: what this machine offers, and what would be used.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::data::embedded;
use tandem_core::device::{self, Adapter, DeviceChoice};
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

/// Looks and tells; a choice that cannot be had is an error, told after all else.
pub fn run(args: &DoctorArgs) -> Result<()> {
    let choice: DeviceChoice = args.device.parse()?;
    let adapters = device::adapters();
    let chosen = device::choose(choice);
    let (name, reason) = match &chosen {
        Ok(chosen) => (Some(chosen.name.clone()), chosen.reason.clone()),
        Err(error) => (None, error.to_string()),
    };
    let (memory_bytes, free_bytes) = tandem_core::memory::total_and_free_bytes();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pictures_bytes = embedded::pack_bytes();
    if args.json {
        let weights: Vec<_> =
            weights::embedded().iter().map(|(n, b)| json!({ "name": n, "bytes": b })).collect();
        answer(
            &json!({ "version": env!("CARGO_PKG_VERSION"), "device": choice.to_string(), "chosen": name,
            "reason": reason, "adapters": adapters, "threads": threads,
            "memory_bytes": memory_bytes, "free_bytes": free_bytes,
            "assets": { "pictures_bytes": pictures_bytes, "weights": weights } })
            .to_string(),
        );
    } else {
        answer(&format!("tandem {}", env!("CARGO_PKG_VERSION")));
        answer(&format!("device {choice}: {} ({reason})", name.as_deref().unwrap_or("none")));
        if adapters.is_empty() {
            answer("adapters: none found");
        }
        adapters.iter().enumerate().for_each(|(number, adapter)| show(number, adapter));
        answer(&format!(
            "memory: {:.1} GiB, {:.1} GiB free; {threads} threads",
            gib(memory_bytes),
            gib(free_bytes)
        ));
        answer(&format!("embedded pictures: {:.1} MB", pictures_bytes as f64 / 1e6));
        for (name, bytes) in weights::embedded() {
            answer(&format!("embedded weights: {name}, {:.1} MB", bytes as f64 / 1e6));
        }
    }
    chosen?;
    Ok(())
}

fn show(number: usize, a: &Adapter) {
    answer(&format!("adapter {number}: {} ({}, {}, {})", a.name, a.kind, a.api, a.driver));
    answer(&format!(
        "  largest buffer {} MiB, {} buffers a shader, workgroups of {} with {} KiB shared, {} a dimension, f16 {}",
        a.max_buffer_bytes >> 20,
        a.max_storage_buffers,
        a.max_workgroup,
        a.workgroup_bytes >> 10,
        a.max_workgroups,
        if a.shader_f16 { "yes" } else { "no" }
    ));
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
