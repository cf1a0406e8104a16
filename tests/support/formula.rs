//! Weights by the formula of tests/fixtures/formula.py.

use tandem_core::error::Result;
use tandem_core::params::TensorSource;

/// `count` values in [-1, 1) that depend on the name alone.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    })
}

/// Tensors of known shapes, with mean and spread by name and shape.
pub struct Formula<S, M> {
    pub shape_of: S,
    pub scale_of: M,
}

impl<S, M> TensorSource for Formula<S, M>
where
    S: Fn(&str) -> Option<Vec<usize>>,
    M: Fn(&str, &[usize]) -> (f64, f64),
{
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        Ok((self.shape_of)(name).map(|shape| {
            let (mean, spread) = (self.scale_of)(name, &shape);
            let (mean, spread) = (mean as f32, spread as f32);
            let values = uniform(name, shape.iter().product()).map(|v| mean + spread * v).collect();
            (shape, values)
        }))
    }
}
