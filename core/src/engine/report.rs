//! The page at the end of a run, made of what the run folder holds.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::run::metrics::group;
use crate::run::report::{Curve, PreviewGroup, Report};
use crate::run::{RunFolder, metrics};

/// Writes `report.html` from configuration, metrics and previews of `folder`.
///
/// # Errors
/// When one of them cannot be read, or the page not written.
pub fn of_run(folder: &RunFolder, config: &Config, device: &str) -> Result<()> {
    let log = folder.metrics_path();
    let rows = if log.exists() { metrics::read(&log)? } else { Vec::new() };
    let mut points: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for row in &rows {
        for (name, value) in &row.values {
            points.entry(name.clone()).or_default().push((row.step as f64, *value));
        }
    }
    let last = |name: &str| points.get(name).and_then(|p| p.last()).map(|(_, v)| format!("{v:.3}"));
    let mut summary = vec![
        ("Method".to_string(), config.method.name().to_string()),
        ("Data".to_string(), config.data.source.clone()),
        ("Device".to_string(), device.to_string()),
    ];
    if let Some(row) = rows.last() {
        summary.push(("Steps".into(), format!("{} of {}", row.step, config.train.steps)));
        summary.push(("Training time".into(), format!("{:.0} s", row.wall_s)));
        summary.push(("Images seen".into(), row.images.to_string()));
    }
    let figures = [
        ("Held-out PSNR, dB", "psnr_held_out"),
        ("Held-out LPIPS", "eval_lpips"),
        ("Last L1", "reconstruction_loss"),
        ("Last LPIPS", "perceptual_loss"),
        ("Last denoising loss", "denoising_loss"),
    ];
    summary.extend(figures.iter().filter_map(|(label, name)| Some((label.to_string(), last(name)?))));
    let curves = points.into_iter().map(|(name, points)| Curve { group: group(&name).into(), name, points });
    let mut previews: BTreeMap<String, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
    for (name, step, path) in folder.previews()? {
        let png = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        previews.entry(name).or_default().push((step, png));
    }
    let title = folder.path().file_name().map_or("run".into(), |n| n.to_string_lossy().into_owned());
    let report = Report {
        title,
        summary,
        config_text: config.to_toml()?,
        curves: curves.collect(),
        previews: previews.into_iter().map(|(name, frames)| PreviewGroup { name, frames }).collect(),
    };
    report.save(&folder.report_path())
}
