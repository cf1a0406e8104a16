//! How many pictures may go through the networks at once: what `train.micro_batch = 0` chooses at the start of a run,
//! and the arithmetic that `tandem doctor` shows.

use super::cost::{self, StepCost};
use crate::align::TeacherSpec;
use crate::config::Config;
use crate::device::Chosen;
use crate::error::Result;
use crate::memory;

/// Features of a teacher that is not loaded: DINOv2-B's; the width hardly matters here.
const TEACHER_FEATURES: usize = 768;
/// What a step holds over what the formula counts, at most: values of LPIPS and discriminator, gradients on their
/// way, buffers kept for the next step. docs/PERFORMANCE.md has the measurements.
pub const SLACK: f64 = 1.25;
/// The program, its pictures and its frozen networks, in bytes.
pub const PROGRAM_BYTES: f64 = 150e6;

/// Memory that a step may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Room {
    /// Free bytes; nothing for a graphics card with memory of its own, whose size wgpu does not tell.
    pub free_bytes: Option<f64>,
    /// Bytes of the largest tensor, where an adapter sets a limit.
    pub tensor_bytes: Option<f64>,
}

impl Room {
    /// What there is now on `chosen`.
    pub fn of(chosen: &Chosen) -> Self {
        let own_memory = chosen.adapter.as_ref().is_some_and(|adapter| adapter.kind == "discrete");
        Self {
            free_bytes: (!own_memory).then(|| memory::total_and_free_bytes().1 as f64),
            tensor_bytes: chosen.adapter.as_ref().map(|adapter| adapter.max_buffer_bytes as f64),
        }
    }
}

/// A step of a configuration, held against the memory there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// What a step costs.
    pub cost: StepCost,
    /// Pictures of a batch.
    pub batch: usize,
    /// The memory there is.
    pub room: Room,
}

impl Fit {
    /// Of `config`, for `num_classes` classes.
    ///
    /// # Errors
    /// A configuration that does not fit together, or an unknown teacher.
    pub fn of(config: &Config, num_classes: usize, room: Room) -> Result<Self> {
        let teachers =
            if config.method.aligns() { TeacherSpec::parse_all(&config.align.teacher)?.len() } else { 0 };
        let cost = cost::step(config, num_classes, vec![TEACHER_FEATURES; teachers])?;
        Ok(Self { cost, batch: config.train.batch, room })
    }

    /// Bytes that a step may hold with `pictures` at once.
    pub fn needed_bytes(&self, pictures: usize) -> f64 {
        PROGRAM_BYTES + self.cost.fixed_bytes() + SLACK * pictures as f64 * self.cost.picture_bytes
    }

    /// The largest divisor of the batch that fits; nothing when not even one picture does.
    pub fn micro_batch(&self) -> Option<usize> {
        let fits = |pictures: usize| {
            let free = self.room.free_bytes.is_none_or(|free| self.needed_bytes(pictures) <= free);
            let widest = pictures as f64 * self.cost.widest_bytes;
            free && self.room.tensor_bytes.is_none_or(|most| widest <= most)
        };
        (1..=self.batch).rev().find(|&pictures| self.batch.is_multiple_of(pictures) && fits(pictures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(batch: usize, free_bytes: Option<f64>, tensor_bytes: Option<f64>) -> Fit {
        let cost = StepCost {
            flops: 1.0,
            weight_bytes: 20.0,
            moment_bytes: 40.0,
            gradient_bytes: 20.0,
            average_bytes: 20.0,
            picture_bytes: 10.0 / SLACK,
            widest_bytes: 3.0,
        };
        Fit { cost, batch, room: Room { free_bytes: free_bytes.map(|b| b + PROGRAM_BYTES), tensor_bytes } }
    }

    #[test]
    fn batches_are_cut_until_they_fit() {
        let free = |batch, bytes| fit(batch, Some(bytes), None).micro_batch();
        assert_eq!(free(8, 180.0), Some(8));
        assert_eq!(free(8, 179.0), Some(4));
        assert_eq!(free(6, 125.0), Some(2));
        assert_eq!(free(7, 110.0), Some(1));
        assert_eq!(free(7, 109.0), None);
    }

    #[test]
    fn a_tensor_stays_within_the_adapters_limit() {
        assert_eq!(fit(8, None, Some(12.0)).micro_batch(), Some(4));
        assert_eq!(fit(8, Some(120.0), Some(12.0)).micro_batch(), Some(2));
        assert_eq!(fit(8, None, Some(2.0)).micro_batch(), None);
        assert_eq!(fit(8, None, None).micro_batch(), Some(8));
    }
}
