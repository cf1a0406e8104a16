//! `tandem eval`: figures of a run, or of pictures, against a reference.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tandem_core::data::Split;
use tandem_core::data::stream::PictureStream;
use tandem_core::device::{self, Chosen, DeviceChoice};
use tandem_core::eval::{Comparison, Estimate, FeatureSet, Judge, judge, statistics};
use tandem_core::run::{MetricsLog, Row, RunFolder, metrics};
use tandem_core::train::Restored;
use tandem_core::train::evaluate::{judged_stream, reconstruct};
use tandem_core::train::latent_store::pictures_of;
use tandem_core::train::likeness::likenesses;
use tandem_core::train::open::teacher_to_compare;
use tandem_core::vae::perceptual::{Backbone, Lpips};
use tandem_core::weights;

use crate::progress::{answer, line};
use crate::sampling::{Interruptible, SamplingArgs};

/// What to measure.
#[derive(Args)]
pub struct EvalArgs {
    /// A run folder, or pictures: a folder, a zip, or an .npz with arr_0.
    target: PathBuf,
    /// Pictures to compare with (a folder, a zip, embedded), or their statistics (.npz with mu and
    /// sigma); default for a run: what it was trained on.
    #[arg(long)]
    reference: Option<String>,
    /// Which part of the reference: train, held or all.
    #[arg(long, default_value = "train")]
    split: Part,
    /// The judge: tandem-judge, lpips-alex, or a file of weights (Inception for a
    /// FID, VGG16, AlexNet).
    #[arg(long, default_value = judge::DEFAULT)]
    features: String,
    /// Pictures to draw from a run, or to take of a folder; default: 2000 of a run, all of a folder.
    #[arg(long)]
    num: Option<u64>,
    /// Held-out pictures to reconstruct, for a run.
    #[arg(long, default_value_t = 1000)]
    num_reconstructions: usize,
    /// The teacher whose likenesses are looked for in a run's latents and transformer (CKA, CKNNA);
    /// default: the run's own, or efficientnet-lite0.
    #[arg(long)]
    teacher: Option<String>,
    /// A checkpoint's step; default: the newest.
    #[arg(long)]
    step: Option<u64>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Write the statistics of the pictures (or the drawn samples) to this .npz.
    #[arg(long, value_name = "FILE.npz")]
    save_statistics: Option<PathBuf>,
    /// auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    Train,
    Held,
    All,
}

impl Part {
    fn split(self) -> Option<Split> {
        match self {
            Self::Train => Some(Split::Train),
            Self::Held => Some(Split::Held),
            Self::All => None,
        }
    }
}

/// Pictures drawn from a run when no number is given.
const NUM_OF_RUN: u64 = 2000;

/// Measures and tells.
pub fn run(args: &EvalArgs) -> Result<()> {
    let chosen = device::choose(args.device.parse::<DeviceChoice>()?)?;
    let judge = Judge::open(&args.features, &chosen.device)?;
    line(&format!("judge: {}, on {}", judge.name(), chosen.name));
    let work = Interruptible::new()?;
    let mut answers = json!({ "features": judge.name(), "is_fid": judge.is_inception() });
    let (set, px) = if RunFolder::open(&args.target).is_ok() {
        of_run(args, &judge, &chosen, &work, &mut answers)?
    } else {
        let source = args.target.to_string_lossy();
        let mut stream = PictureStream::open(&source, None, None)?;
        if let Some(num) = args.num {
            stream.keep(num as usize);
        }
        let (num, px) = (stream.len() as u64, stream.px());
        (work.run("judging pictures", (0, num), |progress| judged_stream(&stream, &judge, progress))?, px)
    };
    if let Some(path) = &args.save_statistics {
        statistics::save(path, &set)?;
        line(&format!("wrote {}", path.display()));
    }
    let reference = match (&args.reference, &answers["reference"]) {
        (Some(named), _) => named.clone(),
        (None, Value::String(own)) => own.clone(),
        (None, _) if args.save_statistics.is_some() => return tell(args, &answers, None, &judge),
        (None, _) => bail!("name what to compare with: --reference PICTURES or FILE.npz"),
    };
    let reference_set = reference_set(&reference, args.split, px, &judge, set.width(), &work)?;
    answers["reference"] = json!(reference);
    let found = Comparison::of(&set, &reference_set)?;
    if let Ok(folder) = RunFolder::open(&args.target) {
        note(&folder, &answers, &found)?;
    }
    tell(args, &answers, Some(&found), &judge)
}

