//! Two judged sets against each other: every figure with its interval, and what to beware of.

use super::bootstrap::{Estimate, Spread, estimate};
use super::frechet::{FrechetReference, Gaussian};
use super::kid::kid_of_subsets;
use super::moments::Moments;
use super::precision_recall::{Coverage, NEIGHBOUR};
use super::set::FeatureSet;
use crate::error::{Error, Result};

/// Subsets of the published KID.
const KID_SUBSETS: usize = 100;
/// Samples of a subset, if there are as many.
const KID_SIZE: usize = 1000;
/// Resamplings for an interval of precision and recall.
const REPLICATES: usize = 200;
/// Sample sizes that published figures have.
const PUBLISHED: u64 = 50_000;

/// Figures of a set against a reference.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// Fréchet distance of pooled features.
    pub frechet: Estimate,
    /// Fréchet distance of spatial features, where both sets have them.
    pub sfid: Option<f64>,
    /// Kernel distance over subsets, where samples of both sets are kept.
    pub kid: Option<Spread>,
    /// Share of the set that looks like the reference.
    pub precision: Option<Estimate>,
    /// Share of the reference that the set reaches.
    pub recall: Option<Estimate>,
    /// Inception score of the set, where the judge classifies.
    pub inception_score: Option<Spread>,
    /// Pictures of the set.
    pub num: u64,
    /// Pictures of the reference; 0 where its file does not say.
    pub num_reference: u64,
    /// Sentences for a person.
    pub warnings: Vec<String>,
}

impl Comparison {
    /// Compares `set` with `reference`, judged by the same network.
    ///
    /// # Errors
    /// Sets of one picture, or of features of another width.
    pub fn of(set: &FeatureSet, reference: &FeatureSet) -> Result<Self> {
        if set.count() < 2 {
            return Err(Error::Data(format!(
                "{} pictures have no distribution; 2 are the least",
                set.count()
            )));
        }
        let width = set.width();
        let prepared = FrechetReference::new(Gaussian::from(&reference.pooled))?;
        let frechet = frechet_estimate(set, &prepared)?;
        let sfid = match (&set.spatial, &reference.spatial) {
            (Some(own), Some(theirs)) => {
                Some(FrechetReference::new(Gaussian::from(theirs))?.distance_to(&Gaussian::from(own))?)
            }
            _ => None,
        };
        let fewest = set.num_kept().min(reference.num_kept());
        let kid = if fewest >= 2 {
            let shape = (KID_SUBSETS, KID_SIZE.min(fewest));
            Some(kid_of_subsets(&reference.kept, &set.kept, width, shape, 0)?)
        } else {
            None
        };
        let coverage = if fewest > NEIGHBOUR {
            Some(Coverage::measure(&reference.kept, &set.kept, width)?)
        } else {
            None
        };
        let share = |flags: Option<&Vec<bool>>| flags.map(|flags| share_estimate(flags)).transpose();
        Ok(Self {
            frechet,
            sfid,
            kid,
            precision: share(coverage.as_ref().map(|c| &c.precise))?,
            recall: share(coverage.as_ref().map(|c| &c.recalled))?,
            inception_score: set.inception_score()?,
            num: set.count(),
            num_reference: reference.count(),
            warnings: warnings(set, reference),
        })
    }
}

/// A share and its interval, which stays a share.
fn share_estimate(flags: &[bool]) -> Result<Estimate> {
    let share = |picks: &[usize]| Ok(picks.iter().filter(|i| flags[**i]).count() as f64 / picks.len() as f64);
    let Estimate { value, low, high } = estimate(flags.len(), REPLICATES, 0, share)?;
    Ok(Estimate { value, low: low.max(0.0), high: high.min(1.0) })
}

/// The distance on all pictures; its interval from resampling those that are kept.
fn frechet_estimate(set: &FeatureSet, reference: &FrechetReference) -> Result<Estimate> {
    let width = set.width();
    // An eigenvalue decomposition each: fewer where it is long.
    let replicates = match width {
        0..=256 => 100,
        257..=1024 => 30,
        _ => 8,
    };
    let value = reference.distance_to(&Gaussian::from(&set.pooled))?;
    let resampled = estimate(set.num_kept(), replicates, 0, |picks| {
        let rows: Vec<f32> =
            picks.iter().flat_map(|i| &set.kept[i * width..(i + 1) * width]).copied().collect();
        reference.distance_to(&Gaussian::from(&Moments::of(&rows, width)))
    })?;
    // The deviation falls with the root of the number of samples.
    let shrink = (set.num_kept() as f64 / set.count() as f64).sqrt();
    let half = (resampled.high - resampled.low) / 2.0 * shrink;
    Ok(Estimate { value, low: (value - half).max(0.0), high: value + half })
}

fn warnings(set: &FeatureSet, reference: &FeatureSet) -> Vec<String> {
    let (num, width) = (set.count(), set.width() as u64);
    let mut all = Vec::new();
    if num <= width {
        all.push(format!(
            "{num} pictures for features of width {width}: the covariance is singular and the Frechet distance much \
             too high; draw more than {width}"
        ));
    } else if num < 10 * width.max(500) && num < PUBLISHED {
        all.push(format!(
            "{num} pictures are few: the Frechet distance is biased upwards; compare only figures of as many pictures \
             (published ones have {PUBLISHED})"
        ));
    }
    if reference.count() > 0 && reference.count() <= width {
        all.push(format!(
            "the reference has {} pictures only, for features of width {width}",
            reference.count()
        ));
    }
    if set.num_kept() < KID_SIZE && set.num_kept() > 1 && reference.num_kept() > 1 {
        all.push(format!(
            "KID is over subsets of {} pictures, not the usual {KID_SIZE}",
            set.num_kept().min(reference.num_kept())
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::judge::Features;
    use super::*;

    fn set(count: usize, shift: f32) -> FeatureSet {
        let mut set = FeatureSet::new(count);
        let pooled = (0..count * 3).map(|i| ((i * i * 7 + i) % 101) as f32 / 50.0 + shift).collect();
        set.add(&Features { pooled, width: 3, spatial: Vec::new(), logits: None }).unwrap();
        set
    }

    #[test]
    fn a_shift_of_the_mean_is_found_and_lies_in_its_interval() {
        let found = Comparison::of(&set(400, 1.0), &set(400, 0.0)).unwrap();
        assert!((found.frechet.value - 3.0).abs() < 1e-4, "{:?}", found.frechet);
        assert!(found.frechet.low < 3.0 && found.frechet.high > 3.0);
        assert!(found.frechet.high - found.frechet.low > 0.05);
        assert!(found.kid.unwrap().mean > 0.1);
        assert!(found.precision.unwrap().value < 1.0 && found.inception_score.is_none());
        let same = Comparison::of(&set(400, 0.0), &set(400, 0.0)).unwrap();
        assert!(same.frechet.value < 1e-9);
        assert_eq!((same.precision.unwrap().value, same.recall.unwrap().value), (1.0, 1.0));
    }

    #[test]
    fn small_samples_are_warned_of() {
        let few = Comparison::of(&set(3, 0.0), &set(400, 0.0)).unwrap();
        assert!(few.warnings[0].contains("singular"), "{:?}", few.warnings);
        assert!(few.precision.is_none());
        let some = Comparison::of(&set(400, 0.0), &set(400, 0.0)).unwrap();
        assert!(some.warnings[0].contains("biased upwards"));
        assert!(Comparison::of(&set(1, 0.0), &set(400, 0.0)).is_err());
    }
}
