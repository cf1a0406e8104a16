//! `tandem reconstruct`: pictures through an autoencoder and back, beside the originals, with figures.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tandem_core::eval::roundtrip::{Figures, measure, reconstruct};
use tandem_core::run::Rgb8;
use tandem_core::run::picture::grid;
use tandem_core::vae::perceptual::{Backbone, Lpips};
use tandem_core::weights;

use crate::progress::{answer, line};
use crate::vae_args::{PictureArgs, make_folder, output_names};

/// What to reconstruct.
#[derive(Args)]
pub struct ReconstructArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// Folder for the PNG files: original left, reconstruction right.
    #[arg(long, default_value = "reconstructions")]
    out: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Reconstructs, writes and measures.
pub fn run(args: &ReconstructArgs) -> Result<()> {
    let (vae, chosen, pictures) = args.pictures.open()?;
    let lpips = Lpips::load(Backbone::Alex, &weights::lpips_alex()?, &chosen.device)?;
    make_folder(&args.out)?;
    let mut all = Vec::new();
    for (picture, path) in pictures.iter().zip(output_names(&args.pictures.images, &args.out)) {
        let (h, w) = (picture.height, picture.width);
        let began = Instant::now();
        let recon = reconstruct(&vae, picture, &chosen.device);
        let seconds = began.elapsed().as_secs_f64();
        let made = Rgb8::from_planar_f32(&recon, h, w);
        let original = Rgb8::from_planar_u8(&picture.planar, h, w);
        let figures = measure(picture, &recon, &lpips, &chosen.device)?;
        grid(&[original, made], 2, 4, [255; 3], 1).save_png(&path)?;
        line(&format!("{}: {}", path.display(), in_words(&figures)));
        all.push(json!({ "file": path, "width": w, "height": h, "psnr": figures.psnr, "ssim": figures.ssim,
            "lpips": figures.lpips, "seconds": seconds }));
    }
    if args.json {
        answer(&json!({ "device": chosen.name, "pictures": all }).to_string());
    }
    Ok(())
}

fn in_words(figures: &Figures) -> String {
    let or_none = |value: Option<f64>| value.map_or("-".to_string(), |v| format!("{v:.4}"));
    format!(
        "PSNR {:.2} dB, SSIM {}, LPIPS {} (AlexNet)",
        figures.psnr,
        or_none(figures.ssim),
        or_none(figures.lpips)
    )
}
