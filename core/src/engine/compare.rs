//! Several runs side by side, from what their folders hold: `metrics.jsonl`, `evaluations.jsonl`
//! (written by `tandem eval`), `config.toml` and the sample previews.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::{Config, flatten};
use crate::data::decode::decode_rgb;
use crate::error::{Error, Result};
use crate::run::{ComparisonPage, Curve, Rgb8, Row, RunFolder, SharedChart, SharedGrids, metrics};
use crate::train::latent_store::pictures_of;
use crate::train::restored::config_of;

/// Quantities that are shown first, where a run has them; the others follow by name.
const FIRST: [&str; 9] = [
    "eval_psnr",
    "eval_lpips",
    "eval_ssim",
    "eval_spatial_variance",
    "eval_total_variation",
    "eval_effective_rank",
    "psnr_held_out",
    "denoising_loss",
    "align_loss",
];
/// What is also drawn over seconds of training, besides evaluations.
const OVER_TIME: [&str; 4] = ["eval_psnr", "eval_lpips", "psnr_held_out", "denoising_loss"];
/// Keys that always differ and say nothing.
const SILENT: [&str; 2] = ["data.source", "vae.init_from"];
/// The last share of a curve whose mean stands in the table.
const TAIL: usize = 20;

/// What one run left.
struct Seen {
    name: String,
    config: Config,
    rows: Vec<Row>,
    evaluations: Vec<Row>,
    samples: Vec<(u64, PathBuf)>,
}

impl Seen {
    fn open(path: &Path) -> Result<Self> {
        let folder = RunFolder::open(path)?;
        let mut config = config_of(&folder)?;
        config.data.source = pictures_of(&config.data.source)?;
        let read = |path: PathBuf| if path.exists() { metrics::read(&path) } else { Ok(Vec::new()) };
        let samples = folder.previews()?.into_iter().filter(|(name, _, _)| name == "samples");
        Ok(Self {
            name: path.file_name().map_or("run".into(), |name| name.to_string_lossy().into_owned()),
            config,
            rows: read(folder.metrics_path())?,
            evaluations: read(folder.evaluations_path())?,
            samples: samples.map(|(_, step, path)| (step, path)).collect(),
        })
    }

    fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(&self.evaluations)
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.all_rows().flat_map(|row| row.values.keys().cloned())
    }

    /// The curve of `name` over what `x` says of a row.
    fn curve(&self, name: &str, x: impl Fn(&Row) -> f64) -> Curve {
        let mut points: Vec<(f64, f64)> =
            self.all_rows().filter_map(|row| Some((x(row), *row.values.get(name)?))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve { name: self.name.clone(), points, group: name.into() }
    }

    /// Mean of the last part of a quantity, as text.
    fn last(&self, name: &str) -> Option<String> {
        let points = self.curve(name, |row| row.step as f64).points;
        let tail = &points[points.len() - points.len().div_ceil(TAIL)..];
        let mean = tail.iter().map(|(_, y)| y).sum::<f64>() / tail.len() as f64;
        (!tail.is_empty()).then(|| format!("{mean:.4}"))
    }

    /// Seconds of training at `step`.
    fn seconds(&self, step: u64) -> f64 {
        self.rows.iter().take_while(|row| row.step <= step).last().map_or(0.0, |row| row.wall_s)
    }
}

/// Compares the runs in `folders`.
///
/// # Errors
/// No folders, one that is no run, or files in one that cannot be read.
pub fn compare(folders: &[PathBuf]) -> Result<ComparisonPage> {
    if folders.is_empty() {
        return Err(Error::Config("name the runs to compare".into()));
    }
    let mut runs = folders.iter().map(|folder| Seen::open(folder)).collect::<Result<Vec<_>>>()?;
    for place in 0..runs.len() {
        // Runs of one name in different places are told apart by number.
        if runs[..place].iter().any(|run| run.name == runs[place].name) {
            runs[place].name = format!("{} ({})", runs[place].name, place + 1);
        }
    }
    Ok(ComparisonPage {
        runs: runs.iter().map(|run| run.name.clone()).collect(),
        sentence: sentence(&runs)?,
        figures: figures(&runs),
        charts: charts(&runs),
        grids: grids(&runs)?,
    })
}

