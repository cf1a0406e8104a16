//! Fresh weights, drawn on the host so that a seed gives the same model on every device.
//!
//! The forms are PyTorch's: `uniform_fan_in` is what `nn.Linear` and `nn.Conv2d` start with
//! (kaiming uniform with a = √5), `xavier` and `normal` are what SiT and PatchGAN ask for.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::params::Param;

/// A stream of fresh weights for one device.
pub struct Init {
    /// `None` makes weights without values, for models that are loaded.
    rng: Option<ChaCha8Rng>,
    device: Device,
}

impl Init {
    /// Weights that depend on `seed` and `part` (a name such as "vae") alone.
    pub fn new(seed: u64, part: &str, device: &Device) -> Self {
        let stream = part.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rng: Some(rng), device: device.clone().without_autodiff() }
    }

    /// No weights at all: each must be loaded before use. Saves drawing what is overwritten.
    pub fn unset(device: &Device) -> Self {
        Self { rng: None, device: device.clone().without_autodiff() }
    }

    /// Where the weights live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Uniform in ±1/√fan_in.
    pub fn uniform_fan_in(&mut self, shape: &[usize], fan_in: usize) -> Param {
        self.uniform(shape, (fan_in as f32).powf(-0.5))
    }

    /// Glorot's uniform: ±√(6 / (fan_in + fan_out)).
    pub fn xavier(&mut self, shape: &[usize]) -> Param {
        let fan_out = shape[0];
        let fan_in = shape[1..].iter().product::<usize>();
        self.uniform(shape, (6.0 / (fan_in + fan_out) as f32).sqrt())
    }

    /// Normal with `mean` and `std`.
    pub fn normal(&mut self, shape: &[usize], mean: f32, std: f32) -> Param {
        self.drawn(shape, |rng| mean + std * rng.sample::<f32, _>(StandardNormal))
    }

    /// One value everywhere.
    pub fn filled(&mut self, shape: &[usize], value: f32) -> Param {
        match self.rng {
            Some(_) => Param::filled(value, shape, &self.device),
            None => Param::unset(shape, &self.device),
        }
    }

    fn uniform(&mut self, shape: &[usize], bound: f32) -> Param {
        self.drawn(shape, |rng| (rng.random::<f32>() * 2.0 - 1.0) * bound)
    }

    fn drawn(&mut self, shape: &[usize], mut draw: impl FnMut(&mut ChaCha8Rng) -> f32) -> Param {
        let Some(rng) = &mut self.rng else { return Param::unset(shape, &self.device) };
        let count: usize = shape.iter().product();
        Param::weight((0..count).map(|_| draw(rng)).collect(), shape, &self.device)
    }
}