/// Adds the figures to the run's `evaluations.jsonl`, under names that say how they were measured.
fn note(folder: &RunFolder, answers: &Value, found: &Comparison) -> Result<()> {
    let step = answers["step"].as_u64().unwrap_or(0);
    let sampling = &answers["sampling"];
    let (judge, solver) =
        (answers["features"].as_str().unwrap_or_default(), sampling["solver"].as_str().unwrap_or_default());
    let how = format!(
        "[{judge}, {} samples, {} {solver} steps, cfg {}]",
        found.num, sampling["steps"], sampling["cfg"]
    );
    let mut values = vec![("frechet", Some(found.frechet.value)), ("sfid", found.sfid)];
    values.extend([
        ("kid", found.kid.map(|s| s.mean)),
        ("inception score", found.inception_score.map(|s| s.mean)),
    ]);
    values
        .extend([("precision", found.precision.map(|e| e.value)), ("recall", found.recall.map(|e| e.value))]);
    values.push(("reconstruction frechet", answers["reconstruction"]["frechet"]["value"].as_f64()));
    let before = metrics::read(&folder.metrics_path()).unwrap_or_default();
    let at = before.iter().take_while(|row| row.step <= step).last();
    let alike = likeness(answers).into_iter().map(|(part, measure, teacher, value)| {
        (format!("{part} {} [{teacher}]", measure.to_lowercase()), value)
    });
    let row = Row {
        step,
        wall_s: at.map_or(0.0, |row| row.wall_s),
        images: at.map_or(0, |row| row.images),
        values: values
            .into_iter()
            .filter_map(|(name, value)| Some((format!("{name} {how}"), value?)))
            .chain(alike)
            .collect(),
    };
    Ok(MetricsLog::new(&folder.evaluations_path()).append(&row)?)
}

/// Samples of a run, judged; its reconstructions go to `answers`.
fn of_run(
    args: &EvalArgs,
    judge: &Judge,
    chosen: &Chosen,
    work: &Interruptible,
    answers: &mut Value,
) -> Result<(FeatureSet, usize)> {
    let restored = match args.step {
        Some(step) => Restored::open_at(&args.target, step, &chosen.device)?,
        None => Restored::open(&args.target, &chosen.device)?,
    };
    let config = &restored.config;
    judge.check_independent(config.loss.perceptual_network)?;
    let px = config.data.image_px;
    answers["step"] = json!(restored.step);
    let source = pictures_of(&config.data.source)?;
    answers["reference"] = json!(source);
    let mut held = PictureStream::open(&source, Some(Split::Held), Some(px))?;
    held.keep(args.num_reconstructions);
    let lpips = Lpips::load(Backbone::Alex, &weights::lpips_alex()?, &chosen.device)?;
    let figures = work.run("reconstructing", (0, held.len() as u64), |progress| {
        reconstruct(&restored, &held, judge, &lpips, &chosen.device, progress)
    })?;
    answers["reconstruction"] = json!(figures);
    match teacher_to_compare(config, args.teacher.as_deref(), &chosen.device) {
        // The run's own may have been moved since; its other figures do not need it.
        Err(error) if args.teacher.is_none() => line(&format!("not compared with a teacher: {error}")),
        teacher => {
            let (teacher, num) = (teacher?, held.len() as u64);
            let found = work.run("comparing with the teacher", (0, num), |progress| {
                likenesses(&restored, &teacher, &held, &chosen.device, progress)
            })?;
            answers["likeness"] = json!(found);
        }
    }
    let draw = args.sampling.draw(args.num.unwrap_or(NUM_OF_RUN), &restored)?;
    answers["sampling"] = args.sampling.job(&args.target, &restored, &draw);
    let set = work
        .run("sampling", (0, draw.num), |progress| draw.judged(&restored, judge, &chosen.device, progress))?;
    Ok((set, px))
}

/// The reference's statistics: from a file, from the cache, or judged now and cached.
fn reference_set(
    reference: &str,
    part: Part,
    px: usize,
    judge: &Judge,
    width: usize,
    work: &Interruptible,
) -> Result<FeatureSet> {
    let path = Path::new(reference);
    let is_npz = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz"));
    if is_npz && statistics::are_in(path)? {
        return Ok(statistics::load(path, width)?);
    }
    let stream = PictureStream::open(reference, part.split(), Some(px))?;
    let cached = cache_folder().map(|folder| folder.join(format!("{}-{}.npz", judge.name(), stream.key())));
    if let Some(path) = cached.as_ref().filter(|path| path.exists())
        && let Ok(set) = statistics::load(path, width)
    {
        line(&format!("reference: {} pictures, statistics of {}", set.count(), path.display()));
        return Ok(set);
    }
    let num = stream.len() as u64;
    let set =
        work.run("judging the reference", (0, num), |progress| judged_stream(&stream, judge, progress))?;
    if let Some(path) = cached {
        let folder = path.parent().unwrap_or(Path::new("."));
        let saved = std::fs::create_dir_all(folder)
            .map_err(|e| tandem_core::Error::io("create", folder, e))
            .and_then(|()| statistics::save(&path, &set));
        // Without a cache the next call computes again.
        if let Err(error) = saved {
            line(&format!("the reference's statistics are not kept: {error}"));
        }
    }
    Ok(set)
}

