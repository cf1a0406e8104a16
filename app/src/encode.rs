//! `tandem encode`: latents of pictures, in a file.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tandem_core::eval::reconstruction::encode;
use tandem_core::formats::latents::{LatentFile, save_latents};

use crate::progress::{answer, line};
use crate::vae_args::{VaeArgs, pictures};

/// What to encode.
#[derive(Args)]
pub struct EncodeArgs {
    #[command(flatten)]
    vae: VaeArgs,
    /// Picture files, all of one size (or with --size).
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The middle square of each picture, brought to this side; default: whole pictures.
    #[arg(long, value_name = "PX")]
    size: Option<usize>,
    /// FILE.safetensors or FILE.npz: `latents` [N, z, h, w] (the mean) and `std`.
    #[arg(long)]
    out: PathBuf,
    /// Normalise the latents by the model's statistics (or scale and shift), as a transformer sees them.
    #[arg(long)]
    normalize: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Encodes and writes.
pub fn run(args: &EncodeArgs) -> Result<()> {
    let (vae, chosen) = args.vae.open()?;
    let (mut mean, mut std, mut shape) = (Vec::new(), Vec::new(), [0, 0, 0]);
    for (picture, path) in pictures(&args.images, args.size, &vae)?.iter().zip(&args.images) {
        let encoded = encode(&vae, picture, args.normalize, &chosen.device);
        if shape != [0, 0, 0] && shape != encoded.shape {
            bail!("{} is of another size than the pictures before it; use --size", path.display());
        }
        shape = encoded.shape;
        mean.extend(encoded.mean);
        std.extend(encoded.std);
    }
    let [c, h, w] = shape;
    let shape = [args.images.len(), c, h, w];
    save_latents(&args.out, &LatentFile { shape, latents: mean, std: Some(std), normalized: args.normalize })?;
    line(&format!("wrote {} ({shape:?})", args.out.display()));
    if args.json {
        answer(&json!({ "out": args.out, "shape": shape, "normalized": args.normalize }).to_string());
    }
    Ok(())
}
