//! `tandem train`: flags to a configuration, events to progress.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde_json::json;
use tandem_core::config::{Config, KEYS};
use tandem_core::device::DeviceChoice;
use tandem_core::engine::{Command, Engine, Event, Start};

use crate::progress::{Progress, answer, duration, line};

/// What to train, on what, where.
#[derive(Args)]
#[command(after_long_help = keys_help())]
pub struct TrainArgs {
    /// nano, tiny, small, base256, paper, or a TOML file.
    #[arg(long, default_value = "nano")]
    preset: String,
    /// A folder or zip of pictures, or a folder of encoded latents; default: the embedded set.
    #[arg(long)]
    data: Option<String>,
    /// repa-e, repa, vanilla, naive or vae.
    #[arg(long)]
    method: Option<String>,
    /// A trained autoencoder (run or diffusers folder, .safetensors, .pt) to start from; repa and vanilla
    /// keep it as it is.
    #[arg(long, value_name = "MODEL")]
    vae: Option<String>,
    /// Steps of the run; with --resume, the new end.
    #[arg(long)]
    steps: Option<u64>,
    /// auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Seed of weights, order and noise.
    #[arg(long)]
    seed: Option<u64>,
    /// The run folder; default: runs/PRESET-NNN.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the run in this folder.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["preset", "data", "method", "vae", "seed", "out", "set"])]
    resume: Option<PathBuf>,
    /// Change a configuration key (see --help for all of them).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Every key with its default and sentence, for `--help`.
fn keys_help() -> String {
    let defaults = Config::load("nano", &[]).map(|config| config.values()).unwrap_or_default();
    let mut text = String::from("Configuration keys for --set (defaults of nano):\n");
    for key in KEYS {
        let default = defaults.iter().find(|(name, _)| name == key.name).map_or("", |(_, value)| value);
        text.push_str(&format!("  {} = {default}\n      {}\n", key.name, key.sentence));
    }
    text
}

impl TrainArgs {
    fn start(&self) -> Result<Start> {
        let device: DeviceChoice = self.device.parse()?;
        if let Some(folder) = self.resume.clone() {
            return Ok(Start::Resume { folder, steps: self.steps, device });
        }
        let mut settings = self.set.clone();
        let text = |key: &str, value: &str| format!("{key}={}", json!(value));
        settings.extend(self.data.as_deref().map(|data| text("data.source", data)));
        settings.extend(self.method.as_deref().map(|method| text("method", method)));
        settings.extend(self.vae.as_deref().map(|vae| text("vae.init_from", vae)));
        settings.extend(self.steps.map(|steps| format!("train.steps={steps}")));
        settings.extend(self.seed.map(|seed| format!("train.seed={seed}")));
        let config = Box::new(Config::load(&self.preset, &settings)?);
        let name = PathBuf::from(&self.preset)
            .file_stem()
            .map_or("run".into(), |s| s.to_string_lossy().into_owned());
        Ok(Start::New { config, out: self.out.clone(), name, device })
    }
}

/// Trains to the end, or until Ctrl-C or SIGTERM.
pub fn run(args: TrainArgs) -> Result<()> {
    let engine = Engine::start(args.start()?)?;
    let commands = engine.commands.clone();
    let signals = Arc::new(AtomicU32::new(0));
    let seen = signals.clone();
    ctrlc::set_handler(move || {
        let earlier = seen.fetch_add(1, Ordering::SeqCst);
        match earlier {
            0 => line("stopping after this step and saving…"),
            1 => line("still saving; once more quits at once"),
            _ => {
                line("quit; the last checkpoint on disk stands");
                std::process::exit(130);
            }
        }
        // An engine that has ended needs no telling.
        let _ = commands.send(Command::Stop);
    })?;
    let mut progress = Progress::new(0, 1);
    while let Ok(event) = engine.events.recv() {
        match event {
            Event::Failed(reason) => {
                progress.end();
                return Err(anyhow!(reason));
            }
            Event::Finished { step, steps, folder, psnr, images_per_s, waited_s } => {
                progress.end();
                let folder = folder.display().to_string();
                if args.json {
                    let stopped = step < steps;
                    answer(
                        &json!({ "run": folder, "step": step, "steps": steps, "stopped": stopped,
                        "psnr_held_out": psnr, "images_per_s": images_per_s, "waited_s": waited_s })
                        .to_string(),
                    );
                }
                let quality = psnr.map(|db| format!(", held-out PSNR {db:.2} dB")).unwrap_or_default();
                line(&format!(
                    "{step}/{steps} steps, {images_per_s:.1} images/s, {waited_s:.1} s spent waiting for pictures{quality}"
                ));
                line(&format!("run folder: {folder}"));
                if step < steps {
                    line(&format!("go on with: tandem train --resume {folder}"));
                }
                return Ok(());
            }
            other => show(&mut progress, other),
        }
    }
    bail!("the engine ended without a word; go on with --resume")
}

fn show(progress: &mut Progress, event: Event) {
    match event {
        Event::Started { folder, device, description, step, steps, .. } => {
            line(&format!("device: {device}"));
            description.iter().for_each(|text| line(text));
            line(&format!("run folder: {}", folder.display()));
            if step > 0 {
                line(&format!("going on from step {step}"));
            }
            *progress = Progress::new(step, steps);
        }
        Event::Step { step, steps, values, images_per_s, eta_s, skipped, .. } => {
            if skipped {
                progress.say(&format!("step {step} was skipped: a value was not finite"));
            }
            let shown = [
                ("reconstruction_loss", "L1"),
                ("perceptual_loss", "LPIPS"),
                ("denoising_loss", "denoise"),
                ("align_loss", "align"),
            ];
            let losses: Vec<_> = shown
                .iter()
                .filter_map(|(name, short)| {
                    values.iter().find(|(n, _)| n == name).map(|(_, v)| format!("{short} {v:.3}"))
                })
                .collect();
            let text = format!("{images_per_s:.1} img/s  {} left  {}", duration(eta_s), losses.join("  "));
            progress.step(step, steps, &text);
        }
        Event::Preview { step, psnr, row: _ } => {
            progress.say(&format!("step {step}: held-out PSNR {psnr:.2} dB"))
        }
        Event::Measured { step, values } => {
            let short = |name: &str| name.trim_start_matches("eval_").replace('_', " ");
            let figures: Vec<_> = values.iter().map(|(name, v)| format!("{} {v:.3}", short(name))).collect();
            progress.say(&format!("step {step}: {}", figures.join("  ")));
        }
        Event::Saved { step, path } => progress.say(&format!("step {step}: saved {}", path.display())),
        Event::Changed { step, setting, config: _ } => progress.say(&format!("step {step}: {setting}")),
        Event::Refit { step } => progress.say(&format!("step {step}: colours of the maps fitted anew")),
        Event::Warning(text) => progress.say(&text),
        Event::Paused => progress.say("paused"),
        Event::Resumed => progress.say("going on"),
        Event::Looking { .. }
        | Event::Exploring { .. }
        | Event::Answered
        | Event::Explored
        | Event::Scattered
        | Event::Finished { .. }
        | Event::Failed(_) => {}
    }
}
