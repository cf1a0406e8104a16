//! What `sample` and `eval` share: how pictures are drawn from a run, and breaking off.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tandem_core::config::Config;
use tandem_core::data::source::Listing;
use tandem_core::sample::{LabelChoice, Labels, SampleConfig, Solver};
use tandem_core::train::Restored;
use tandem_core::train::evaluate::Draw;
use tandem_core::train::latent_store::pictures_of;

use crate::progress::{Progress, duration, line};

/// How pictures are drawn.
#[derive(Args)]
pub struct SamplingArgs {
    /// Class numbers or names; default: all classes.
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Steps of the solver.
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// euler, heun or sde.
    #[arg(long, default_value = "euler")]
    solver: SolverName,
    /// Guidance scale; 1 is none.
    #[arg(long, default_value_t = 2.0)]
    cfg: f64,
    /// Times between which guidance acts, ends included.
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 1.0])]
    interval: Vec<f64>,
    /// random, or equal: all classes in turn.
    #[arg(long, default_value = "equal")]
    labels: LabelName,
    /// Seed; picture n depends on seed and n alone.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum SolverName {
    Euler,
    Heun,
    Sde,
}

#[derive(Clone, Copy, ValueEnum)]
enum LabelName {
    Random,
    Equal,
}

impl SamplingArgs {
    /// The job that draws `num` pictures of `restored`.
    pub fn draw(&self, num: u64, restored: &Restored) -> Result<Draw> {
        let &[low, high] = self.interval.as_slice() else { bail!("--interval takes two times, such as 0,1") };
        if num == 0 || self.steps == 0 {
            bail!("--num and --steps must be at least 1");
        }
        if !self.cfg.is_finite()
            || self.cfg < 0.0
            || !(0.0..=1.0).contains(&low)
            || !(low..=1.0).contains(&high)
        {
            bail!("--cfg must be 0 or more, and --interval two times from 0 to 1, the earlier first");
        }
        let solver = match self.solver {
            SolverName::Euler => Solver::Euler,
            SolverName::Heun => Solver::Heun,
            SolverName::Sde => Solver::Sde,
        };
        if matches!(solver, Solver::Sde) && self.steps < 2 {
            bail!("--solver sde takes at least 2 steps");
        }
        let choice = match self.labels {
            LabelName::Random => LabelChoice::Random,
            LabelName::Equal => LabelChoice::Equal,
        };
        let known = restored.sit.config().num_classes;
        let labels = Labels::new(classes(&self.classes, known, &restored.config)?, known, choice)?;
        let path = restored.config.sit.path;
        let config = SampleConfig { solver, steps: self.steps, cfg: self.cfg, interval: (low, high), path };
        Ok(Draw { num, labels, config, seed: self.seed })
    }

    /// All that the pictures depend on, but their number.
    pub fn job(&self, run: &Path, restored: &Restored, draw: &Draw) -> Value {
        let run = std::path::absolute(run).unwrap_or_else(|_| run.to_path_buf());
        json!({
            "run": run, "step": restored.step, "labels": draw.labels, "seed": draw.seed,
            "solver": draw.config.solver, "steps": draw.config.steps, "cfg": draw.config.cfg,
            "interval": [draw.config.interval.0, draw.config.interval.1],
        })
    }
}

/// Class numbers of numbers or names; names are those of the run's pictures, in any case.
fn classes(given: &[String], known: usize, config: &Config) -> Result<Vec<usize>> {
    let numbers: Vec<_> = given.iter().map(|text| text.trim().parse::<usize>()).collect();
    if numbers.iter().all(Result::is_ok) {
        return Ok(numbers.into_iter().flatten().collect());
    }
    let source = pictures_of(&config.data.source)?.parse().map_err(|_| anyhow!("no data source"))?;
    let names = Listing::open(&source)
        .map_err(|e| {
            anyhow!("class names are those of the run's pictures, which cannot be read ({e}); give numbers")
        })?
        .classes;
    let find = |text: &String| {
        let text = text.trim();
        let place = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        place
            .or_else(|| text.parse().ok().filter(|n| *n < known))
            .ok_or_else(|| anyhow!("no class is called {text}; there are {}", names.join(", ")))
    };
    given.iter().map(find).collect()
}

/// Progress over pictures that ends when Ctrl-C is pressed.
pub struct Interruptible {
    stop: Arc<AtomicBool>,
}

impl Interruptible {
    /// Listens for Ctrl-C and SIGTERM from now on.
    pub fn new() -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            line("stopping after this batch…");
        })?;
        Ok(Self { stop })
    }

    /// Does `work`, which tells how many of `total` pictures are done; `done` were before.
    pub fn run<T>(
        &self,
        what: &str,
        (done, total): (u64, u64),
        work: impl FnOnce(&mut dyn FnMut(u64) -> ControlFlow<()>) -> T,
    ) -> T {
        let mut progress = Progress::new(done, total);
        let began = std::time::Instant::now();
        let outcome = work(&mut |now| {
            let rate = (now - done) as f64 / began.elapsed().as_secs_f64().max(1e-9);
            let left = duration(total.saturating_sub(now) as f64 / rate.max(1e-9));
            progress.step(now, total, &format!("{what}  {rate:.1} img/s  {left} left"));
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        progress.end();
        outcome
    }
}
