//! The training order: which image stands where, and which is mirrored, from (seed, epoch) alone.
//!
//! Each epoch is a Fisher–Yates shuffle drawn from ChaCha8 keyed by (seed, epoch). The shuffle is
//! written out here, not taken from `rand`, so that no version of that crate can change an order.
//! Position p of the endless concatenation of epochs is item `p mod n` of epoch `p div n`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// One epoch: the shuffled image indices and a mirror bit per image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// Which epoch, from 0.
    pub number: u64,
    /// Image indices in the order they are seen; each of `0..n` once.
    pub indices: Vec<usize>,
    /// By image index, not by position.
    pub flipped: Vec<bool>,
}

impl Epoch {
    /// Epoch `number` of a set of `len` images.
    pub fn new(len: usize, seed: u64, number: u64) -> Self {
        let mut shuffle = keyed(seed, number, b"tandem-shuffle--");
        let mut indices: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            indices.swap(last, below(&mut shuffle, last as u64 + 1) as usize);
        }
        let mut flip = keyed(seed, number, b"tandem-flip-----");
        let flipped = (0..len).map(|_| flip.next_u32() & 1 == 1).collect();
        Self { number, indices, flipped }
    }
}

fn keyed(seed: u64, epoch: u64, purpose: &[u8; 16]) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..].copy_from_slice(purpose);
    ChaCha8Rng::from_seed(key)
}

/// A uniform number under `bound` by multiplication; the bias is below 2^-32 for any real set.
fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_permutation_that_depends_on_seed_and_number() {
        let epoch = Epoch::new(100, 3, 5);
        assert_eq!(epoch, Epoch::new(100, 3, 5));
        let mut sorted = epoch.indices.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_ne!(epoch.indices, Epoch::new(100, 3, 6).indices);
        assert_ne!(epoch.indices, Epoch::new(100, 4, 5).indices);
        assert_ne!(epoch.flipped, Epoch::new(100, 3, 6).flipped);
    }

    #[test]
    fn the_order_never_changes_between_releases() {
        assert_eq!(Epoch::new(8, 0, 0).indices, [1, 0, 6, 7, 2, 3, 5, 4]);
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut counts = [[0; 4]; 4];
        for epoch in 0..4000 {
            for (place, &index) in Epoch::new(4, 1, epoch).indices.iter().enumerate() {
                counts[place][index] += 1;
            }
        }
        assert!(counts.iter().flatten().all(|&c| (850..1150).contains(&c)), "{counts:?}");
    }
}