/// What differs in the configurations.
fn sentence(runs: &[Seen]) -> Result<String> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in runs {
        let table =
            toml::Table::try_from(&run.config).map_err(|e| Error::Config(format!("configuration: {e}")))?;
        for (key, value) in flatten(&table) {
            values.entry(key).or_default().push(value.to_string().trim_matches('"').to_string());
        }
    }
    let differs = |(_, values): &(&String, &Vec<String>)| values.windows(2).any(|pair| pair[0] != pair[1]);
    let keys: Vec<_> =
        values.iter().filter(differs).filter(|(key, _)| !SILENT.contains(&key.as_str())).collect();
    let data = values.get("data.source").is_some_and(|sources| differs(&(&String::new(), sources)));
    let same_data = if data { " They were not trained on the same pictures." } else { "" };
    if keys.is_empty() {
        return Ok(format!("The configurations of the runs are the same.{same_data}"));
    }
    let parts: Vec<String> =
        keys.iter().map(|(key, values)| format!("{key} ({})", values.join(", "))).collect();
    let (first, names) =
        (parts.join("; "), runs.iter().map(|run| run.name.clone()).collect::<Vec<_>>().join(", "));
    Ok(format!("The runs (in this order: {names}) differ in {first}; all else is equal.{same_data}"))
}

fn figures(runs: &[Seen]) -> Vec<(String, Vec<String>)> {
    let of_all = |text: &dyn Fn(&Seen) -> Option<String>| {
        runs.iter().map(|run| text(run).unwrap_or_else(|| "–".into())).collect::<Vec<_>>()
    };
    let end = |run: &Seen| run.rows.last().map(|row| (row.step, row.wall_s, row.images));
    let mut rows = vec![
        ("method".to_string(), of_all(&|run| Some(run.config.method.name().into()))),
        ("steps".into(), of_all(&|run| end(run).map(|e| e.0.to_string()))),
        ("images seen".into(), of_all(&|run| end(run).map(|e| e.2.to_string()))),
        ("training time, s".into(), of_all(&|run| end(run).map(|e| format!("{:.0}", e.1)))),
    ];
    for name in ordered_names(runs) {
        rows.push((readable(&name), of_all(&|run| run.last(&name))));
    }
    rows
}

/// Every quantity: evaluations, then the first ones, then the rest by name.
fn ordered_names(runs: &[Seen]) -> Vec<String> {
    let evaluations: BTreeSet<String> =
        runs.iter().flat_map(|run| &run.evaluations).flat_map(|row| row.values.keys().cloned()).collect();
    let all: BTreeSet<String> = runs.iter().flat_map(Seen::names).collect();
    let first = FIRST.iter().map(|name| name.to_string()).filter(|name| all.contains(name));
    let mut names: Vec<String> = evaluations.into_iter().chain(first).collect();
    let rest = all.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>();
    names.extend(rest);
    names
}

fn readable(name: &str) -> String {
    name.strip_prefix("eval_").map_or(name.into(), |name| format!("held-out {name}")).replace('_', " ")
}

fn charts(runs: &[Seen]) -> Vec<SharedChart> {
    let is_evaluation =
        |name: &str| !runs.iter().any(|run| run.rows.iter().any(|row| row.values.contains_key(name)));
    let chart = |name: &str, unit: &'static str, x: &dyn Fn(&Row) -> f64| SharedChart {
        title: readable(name),
        is_main: is_evaluation(name) || FIRST.contains(&name),
        unit,
        curves: runs
            .iter()
            .enumerate()
            .map(|(number, run)| (number, run.curve(name, x)))
            .filter(|(_, curve)| !curve.points.is_empty())
            .collect(),
    };
    let names = ordered_names(runs);
    let over_time = names.iter().filter(|name| OVER_TIME.contains(&name.as_str()) || is_evaluation(name));
    let steps = names.iter().map(|name| chart(name, "step", &|row| row.step as f64));
    steps.chain(over_time.map(|name| chart(name, "s", &|row| row.wall_s))).collect()
}

