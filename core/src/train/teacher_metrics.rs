//! Metric names of the alignment losses when there are several teachers.

use crate::align::Teacher;

/// What the losses of one teacher among several are called.
#[derive(Clone, Copy, Debug)]
pub struct TeacherMetrics {
    /// In the transformer pass: `align_loss.NAME`.
    pub align: &'static str,
    /// In the autoencoder pass: `vae_align_loss.NAME`.
    pub vae_align: &'static str,
}

impl TeacherMetrics {
    /// For `teachers`; empty when there are fewer than two, whose loss is the total.
    pub fn of(teachers: &[Teacher]) -> Vec<Self> {
        if teachers.len() < 2 {
            return Vec::new();
        }
        // Metrics have static names; a run adds these few words once.
        let name = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let one = |teacher: &Teacher| Self {
            align: name(format!("align_loss.{}", teacher.name())),
            vae_align: name(format!("vae_align_loss.{}", teacher.name())),
        };
        teachers.iter().map(one).collect()
    }
}
