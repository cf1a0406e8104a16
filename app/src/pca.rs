//! `tandem pca`: the latents of pictures as colours, one basis for all of them.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::eval::pca::PcaBasis;
use tandem_core::run::Rgb8;
use tandem_core::run::picture::grid;

use crate::progress::{answer, line};
use crate::vae_args::PictureArgs;

/// What to show.
#[derive(Args)]
pub struct PcaArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// The PNG: pictures above, first three principal components of their latents below.
    #[arg(long, default_value = "pca.png")]
    out: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Encodes, fits and draws.
pub fn run(args: &PcaArgs) -> Result<()> {
    let (latents, pictures) = args.pictures.encode(false)?;
    let [_, _, h, w] = latents.shape;
    let basis = PcaBasis::fit_latents(&latents.latents, latents.shape)?;
    let colours = basis.rgb_from_latents(&latents.latents, latents.shape)?;
    let mut all: Vec<_> =
        pictures.iter().map(|p| Rgb8::from_planar_u8(&p.planar, p.height, p.width)).collect();
    let factor = pictures.first().map_or(1, |p| p.height / h);
    let maps = colours.chunks_exact(3 * h * w).map(|map| Rgb8::from_planar_u8(map, h, w).enlarged(factor));
    all.extend(maps);
    grid(&all, pictures.len(), 4, [255; 3], 1).save_png(&args.out)?;
    let shares = &basis.explained_variance_ratio;
    let percent = 100.0 * shares.iter().sum::<f32>();
    line(&format!("wrote {}; the three components hold {percent:.1} % of the variance", args.out.display()));
    if args.json {
        answer(&json!({ "out": args.out, "explained_variance_ratio": shares }).to_string());
    }
    Ok(())
}
