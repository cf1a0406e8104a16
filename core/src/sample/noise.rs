//! Random numbers drawn on the host, from (seed, stream) alone: the same on every device, whatever
//! is drawn beside them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Separates the streams of a seed: training steps, pictures of a sampling job, their labels.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Step `n` of training.
    Step(u64),
    /// Picture `n` of a sampling job.
    Sample(u64),
    /// Label `n` of a sampling job.
    Label(u64),
}

/// A generator for one stream of a seed.
pub fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // ChaCha streams are 64 bit; the top two bits say which kind.
    let number = |n: u64| n & (u64::MAX >> 2);
    rng.set_stream(match stream {
        Stream::Step(n) => number(n),
        Stream::Sample(n) => (2 << 62) | number(n),
        Stream::Label(n) => (3 << 62) | number(n),
    });
    rng
}

/// Standard normal values from `rng`.
pub fn normal(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.sample(StandardNormal)).collect()
}
