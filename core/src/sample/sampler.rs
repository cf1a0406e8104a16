//! From numbers of pictures to pictures: noise, transformer, inverse latent norm, decoder.

use burn::tensor::{Device, Tensor, TensorData};

use super::noise::{Stream, normal, rng};
use super::solver::{SampleConfig, sample};
use crate::kernel::profile::phase;
use crate::kernel::threads;
use crate::sit::Sit;
use crate::vae::Vae;

/// Draws pictures; number `n` depends on (seed, n) alone, not on what is drawn beside it.
#[derive(Clone, Copy)]
pub struct Sampler<'a> {
    /// Decodes.
    pub vae: &'a Vae,
    /// The transformer, with its latent norm; the averaged one as a rule.
    pub sit: &'a Sit,
    /// How the path is followed.
    pub config: SampleConfig,
    /// Seed of the noise.
    pub seed: u64,
    /// Where the networks live.
    pub device: &'a Device,
}

impl Sampler<'_> {
    /// Pictures `[B, 3, H, W]`, about [−1, 1], of `labels`; their numbers begin with `first`.
    pub fn draw(&self, first: u64, labels: &[usize]) -> Tensor<4> {
        threads::inside(self.device, || self.drawn(first, labels))
    }

    fn drawn(&self, first: u64, labels: &[usize]) -> Tensor<4> {
        let sit = self.sit.config();
        let (c, s) = (sit.in_channels, sit.input_size);
        let number = |offset: usize| first + offset as u64;
        let mut rngs: Vec<_> = (0..labels.len()).map(|i| rng(self.seed, Stream::Sample(number(i)))).collect();
        let mut noise = || {
            let values: Vec<f32> = rngs.iter_mut().flat_map(|rng| normal(rng, c * s * s)).collect();
            Tensor::from_data(TensorData::new(values, [labels.len(), c, s, s]), self.device)
        };
        let start = noise();
        let latents = phase("solver", || sample(self.sit, start, labels, self.config, |_| noise(), |_| {}));
        phase("decode", || self.vae.decode(self.sit.latent_norm.denormalize(latents)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Solver;
    use super::*;
    use crate::params::{self, Param, host};
    use crate::sit::{Path, SitConfig};
    use crate::vae::VaeConfig;

    fn networks(device: &Device) -> (Vae, Sit) {
        let vae = Vae::new(&VaeConfig::plain(&[8, 8], 1, 2, 4, 8), 1, device).unwrap();
        let config = SitConfig {
            input_size: 4,
            patch_size: 1,
            in_channels: 2,
            hidden_size: 16,
            depth: 1,
            num_heads: 2,
            mlp_ratio: 2.0,
            num_classes: 3,
            encoder_depth: 1,
            z_dims: vec![],
            projector_dim: 8,
            qk_norm: false,
            bn_momentum: 0.1,
        };
        let mut sit = Sit::new(&config, 1, device).unwrap();
        // A fresh transformer is zero in its gates and says nothing about labels.
        params::visit(&mut sit, |_, param: &mut Param| {
            let values: Vec<f32> = (0..param.len()).map(|i| ((i * 7 + 3) % 11) as f32 / 20.0 - 0.2).collect();
            param.set(Tensor::from_data(TensorData::new(values, [param.len()]), device));
        });
        sit.latent_norm.set_stats(&[0.5, -0.5], &[2.0, 0.5]);
        (vae, sit)
    }

    #[test]
    fn a_picture_depends_on_its_number_and_label_and_not_on_its_batch() {
        let device = crate::device::cpu();
        let (vae, sit) = networks(&device);
        for solver in [Solver::Heun, Solver::Sde] {
            let config =
                SampleConfig { solver, steps: 3, cfg: 1.5, interval: (0.0, 1.0), path: Path::Linear };
            let sampler = Sampler { vae: &vae, sit: &sit, config, seed: 5, device: &device };
            let together = host(sampler.draw(0, &[0, 1, 2, 0]));
            let apart = [host(sampler.draw(0, &[0])), host(sampler.draw(1, &[1, 2, 0]))].concat();
            let largest =
                |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(largest(&together, &apart) < 1e-5, "{solver:?}");
            let size = together.len() / 4;
            let other_label = host(sampler.draw(0, &[2]));
            assert!(largest(&together[..size], &other_label) > 1e-3, "labels count");
            let other_number = host(sampler.draw(3, &[0]));
            assert!(largest(&together[3 * size..], &other_number) < 1e-5);
            assert!(largest(&together[..size], &other_number) > 1e-3, "numbers count");
        }
    }
}
