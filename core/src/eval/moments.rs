//! Mean and covariance of rows that are seen once: memory does not grow with their number.
//!
//! Batches are merged by their means and centred scatter (Chan, Golub and LeVeque 1979), in f64: sums
//! of raw squares would lose digits where the mean is large.

use super::linear::add_gram;

/// Count, mean and centred scatter of rows of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    /// Sum of outer products of centred rows, `[width, width]`.
    scatter: Vec<f64>,
}

impl Moments {
    /// Of no rows yet, `width` wide.
    pub fn new(width: usize) -> Self {
        Self { count: 0, mean: vec![0.0; width], scatter: vec![0.0; width * width] }
    }

    /// Of `rows`, `[N, width]` row-major.
    ///
    /// # Panics
    /// As [`Moments::add`].
    pub fn of(rows: &[f32], width: usize) -> Self {
        let mut moments = Self::new(width);
        moments.add(rows);
        moments
    }

    /// Known mean and sample covariance `[width, width]`, of `count` rows if that is known.
    pub fn from_parts(count: Option<u64>, mean: Vec<f64>, covariance: Vec<f64>) -> Self {
        // Of an unknown number the scatter is the covariance: see `covariance`.
        let by = count.map_or(1, |count| count.saturating_sub(1).max(1)) as f64;
        let scatter = covariance.into_iter().map(|value| value * by).collect();
        Self { count: count.unwrap_or(0), mean, scatter }
    }

    /// Takes in `rows`, `[N, width]` row-major.
    ///
    /// # Panics
    /// When their values are no multiple of the width.
    pub fn add(&mut self, rows: &[f32]) {
        let width = self.width();
        assert!(width > 0 && rows.len().is_multiple_of(width), "rows of width {width}");
        let new = rows.len() / width;
        if new == 0 {
            return;
        }
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        mean.iter_mut().for_each(|sum| *sum /= new as f64);
        let centred: Vec<f64> = rows
            .chunks_exact(width)
            .flat_map(|row| row.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m))
            .collect();
        add_gram(&mut self.scatter, &centred, width);
        // The two means lie apart: that is scatter too.
        let (old, new) = (self.count as f64, new as f64);
        let weight = old * new / (old + new);
        mean.iter_mut().zip(&self.mean).for_each(|(new, old)| *new -= old);
        for (i, x) in mean.iter().enumerate() {
            let to = &mut self.scatter[i * width..(i + 1) * width];
            to.iter_mut().zip(&mean).for_each(|(sum, y)| *sum += weight * x * y);
        }
        self.mean
            .iter_mut()
            .zip(&mean)
            .for_each(|(old, apart)| *old += apart * new / (self.count as f64 + new));
        self.count += new as u64;
    }

    /// Rows seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Mean of each column.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Covariance, divided by `count − missing`: 1 for the sample's, 0 for the population's.
    pub fn covariance(&self, missing: u64) -> Vec<f64> {
        let by = self.count.saturating_sub(missing).max(1) as f64;
        self.scatter.iter().map(|sum| sum / by).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, width: usize) -> Vec<f32> {
        (0..count * width).map(|i| 1000.0 + ((i * i + 7 * i) % 97) as f32 / 10.0).collect()
    }

    #[test]
    fn one_batch_and_many_give_the_same_covariance() {
        let all = rows(101, 5);
        let whole = Moments::of(&all, 5);
        let mut parts = Moments::new(5);
        for part in all.chunks(5 * 7) {
            parts.add(part);
        }
        assert_eq!((parts.count(), whole.count()), (101, 101));
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-10);
        assert!(close(parts.mean(), whole.mean()));
        assert!(close(&parts.covariance(1), &whole.covariance(1)));
        assert!(!close(&parts.covariance(1), &Moments::of(&all[5..], 5).covariance(1)));
    }

    #[test]
    fn covariance_by_hand() {
        let moments = Moments::of(&[0.0, 1.0, 2.0, 5.0], 2);
        assert_eq!(moments.mean(), [1.0, 3.0]);
        assert_eq!(moments.covariance(0), [1.0, 2.0, 2.0, 4.0]);
        assert_eq!(moments.covariance(1), [2.0, 4.0, 4.0, 8.0]);
        assert_eq!(Moments::new(1).covariance(1), [0.0]);
    }
}
