//! What is kept from one start to the next.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::history::Axis;

/// The panels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tab {
    /// Recent runs and the first button.
    #[default]
    Start,
    /// The form for a new run.
    NewRun,
    /// The run that trains.
    Training,
    /// Metrics as curves.
    Curves,
    /// Reconstructions and latent maps.
    Reconstructions,
    /// Samples.
    Samples,
    /// The latents of any picture.
    Explorer,
    /// Whether training is well.
    Health,
    /// Runs side by side.
    Compare,
    /// What happened.
    Log,
    /// Settings.
    Settings,
}

impl Tab {
    /// All panels in the order of the navigation.
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::NewRun,
        Self::Training,
        Self::Curves,
        Self::Reconstructions,
        Self::Samples,
        Self::Explorer,
        Self::Health,
        Self::Compare,
        Self::Log,
        Self::Settings,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::NewRun => "New run",
            Self::Training => "Training",
            Self::Curves => "Curves",
            Self::Reconstructions => "Reconstructions",
            Self::Samples => "Samples",
            Self::Explorer => "Explorer",
            Self::Health => "Health",
            Self::Compare => "Compare",
            Self::Log => "Log",
            Self::Settings => "Settings",
        }
    }

    /// The key that, with Ctrl, shows it.
    pub fn key(self) -> Option<egui::Key> {
        use egui::Key::{Comma, Num1, Num2, Num3, Num4, Num5, Num6, Num7, Num8, Num9};
        match self {
            Self::Start => Some(Num1),
            Self::NewRun => None,
            Self::Training => Some(Num2),
            Self::Curves => Some(Num3),
            Self::Reconstructions => Some(Num4),
            Self::Samples => Some(Num5),
            Self::Explorer => Some(Num9),
            Self::Health => Some(Num6),
            Self::Compare => Some(Num7),
            Self::Log => Some(Num8),
            Self::Settings => Some(Comma),
        }
    }
}

/// Light, dark, or as the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
    /// As the system says.
    #[default]
    System,
    /// Dark text on light.
    Light,
    /// Light text on dark.
    Dark,
}

/// How curves are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePrefs {
    /// Logarithmic values.
    pub log: bool,
    /// Share of the past in a smoothed value, 0 to 0.99.
    pub smoothing: f64,
    /// What the horizontal axis counts.
    pub axis: Axis,
    /// Checkpoints, skipped steps and changes as lines.
    pub marks: bool,
}

impl Default for CurvePrefs {
    fn default() -> Self {
        Self { log: false, smoothing: 0.6, axis: Axis::Step, marks: true }
    }
}

/// Settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prefs {
    /// The panel that is shown.
    pub tab: Tab,
    /// Light or dark.
    pub look: Look,
    /// Size of everything; 1 is the system's.
    pub scale: f32,
    /// Where new runs compute: auto, cpu, gpu, gpu:N or software.
    pub device: String,
    /// Where runs are looked for.
    pub runs: PathBuf,
    /// How curves are drawn.
    pub curves: CurvePrefs,
    /// The run that was shown last.
    pub last_run: Option<PathBuf>,
}

impl Default for Prefs {
    fn default() -> Self {
        Self {
            tab: Tab::Start,
            look: Look::System,
            scale: 1.0,
            device: "auto".into(),
            runs: tandem_core::run::folder::DEFAULT_PARENT.into(),
            curves: CurvePrefs::default(),
            last_run: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_an_older_version_are_filled_up() {
        let old: Prefs = serde_json::from_str(r#"{"scale": 1.25}"#).unwrap();
        assert_eq!(old, Prefs { scale: 1.25, ..Prefs::default() });
    }
}
