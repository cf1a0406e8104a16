//! What a training step costs a GPU in launches, counted on a software adapter: with the kernels at most half of
//! what plain tensor operations take.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use std::sync::Arc;

use tandem_core::config::Config;
use tandem_core::data::{DataSource, Dataset};
use tandem_core::kernel::form::{Forms, set_forms};
use tandem_core::kernel::gpu::meter::{Launches, Meter};
use tandem_core::train::Trainer;

/// Launches of one step of preset nano, with half the blocks and one picture, after a step that compiles.
fn step_launches(trainer: &mut Trainer, plain: bool) -> Launches {
    set_forms(if plain { Forms::Plain } else { Forms::Chosen });
    let meter = Meter::start();
    trainer.step().unwrap();
    trainer.flush().unwrap();
    let launches = meter.finish();
    set_forms(Forms::Chosen);
    let name = if plain { "plain operations" } else { "kernels" };
    eprintln!(
        "{name}: {} launches, {} of our shaders, which bind {:.1} MiB",
        launches.total,
        launches.ours,
        launches.our_bytes as f64 / f64::from(1 << 20)
    );
    for (kernel, count) in launches.by_kernel.iter().take(25) {
        eprintln!("  {count:5} {}", kernel.split('<').next().unwrap_or(kernel));
    }
    launches
}

#[test]
fn kernels_halve_the_launches_of_a_training_step() {
    let Some(chosen) = support::adapter() else { return };
    let settings = ["train.batch=1", "train.steps=8", "sit.depth=3"].map(String::from);
    let config = Config::load("nano", &settings).unwrap();
    let dataset = Arc::new(Dataset::open(&DataSource::Embedded, config.data.image_px).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(config, dataset, &chosen, None, folder.path(), 0).unwrap();
    trainer.warm_caches(2).unwrap();
    let plain = step_launches(&mut trainer, true);
    let ours = step_launches(&mut trainer, false);
    assert_eq!(plain.ours, 0, "plain operations launch none of our shaders");
    assert!(2 * ours.total <= plain.total, "{} launches instead of {}", ours.total, plain.total);
}
