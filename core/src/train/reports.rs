//! What steps tell the host, at once or later in one transfer, and when that ends a run.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::kernel::profile;
use crate::params::host;

/// Non-finite steps in a row that end a run.
const MAX_SKIPS: u32 = 3;

/// What one step measured.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Losses and gradient norms by name.
    pub values: Vec<(&'static str, f32)>,
    /// Whether the step was dropped because a value was not finite.
    pub skipped: bool,
}

/// Reports that are still on the device, and non-finite steps in a row.
#[derive(Default)]
pub(super) struct Reports {
    pending: Vec<(u64, Vec<&'static str>, Tensor<1>)>,
    skips: u32,
}

impl Reports {
    /// Leaves the values of a step on the device until the next [`flush`](Self::flush).
    pub fn wait(&mut self, step: u64, names: Vec<&'static str>, values: Tensor<1>) {
        self.pending.push((step, names, values));
    }

    /// Reads what waits: one transfer.
    ///
    /// # Errors
    /// After three non-finite steps in a row.
    pub fn flush(&mut self) -> Result<Vec<StepReport>> {
        let pending = std::mem::take(&mut self.pending);
        let pending_values = pending.iter().map(|(_, _, values)| values.clone()).collect();
        let values = profile::phase("reads", || read_scalars(pending_values));
        let mut values = values.into_iter();
        let reports = pending.into_iter().map(|(step, names, _)| {
            let values: Vec<_> = names.into_iter().zip(values.by_ref()).collect();
            let skipped = values.iter().any(|(_, v)| !v.is_finite());
            StepReport { step, values, skipped }
        });
        let reports = reports.collect();
        self.told(reports)
    }

    /// Counts skipped steps and passes the reports on.
    ///
    /// # Errors
    /// After three non-finite steps in a row.
    pub fn told(&mut self, reports: Vec<StepReport>) -> Result<Vec<StepReport>> {
        for report in &reports {
            self.skips = if report.skipped { self.skips + 1 } else { 0 };
            if self.skips >= MAX_SKIPS {
                let bad: Vec<_> =
                    report.values.iter().filter(|(_, v)| !v.is_finite()).map(|(n, _)| *n).collect();
                return Err(Error::Training(format!(
                    "{} was not finite in {MAX_SKIPS} steps in a row (last: step {}); the weights are those of \
                     the last good step. Lower the learning rates and go on from the last checkpoint",
                    bad.first().unwrap_or(&"a value"),
                    report.step
                )));
            }
        }
        Ok(reports)
    }
}

/// Scalars on the device as one transfer to the host: the only read of a training step.
pub fn read_scalars(scalars: Vec<Tensor<1>>) -> Vec<f32> {
    if scalars.is_empty() { Vec::new() } else { host(Tensor::cat(scalars, 0)) }
}
