//! How a session begins: folder, device, pictures, networks, and for a run that goes on its last
//! checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use burn::tensor::Device;

use super::Roads;
use super::message::{Event, Start};
use super::recorder::Recorder;
use super::session::{RunState, Session};
use crate::config::Config;
use crate::data::{DataSource, Dataset, Problem};
use crate::device::{self, Chosen};
use crate::error::{Error, Result};
use crate::explore::{Desk, Gallery};
use crate::formats::open_vae;
use crate::memory::Memory;
use crate::run::changes::REFIT;
use crate::run::{Change, Checkpoint, RunFolder, disk::write_atomically, latest_complete};
use crate::train::fit::{Fit, Room};
use crate::train::latent_store::{LatentStore, pictures_of};
use crate::train::restored::{config_of, vae_of_checkpoint};
use crate::train::{Pinned, Trainer};
use crate::vae::Vae;

/// Skipped pictures that are named to a person; `skipped.txt` names them all.
const NAMED: usize = 5;
const SKIPPED: &str = "skipped.txt";

/// Where a session writes.
enum Place {
    Fresh { out: Option<PathBuf>, name: String },
    Existing(RunFolder, Option<Box<Checkpoint>>),
}

/// Opens what `start` names, ready for its first step.
///
/// # Errors
/// Whatever a person gave that cannot be used, in one line. A run that cannot start leaves no folder.
pub(super) fn open(start: Start, events: &Sender<Event>, roads: Roads) -> Result<Session<'_>> {
    let (config, place, choice) = match start {
        Start::New { config, out, name, device } => {
            (config.with_absolute_paths()?, Place::Fresh { out, name }, device)
        }
        // Taken care of before; a session always trains.
        Start::Look { .. } | Start::Explore { .. } => {
            return Err(Error::Training("a look trains nothing".into()));
        }
        Start::Resume { folder, steps, device } => {
            let folder = RunFolder::open_for_training(&folder)?;
            let (config, checkpoint) = reopen(&folder, steps, events)?;
            (config, Place::Existing(folder, checkpoint.map(Box::new)), device)
        }
    };
    let resumed = matches!(place, Place::Existing(..));
    // First the folder: whether it can be written is known at once, pictures take a while.
    let (mut config, store) = with_encoded(config)?;
    let (folder, checkpoint) = match place {
        Place::Fresh { out, name } => (RunFolder::create(out.as_deref(), &name)?, None),
        Place::Existing(folder, checkpoint) => (folder, checkpoint),
    };
    let chosen = device::choose(choice)?;
    let pinned = open_pinned(&config, &folder, resumed, events)?;
    let dataset = open_pictures(&config, &folder, resumed)?;
    let skipped = dataset.problems().to_vec();
    let start_from = start_from(&mut config, checkpoint.as_deref(), &chosen.device)?;
    let step = checkpoint.as_ref().map_or(0, |c| c.step);
    if !resumed {
        choose_micro_batch(&mut config, dataset.class_names().len(), &chosen, events)?;
    }
    let text = config.to_toml()?;
    let mut trainer = Trainer::new(config, Arc::new(dataset), &chosen, start_from, folder.path(), step)?;
    if let Some(store) = store {
        trainer.use_encoded(store)?;
    }
    trainer.pin(pinned);
    // This file makes the folder a run: last, so that a run that cannot start is none.
    write_atomically(&folder.config_path(), text.as_bytes())?;
    tell_skipped(&skipped, &folder, events);
    let mut kept = RunState::default();
    if resumed {
        // Colours that were fitted anew after the checkpoint are lost with it.
        Change::retain(&folder.changes_path(), |change| change.step <= step || change.setting != REFIT)?;
    }
    if let Some(checkpoint) = &checkpoint {
        trainer.restore(checkpoint)?;
        kept = serde_json::from_value(checkpoint.state["run"].clone()).unwrap_or_default();
    }
    let mut recorder = Recorder::new(folder, step, &trainer.config, events)?;
    recorder.pinned(trainer.pinned());
    Ok(Session {
        desk: Desk::new(Gallery::of(trainer.batches().dataset().clone())),
        recorder,
        chosen,
        kept,
        psnr: None,
        rate: Vec::new(),
        began: Instant::now(),
        first_step: step,
        saved: (step > 0).then_some(step),
        unsaved: false,
        roads,
        saved_config: text,
        memory: Memory::default(),
        ratios: Vec::new(),
        trainer,
    })
}

/// Settles how many pictures go through the networks at once, where the configuration leaves it open. A run notes
/// the choice and goes on with it on any machine; one from before the key was there takes whole batches.
fn choose_micro_batch(
    config: &mut Config,
    num_classes: usize,
    chosen: &Chosen,
    events: &Sender<Event>,
) -> Result<()> {
    if config.train.micro_batch > 0 {
        return Ok(());
    }
    let fit = Fit::of(config, num_classes, Room::of(chosen))?;
    let batch = config.train.batch;
    let pictures = fit.micro_batch();
    config.train.micro_batch = pictures.unwrap_or(1);
    if pictures != Some(batch) {
        let gb = |bytes: f64| format!("{:.1} GB", bytes / 1e9);
        let room = fit.room.free_bytes.map_or("the adapter's largest buffer is the limit".into(), |free| {
            format!("{} are free", gb(free))
        });
        let outcome = match pictures {
            Some(pictures) => format!("{pictures} go through the networks at once"),
            None => "not even one picture fits, and one at once is tried".into(),
        };
        let needed = gb(fit.needed_bytes(batch));
        tell(events, format!("a batch of {batch} may take {needed}, {room}: {outcome} (train.micro_batch)"));
    }
    Ok(())
}

