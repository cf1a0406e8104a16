//! Improved precision and recall (Kynkäänniemi et al. 2019): shares of one set that lie in the
//! manifold of the other, a union of balls to each member's third neighbour.

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Neighbour whose distance is a ball's radius; the member itself is not counted.
pub const NEIGHBOUR: usize = 3;

/// Which members of each set lie in the other's manifold.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// For each generated sample, whether it lies in the reference's manifold.
    pub precise: Vec<bool>,
    /// For each reference sample, whether it lies in the generated manifold.
    pub recalled: Vec<bool>,
}

impl Coverage {
    /// Of `reference` `[N, width]` and `generated` `[M, width]`, row-major. Time grows with the
    /// product of their numbers: give bounded subsets.
    ///
    /// # Errors
    /// Four rows a side at least.
    pub fn measure(reference: &[f32], generated: &[f32], width: usize) -> Result<Self> {
        let least = (NEIGHBOUR + 1) * width;
        let fits = |set: &[f32]| width > 0 && set.len().is_multiple_of(width) && set.len() >= least;
        if !fits(reference) || !fits(generated) {
            let (n, m) = (reference.len() / width.max(1), generated.len() / width.max(1));
            return Err(Error::Data(format!(
                "precision and recall need {} samples a side at least; found {n} and {m}",
                NEIGHBOUR + 1
            )));
        }
        Ok(Self {
            precise: inside(generated, reference, &radii(reference, width), width),
            recalled: inside(reference, generated, &radii(generated, width), width),
        })
    }

    /// Share of the generated samples that look like the reference's.
    pub fn precision(&self) -> f64 {
        share(&self.precise)
    }

    /// Share of the reference that the generated samples reach.
    pub fn recall(&self) -> f64 {
        share(&self.recalled)
    }
}

fn share(flags: &[bool]) -> f64 {
    flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64
}

/// Squared distance, from differences: products would lose the digits that ties hang on.
fn squared(a: &[f32], b: &[f32]) -> f64 {
    // Four sums, so that the compiler can use vectors.
    let mut sums = [0.0; 4];
    let (a, b) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (x, y) in a.0.iter().zip(b.0) {
        for k in 0..4 {
            let apart = f64::from(x[k]) - f64::from(y[k]);
            sums[k] += apart * apart;
        }
    }
    let rest = a.1.iter().zip(b.1).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>();
    sums.iter().sum::<f64>() + rest
}

/// Squared distance of each row to its third neighbour.
fn radii(set: &[f32], width: usize) -> Vec<f64> {
    let count = set.len() / width;
    let one = |i: usize| {
        let row = &set[i * width..(i + 1) * width];
        let mut nearest = [f64::INFINITY; NEIGHBOUR];
        for (j, other) in set.chunks_exact(width).enumerate() {
            let distance = squared(row, other);
            if j != i && distance < nearest[NEIGHBOUR - 1] {
                nearest[NEIGHBOUR - 1] = distance;
                nearest.sort_by(f64::total_cmp);
            }
        }
        nearest[NEIGHBOUR - 1]
    };
    (0..count).into_par_iter().map(one).collect()
}

fn inside(samples: &[f32], centres: &[f32], radii: &[f64], width: usize) -> Vec<bool> {
    let one = |row: &[f32]| centres.chunks_exact(width).zip(radii).any(|(c, r)| squared(row, c) <= *r);
    samples.par_chunks_exact(width).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_by_hand() {
        let reference = [0.0, 1.0, 2.0, 3.0];
        // Radii 3, 2, 2, 3 around 0, 1, 2, 3: the manifold is [−3, 6].
        let generated = [-3.0, 6.0, 7.0, 100.0];
        let found = Coverage::measure(&reference, &generated, 1).unwrap();
        assert_eq!(found.precise, [true, true, false, false]);
        // Radii 103, 94, 93, 103 reach all of the reference.
        assert_eq!((found.precision(), found.recall()), (0.5, 1.0));
    }

    #[test]
    fn equal_samples_count_as_inside() {
        let same = [1.5; 8];
        let found = Coverage::measure(&same, &same, 2).unwrap();
        assert_eq!((found.precision(), found.recall()), (1.0, 1.0));
        let other = Coverage::measure(&same, &[2.0; 8], 2).unwrap();
        assert_eq!((other.precision(), other.recall()), (0.0, 0.0));
    }

    #[test]
    fn fewer_than_four_are_refused() {
        assert!(Coverage::measure(&[0.0; 3], &[0.0; 4], 1).is_err());
        assert!(Coverage::measure(&[0.0; 4], &[0.0; 4], 0).is_err());
    }
}
