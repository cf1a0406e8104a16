//! `tandem cache`: a data set encoded once by a trained autoencoder.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::json;
use tandem_core::Error;
use tandem_core::data::{DataSource, Dataset, Split};
use tandem_core::device::{self, DeviceChoice};
use tandem_core::formats::open_vae;
use tandem_core::run::RunFolder;
use tandem_core::train::latent_store::encode;
use tandem_core::train::restored::config_of;

use crate::progress::{answer, line};
use crate::sampling::Interruptible;

/// What to encode.
#[derive(Args)]
pub struct CacheArgs {
    /// A run folder, a diffusers folder, a .safetensors, a .pt, or the name of a fetched model.
    model: PathBuf,
    /// Side of the pictures in pixels; default: the run's, or the model's sample size.
    #[arg(long)]
    px: Option<usize>,
    /// Pictures: embedded, a folder or a zip.
    #[arg(long)]
    data: String,
    /// The folder to write; an interrupted cache goes on.
    #[arg(long)]
    out: PathBuf,
    /// auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Encodes and writes.
pub fn run(args: &CacheArgs) -> Result<()> {
    let chosen = device::choose(args.device.parse::<DeviceChoice>()?)?;
    let vae = open_vae(&args.model, &chosen.device)?.vae;
    let px = match (args.px, RunFolder::open(&args.model)) {
        (Some(px), _) => px,
        (None, Ok(run)) => config_of(&run)?.data.image_px,
        (None, Err(_)) => vae.config().sample_size,
    };
    let factor = vae.config().downsampling();
    ensure!(
        px > 0 && px % factor == 0,
        "--px {px}: pictures must be a multiple of {factor} px for this model"
    );
    let source: DataSource = match args.data.as_str() {
        "embedded" => DataSource::Embedded,
        path => DataSource::Path(path.into()),
    };
    let dataset = Dataset::open(&source, px)?;
    line(&dataset.describe());
    let absolute = |path: &str| match path {
        "embedded" => path.to_string(),
        path => std::path::absolute(path).map_or(path.to_string(), |p| p.to_string_lossy().into_owned()),
    };
    let names = (absolute(&args.data), absolute(&args.model.to_string_lossy()));
    let total = dataset.len(Split::Train) as u64;
    let work = Interruptible::new()?;
    let index = work.run("encoding", (0, total), |progress| {
        encode(&dataset, &vae, names, &args.out, &chosen.device, progress)
    });
    let index = match index {
        Err(Error::Stopped) => bail!("stopped; the same command goes on"),
        index => index?,
    };
    let (mean, std) = index.stats();
    line(&format!("wrote {}: {} pictures and their mirror images", args.out.display(), index.num));
    line(&format!("train on it with: tandem train --method repa --data {}", args.out.display()));
    if args.json {
        let shape = index.shape;
        answer(
            &json!({ "out": args.out, "num": index.num, "shape": shape, "mean": mean, "std": std })
                .to_string(),
        );
    }
    Ok(())
}
