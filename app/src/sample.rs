//! `tandem sample`: pictures from a run.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tandem_core::device::{self, DeviceChoice};
use tandem_core::run::picture::grid;
use tandem_core::sample::{SampleConfig, Solver};
use tandem_core::train::Restored;
use tandem_core::train::preview::draw_samples;

use crate::progress::{answer, line};

/// What to draw.
#[derive(Args)]
pub struct SampleArgs {
    /// The run folder.
    run: PathBuf,
    /// Pictures.
    #[arg(long, default_value_t = 16)]
    num: usize,
    /// Class numbers, in turn; default: all classes in turn.
    #[arg(long, value_delimiter = ',')]
    classes: Vec<usize>,
    /// Steps of the solver.
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// euler, heun or sde.
    #[arg(long, default_value = "euler")]
    solver: SolverName,
    /// Guidance scale; 1 is none.
    #[arg(long, default_value_t = 2.0)]
    cfg: f64,
    /// Times between which guidance acts.
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 1.0])]
    interval: Vec<f64>,
    /// Seed; picture n depends on seed and n alone.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A PNG file (one grid) or a folder (one file for each picture).
    #[arg(long, default_value = "samples.png")]
    out: PathBuf,
    /// auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum SolverName {
    Euler,
    Heun,
    Sde,
}

/// Draws and writes.
pub fn run(args: &SampleArgs) -> Result<()> {
    let &[low, high] = args.interval.as_slice() else { bail!("--interval takes two times, such as 0,1") };
    if args.num == 0 || args.steps == 0 {
        bail!("--num and --steps must be at least 1");
    }
    let chosen = device::choose(args.device.parse::<DeviceChoice>()?)?;
    let restored = Restored::open(&args.run, &chosen.device)?;
    let classes = restored.sit.config().num_classes;
    if let Some(wrong) = args.classes.iter().find(|c| **c >= classes) {
        bail!("class {wrong} does not exist: the run has classes 0 to {}", classes - 1);
    }
    let all: Vec<_> = if args.classes.is_empty() { (0..classes).collect() } else { args.classes.clone() };
    let labels: Vec<_> = (0..args.num).map(|i| all[i % all.len()]).collect();
    let solver = match args.solver {
        SolverName::Euler => Solver::Euler,
        SolverName::Heun => Solver::Heun,
        SolverName::Sde => Solver::Sde,
    };
    let path = restored.config.sit.path;
    let config = SampleConfig { solver, steps: args.steps, cfg: args.cfg, interval: (low, high), path };
    line(&format!("{} pictures of step {} on {}", args.num, restored.step, chosen.name));
    let pictures = draw_samples(&restored.vae, &restored.sit, &labels, args.seed, config, &chosen.device);
    if args.out.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        let columns = (args.num as f64).sqrt().ceil() as usize;
        grid(&pictures, columns, 2, [255; 3], 1).save_png(&args.out)?;
    } else {
        std::fs::create_dir_all(&args.out).map_err(|e| tandem_core::Error::io("create", &args.out, e))?;
        for (i, picture) in pictures.iter().enumerate() {
            picture.save_png(&args.out.join(format!("{i:06}.png")))?;
        }
    }
    line(&format!("wrote {}", args.out.display()));
    if args.json {
        answer(&json!({ "out": args.out, "num": args.num, "step": restored.step }).to_string());
    }
    Ok(())
}
