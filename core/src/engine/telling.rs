//! What a session tells of its steps: rows of metrics, the rate, previews and measurements.

use std::time::Instant;

use super::message::Event;
use super::recorder::PSNR;
use super::session::Session;
use crate::error::{Error, Result};
use crate::run::Row;
use crate::run::metrics::MEMORY;
use crate::train::StepReport;
use crate::train::preview::Preview;

/// Steps over which the rate is averaged.
const RATE_STEPS: usize = 20;

impl Session<'_> {
    /// A step has ended now.
    pub(super) fn note_time(&mut self) {
        self.rate.push(Instant::now());
        if self.rate.len() > RATE_STEPS + 1 {
            self.rate.remove(0);
        }
    }

    /// Reports of steps; an error of training names the checkpoint that stands.
    pub(super) fn report_all(&mut self, reports: Result<Vec<StepReport>>) -> Result<()> {
        let reports = reports.map_err(|error| {
            let last = self.saved.map_or("none yet".into(), |step| format!("step {step}"));
            Error::Training(format!("{error} (last checkpoint: {last})"))
        })?;
        reports.into_iter().for_each(|report| self.report(report));
        Ok(())
    }

    /// Pictures of one step.
    pub(super) fn per_step(&self) -> u64 {
        let train = &self.trainer.config.train;
        (train.batch * train.accumulate) as u64
    }

    /// A row of metrics for `step`, which may lie a little back.
    fn row(&self, step: u64, values: impl IntoIterator<Item = (&'static str, f64)>) -> Row {
        let since = (self.trainer.step_number() - step) * self.per_step();
        Row {
            step,
            wall_s: self.kept.trained_s,
            images: self.kept.images.saturating_sub(since),
            values: values.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        }
    }

    /// Pictures a second over the last steps.
    fn images_per_s(&self) -> f64 {
        let span = match (self.rate.first(), self.rate.last()) {
            (Some(first), Some(last)) if self.rate.len() > 1 => (*last - *first).as_secs_f64(),
            _ => return 0.0,
        };
        (self.rate.len() - 1) as f64 * self.per_step() as f64 / span.max(1e-9)
    }

    fn report(&mut self, report: StepReport) {
        let StepReport { step, values, skipped } = report;
        let train = &self.trainer.config.train;
        let (steps, every) = (train.steps, train.metrics_every);
        if step.is_multiple_of(every) || skipped {
            let row = self.row(step, values.iter().map(|(name, value)| (*name, f64::from(*value))));
            self.recorder.row(&row);
        }
        let images_per_s = self.images_per_s();
        let left = steps.saturating_sub(step) as f64 * self.per_step() as f64;
        let eta_s = if images_per_s > 0.0 { left / images_per_s } else { 0.0 };
        let (wall_s, images, memory_bytes) =
            (self.kept.trained_s, self.kept.images, self.memory.held_bytes());
        self.recorder.tell(Event::Step {
            step,
            steps,
            values,
            images_per_s,
            eta_s,
            skipped,
            wall_s,
            images,
            memory_bytes,
        });
    }

    /// Makes previews, and a row of what they measure.
    pub(super) fn preview(&mut self) {
        let step = self.trainer.step_number();
        let preview = match self.trainer.preview(&mut self.kept.colours) {
            Ok(preview) => preview,
            Err(error) => return self.recorder.warn(format!("no preview: {error}; training goes on")),
        };
        self.recorder.picture("reconstructions", step, &preview.reconstructions);
        if let Some(samples) = &preview.samples {
            self.recorder.picture("samples", step, samples);
        }
        let mut row = self.row(step, preview_values(&preview));
        let ratios = self.ratios.drain(..).map(|(name, ratio)| (format!("update_ratio_{name}"), ratio));
        row.values.extend(ratios);
        row.values.insert(MEMORY.into(), self.memory.held_bytes() as f64 / f64::from(1 << 20));
        self.recorder.row(&row);
        self.psnr = Some(preview.psnr);
        self.rate.clear();
        let psnr = preview.psnr;
        self.roads.previews.put((step, preview));
        self.recorder.tell(Event::Preview { step, psnr, row: Box::new(row) });
    }

    /// Measures reconstruction and latent structure on held-out pictures.
    pub(super) fn measure(&mut self) {
        let step = self.trainer.step_number();
        match self.trainer.measure() {
            Ok(values) => {
                let row = self.row(step, values.iter().copied());
                self.recorder.row(&row);
                self.recorder.tell(Event::Measured { step, values });
            }
            Err(error) => self.recorder.warn(format!("nothing measured: {error}; training goes on")),
        }
        self.rate.clear();
    }
}

/// What a preview measures, under the names it has in the metrics.
fn preview_values(preview: &Preview) -> [(&'static str, f64); 4] {
    [
        (PSNR, preview.psnr),
        ("latent_spatial_variance", preview.latents.spatial_variance),
        ("latent_total_variation", preview.latents.total_variation_mean),
        ("latent_effective_rank", preview.latents.effective_rank),
    ]
}
