//! What is kept of a set of pictures once they are judged: streamed moments, and a bounded number of
//! samples for the figures that need pairs.

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::inception_score::{InceptionScore, SPLITS};
use super::judge::Features;
use super::moments::Moments;
use crate::error::Result;

/// Samples kept for KID, precision, recall and intervals; of more, a random subset of this size.
pub const MOST_KEPT: usize = 10_000;

/// A judged set.
#[derive(Debug, Clone)]
pub struct FeatureSet {
    /// Of the pooled features.
    pub pooled: Moments,
    /// Of the spatial features.
    pub spatial: Option<Moments>,
    /// Kept samples `[≤ 10 000, width]`.
    pub kept: Vec<f32>,
    score: Option<InceptionScore>,
    num: usize,
    rng: ChaCha8Rng,
}

impl FeatureSet {
    /// Of `num` pictures that are still to come.
    pub fn new(num: usize) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(0);
        Self { pooled: Moments::new(0), spatial: None, kept: Vec::new(), score: None, num, rng }
    }

    /// A set that was judged earlier: from a file of statistics.
    pub fn of_statistics(pooled: Moments, spatial: Option<Moments>, kept: Vec<f32>) -> Self {
        Self { pooled, spatial, kept, ..Self::new(0) }
    }

    /// Takes in the features of a batch.
    ///
    /// # Errors
    /// When no inception score can be had of so few pictures.
    pub fn add(&mut self, features: &Features) -> Result<()> {
        let width = features.width;
        let count = features.pooled.len() / width;
        if count == 0 {
            return Ok(());
        }
        if self.pooled.count() == 0 {
            self.pooled = Moments::new(width);
            let wide = features.spatial.len() / count;
            self.spatial = (wide > 0).then(|| Moments::new(wide));
            if let Some(logits) = &features.logits
                && self.num >= SPLITS
            {
                self.score = Some(InceptionScore::new(self.num, logits.len() / count, SPLITS)?);
            }
        }
        for (offset, row) in features.pooled.chunks_exact(width).enumerate() {
            self.keep(self.pooled.count() as usize + offset, row);
        }
        self.pooled.add(&features.pooled);
        if let Some(spatial) = &mut self.spatial {
            spatial.add(&features.spatial);
        }
        if let (Some(score), Some(logits)) = (&mut self.score, &features.logits) {
            score.add(logits);
        }
        Ok(())
    }

    /// Reservoir sampling (Vitter 1985, algorithm R): every picture has the same chance.
    fn keep(&mut self, seen: usize, row: &[f32]) {
        if seen < MOST_KEPT {
            return self.kept.extend_from_slice(row);
        }
        let place = self.rng.random_range(0..=seen);
        if place < MOST_KEPT {
            self.kept[place * row.len()..(place + 1) * row.len()].copy_from_slice(row);
        }
    }

    /// Pictures judged.
    pub fn count(&self) -> u64 {
        self.pooled.count()
    }

    /// Values of one picture's pooled features.
    pub fn width(&self) -> usize {
        self.pooled.width()
    }

    /// Samples kept.
    pub fn num_kept(&self) -> usize {
        self.kept.len() / self.width().max(1)
    }

    /// The inception score over ten splits, where the judge classifies and pictures suffice.
    ///
    /// # Errors
    /// Fewer pictures than announced.
    pub fn inception_score(&self) -> Result<Option<super::Spread>> {
        self.score.as_ref().map(InceptionScore::finish).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(range: std::ops::Range<usize>) -> Features {
        let pooled = range.clone().flat_map(|i| [i as f32, (i * i % 7) as f32]).collect();
        let spatial = range.clone().map(|i| i as f32).collect();
        let logits = Some(range.flat_map(|i| [i as f32 % 3.0, 1.0]).collect());
        Features { pooled, width: 2, spatial, logits }
    }

    #[test]
    fn a_bounded_number_of_samples_is_kept_of_all_parts_of_the_set() {
        let num = 3 * MOST_KEPT;
        let mut set = FeatureSet::new(num);
        for start in (0..num).step_by(500) {
            set.add(&batch(start..start + 500)).unwrap();
        }
        assert_eq!((set.count(), set.num_kept(), set.width()), (num as u64, MOST_KEPT, 2));
        let mean = set.kept.chunks(2).map(|row| f64::from(row[0])).sum::<f64>() / MOST_KEPT as f64;
        assert!((mean / num as f64 - 0.5).abs() < 0.02, "{mean}");
        assert!(set.inception_score().unwrap().unwrap().mean >= 1.0);
        assert_eq!(set.spatial.unwrap().count(), num as u64);
    }

    #[test]
    fn few_pictures_have_no_inception_score() {
        let mut set = FeatureSet::new(9);
        set.add(&batch(0..9)).unwrap();
        assert!(set.inception_score().unwrap().is_none());
        assert_eq!(set.num_kept(), 9);
    }
}
