//! `tandem`: trains an autoencoder and a diffusion transformer together; without arguments it opens
//! the window.

mod bench;
mod cache;
mod compare;
mod decode;
mod doctor;
mod encode;
mod eval;
mod export;
mod fetch;
mod import;
mod inspect;
mod pca;
mod progress;
mod quiet;
mod reconstruct;
mod sample;
mod sampling;
mod train;
mod usage;
mod vae_args;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train an image generator end to end on an ordinary computer (REPA-E).
#[derive(Parser)]
#[command(name = "tandem", version)]
struct Cli {
    /// Without one, the window opens.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Train; without arguments: preset nano on the embedded pictures.
    Train(Box<train::TrainArgs>),
    /// Tell what a file or folder is: architecture, parameters, dtypes, statistics, what is missing.
    Inspect(inspect::InspectArgs),
    /// Make a run folder of a REPA-E checkpoint, to train on here.
    Import(import::ImportArgs),
    /// Write a model as diffusers or REPA-E's own scripts open it.
    Export(export::ExportArgs),
    /// Pass pictures through an autoencoder and back, beside the originals, with PSNR, SSIM and LPIPS.
    Reconstruct(reconstruct::ReconstructArgs),
    /// Write the latents of pictures to a file.
    Encode(encode::EncodeArgs),
    /// Draw the pictures of latents in a file.
    Decode(decode::DecodeArgs),
    /// Show the latents of pictures as colours.
    Pca(pca::PcaArgs),
    /// Draw pictures from a run.
    Sample(Box<sample::SampleArgs>),
    /// Encode a data set once, for training on a finished autoencoder.
    Cache(cache::CacheArgs),
    /// Show several runs side by side.
    Compare(compare::CompareArgs),
    /// Measure a run, or pictures, against a reference.
    Eval(Box<eval::EvalArgs>),
    /// Measure the speed of a preset.
    Bench(bench::BenchArgs),
    /// Fetch a model from the Hugging Face hub into its cache.
    Fetch(fetch::FetchArgs),
    /// List adapters, what would be chosen and why, memory and assets.
    Doctor(doctor::DoctorArgs),
}

fn main() -> ExitCode {
    quiet::silence_device_select();
    tandem_core::memory::keep_freed_pages();
    // Errors are told in one line; a panic's own message would be a second.
    std::panic::set_hook(Box::new(|info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            progress::line(&format!("{info}"));
        }
    }));
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return usage::told(&error),
    };
    let outcome = match command {
        Some(Command::Train(args)) => train::run(*args),
        Some(Command::Sample(args)) => sample::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Import(args)) => import::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Reconstruct(args)) => reconstruct::run(&args),
        Some(Command::Encode(args)) => encode::run(&args),
        Some(Command::Decode(args)) => decode::run(&args),
        Some(Command::Pca(args)) => pca::run(&args),
        Some(Command::Cache(args)) => cache::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Eval(args)) => eval::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Fetch(args)) => fetch::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        None => open_window(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Opens the window; a run that it left unfinished is named at the end.
fn open_window() -> anyhow::Result<()> {
    if let Some(run) = tandem_window::open()? {
        progress::line(&format!("go on with: tandem train --resume {}", run.display()));
    }
    Ok(())
}
