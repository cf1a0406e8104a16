//! Inception score (Salimans et al. 2016): `exp(mean KL(p(y|x) ‖ p(y)))` over equal consecutive
//! splits, streamed.

use super::bootstrap::Spread;
use crate::error::{Error, Result};

/// Splits of the published figure.
pub const SPLITS: usize = 10;

/// Sums of one split.
#[derive(Debug, Clone, Default)]
struct Split {
    count: usize,
    /// Sum of p(y|x).
    shares: Vec<f64>,
    /// Sum of p ln p.
    negative_entropy: f64,
}

impl Split {
    fn score(&self) -> f64 {
        let count = self.count as f64;
        let marginal: f64 = self.shares.iter().map(|sum| plogp(sum / count)).sum();
        (self.negative_entropy / count - marginal).exp()
    }
}

/// Scores logits as they come; how many there will be is known beforehand.
#[derive(Debug, Clone)]
pub struct InceptionScore {
    per_split: usize,
    classes: usize,
    splits: Vec<Split>,
    seen: usize,
}

impl InceptionScore {
    /// For `num` pictures in `splits` equal parts; a remainder is left out.
    ///
    /// # Errors
    /// Fewer pictures than splits, or no classes.
    pub fn new(num: usize, classes: usize, splits: usize) -> Result<Self> {
        if splits == 0 || num < splits || classes == 0 {
            return Err(Error::Data(format!(
                "an inception score in {splits} splits needs as many pictures, and classes; found {num} and {classes}"
            )));
        }
        let empty = Split { shares: vec![0.0; classes], ..Split::default() };
        Ok(Self { per_split: num / splits, classes, splits: vec![empty; splits], seen: 0 })
    }

    /// Takes in logits `[B, classes]`.
    ///
    /// # Panics
    /// When their values are no multiple of the number of classes.
    pub fn add(&mut self, logits: &[f32]) {
        assert!(logits.len().is_multiple_of(self.classes), "logits of {} classes", self.classes);
        for row in logits.chunks_exact(self.classes) {
            let place = self.seen / self.per_split;
            self.seen += 1;
            let Some(split) = self.splits.get_mut(place) else { continue };
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f64> = row.iter().map(|x| f64::from(*x - largest).exp()).collect();
            let total: f64 = powers.iter().sum();
            for (sum, power) in split.shares.iter_mut().zip(&powers) {
                let share = power / total;
                *sum += share;
                split.negative_entropy += plogp(share);
            }
            split.count += 1;
        }
    }

    /// Mean and population deviation over the splits.
    ///
    /// # Errors
    /// When fewer pictures came than were announced.
    pub fn finish(&self) -> Result<Spread> {
        let needed = self.per_split * self.splits.len();
        if self.seen < needed {
            return Err(Error::Data(format!("the inception score saw {} of {needed} pictures", self.seen)));
        }
        Ok(Spread::of(&self.splits.iter().map(Split::score).collect::<Vec<_>>()))
    }
}

fn plogp(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_and_varied_scores_the_number_of_classes() {
        let mut score = InceptionScore::new(8, 4, 2).unwrap();
        for i in 0..8 {
            score.add(&std::array::from_fn::<f32, 4, _>(|c| if c == i % 4 { 100.0 } else { 0.0 }));
        }
        let found = score.finish().unwrap();
        assert!((found.mean - 4.0).abs() < 1e-9 && found.std < 1e-9);
        let mut same = InceptionScore::new(3, 4, 1).unwrap();
        same.add(&[1.0, 2.0, 3.0, 4.0].repeat(3));
        assert!((same.finish().unwrap().mean - 1.0).abs() < 1e-12);
    }

    #[test]
    fn too_few_pictures_are_told() {
        assert!(InceptionScore::new(9, 4, 10).is_err());
        let mut score = InceptionScore::new(20, 2, 10).unwrap();
        score.add(&[0.0; 38]);
        assert!(score.finish().unwrap_err().to_string().contains("19 of 20"));
    }
}