/// Sample previews at the last step and at the last second that all runs have reached.
fn grids(runs: &[Seen]) -> Result<Vec<SharedGrids>> {
    let shown: Vec<(usize, &Seen)> =
        runs.iter().enumerate().filter(|(_, run)| !run.samples.is_empty()).collect();
    let reach =
        |of: &dyn Fn(&Seen) -> f64| shown.iter().map(|(_, run)| of(run)).fold(f64::INFINITY, f64::min);
    let steps = reach(&|run| run.samples.iter().map(|(step, _)| *step).max().unwrap_or(0) as f64);
    let seconds = reach(&|run| run.samples.iter().map(|(step, _)| run.seconds(*step)).fold(0.0, f64::max));
    if shown.is_empty() {
        return Ok(Vec::new());
    }
    let pick = |title: String, is_within: &dyn Fn(&Seen, u64) -> bool| -> Result<SharedGrids> {
        let mut pictures = Vec::new();
        for (number, run) in &shown {
            let fits =
                run.samples.iter().filter(|(step, _)| is_within(run, *step)).max_by_key(|(step, _)| *step);
            let Some((step, path)) = fits else { continue };
            let caption = format!("{}, step {step}, {:.0} s", run.name, run.seconds(*step));
            pictures.push((*number, caption, picture(path)?));
        }
        Ok(SharedGrids { title, pictures })
    };
    Ok(vec![
        pick(format!("At equal steps (up to {steps:.0})"), &|_, step| step as f64 <= steps)?,
        pick(format!("At equal training time (up to {seconds:.0} s)"), &|run, step| {
            run.seconds(step) <= seconds
        })?,
    ])
}

fn picture(path: &Path) -> Result<Rgb8> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let rgb = decode_rgb(&bytes).map_err(|e| Error::file(path, e))?;
    Ok(Rgb8 { width: rgb.width, height: rgb.height, pixels: rgb.pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run folder as training leaves it.
    fn run(parent: &Path, name: &str, method: &str, seconds_per_step: f64) -> PathBuf {
        let path = parent.join(name);
        std::fs::create_dir_all(path.join("previews")).unwrap();
        let config = Config::load("nano", &[format!("method={method}")]).unwrap();
        std::fs::write(path.join("config.toml"), config.to_toml().unwrap()).unwrap();
        let mut log = crate::run::MetricsLog::new(&path.join("metrics.jsonl"));
        for step in 1..=40u64 {
            let mut values = BTreeMap::from([("denoising_loss".to_string(), 1.0 / step as f64)]);
            if step % 20 == 0 {
                values.insert("eval_psnr".into(), step as f64);
                let shade = Rgb8::filled(4, 4, [step as u8; 3]);
                shade.save_png(&path.join(format!("previews/samples-{step:08}.png"))).unwrap();
            }
            log.append(&Row { step, wall_s: step as f64 * seconds_per_step, images: step * 32, values })
                .unwrap();
        }
        path
    }

    #[test]
    fn runs_are_compared_at_equal_steps_and_at_equal_time() {
        let dir = tempfile::tempdir().unwrap();
        let folders = [run(dir.path(), "slow", "repa-e", 2.0), run(dir.path(), "fast", "naive", 1.0)];
        let page = compare(&folders).unwrap();
        assert_eq!(page.runs, ["slow", "fast"]);
        assert!(page.sentence.contains("differ in method (repa-e, naive); all else"), "{}", page.sentence);
        let figure = |name: &str| page.figures.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(figure("training time, s"), ["80", "40"]);
        assert_eq!(figure("held-out psnr"), ["40.0000", "40.0000"]);
        let steps: Vec<_> = page.grids[0].pictures.iter().map(|(_, _, p)| p.pixels[0]).collect();
        let time: Vec<_> = page.grids[1].pictures.iter().map(|(_, _, p)| p.pixels[0]).collect();
        assert_eq!((steps, time), (vec![40, 40], vec![20, 40]));
        assert!(page.charts.iter().any(|c| c.unit == "s" && c.curves.len() == 2));
        assert!(page.html().unwrap().contains("denoising loss"));
        assert!(page.picture().height > 300);
    }

    #[test]
    fn runs_of_one_name_are_told_apart_and_no_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = run(dir.path(), "a", "repa-e", 1.0);
        let page = compare(&[folder.clone(), folder]).unwrap();
        assert_eq!(page.runs, ["a", "a (2)"]);
        assert!(page.sentence.starts_with("The configurations of the runs are the same"));
        assert!(compare(&[dir.path().join("none")]).unwrap_err().to_string().contains("none"));
        assert!(compare(&[]).is_err());
    }
}
