//! Runs on disk: cards for the first page, and a whole run without its tensors.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use tandem_core::Result;
use tandem_core::config::Config;
use tandem_core::run::changes::REFIT;
use tandem_core::run::{Change, RunFolder, metrics};

use super::disk::{RECONSTRUCTIONS, SAMPLES, read_sheet};
use super::history::{History, Mark};
use super::message::{OpenedRun, RunCard};
use super::sheet::SheetKey;

/// Cards that are shown, the newest runs.
const MAX_CARDS: usize = 24;
/// The end of a log that holds its last rows, and among them one of a preview.
const TAIL_BYTES: u64 = 256 << 10;

/// Cards of the runs below `root`, newest first; none when there is no such folder.
pub fn scan(root: &Path) -> Vec<RunCard> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let runs = entries.flatten().map(|entry| entry.path()).filter_map(|path| RunFolder::open(&path).ok());
    let mut runs: Vec<_> = runs.map(|run| (age_s(&run), run)).collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs.iter().take(MAX_CARDS).map(|(age_s, run)| card(run, *age_s)).collect()
}

fn card(run: &RunFolder, age_s: f64) -> RunCard {
    let config = config_of(run);
    let (step, psnr) = last_rows(&run.metrics_path());
    let about = config.as_ref().map_or("no configuration".to_string(), |config| {
        format!("{} on {}", config.method.name(), short_source(&config.data.source))
    });
    let picture = config.as_ref().and_then(|config| {
        let previews = run.previews().ok()?;
        let newest = |name: &str| previews.iter().rev().find(|(n, _, _)| n == name);
        let (name, step, _) = newest(SAMPLES).or_else(|| newest(RECONSTRUCTIONS))?;
        let key = SheetKey { run: run.path().to_path_buf(), name: name.clone(), step: *step };
        read_sheet(&key, config.data.image_px).ok()
    });
    RunCard {
        path: run.path().to_path_buf(),
        steps: (step, config.map(|config| config.train.steps)),
        about,
        psnr,
        age_s,
        picture,
    }
}

/// The source without the folders above it.
pub fn short_source(source: &str) -> String {
    Path::new(source).file_name().map_or(source.into(), |name| name.to_string_lossy().into_owned())
}

fn age_s(run: &RunFolder) -> f64 {
    let touched = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let at = touched(&run.metrics_path()).or_else(|| touched(run.path()));
    at.and_then(|at| SystemTime::now().duration_since(at).ok()).map_or(0.0, |age| age.as_secs_f64())
}

fn config_of(run: &RunFolder) -> Option<Config> {
    let text = std::fs::read_to_string(run.config_path()).ok()?;
    Config::parse(&text, &[], "config.toml").ok()
}

/// Last step and last PSNR, from the end of the log.
fn last_rows(path: &Path) -> (u64, Option<f64>) {
    let tail = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let Ok(text) = tail() else { return (0, None) };
    let rows = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    rows.fold((0, None), |(step, psnr), row| {
        (row["step"].as_u64().unwrap_or(step), row["psnr_held_out"].as_f64().or(psnr))
    })
}

/// Reads the run in `path`.
///
/// # Errors
/// A folder that is no run, or metrics that cannot be read.
pub fn open(path: &Path) -> Result<OpenedRun> {
    let run = RunFolder::open(path)?;
    let rows = if run.metrics_path().exists() { metrics::read(&run.metrics_path())? } else { Vec::new() };
    let mut history = History::of(rows);
    let checkpoints = std::fs::read_dir(run.checkpoints_dir()).into_iter().flatten().flatten();
    let mut steps: Vec<u64> = checkpoints
        .filter_map(|entry| entry.file_name().to_string_lossy().strip_prefix("step-")?.parse().ok())
        .collect();
    steps.sort_unstable();
    steps.into_iter().for_each(|step| history.mark(step, Mark::Checkpoint));
    for Change { step, setting } in Change::read(&run.changes_path())? {
        history.mark(step, if setting == REFIT { Mark::Refit } else { Mark::Changed(setting) });
    }
    let previews = run.previews()?.into_iter().map(|(name, step, _)| (name, step)).collect();
    Ok(OpenedRun { path: path.to_path_buf(), config: config_of(&run), history, previews })
}
