//! `tandem doctor`: what this machine offers, and what would be used.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::config::Config;
use tandem_core::data::embedded;
use tandem_core::device::{self, Adapter, DeviceChoice};
use tandem_core::train::cost;
use tandem_core::weights;

use crate::progress::answer;

/// Options.
#[derive(Args)]
pub struct DoctorArgs {
    /// The choice to explain: auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Also what a training step of this preset (or TOML file) costs, and whether it fits.
    #[arg(long)]
    preset: Option<String>,
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
    let step = args.preset.as_deref().map(StepFit::of).transpose()?;
    if args.json {
        let weights: Vec<_> =
            weights::embedded().iter().map(|(n, b)| json!({ "name": n, "bytes": b })).collect();
        answer(
            &json!({ "version": env!("CARGO_PKG_VERSION"), "device": choice.to_string(), "chosen": name,
            "reason": reason, "adapters": adapters, "threads": threads,
            "memory_bytes": memory_bytes, "free_bytes": free_bytes, "step": step.as_ref().map(StepFit::json),
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
        step.iter().flat_map(|step| step.lines(free_bytes)).for_each(|text| answer(&text));
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

/// Features of a teacher when none is loaded: DINOv2-B's; the width hardly matters here.
const TEACHER_FEATURES: usize = 768;
/// Classes when no data set is opened: ImageNet's.
const CLASSES: usize = 1000;

/// What a step of a preset costs.
struct StepFit {
    preset: String,
    batch: usize,
    accumulate: usize,
    cost: cost::StepCost,
}

impl StepFit {
    fn of(preset: &str) -> Result<Self> {
        let config = Config::load(preset, &[])?;
        let cost = cost::step(&config, CLASSES, vec![TEACHER_FEATURES])?;
        let (batch, accumulate) = (config.train.batch, config.train.accumulate);
        Ok(Self { preset: preset.into(), batch, accumulate, cost })
    }

    fn needed_bytes(&self, pictures: usize) -> f64 {
        self.cost.fixed_bytes + pictures as f64 * self.cost.picture_bytes
    }

    fn json(&self) -> serde_json::Value {
        json!({ "preset": self.preset, "batch": self.batch, "accumulate": self.accumulate,
            "flops_per_picture": self.cost.flops, "fixed_bytes": self.cost.fixed_bytes,
            "picture_bytes": self.cost.picture_bytes, "needed_bytes": self.needed_bytes(self.batch) })
    }

    fn lines(&self, free: u64) -> Vec<String> {
        let giga = |bytes: f64| format!("{:.2} GB", bytes / 1e9);
        let pictures = self.batch * self.accumulate;
        let mut all = vec![
            format!(
                "{}: a step of {pictures} pictures is {:.3} TFLOP, {:.1} GFLOP for each picture",
                self.preset,
                self.cost.flops * pictures as f64 / 1e12,
                self.cost.flops / 1e9
            ),
            format!(
                "  memory about {} = {} for weights, moments, gradients and averages + {} x {} kept for backward",
                giga(self.needed_bytes(self.batch)),
                giga(self.cost.fixed_bytes),
                self.batch,
                giga(self.cost.picture_bytes)
            ),
        ];
        all.push(match cost::micro_batches(&self.cost, self.batch, free as f64) {
            Some(1) => format!("  fits into the {} that are free", giga(free as f64)),
            Some(parts) => format!(
                "  {} are free: --set train.batch={} --set train.accumulate={} fits",
                giga(free as f64),
                self.batch / parts,
                self.accumulate * parts
            ),
            None => format!("  {} are free: not even one picture fits", giga(free as f64)),
        });
        all
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
