//! `tandem cache`: a data set encoded once by a trained autoencoder.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tandem_core::Error;
use tandem_core::data::{DataSource, Dataset, Split};
use tandem_core::device::{self, DeviceChoice};
use tandem_core::run::RunFolder;
use tandem_core::train::latent_store::encode;
use tandem_core::train::restored::{config_of, vae_of_run};

use crate::progress::{answer, line};
use crate::sampling::Interruptible;

/// What to encode.
#[derive(Args)]
pub struct CacheArgs {
    /// A run folder with a trained autoencoder.
    model: PathBuf,
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
    let config = config_of(&RunFolder::open(&args.model)?)?;
    let vae = vae_of_run(&args.model, &config.vae_config(), &chosen.device)?;
    let source: DataSource = match args.data.as_str() {
        "embedded" => DataSource::Embedded,
        path => DataSource::Path(path.into()),
    };
    let dataset = Dataset::open(&source, config.data.image_px)?;
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
