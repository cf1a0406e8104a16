//! `tandem`: trains an autoencoder and a diffusion transformer together, from the command line.

mod bench;
mod doctor;
mod progress;
mod sample;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train an image generator end to end on an ordinary computer (REPA-E).
#[derive(Parser)]
#[command(name = "tandem", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train; without arguments: preset nano on the embedded pictures.
    Train(Box<train::TrainArgs>),
    /// Draw pictures from a run.
    Sample(sample::SampleArgs),
    /// Measure the speed of a preset.
    Bench(bench::BenchArgs),
    /// List adapters, what would be chosen and why, memory and assets.
    Doctor(doctor::DoctorArgs),
}

fn main() -> ExitCode {
    tandem_core::memory::keep_freed_pages();
    // Errors are told in one line; a panic's own message would be a second.
    std::panic::set_hook(Box::new(|info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            progress::line(&format!("{info}"));
        }
    }));
    let outcome = match Cli::parse().command {
        Command::Train(args) => train::run(*args),
        Command::Sample(args) => sample::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
