//! `tandem export`: a model in the files of diffusers or of REPA-E's own scripts.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tandem_core::device;
use tandem_core::formats::diffusers::{SaveOptions, dtype_of_name, save_pretrained};
use tandem_core::formats::repae::{export_run, export_vae};
use tandem_core::formats::{ModelKind, OpenedVae, open_vae};
use tandem_core::run::RunFolder;
use tandem_core::train::restored::newest;

use crate::progress::{answer, line};

/// What to export, and how.
#[derive(Args)]
pub struct ExportArgs {
    /// A run folder, a diffusers folder, a .safetensors or a .pt.
    model: PathBuf,
    /// diffusers: the autoencoder as a folder that AutoencoderKL.from_pretrained opens. repa-e: what
    /// REPA-E's train_repae.py and generate.py load.
    #[arg(long)]
    format: Format,
    /// The folder to write.
    #[arg(long)]
    out: PathBuf,
    /// f32, f16 or bf16 (diffusers only); default: as stored.
    #[arg(long)]
    dtype: Option<String>,
    /// Largest weights file in bytes, such as 5GB or 200MB (diffusers only).
    #[arg(long, value_name = "SIZE")]
    max_shard_size: Option<String>,
    /// Names the weights as a variant, such as fp16 (diffusers only).
    #[arg(long)]
    variant: Option<String>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Diffusers,
    RepaE,
}

/// Opens and writes.
pub fn run(args: &ExportArgs) -> Result<()> {
    let opened = open_vae(&args.model, &device::cpu())?;
    let (files, notes) = match args.format {
        Format::Diffusers => {
            let options = SaveOptions {
                dtype: args.dtype.as_deref().map(dtype_of_name).transpose()?,
                max_shard_bytes: args.max_shard_size.as_deref().map(bytes_of).transpose()?,
                variant: args.variant.clone(),
            };
            (save_pretrained(&opened.vae, opened.origin.as_ref(), &args.out, &options)?, Vec::new())
        }
        Format::RepaE => {
            if args.dtype.is_some() || args.max_shard_size.is_some() || args.variant.is_some() {
                bail!("--dtype, --max-shard-size and --variant are for --format diffusers");
            }
            let done = repae(args, &opened)?;
            (done.files, done.notes)
        }
    };
    notes.iter().for_each(|note| line(&format!("note: {note}")));
    files.iter().for_each(|file| line(&format!("wrote {}", file.display())));
    if args.json {
        answer(&json!({ "out": args.out, "files": files, "notes": notes }).to_string());
    }
    Ok(())
}

fn repae(args: &ExportArgs, opened: &OpenedVae) -> Result<tandem_core::formats::repae::ExportedFiles> {
    if opened.kind == ModelKind::Run {
        let (config, checkpoint) = newest(&RunFolder::open(&args.model)?, |_| {})?;
        return Ok(export_run(&config, &checkpoint, &opened.vae, &args.out)?);
    }
    let config = opened.vae.config();
    let narrow = |values: &Vec<f64>| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let stats = config.latents_mean.as_ref().zip(config.latents_std.as_ref());
    let stats = stats.map(|(mean, std)| (narrow(mean), narrow(std)));
    Ok(export_vae(&opened.vae, stats, &args.out)?)
}

/// Bytes of a size such as 5GB, 200MB or 1000 (powers of ten, as diffusers takes them).
fn bytes_of(text: &str) -> Result<u64> {
    let upper = text.trim().to_ascii_uppercase();
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000), ("B", 1), ("", 1)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number: u64 = upper.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(*factor)
    });
    match parsed.filter(|bytes| *bytes > 0) {
        Some(bytes) => Ok(bytes),
        None => bail!("--max-shard-size {text}: write a size such as 5GB or 200MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes_of;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(bytes_of("5GB").unwrap(), 5_000_000_000);
        assert_eq!(bytes_of("200 mb").unwrap(), 200_000_000);
        assert_eq!(bytes_of("77").unwrap(), 77);
        assert!(bytes_of("0").is_err() && bytes_of("many").is_err());
    }
}
