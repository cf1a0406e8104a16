//! A solver's conditioning, made ahead of its steps: what times and labels contribute to every block does
//! not depend on the latents, so one product for each block serves many steps, and a label that occurs
//! often ("no class" in guidance makes half of every batch) is computed once.

use burn::tensor::{Int, Tensor, TensorData};

use super::Sit;

/// Bytes of modulations kept ready; a published size takes the steps in several groups.
const READY_BYTES: usize = 64 << 20;

/// Modulations of one transformer for known times and labels.
#[derive(Debug)]
pub struct Schedule<'a> {
    sit: &'a Sit,
    /// All times, in the order of their use.
    times: Vec<f32>,
    /// Labels without repeats.
    distinct: Vec<usize>,
    /// For each sample, its place in `distinct`; `[B]`.
    rows: Tensor<1, Int>,
    /// The first of `times` that is ready, and the modulations of blocks and final layer, each
    /// `[times, distinct, ..]`.
    ready: Option<(usize, Vec<Tensor<3>>)>,
}

impl<'a> Schedule<'a> {
    /// For samples of `labels` at `times`.
    pub fn new(sit: &'a Sit, times: Vec<f32>, labels: &[usize]) -> Self {
        let mut distinct = labels.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |label: &usize| distinct.partition_point(|known| known < label) as i32;
        let rows: Vec<i32> = labels.iter().map(place).collect();
        let device = sit.pos_embed.flat().device().without_autodiff();
        let rows = Tensor::from_data(TensorData::new(rows, [labels.len()]), &device);
        Self { sit, times, distinct, rows, ready: None }
    }

    /// The velocity of `x_t [B, C, S, S]` at `t`, which should be one of the times; the first B labels
    /// count.
    pub fn velocity(&mut self, x_t: Tensor<4>, t: f32) -> Tensor<4> {
        let batch = x_t.dims()[0];
        let known = self.times.iter().position(|&time| time.to_bits() == t.to_bits());
        let at = known.unwrap_or_else(|| {
            self.times.push(t);
            self.times.len() - 1
        });
        let (first, ready) = self.group(at);
        let rows = self.rows.clone().narrow(0, 0, batch);
        let modulations = ready.iter().map(|all| {
            let [_, distinct, width] = all.dims();
            let one = all.clone().narrow(0, at - first, 1).reshape([distinct, width]);
            one.select(0, rows.clone())
        });
        self.sit.velocity_modulated(x_t, modulations.collect())
    }

    /// The group of ready times that holds number `at`; makes it if need be.
    fn group(&mut self, at: usize) -> (usize, Vec<Tensor<3>>) {
        if let Some((first, ready)) = &self.ready
            && let Some(times) = ready.first().map(|all| all.dims()[0])
            && (*first..first + times).contains(&at)
        {
            return (*first, ready.clone());
        }
        self.ready = None; // Freed before the next is made.
        let config = self.sit.config();
        let time_bytes = 4 * self.distinct.len() * config.hidden_size * (6 * config.depth + 2);
        let count = (READY_BYTES / time_bytes.max(1)).clamp(1, self.times.len() - at);
        let made = self.sit.modulations(&self.times[at..at + count], &self.distinct);
        self.ready = Some((at, made.clone()));
        (at, made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use crate::params::{self, host};
    use crate::sit::SitConfig;

    fn sit() -> Sit {
        let config = SitConfig {
            input_size: 4,
            patch_size: 1,
            in_channels: 2,
            hidden_size: 8,
            depth: 2,
            num_heads: 2,
            mlp_ratio: 2.0,
            num_classes: 5,
            encoder_depth: 1,
            z_dims: vec![3],
            projector_dim: 4,
            qk_norm: false,
            bn_momentum: 0.1,
        };
        let mut sit = Sit::new(&config, 1, &device::cpu()).unwrap();
        // Gates start shut: open them, or nothing would depend on time and label.
        let mut seed = 0.0;
        params::visit(&mut sit, |_, param| {
            seed += 1.0;
            let values: Vec<f32> =
                (0..param.len()).map(|i| ((i as f32 + seed) * 12.9898).sin() * 0.3).collect();
            param.set(Tensor::from_floats(values.as_slice(), &device::cpu()));
        });
        sit
    }

    fn latents(batch: usize) -> Tensor<4> {
        let values: Vec<f32> = (0..batch * 32).map(|i| (i as f32 * 0.7).cos()).collect();
        Tensor::from_data(TensorData::new(values, [batch, 2, 4, 4]), &device::cpu())
    }

    #[test]
    fn velocities_are_those_of_the_transformer() {
        let (sit, labels) = (sit(), [3, 1, 3, 5, 5]);
        let mut schedule = Schedule::new(&sit, vec![1.0, 0.5, 0.25], &labels);
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        // In order, again, a time that was not announced, and only the first samples.
        for (t, batch) in [(1.0, 5), (0.5, 5), (0.5, 3), (0.25, 2), (0.75, 5), (1.0, 1)] {
            let x = latents(batch);
            let want = host(sit.velocity(x.clone(), &vec![t; batch], &labels[..batch]));
            let got = host(schedule.velocity(x.clone(), t));
            assert!(close(&got, &want), "t = {t}, {batch} samples");
            let other = host(sit.velocity(x, &vec![t + 0.1; batch], &labels[..batch]));
            assert!(!close(&got, &other), "the comparison cannot fail");
        }
    }
}
