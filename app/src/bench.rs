//! `tandem bench`: the same work as ../shared/peer does in PyTorch, timed step by step.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tandem_core::config::Config;
use tandem_core::data::{DataSource, Dataset, Split};
use tandem_core::device::{self, DeviceChoice};
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

/// Times and tells.
pub fn run(args: &BenchArgs) -> Result<()> {
    if args.steps == 0 {
        bail!("--steps must be at least 1");
    }
    let mut settings: Vec<String> = args.batch.map(|b| format!("train.batch={b}")).into_iter().collect();
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
    let mut seconds = Vec::new();
    for _ in 0..args.steps {
        let began = Instant::now();
        work()?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let step_s = seconds[seconds.len() / 2];
    let images_per_s = batch as f64 / step_s;
    let peak_rss_mb = peak_bytes() >> 20;
    let mode = format!("{:?}", args.mode).to_lowercase();
    if args.json {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        answer(
            &json!({ "images_per_s": images_per_s, "step_s": step_s, "peak_rss_mb": peak_rss_mb,
            "device": chosen.name, "preset": args.preset, "mode": mode, "batch": batch, "threads": threads })
            .to_string(),
        );
    } else {
        line(&format!(
            "{} {mode}, batch {batch} on {}: {step_s:.3} s, {images_per_s:.1} images/s (median of {}), peak {peak_rss_mb} MiB",
            args.preset, chosen.name, args.steps
        ));
    }
    Ok(())
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
    let planar = batches.split_pictures(Split::Train, &picks);
    let x = pictures(&planar, batch, px, trainer.device());
    host(vae.decode(vae.encode(x).mode()));
}
