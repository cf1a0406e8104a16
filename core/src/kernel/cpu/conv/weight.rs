//! The weight gradient `dW[o, k] = Σ_p gy[o, p] x[p + offset_k]`: vectors run along pixels (or pictures), so
//! nothing is turned, and the lanes are added up once per strip.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::simd::Set;
use super::Geometry;
use super::correlate::Correlation;
use super::layout::{Lanes, Layout, TILE_VALUES};
use super::tile::{CHANNELS, Offsets, dots};

/// Input and output channels of a task.
const RANGE: usize = 64;
/// Tasks wanted; each range of channels is cut into so many ranges of pictures.
const TASKS: usize = 8;
/// Vectors of a strip: four rows of `gy` stay in the L1 cache.
const STRIP: usize = 128;
/// Taps of a register block.
const TAPS: usize = 3;

/// `dW [O, I, kh, kw]` of `gy [N, O, OH, OW]` and `x [N, I, H, W]`.
pub fn grad_weight(set: Set, gy: &[f32], x: &[f32], g: &Geometry) -> Vec<f32> {
    let ranges = |count: usize| (0..count).step_by(RANGE).map(move |from| (from, RANGE.min(count - from)));
    let grid: Vec<_> = ranges(g.c_out).flat_map(|o| ranges(g.c_in).map(move |i| (o, i))).collect();
    let pictures = pictures_per_task(g, set.lanes(), grid.len());
    let tasks: Vec<_> = grid
        .iter()
        .flat_map(|&(o, i)| (0..g.n).step_by(pictures).map(move |n| (o, i, (n, pictures.min(g.n - n)))))
        .map(|(o, i, n)| Task { g, gy, x, o, i, n })
        .collect();
    let work = g.n * g.output() * g.inner();
    let sums: Vec<Vec<f32>> = if work < 256 * 1024 {
        tasks.iter().map(|task| set.run(task)).collect()
    } else {
        tasks.par_iter().with_max_len(1).map(|task| set.run(task)).collect()
    };
    let mut total = vec![0.0; g.c_out * g.inner()];
    for (task, sums) in tasks.iter().zip(sums) {
        let width = task.i.1 * g.taps();
        for (o, row) in sums.chunks_exact(width).enumerate() {
            let at = (task.o.0 + o) * g.inner() + task.i.0 * g.taps();
            total[at..at + width].iter_mut().zip(row).for_each(|(t, &v)| *t += v);
        }
    }
    total
}

/// Pictures of a task: few enough for [`TASKS`] tasks, but vectors enough to pay for adding up the lanes.
fn pictures_per_task(g: &Geometry, lanes: usize, ranges: usize) -> usize {
    let share = g.n.div_ceil(TASKS.div_ceil(ranges)).max(1);
    if Layout::new(&g.correlation(), lanes, STRIP).batched {
        share.next_multiple_of(lanes)
    } else {
        share.max((STRIP / 2).div_ceil(g.oh() * g.ow().div_ceil(lanes)))
    }
}

/// Ranges (first, count) of output channels, input channels and pictures.
struct Task<'a> {
    g: &'a Geometry,
    gy: &'a [f32],
    x: &'a [f32],
    o: (usize, usize),
    i: (usize, usize),
    n: (usize, usize),
}

/// Some tiles laid out side by side.
struct Strip<S: Simd> {
    /// `[output channel][vector]`, channels filled up with zeros to a multiple of [`CHANNELS`].
    gy: Vec<S::f32s>,
    x: Vec<f32>,
    bases: Offsets,
}

