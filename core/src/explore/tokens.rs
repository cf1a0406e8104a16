//! Features of a picture's tokens, of unit length, so that the similarity of any two is one product:
//! hovering costs no trip to the engine.

/// Unit features of the tokens of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenFeatures {
    /// Where they come from.
    pub name: String,
    /// Rows and columns of tokens.
    pub grid: [usize; 2],
    width: usize,
    unit: Vec<f32>, // [rows · columns, width]
}

impl TokenFeatures {
    /// Of `rows`, `[grid[0] · grid[1], width]`; a row of zeros stays one and is like nothing.
    ///
    /// # Panics
    /// When the rows are not as many as the grid says.
    pub fn new(name: impl Into<String>, grid: [usize; 2], width: usize, mut rows: Vec<f32>) -> Self {
        assert_eq!(rows.len(), grid[0] * grid[1] * width, "a row of {width} for each of {grid:?} tokens");
        for row in rows.chunks_exact_mut(width.max(1)) {
            let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
        }
        Self { name: name.into(), grid, width, unit: rows }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cosine similarity of `token` with every token, row by row; nothing for a token that is not there.
    pub fn similarities(&self, token: usize) -> Vec<f32> {
        let Some(one) = self.unit.get(token * self.width..(token + 1) * self.width) else {
            return Vec::new();
        };
        let all = self.unit.chunks_exact(self.width.max(1));
        all.map(|other| one.iter().zip(other).map(|(a, b)| a * b).sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarities_are_those_of_the_definition_and_one_with_oneself() {
        let (grid, width) = ([3, 4], 5);
        let rows: Vec<f32> =
            (0..60).map(|i| ((i * 37 % 23) as f32 - 9.0) * (1.0 + i as f32 / 10.0)).collect();
        let features = TokenFeatures::new("z", grid, width, rows.clone());
        let row = |i: usize| &rows[i * width..(i + 1) * width];
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        for i in 0..features.len() {
            let found = features.similarities(i);
            assert_eq!(found.len(), 12);
            assert!((found[i] - 1.0).abs() < 1e-6);
            for (j, value) in found.iter().enumerate() {
                let naive = dot(row(i), row(j)) / (dot(row(i), row(i)) * dot(row(j), row(j))).sqrt();
                assert!((f64::from(*value) - naive).abs() < 1e-6, "{i}, {j}: {value} for {naive}");
                assert!((features.similarities(j)[i] - value).abs() < 1e-6, "symmetric");
            }
        }
        assert!(features.similarities(12).is_empty());
    }

    #[test]
    fn a_token_of_zeros_is_like_nothing() {
        let features = TokenFeatures::new("z", [1, 2], 2, vec![0.0, 0.0, 3.0, 4.0]);
        assert_eq!(features.similarities(0), [0.0, 0.0]);
        assert_eq!(features.similarities(1), [0.0, 1.0]);
    }
}
