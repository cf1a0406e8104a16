//! Position tables for another grid, as timm resamples them (`resample_abs_pos_embed`): antialiased
//! bicubic, half-pixel centres in f32, a = -0.5, weights renormalised at the edges.
//!
//! Pictures are resized elsewhere: for training in [`super::resize`], as tensors in
//! [`crate::kernel::resample`].

/// For each output position: the input positions and their weights.
type Taps = Vec<Vec<(usize, f32)>>;

/// The cubic kernel, a = -0.5, at distance `x`.
fn cubic(x: f32) -> f32 {
    const A: f32 = -0.5;
    match x.abs() {
        x if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
        _ => 0.0,
    }
}

fn antialiased_taps(from: usize, to: usize) -> Taps {
    let scale = from as f32 / to as f32;
    let filter_scale = scale.max(1.0);
    let support = 2.0 * filter_scale;
    let taps = |position: usize| {
        let center = scale * (position as f32 + 0.5);
        let first = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as i64).clamp(0, from as i64) as usize;
        let weight = |x: usize| cubic((x as f32 - center + 0.5) / filter_scale);
        let sum: f32 = (first..end).map(weight).sum();
        (first..end).map(|x| (x, weight(x) / sum)).collect()
    };
    (0..to).map(taps).collect()
}

/// Resize of square planes `[planes, from, from]` along both axes, columns first.
fn separable(x: &[f32], from: usize, taps: &Taps) -> Vec<f32> {
    let to = taps.len();
    let mut out = Vec::with_capacity(x.len() / (from * from) * to * to);
    for plane in x.chunks_exact(from * from) {
        let narrow: Vec<f32> = plane
            .chunks_exact(from)
            .flat_map(|row| taps.iter().map(|taps| taps.iter().map(|&(i, k)| row[i] * k).sum::<f32>()))
            .collect(); // [from, to]
        for row in taps {
            for column in 0..to {
                out.push(row.iter().map(|&(i, k)| narrow[i * to + column] * k).sum());
            }
        }
    }
    out
}

/// A position table for another grid, as timm's `resample_abs_pos_embed`; prefix tokens are kept.
///
/// # Shapes
/// `table` is `[prefix_tokens + from², dim]`, the result `[prefix_tokens + to², dim]`; no side is 0.
pub fn resample_pos_embed(
    table: &[f32],
    from: usize,
    to: usize,
    dim: usize,
    prefix_tokens: usize,
) -> Vec<f32> {
    assert_eq!(table.len(), (prefix_tokens + from * from) * dim, "table is [prefix + from², dim]");
    if from == to {
        return table.to_vec();
    }
    let (prefix, grid) = table.split_at(prefix_tokens * dim);
    let planes = transposed(grid, from * from, dim); // [dim, from²]
    let resized = separable(&planes, from, &antialiased_taps(from, to)); // [dim, to²]
    [prefix, &transposed(&resized, dim, to * to)].concat()
}

/// `[rows, columns]` to `[columns, rows]`.
fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| x[r * columns + c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_tokens_are_kept_and_a_flat_table_stays_flat() {
        let table = [vec![7.0; 2], vec![3.0; 2 * 16]].concat();
        let resized = resample_pos_embed(&table, 4, 7, 2, 1);
        assert_eq!(resized.len(), 2 * 50);
        assert_eq!(resized[..2], [7.0, 7.0]);
        assert!(resized[2..].iter().all(|v| (v - 3.0).abs() < 1e-5));
    }
}
