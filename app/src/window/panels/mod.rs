//! The panels, a file each. A panel holds what is only its own (zoom, open rows, what is typed), sees
//! the state, and answers with commands. It never waits, reads files or holds tensors.

mod compare;
mod curves;
mod explorer;
mod health;
mod log;
mod new_run;
mod reconstructions;
mod samples;
mod settings;
mod start;
mod training;

use std::path::PathBuf;

use egui::{ScrollArea, Ui};

use super::message::Command;
use super::prefs::Tab;
use super::state::AppState;

/// All panels.
#[derive(Default)]
pub struct Panels {
    start: start::StartPanel,
    new_run: new_run::NewRunPanel,
    training: training::TrainingPanel,
    curves: curves::CurvesPanel,
    reconstructions: reconstructions::ReconstructionsPanel,
    samples: samples::SamplesPanel,
    explorer: explorer::ExplorerPanel,
    health: health::HealthPanel,
    compare: compare::ComparePanel,
    log: log::LogPanel,
    settings: settings::SettingsPanel,
}

impl Panels {
    /// Draws the panel that is shown.
    pub fn ui(&mut self, ui: &mut Ui, state: &AppState) -> Vec<Command> {
        let tab = state.prefs.tab;
        // The log scrolls by itself, row by row.
        if tab == Tab::Log {
            return self.log.ui(ui, state);
        }
        let area = ScrollArea::vertical().id_salt(tab.name()).auto_shrink(false);
        let inner = area.show(ui, |ui| {
            ui.set_max_width(ui.available_width().min(1560.0));
            match tab {
                Tab::Start => self.start.ui(ui, state),
                Tab::NewRun => self.new_run.ui(ui, state),
                Tab::Training => self.training.ui(ui, state),
                Tab::Curves => self.curves.ui(ui, state),
                Tab::Reconstructions => self.reconstructions.ui(ui, state),
                Tab::Samples => self.samples.ui(ui, state),
                Tab::Explorer => self.explorer.ui(ui, state),
                Tab::Health => self.health.ui(ui, state),
                Tab::Compare => self.compare.ui(ui, state),
                Tab::Log => Vec::new(),
                Tab::Settings => self.settings.ui(ui, state),
            }
        });
        inner.inner
    }

    /// A picture was dropped on the explorer or picked for it.
    pub fn explore_picture(&mut self, path: PathBuf) {
        self.explorer.use_picture(path);
    }

    /// A source of pictures was dropped on the window or picked in a dialog.
    pub fn use_source(&mut self, source: String) {
        self.new_run.use_source(source);
    }
}
