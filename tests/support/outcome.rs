//! What a run left, without what the clock says: equal for equal runs.

use std::path::Path;

use tandem_core::run::{Checkpoint, Row, metrics};

/// The files of the checkpoint of `step`, and all rows.
pub fn outcome(run: &Path, step: u64) -> (Checkpoint, Vec<Row>) {
    let mut checkpoint = Checkpoint::load(&run.join(format!("checkpoints/step-{step:08}"))).unwrap();
    checkpoint.state = serde_json::Value::Null;
    let rows = metrics::read(&run.join("metrics.jsonl")).unwrap();
    (checkpoint, rows.into_iter().map(|row| row.repeatable()).collect())
}
