//! `tandem doctor`: what this machine offers, and what would be used.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::config::{Config, TrainSection};
use tandem_core::data::embedded;
use tandem_core::device::{self, Adapter, DeviceChoice};
use tandem_core::train::fit::{Fit, PROGRAM_BYTES, Room, SLACK};
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
    let room =
        chosen.as_ref().map_or(Room { free_bytes: Some(free_bytes as f64), tensor_bytes: None }, Room::of);
    let step = args.preset.as_deref().map(|preset| StepFit::of(preset, room)).transpose()?;
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
        step.iter().flat_map(StepFit::lines).for_each(|text| answer(&text));
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

/// Classes when no data set is opened: ImageNet's.
const CLASSES: usize = 1000;

/// What a step of a preset costs, and what of it fits.
struct StepFit {
    preset: String,
    accumulate: usize,
    checkpointing: bool,
    fit: Fit,
}

impl StepFit {
    fn of(preset: &str, room: Room) -> Result<Self> {
        let config = Config::load(preset, &[])?;
        let fit = Fit::of(&config, CLASSES, room)?;
        let TrainSection { accumulate, gradient_checkpointing, .. } = config.train;
        Ok(Self { preset: preset.into(), accumulate, checkpointing: gradient_checkpointing, fit })
    }

    fn json(&self) -> serde_json::Value {
        let Fit { cost, batch, room } = &self.fit;
        json!({ "preset": self.preset, "batch": batch, "accumulate": self.accumulate,
            "gradient_checkpointing": self.checkpointing, "flops_per_picture": cost.flops,
            "weight_bytes": cost.weight_bytes, "moment_bytes": cost.moment_bytes,
            "gradient_bytes": cost.gradient_bytes, "average_bytes": cost.average_bytes,
            "fixed_bytes": cost.fixed_bytes(), "picture_bytes": cost.picture_bytes,
            "widest_bytes": cost.widest_bytes, "needed_bytes": self.fit.needed_bytes(*batch),
            "free_bytes": room.free_bytes, "tensor_limit_bytes": room.tensor_bytes,
            "micro_batch": self.fit.micro_batch() })
    }

    fn lines(&self) -> Vec<String> {
        let Fit { cost, batch, room } = &self.fit;
        let giga = |bytes: f64| format!("{:8.2} GB", bytes / 1e9);
        let pictures = batch * self.accumulate;
        let checkpointing = if self.checkpointing { "with" } else { "without" };
        let mut all = vec![
            format!(
                "{}: a step of {pictures} pictures is {:.3} TFLOP, {:.1} GFLOP for each picture",
                self.preset,
                cost.flops * pictures as f64 / 1e12,
                cost.flops / 1e9
            ),
            format!("  {} weights", giga(cost.weight_bytes)),
            format!("  {} the optimizers' moments", giga(cost.moment_bytes)),
            format!("  {} gradients", giga(cost.gradient_bytes)),
            format!("  {} the transformer's average", giga(cost.average_bytes)),
            format!(
                "  {} kept for backward of each picture, {checkpointing} checkpointing",
                giga(cost.picture_bytes)
            ),
            format!("  {} the program and its frozen networks", giga(PROGRAM_BYTES)),
            format!(
                "  {} at most for {batch} pictures at once, what is kept taken {SLACK} times",
                giga(self.fit.needed_bytes(*batch))
            ),
        ];
        all.push(match room.free_bytes {
            Some(free) => format!("  {} free", giga(free)),
            None => "  how much memory the card has, wgpu does not tell".into(),
        });
        all.extend(room.tensor_bytes.map(|most| {
            format!(
                "  {} the adapter's largest tensor, {} for a picture",
                giga(most),
                giga(cost.widest_bytes).trim()
            )
        }));
        all.push(match self.fit.micro_batch() {
            Some(pictures) if pictures == *batch => {
                format!("  train.micro_batch = {batch}: the whole batch fits")
            }
            Some(pictures) => format!(
                "  train.micro_batch = {pictures}: {} parts of each batch, {:.2} GB at most",
                batch / pictures,
                self.fit.needed_bytes(pictures) / 1e9
            ),
            None => "  train.micro_batch = 1 would be tried: not even one picture fits".into(),
        });
        all
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