impl WithSimd for &Task<'_> {
    /// `[o.count, i.count, kh, kw]`
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let g = self.g;
        let c = Correlation { n: self.n.1, c_in: self.i.1, ..g.correlation() };
        let layout = Layout::new(&c, S::F32_LANES, STRIP);
        let offsets = layout.offsets();
        let mut sums = vec![0.0; self.o.1 * offsets.values().len()];
        let end = self.n.0 + self.n.1;
        let groups: Vec<_> =
            (self.n.0..end).step_by(layout.pictures()).map(|n| (n, layout.pictures().min(end - n))).collect();
        let tiles = layout.tiles();
        let items: Vec<_> = groups.iter().flat_map(|&n| tiles.iter().map(move |&tile| (n, tile))).collect();
        let widest = tiles.iter().map(|&tile| layout.vectors(tile, 1).len()).max().unwrap_or(1);
        let per_strip = (STRIP / widest).min(TILE_VALUES / layout.size().max(1)).max(1);
        for items in items.chunks(per_strip) {
            let mut x = vec![0.0; items.len() * layout.size()];
            let (mut bases, mut places) = (Vec::new(), Vec::new());
            for (index, (&(n, tile), out)) in items.iter().zip(x.chunks_exact_mut(layout.size())).enumerate()
            {
                let pictures = &self.x[n.0 * g.image()..(n.0 + n.1) * g.image()];
                layout.pack(pictures, g.image(), self.i.0, tile, out);
                let vectors = layout.vectors(tile, n.1);
                bases.extend(vectors.iter().map(|v| v.base + index * layout.size()));
                places.extend(vectors.into_iter().map(|v| (n.0, v)));
            }
            let gy = self.pack_gy(simd, &places, layout.batched);
            let bases = Offsets::new(bases);
            accumulate(simd, &Strip::<S> { gy, x, bases }, offsets.values(), &mut sums);
        }
        sums
    }
}

impl Task<'_> {
    /// The vectors of every output channel of this task at `places` (first picture, lanes).
    #[inline(always)]
    fn pack_gy<S: Simd>(&self, simd: S, places: &[(usize, Lanes)], batched: bool) -> Vec<S::f32s> {
        let area = self.g.oh() * self.g.ow();
        let rows = self.o.1.next_multiple_of(CHANNELS);
        let mut packed = vec![simd.splat_f32s(0.0); rows * places.len()];
        for (o, row) in packed.chunks_exact_mut(places.len()).take(self.o.1).enumerate() {
            for (vector, &(n, Lanes { out, count, .. })) in row.iter_mut().zip(places) {
                let at = (n * self.g.c_out + self.o.0 + o) * area + out;
                let values: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(vector));
                if batched {
                    let pictures = self.gy[at..].iter().step_by(self.g.c_out * area);
                    values.iter_mut().zip(pictures).take(count).for_each(|(v, &g)| *v = g);
                } else if count == S::F32_LANES {
                    values.copy_from_slice(&self.gy[at..at + S::F32_LANES]);
                } else {
                    values[..count].copy_from_slice(&self.gy[at..at + count]);
                }
            }
        }
        packed
    }
}

/// Adds a strip's part of the gradient to `sums [output channels, offsets]`.
#[inline(always)]
fn accumulate<S: Simd>(simd: S, strip: &Strip<S>, offsets: &[usize], sums: &mut [f32]) {
    let vectors = strip.bases.values().len();
    let rows = sums.chunks_mut(CHANNELS * offsets.len());
    for (rows, gy) in rows.zip(strip.gy.chunks_exact(CHANNELS * vectors)) {
        let gy: [&[S::f32s]; CHANNELS] = std::array::from_fn(|m| &gy[m * vectors..(m + 1) * vectors]);
        for (block, taps) in offsets.chunks(TAPS).enumerate() {
            let all = std::array::from_fn(|t| taps[t.min(taps.len() - 1)]);
            let dots = dots::<S, TAPS>(simd, gy, &strip.x, &strip.bases, all);
            for (row, dots) in rows.chunks_exact_mut(offsets.len()).zip(&dots) {
                for (sum, &lanes) in row[block * TAPS..].iter_mut().zip(dots).take(taps.len()) {
                    *sum += simd.reduce_sum_f32s(lanes);
                }
            }
        }
    }
}
