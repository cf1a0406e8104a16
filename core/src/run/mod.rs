//! What a training run leaves on disk: its folder, checkpoints, metrics, pictures and report.
//!
//! Everything here is plain Rust on slices: no tensors, no device. Files that must survive a crash
//! are written aside, synced and renamed ([`disk`]).

pub mod changes;
pub mod checkpoint;
pub mod checkpoint_list;
pub mod disk;
pub mod folder;
pub mod metrics;
pub mod picture;
pub mod report;
pub mod tensorboard;

pub use changes::Change;
pub use checkpoint::{Checkpoint, NamedTensor};
pub use checkpoint_list::{LatestCheckpoint, PassedOver, Retention, clean_leftovers, latest_complete, prune};
pub use folder::RunFolder;
pub use metrics::{MetricsLog, Row};
pub use picture::Rgb8;
pub use report::{ComparisonPage, Curve, PreviewGroup, Report, SharedChart, SharedGrids};
pub use tensorboard::EventWriter;
