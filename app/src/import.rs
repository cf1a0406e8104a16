//! `tandem import`: a REPA-E checkpoint as a run folder that trains on.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tandem_core::device;
use tandem_core::files::TensorFile;
use tandem_core::formats::open_vae;
use tandem_core::formats::repae::{RepaeFile, import};
use tandem_core::run::RunFolder;
use tandem_core::run::disk::write_atomically;

use crate::progress::{answer, line};

/// What to import.
#[derive(Args)]
pub struct ImportArgs {
    /// A checkpoint of REPA-E's train_repae.py, complete or of a transformer alone.
    file: PathBuf,
    /// The run folder to make.
    #[arg(long)]
    out: PathBuf,
    /// The autoencoder that a transformer was trained with (a checkpoint of a transformer alone).
    #[arg(long, value_name = "MODEL")]
    vae: Option<PathBuf>,
    /// A configuration key to set, such as sit.heads=16 or data.source=FOLDER.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Reads, and makes the folder.
pub fn run(args: &ImportArgs) -> Result<()> {
    let device = device::cpu();
    let file = TensorFile::open(&args.file)?;
    let Some(checkpoint) = RepaeFile::of(&file) else {
        bail!(
            "{} is no REPA-E training checkpoint; an autoencoder is trained on with `tandem train --set \
             vae.init_from={0}` and converted with `tandem export`",
            args.file.display()
        );
    };
    let vae = args.vae.as_ref().map(|path| open_vae(path, &device)).transpose()?;
    let imported = import(&checkpoint, vae.map(|opened| opened.vae), &args.set, &device)?;
    let folder = RunFolder::create(Some(&args.out), "import")?;
    let saved = imported.checkpoint.save(folder.path())?;
    write_atomically(&folder.config_path(), imported.config.to_toml()?.as_bytes())?;
    let run = folder.path().display().to_string();
    let step = imported.checkpoint.step;
    imported.notes.iter().for_each(|note| line(&format!("note: {note}")));
    line(&format!("step {step}: wrote {}", saved.display()));
    line(&format!("go on with: tandem train --resume {run}"));
    if args.json {
        answer(&json!({ "run": run, "step": step, "notes": imported.notes }).to_string());
    }
    Ok(())
}