/// Configuration and newest whole checkpoint of a run that goes on, perhaps to another last step.
/// A run that was cut off before its first checkpoint has none and begins anew.
fn reopen(
    folder: &RunFolder,
    steps: Option<u64>,
    events: &Sender<Event>,
) -> Result<(Config, Option<Checkpoint>)> {
    let mut config = config_of(folder)?;
    let latest = latest_complete(folder.path())?;
    let warn = |text: String| tell(events, text);
    for broken in &latest.passed_over {
        warn(format!("passed over {}: {}", broken.path.display(), broken.reason));
    }
    let checkpoint = match latest.newest {
        Some((_, path)) => Some(Checkpoint::load(&path)?),
        None if latest.passed_over.is_empty() => {
            warn("the run has no checkpoint yet: it begins again at step 0".into());
            None
        }
        None => {
            let reason = "no checkpoint in this run is whole; start anew with another --out";
            return Err(Error::file(folder.path(), reason));
        }
    };
    if let Some(steps) = steps {
        let done = checkpoint.as_ref().map_or(0, |c| c.step);
        if steps < done {
            return Err(Error::Config(format!(
                "the run has done {done} steps already; --steps {steps} is less"
            )));
        }
        config.train.steps = steps;
    }
    config.check()?;
    Ok((config, checkpoint))
}

/// The autoencoder to start from or to keep; `config` takes over its geometry. A run that goes on has
/// it in its checkpoint, and no longer needs the model that it came from.
fn start_from(config: &mut Config, checkpoint: Option<&Checkpoint>, device: &Device) -> Result<Option<Vae>> {
    match (checkpoint, config.vae.init_from.as_str()) {
        (Some(checkpoint), _) => vae_of_checkpoint(checkpoint, config, device).map(Some),
        (None, "") => Ok(None),
        (None, path) => {
            let vae = open_vae(Path::new(path), device)?.vae;
            config.adopt_vae(vae.config())?;
            Ok(Some(vae))
        }
    }
}

/// Where `config.data.source` is a folder of encoded latents (`tandem cache`): these, and the
/// autoencoder that encoded them where none is named.
fn with_encoded(mut config: Config) -> Result<(Config, Option<LatentStore>)> {
    let Some(index) = LatentStore::index_in(Path::new(&config.data.source))? else {
        return Ok((config, None));
    };
    if config.vae.init_from.is_empty() {
        config.vae.init_from = index.model;
    }
    let store = LatentStore::open(Path::new(&config.data.source))?;
    Ok((config, Some(store)))
}

/// The pictures that `config` names. For a run that goes on the error says where to name a new place.
fn open_pictures(config: &Config, folder: &RunFolder, resumed: bool) -> Result<Dataset> {
    let source = source_of(&pictures_of(&config.data.source)?);
    Dataset::open(&source, config.data.image_px).map_err(|error| match &source {
        DataSource::Path(_) if resumed => Error::Data(format!(
            "{error}; if the run's pictures have moved, name their place under data.source in {}",
            folder.config_path().display()
        )),
        _ => error,
    })
}

/// A person's own pictures. For a new run each must be there; one that goes on has copies, and does
/// without those that are lost.
fn open_pinned(config: &Config, folder: &RunFolder, resumed: bool, events: &Sender<Event>) -> Result<Pinned> {
    let (paths, px) = (&config.preview.images, config.data.image_px);
    if !resumed {
        return Pinned::read(paths, px, &Pinned::default());
    }
    let (pinned, lost) = Pinned::reopen(paths, px, &folder.pinned_dir());
    lost.into_iter().for_each(|error| tell(events, format!("a picture of preview.images is lost: {error}")));
    Ok(pinned)
}

/// Tells a person something; nobody listens any more when the receiver is gone.
fn tell(events: &Sender<Event>, text: String) {
    let _ = events.send(Event::Warning(text));
}

/// What `data.source` names.
pub(super) fn source_of(text: &str) -> DataSource {
    match text {
        "embedded" => DataSource::Embedded,
        path => DataSource::Path(path.into()),
    }
}

/// Names the first skipped pictures to a person, and all of them in a file of the run.
fn tell_skipped(problems: &[Problem], folder: &RunFolder, events: &Sender<Event>) {
    let tell = |text: String| tell(events, text);
    problems.iter().take(NAMED).for_each(|problem| tell(format!("skipped {problem}")));
    if problems.is_empty() {
        return;
    }
    let path = folder.path().join(SKIPPED);
    let all: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    match write_atomically(&path, all.as_bytes()) {
        Ok(()) if problems.len() > NAMED => {
            tell(format!("skipped {} more, all named in {}", problems.len() - NAMED, path.display()));
        }
        Ok(()) => {}
        Err(error) => tell(error.to_string()),
    }
}
