//! Shared by the unit tests here: seeded values and a comparison that first proves it can fail.

/// `n` repeatable values in [−1, 1).
pub fn values(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// The same numbers in `f64`.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

fn error(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    let scale = want.iter().fold(1e-6_f64, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0.0, |worst, (g, w)| {
        let e = (f64::from(*g) - w).abs() / scale;
        if e > worst || e.is_nan() { e } else { worst }
    })
}

/// Asserts that the largest error, relative to the largest wanted value, is within `tolerance`, after showing
/// that one element off by ten tolerances is refused.
pub fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    if !got.is_empty() {
        let scale = want.iter().fold(1e-6_f64, |m, v| m.max(v.abs()));
        let mut spoiled: Vec<f32> = want.iter().map(|&v| v as f32).collect();
        spoiled[got.len() / 2] += (10.0 * tolerance * scale) as f32;
        assert!(error(&spoiled, want) > tolerance, "{what}: the comparison accepts a perturbed copy");
    }
    let error = error(got, want);
    assert!(error <= tolerance, "{what}: error {error:e} above {tolerance:e}");
}
