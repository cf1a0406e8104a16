//! `tandem encode`: latents of pictures, in a file.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::formats::latents::save_latents;

use crate::progress::{answer, line};
use crate::vae_args::PictureArgs;

/// What to encode.
#[derive(Args)]
pub struct EncodeArgs {
    #[command(flatten)]
    pictures: PictureArgs,
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
    let (latents, _) = args.pictures.encode(args.normalize)?;
    save_latents(&args.out, &latents)?;
    line(&format!("wrote {} ({:?})", args.out.display(), latents.shape));
    if args.json {
        answer(&json!({ "out": args.out, "shape": latents.shape, "normalized": args.normalize }).to_string());
    }
    Ok(())
}