/// Where statistics of references are kept between calls.
fn cache_folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE")).map(PathBuf::from);
    base.or_else(|| home().map(|home| home.join(".cache"))).map(|base| base.join("tandem").join("statistics"))
}

fn tell(args: &EvalArgs, answers: &Value, found: Option<&Comparison>, judge: &Judge) -> Result<()> {
    if let Some(found) = found {
        found.warnings.iter().for_each(|warning| line(&format!("warning: {warning}")));
        if !judge.is_inception() {
            line(&format!(
                "these are figures by {} features: not comparable with a published FID",
                judge.name()
            ));
        }
    }
    if args.json {
        let mut all = answers.clone();
        all["distance"] = json!(judge.distance_name());
        all["figures"] = json!(found);
        answer(&all.to_string());
        return Ok(());
    }
    table(answers, found, judge).iter().for_each(|(name, value)| answer(&format!("{name:<44} {value}")));
    Ok(())
}

/// What was compared with a teacher: part of the run, measure, teacher, value.
fn likeness(answers: &Value) -> Vec<(&'static str, &'static str, &str, f64)> {
    let all = &answers["likeness"];
    let teacher = all["teacher"].as_str().unwrap_or_default();
    let pairs = ["latents", "transformer"].into_iter().flat_map(|part| [(part, "CKA"), (part, "CKNNA")]);
    pairs
        .filter_map(|(part, measure)| {
            Some((part, measure, teacher, all[part][measure.to_lowercase()].as_f64()?))
        })
        .collect()
}

/// Names and values for a person.
fn table(answers: &Value, found: Option<&Comparison>, judge: &Judge) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_string(), value));
    let interval = |e: &Estimate| format!("{:.4}  (95 %: {:.4} to {:.4})", e.value, e.low, e.high);
    let of_json = |value: &Value| {
        let number = |key: &str| value[key].as_f64().unwrap_or(f64::NAN);
        interval(&Estimate { value: number("value"), low: number("low"), high: number("high") })
    };
    let reconstruction = &answers["reconstruction"];
    if reconstruction.is_object() {
        row("reconstructions", reconstruction["num"].to_string());
        let figures = [("PSNR, dB", "psnr"), ("SSIM", "ssim"), ("LPIPS (AlexNet)", "lpips")];
        for (name, key) in figures.iter().filter(|(_, key)| reconstruction[*key].is_object()) {
            row(name, of_json(&reconstruction[*key]));
        }
        if reconstruction["frechet"].is_object() {
            row(&format!("reconstruction {}", judge.distance_name()), of_json(&reconstruction["frechet"]));
        }
        for key in ["spatial_variance", "total_variation", "effective_rank"] {
            let name = format!("latent {}", key.replace('_', " "));
            row(&name, format!("{:.4}", reconstruction[key].as_f64().unwrap_or(f64::NAN)));
        }
    }
    for (part, measure, teacher, value) in likeness(answers) {
        row(&format!("{part}, {measure} with {teacher}"), format!("{value:.4}"));
    }
    if let Some(found) = found {
        let reference = answers["reference"].as_str().unwrap_or_default();
        row("pictures", format!("{} against {} of {reference}", found.num, found.num_reference));
        row(&judge.distance_name(), interval(&found.frechet));
        found.sfid.iter().for_each(|value| row("spatial Frechet distance", format!("{value:.4}")));
        let spread = |s: &tandem_core::eval::Spread| format!("{:.5} +- {:.5}", s.mean, s.std);
        found.kid.iter().for_each(|s| row("KID (not times 1000)", spread(s)));
        let score = if judge.is_inception() {
            "inception score".into()
        } else {
            format!("class score ({})", judge.name())
        };
        found.inception_score.iter().for_each(|s| row(&score, spread(s)));
        found.precision.iter().for_each(|e| row("precision", interval(e)));
        found.recall.iter().for_each(|e| row("recall", interval(e)));
    }
    rows
}
