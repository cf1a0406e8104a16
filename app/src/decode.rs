//! `tandem decode`: pictures of latents in a file.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tandem_core::eval::roundtrip::decode;
use tandem_core::formats::latents::{is_values_file, open_latents, save_values};
use tandem_core::run::Rgb8;

use crate::progress::{answer, line};
use crate::vae_args::{VaeArgs, make_folder};

/// What to decode.
#[derive(Args)]
pub struct DecodeArgs {
    #[command(flatten)]
    vae: VaeArgs,
    /// FILE.safetensors or FILE.npz with `latents` [N, z, h, w].
    file: PathBuf,
    /// A folder for PNG files; or FILE.safetensors or FILE.npz for `images` [N, 3, H, W], not rounded.
    #[arg(long)]
    out: PathBuf,
    /// The latents are normalised (told by the file where `tandem encode` wrote it).
    #[arg(long)]
    normalized: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Decodes and writes.
pub fn run(args: &DecodeArgs) -> Result<()> {
    let (vae, chosen) = args.vae.open()?;
    let file = open_latents(&args.file)?;
    let [n, c, h, w] = file.shape;
    if c != vae.config().latent_channels {
        bail!(
            "{} holds latents of {c} channels, the model has {}",
            args.file.display(),
            vae.config().latent_channels
        );
    }
    let whole = is_values_file(&args.out);
    if !whole {
        make_folder(&args.out)?;
    }
    let (mut files, mut all, mut side) = (Vec::new(), Vec::new(), [0, 0]);
    for (i, values) in file.latents.chunks_exact(c * h * w).enumerate() {
        let normalized = args.normalized || file.normalized;
        let (decoded, height, width) = decode(&vae, values, [c, h, w], normalized, &chosen.device);
        if whole {
            all.extend(decoded);
            side = [height, width];
            continue;
        }
        let path = args.out.join(format!("{i:06}.png"));
        Rgb8::from_planar_f32(&decoded, height, width).save_png(&path)?;
        files.push(path);
    }
    if whole {
        save_values(&args.out, &[("images", vec![n, 3, side[0], side[1]], &all)])?;
        files.push(args.out.clone());
    }
    line(&format!("wrote {n} pictures to {}", args.out.display()));
    if args.json {
        answer(&json!({ "out": args.out, "files": files }).to_string());
    }
    Ok(())
}
