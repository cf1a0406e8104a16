//! `tandem sample`: pictures from a run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::Error;
use tandem_core::device::{self, DeviceChoice};
use tandem_core::sample::{Output, OutputKind};
use tandem_core::train::Restored;

use crate::progress::{answer, line};
use crate::sampling::{Interruptible, SamplingArgs};

/// What to draw.
#[derive(Args)]
pub struct SampleArgs {
    /// The run folder.
    run: PathBuf,
    /// Pictures.
    #[arg(long, default_value_t = 16)]
    num: u64,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// A checkpoint's step; default: the newest.
    #[arg(long)]
    step: Option<u64>,
    /// FILE.png (one grid), FILE.npz (arr_0, uint8, NHWC) or a folder of PNGs; the last two go on
    /// where an interrupted job ended.
    #[arg(long, default_value = "samples.png")]
    out: PathBuf,
    /// auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Draws and writes.
pub fn run(args: &SampleArgs) -> Result<()> {
    let chosen = device::choose(args.device.parse::<DeviceChoice>()?)?;
    let restored = match args.step {
        Some(step) => Restored::open_at(&args.run, step, &chosen.device)?,
        None => Restored::open(&args.run, &chosen.device)?,
    };
    let draw = args.sampling.draw(args.num, &restored)?;
    let job = args.sampling.job(&args.run, &restored, &draw);
    let mut output = Output::open(&args.out, draw.num, restored.config.data.image_px, &job)?;
    let (done, kind) = (output.done(), output.kind());
    line(&format!("{} pictures of step {} on {}", draw.num, restored.step, chosen.name));
    if done > 0 {
        line(&format!("{done} of them are there already"));
    }
    let work = Interruptible::new()?;
    let outcome = work.run("sampling", (done, draw.num), |progress| {
        draw.each(&restored, &chosen.device, done, progress, |values| output.put(values))
    });
    match outcome {
        Err(Error::Stopped) if kind != OutputKind::Grid => {
            let there = output.done();
            anyhow::bail!("stopped after {there} of {} pictures; the same command goes on", draw.num);
        }
        outcome => outcome?,
    }
    output.finish()?;
    line(&format!("wrote {}", args.out.display()));
    if args.json {
        let solver = &job["solver"];
        answer(
            &json!({ "out": args.out, "num": draw.num, "step": restored.step, "solver": solver }).to_string(),
        );
    }
    Ok(())
}
