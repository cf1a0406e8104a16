//! Float resizes as torch computes them: bicubic, bilinear, nearest, and timm's position table.
//!
//! The first three follow `torch.nn.functional.interpolate` with `align_corners=False` and without
//! antialiasing: half-pixel centres in f32, edges clamped, a = -0.75. The position table follows timm
//! `resample_abs_pos_embed`: antialiased bicubic, a = -0.5, weights renormalised at the edges.
//! Pictures for training do not come this way; see [`super::resize`].

/// For each output position: the input positions and their weights.
type Taps = Vec<Vec<(usize, f32)>>;

/// Source coordinate of an output position, half-pixel centres.
fn source_coordinate(position: usize, from: usize, to: usize) -> f32 {
    (from as f32 / to as f32) * (position as f32 + 0.5) - 0.5
}

fn clamped(position: i64, from: usize) -> usize {
    position.clamp(0, from as i64 - 1) as usize
}

/// The cubic kernel with parameter `a` at distance `x`.
fn cubic(x: f32, a: f32) -> f32 {
    match x.abs() {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

fn bicubic_taps(from: usize, to: usize) -> Taps {
    let taps = |position| {
        let source = source_coordinate(position, from, to);
        let floor = source.floor();
        let t = source - floor;
        let tap = |k: i64| (clamped(floor as i64 + k, from), cubic(t - k as f32, -0.75));
        (-1..=2).map(tap).collect()
    };
    (0..to).map(taps).collect()
}

fn bilinear_taps(from: usize, to: usize) -> Taps {
    let taps = |position| {
        let source = source_coordinate(position, from, to).max(0.0);
        let first = clamped(source as i64, from);
        let t = source - first as f32;
        vec![(first, 1.0 - t), ((first + 1).min(from - 1), t)]
    };
    (0..to).map(taps).collect()
}

fn nearest_taps(from: usize, to: usize) -> Taps {
    let scale = from as f32 / to as f32;
    (0..to).map(|position| vec![(((position as f32 * scale) as usize).min(from - 1), 1.0)]).collect()
}

fn antialiased_taps(from: usize, to: usize) -> Taps {
    let scale = from as f32 / to as f32;
    let filter_scale = scale.max(1.0);
    let support = 2.0 * filter_scale;
    let taps = |position: usize| {
        let center = scale * (position as f32 + 0.5);
        let first = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as i64).clamp(0, from as i64) as usize;
        let weight = |x: usize| cubic((x as f32 - center + 0.5) / filter_scale, -0.5);
        let sum: f32 = (first..end).map(weight).sum();
        (first..end).map(|x| (x, weight(x) / sum)).collect()
    };
    (0..to).map(taps).collect()
}

/// Separable resize of planes `[planes, h, w]`: rows first, then columns.
fn separable(x: &[f32], planes: usize, [h, w]: [usize; 2], rows: &Taps, columns: &Taps) -> Vec<f32> {
    assert_eq!(x.len(), planes * h * w, "x is [planes, h, w]");
    let mut out = Vec::with_capacity(planes * rows.len() * columns.len());
    for plane in x.chunks_exact(h * w) {
        let narrow: Vec<f32> = plane
            .chunks_exact(w)
            .flat_map(|row| columns.iter().map(|taps| taps.iter().map(|&(i, k)| row[i] * k).sum::<f32>()))
            .collect(); // [h, ow]
        for taps in rows {
            for column in 0..columns.len() {
                out.push(taps.iter().map(|&(i, k)| narrow[i * columns.len() + column] * k).sum());
            }
        }
    }
    out
}

/// Bicubic resize as `F.interpolate(mode="bicubic", align_corners=False)`; no antialiasing.
///
/// # Shapes
/// `x` is `[planes, h, w]` (batch and channels together), the result `[planes, oh, ow]`; no side is 0.
pub fn bicubic_planar(x: &[f32], planes: usize, h: usize, w: usize, oh: usize, ow: usize) -> Vec<f32> {
    separable(x, planes, [h, w], &bicubic_taps(h, oh), &bicubic_taps(w, ow))
}

/// Bilinear resize as `F.interpolate(mode="bilinear", align_corners=False)`; no antialiasing.
///
/// # Shapes
/// `x` is `[planes, h, w]` (batch and channels together), the result `[planes, oh, ow]`; no side is 0.
pub fn bilinear_planar(x: &[f32], planes: usize, h: usize, w: usize, oh: usize, ow: usize) -> Vec<f32> {
    separable(x, planes, [h, w], &bilinear_taps(h, oh), &bilinear_taps(w, ow))
}

/// Nearest resize as `F.interpolate(mode="nearest")`.
///
/// # Shapes
/// `x` is `[planes, h, w]` (batch and channels together), the result `[planes, oh, ow]`; no side is 0.
pub fn nearest_planar(x: &[f32], planes: usize, h: usize, w: usize, oh: usize, ow: usize) -> Vec<f32> {
    separable(x, planes, [h, w], &nearest_taps(h, oh), &nearest_taps(w, ow))
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
    let taps = antialiased_taps(from, to);
    let resized = separable(&planes, dim, [from, from], &taps, &taps); // [dim, to²]
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
    fn same_size_is_identity() {
        let x: Vec<f32> = (0..24).map(|v| (v * v % 7) as f32).collect();
        for resize in [bicubic_planar, bilinear_planar, nearest_planar] {
            assert_eq!(resize(&x, 2, 3, 4, 3, 4), x);
        }
    }

    #[test]
    fn bilinear_doubling_matches_torch() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 4.]]]]), (1, 4), mode="bilinear")
        assert_eq!(bilinear_planar(&[0.0, 4.0], 1, 1, 2, 1, 4), [0.0, 1.0, 3.0, 4.0]);
        // Halving without antialiasing takes the mean of the two middle pixels.
        assert_eq!(bilinear_planar(&[0.0, 1.0, 2.0, 5.0], 1, 1, 4, 1, 2), [0.5, 3.5]);
    }

    #[test]
    fn prefix_tokens_are_kept_and_a_flat_table_stays_flat() {
        let table = [vec![7.0; 2], vec![3.0; 2 * 16]].concat();
        let resized = resample_pos_embed(&table, 4, 7, 2, 1);
        assert_eq!(resized.len(), 2 * 50);
        assert_eq!(resized[..2], [7.0, 7.0]);
        assert!(resized[2..].iter().all(|v| (v - 3.0).abs() < 1e-5));
    }
}
