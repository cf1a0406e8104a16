//! Looking without training: at the newest checkpoint of a run, or at any autoencoder.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use burn::tensor::Device;

use super::Roads;
use super::explore::{self, Models};
use super::latents::{self, Outlet};
use super::message::{Command, Event};
use super::opening::source_of;
use super::session::RunState;
use crate::align::Teacher;
use crate::config::Config;
use crate::data::DataSource;
use crate::data::source::Listing;
use crate::device::{self, Chosen, DeviceChoice};
use crate::error::{Error, Result};
use crate::explore::{Desk, Gallery, Teachers, View};
use crate::formats::{ModelKind, open_vae};
use crate::sit::Path as Interpolant;
use crate::train::latent_store::pictures_of;
use crate::train::{Restored, open};
use crate::vae::Vae;

/// Sides to which pictures are brought for a model that says nothing sensible.
const SIDES: std::ops::RangeInclusive<usize> = 32..=256;
/// The largest side that a person may ask for.
const MAX_SIDE: usize = 2048;
/// Between two slices of background work.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Where to tell, and the roads on which only the newest counts.
type Ways<'a> = (&'a Sender<Event>, &'a Roads);

/// Answers questions about the newest checkpoint of the run in `folder` until told to stop.
pub fn at_run(
    folder: &Path,
    choice: DeviceChoice,
    commands: &Receiver<Command>,
    ways: Ways<'_>,
) -> Result<()> {
    let chosen = device::choose(choice)?;
    let restored = Restored::open(folder, &chosen.device)?;
    // Names and pictures are good to have, but need not be there any more.
    let source = &restored.config.data.source;
    let source = source_of(&pictures_of(source).unwrap_or_else(|_| source.clone()));
    let classes = Listing::open(&source).map(|listing| listing.classes);
    tell(
        ways,
        Event::Looking {
            folder: folder.to_path_buf(),
            device: format!("{}: {}", chosen.name, chosen.reason),
            step: restored.step,
            config: Box::new(restored.config.clone()),
            classes: classes.unwrap_or_default(),
        },
    );
    let kept: RunState = serde_json::from_value(restored.state["run"].clone()).unwrap_or_default();
    let teachers = Lazy { config: &restored.config, device: &chosen.device, opened: OnceCell::new() };
    let view = View {
        vae: &restored.vae,
        sit: restored.config.method.trains_sit().then_some(&restored.sit),
        without_sit: "this run trained no transformer",
        path: restored.config.sit.path,
        teachers: &teachers,
        basis: kept.colours.latents.as_ref(),
        device: &chosen.device,
        step: restored.step,
    };
    let models =
        Models { vae: &restored.vae, sit: Some(&restored.sit), device: &chosen.device, step: restored.step };
    let mut desk = Desk::new(Gallery::later(source, restored.config.data.image_px));
    until_stopped(&mut desk, &view, Some(&models), commands, ways);
    Ok(())
}

/// Answers questions about the latents of any autoencoder until told to stop. Its pictures are those
/// that come with the program, and files.
pub fn at_model(
    model: &str,
    px: Option<usize>,
    choice: DeviceChoice,
    commands: &Receiver<Command>,
    ways: Ways<'_>,
) -> Result<()> {
    let chosen = device::choose(choice)?;
    let opened = open_vae(Path::new(model), &chosen.device)?;
    let image_px = side_for(&opened.vae, px)?;
    let about = about(&opened.vae, &opened.kind, opened.step);
    tell(
        ways,
        Event::Exploring {
            model: model.into(),
            about,
            device: format!("{}: {}", chosen.name, chosen.reason),
            image_px,
        },
    );
    let view = view_of(&opened.vae, &chosen, opened.step.unwrap_or(0));
    let mut desk = Desk::new(Gallery::later(DataSource::Embedded, image_px));
    until_stopped(&mut desk, &view, None, commands, ways);
    Ok(())
}

fn view_of<'a>(vae: &'a Vae, chosen: &'a Chosen, step: u64) -> View<'a> {
    View {
        vae,
        sit: None,
        without_sit: "an autoencoder alone has no transformer; open a run for its features",
        path: Interpolant::Linear,
        teachers: &Alone,
        basis: None,
        device: &chosen.device,
        step,
    }
}

/// The side of pictures for `vae`: what was asked for, or near what it was made for.
fn side_for(vae: &Vae, asked: Option<usize>) -> Result<usize> {
    let factor = vae.config().downsampling();
    match asked {
        Some(px) if px == 0 || px > MAX_SIDE || !px.is_multiple_of(factor) => Err(Error::Config(format!(
            "pictures of {px} px do not fit: the autoencoder takes multiples of {factor} up to {MAX_SIDE}"
        ))),
        Some(px) => Ok(px),
        None => {
            let px = vae.config().sample_size.clamp(*SIDES.start(), *SIDES.end());
            Ok((px / factor * factor).max(factor))
        }
    }
}

fn about(vae: &Vae, kind: &ModelKind, step: Option<u64>) -> String {
    let config = vae.config();
    let what = match kind {
        ModelKind::Run => "autoencoder of a run",
        ModelKind::Diffusers(_) => "autoencoder in a diffusers folder",
        ModelKind::Weights => "autoencoder in a file",
    };
    let step = step.map_or(String::new(), |step| format!(", step {step}"));
    format!("{what}{step}: {} channels at 1/{}", config.latent_channels, config.downsampling())
}

fn tell((events, _): Ways<'_>, event: Event) {
    // Nobody listens any more when the receiver is gone.
    let _ = events.send(event);
}

fn until_stopped(
    desk: &mut Desk,
    view: &View<'_>,
    models: Option<&Models<'_>>,
    commands: &Receiver<Command>,
    ways: Ways<'_>,
) {
    let outlet = Outlet { roads: ways.1, tell: &|event| tell(ways, event) };
    loop {
        let pause = if desk.is_busy() { AT_ONCE } else { latents::pause(desk) };
        match commands.recv_timeout(pause) {
            Ok(Command::Stop | Command::Abandon) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(models) = models
            && let Some(question) = ways.1.questions.take()
        {
            ways.1.answers.put(explore::answer(models, &question));
            tell(ways, Event::Answered);
        }
        latents::serve(desk, &outlet, view, Some(latents::AT_REST));
    }
}

/// The teachers of a run, opened when they are first asked for.
struct Lazy<'a> {
    config: &'a Config,
    device: &'a Device,
    opened: OnceCell<std::result::Result<Vec<Teacher>, String>>,
}

impl Teachers for Lazy<'_> {
    fn all(&self) -> std::result::Result<Vec<&Teacher>, String> {
        let open = || open::teachers(self.config, self.device).map_err(|error| error.to_string());
        match self.opened.get_or_init(open) {
            Ok(teachers) => Ok(teachers.iter().collect()),
            Err(reason) => Err(reason.clone()),
        }
    }
}

/// No teachers.
struct Alone;

impl Teachers for Alone {
    fn all(&self) -> std::result::Result<Vec<&Teacher>, String> {
        Err("an autoencoder alone has no teacher; open a run for its features".into())
    }
}
