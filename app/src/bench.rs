//! `tandem bench`: the same work as ../shared/peer does in PyTorch, timed step by step; where the
//! time goes (`--profile`); and both in turn (`--peer`).

mod peer;
mod profile;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tandem_core::config::Config;
use tandem_core::data::{DataSource, Dataset, Split};
use tandem_core::device::{self, DeviceChoice};
use tandem_core::kernel::form::{Forms, set_forms};
use tandem_core::kernel::gpu::memory_bytes;
use tandem_core::kernel::peak_live_bytes;
use tandem_core::kernel::profile::{phase, record};
use tandem_core::memory::peak_bytes;
use tandem_core::params::host;
use tandem_core::sample::{SampleConfig, Solver};
use tandem_core::train::Trainer;
use tandem_core::train::batches::pictures;
use tandem_core::train::preview::draw_samples;

use crate::progress::{answer, line};

/// Solver steps of a sampling benchmark, as in the peer.
const SAMPLE_STEPS: usize = 20;

/// What to time.
#[derive(Args)]
pub struct BenchArgs {
    /// nano, tiny, small, base256, or a TOML file.
    #[arg(long, default_value = "nano")]
    preset: String,
    /// train, sample or encode (encode and decode).
    #[arg(long, default_value = "train")]
    mode: Mode,
    /// auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Counted repetitions, after one that is not counted.
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Pictures at once; default: the preset's.
    #[arg(long)]
    batch: Option<usize>,
    /// Threads of the CPU device; default: all.
    #[arg(long)]
    threads: Option<usize>,
    /// Another configuration value, key=value; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Show where the time goes, by phase and by operation.
    #[arg(long, conflicts_with = "peer")]
    profile: bool,
    /// Plain tensor operations in place of the hand-written kernels: what these are worth.
    #[arg(long, conflicts_with = "peer")]
    plain: bool,
    /// A PyTorch program to time in turn with this one (../shared/peer/repae_torch.py).
    #[arg(long, value_name = "FILE.py")]
    peer: Option<PathBuf>,
    /// The Python that runs the peer.
    #[arg(long, default_value = "python3", requires = "peer")]
    python: PathBuf,
    /// An argument for the peer alone, e.g. --peer-arg=--compile; may be given several times.
    #[arg(long = "peer-arg", value_name = "ARG", requires = "peer", allow_hyphen_values = true)]
    peer_args: Vec<String>,
    /// Turns of each, peer and this program.
    #[arg(long, default_value_t = 3, requires = "peer")]
    rounds: usize,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Mode {
    Train,
    Sample,
    Encode,
}

impl BenchArgs {
    fn mode_name(&self) -> String {
        format!("{:?}", self.mode).to_lowercase()
    }
}

/// Times and tells.
pub fn run(args: &BenchArgs) -> Result<()> {
    if args.steps == 0 || args.rounds == 0 {
        bail!("--steps and --rounds must be at least 1");
    }
    if let Some(script) = &args.peer {
        return peer::run(args, script);
    }
    if args.plain {
        set_forms(Forms::Plain);
    }
    if let Some(threads) = args.threads {
        device::limit_threads(threads)?;
    }
    let mut settings = args.settings.clone();
    settings.extend(args.batch.map(|b| format!("train.batch={b}")));
    settings.push(format!("train.steps={}", args.steps + 8));
    let config = Config::load(&args.preset, &settings)?;
    let batch = config.train.batch;
    let chosen = device::choose(args.device.parse::<DeviceChoice>()?)?;
    let dataset = Arc::new(Dataset::open(&DataSource::Embedded, config.data.image_px)?);
    let folder = std::env::temp_dir();
    let mut trainer = Trainer::new(config, dataset, &chosen, None, &folder, 0)?;
    if args.mode == Mode::Train {
        // The teacher's features are computed once in a run; they are not part of a step's time.
        trainer.warm_caches(args.steps as u64 + 1)?;
    }
    let mut work = || -> Result<()> {
        match args.mode {
            Mode::Train => {
                trainer.step()?;
                trainer.flush()?;
            }
            Mode::Sample => sample_once(&trainer, batch),
            Mode::Encode => encode_once(&trainer, batch),
        }
        Ok(())
    };
    work()?;
    if args.profile {
        let (outcome, recorded) = record(|| (0..args.steps).try_for_each(|_| work()));
        outcome?;
        return profile::tell(args, &chosen.name, batch, &recorded);
    }
    let mut seconds = Vec::new();
    for _ in 0..args.steps {
        let began = Instant::now();
        work()?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    let step_s = median(&mut seconds);
    let images_per_s = batch as f64 / step_s;
    let peak_rss_mb = peak_bytes() >> 20;
    let peak_tensors_mb = peak_live_bytes() >> 20;
    let mode = args.mode_name();
    let reserved_mb = memory_bytes(&chosen.device).map(|(_, reserved)| reserved >> 20);
    if args.json {
        answer(
            &json!({ "images_per_s": images_per_s, "step_s": step_s, "peak_rss_mb": peak_rss_mb,
            "device_reserved_mb": reserved_mb, "device": chosen.name, "preset": args.preset, "mode": mode,
            "batch": batch, "threads": device::threads(), "peak_tensors_mb": peak_tensors_mb })
            .to_string(),
        );
    } else {
        let on_device =
            reserved_mb.map(|mb| format!(", {mb} MiB reserved on the device")).unwrap_or_default();
        line(&format!(
            "{} {mode}, batch {batch} on {}: {step_s:.3} s, {images_per_s:.1} images/s (median of {}), \
             peak {peak_rss_mb} MiB, {peak_tensors_mb} of it outputs of kernels{on_device}",
            args.preset, chosen.name, args.steps
        ));
    }
    Ok(())
}

/// The middle value (the upper one of two); sorts.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn sample_once(trainer: &Trainer, batch: usize) {
    let sit = trainer.ema.model();
    let labels: Vec<_> = (0..batch).map(|i| i % sit.config().num_classes).collect();
    let path = trainer.config.sit.path;
    let config =
        SampleConfig { solver: Solver::Euler, steps: SAMPLE_STEPS, cfg: 2.0, interval: (0.0, 1.0), path };
    draw_samples(&trainer.networks.vae, sit, &labels, 0, config, trainer.device());
}

fn encode_once(trainer: &Trainer, batch: usize) {
    let (batches, vae) = (trainer.batches(), &trainer.networks.vae);
    let px = batches.dataset().image_px();
    let picks: Vec<_> = (0..batch).map(|i| i % batches.dataset().len(Split::Train)).collect();
    let x = phase("data", || {
        let planar = batches.split_pictures(Split::Train, &picks);
        pictures(&planar, batch, px, trainer.device())
    });
    let z = phase("encode", || vae.encode(x).mode());
    let recon = phase("decode", || vae.decode(z));
    phase("reads", || host(recon));
}
