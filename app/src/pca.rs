//! `tandem pca`: the latents of pictures as colours, one basis for all of them.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tandem_core::eval::pca::PcaBasis;
use tandem_core::eval::reconstruction::encode;
use tandem_core::run::Rgb8;
use tandem_core::run::picture::grid;

use crate::progress::{answer, line};
use crate::vae_args::{VaeArgs, pictures};

/// What to show.
#[derive(Args)]
pub struct PcaArgs {
    #[command(flatten)]
    vae: VaeArgs,
    /// Picture files, all of one size (or with --size).
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The middle square of each picture, brought to this side; default: whole pictures.
    #[arg(long, value_name = "PX")]
    size: Option<usize>,
    /// The PNG: pictures above, first three principal components of their latents below.
    #[arg(long, default_value = "pca.png")]
    out: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Encodes, fits and draws.
pub fn run(args: &PcaArgs) -> Result<()> {
    let (vae, chosen) = args.vae.open()?;
    let factor = vae.config().downsampling();
    let pictures = pictures(&args.images, args.size, &vae)?;
    let (mut latents, mut shape) = (Vec::new(), [0, 0, 0]);
    for (picture, path) in pictures.iter().zip(&args.images) {
        let encoded = encode(&vae, picture, false, &chosen.device);
        if shape != [0, 0, 0] && shape != encoded.shape {
            bail!("{} is of another size than the pictures before it; use --size", path.display());
        }
        shape = encoded.shape;
        latents.extend(encoded.mean);
    }
    let [c, h, w] = shape;
    let basis = PcaBasis::fit_latents(&latents, [pictures.len(), c, h, w])?;
    let colours = basis.rgb_from_latents(&latents, [pictures.len(), c, h, w])?;
    let maps = colours.chunks_exact(3 * h * w).map(|map| Rgb8::from_planar_u8(map, h, w).enlarged(factor));
    let mut all: Vec<_> =
        pictures.iter().map(|p| Rgb8::from_planar_u8(&p.planar, p.height, p.width)).collect();
    all.extend(maps);
    grid(&all, pictures.len(), 4, [255; 3], 1).save_png(&args.out)?;
    let shares = &basis.explained_variance_ratio;
    line(&format!("wrote {}; the three components hold {:.1} % of the variance", args.out.display(), 100.0 * shares.iter().sum::<f32>()));
    if args.json {
        answer(&json!({ "out": args.out, "explained_variance_ratio": shares }).to_string());
    }
    Ok(())
}
