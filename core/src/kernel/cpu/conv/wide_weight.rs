//! The weight gradient of a [`wide`](super::wide) convolution: with `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A` it is
//! `dg = Gᵀ [ Σ (A dY Aᵀ) ⊙ (Bᵀ d B) ] G`, the sum over tiles: 36 matrix products once more.
#![allow(clippy::needless_range_loop, reason = "rows and columns of a tile are plainest as indices")]

use pulp::{Simd, WithSimd};

use super::super::gemm::{Layout, Threads, product};
use super::super::parallel::{each, with_scratch};
use super::super::pool;
use super::super::simd::Set;
use super::correlate::Correlation;
use super::patches::{Chunk, GROUP, Gather};
use super::toom;
use super::wide::{POSITIONS, load, store, windows};

/// Outputs of a tile along each axis.
const SIDE: usize = 4;
/// Channels of a task.
const CHANNELS: usize = 4;

/// `dW [c_out, c_in, 3, 3]` of `gy [N, c_out, oh, ow]` and `x [N, c_in, h, w]`, each value of which is a square of
/// `up` × `up`.
pub fn grad_weight(set: Set, gy: &[f32], x: &[f32], c: &Correlation, up: usize) -> Vec<f32> {
    let (c_out, c_in) = (c.c_out, c.c_in);
    let mut sums = pool::take(POSITIONS * c_out * c_in);
    for (index, chunk) in Chunk::all(c).into_iter().enumerate() {
        let inputs = windows(set, x, (c, up), &chunk);
        let spread = spread(set, gy, c, &chunk);
        let work = chunk.tiles() * POSITIONS * c_in * c_out / 16;
        let items = sums.chunks_exact_mut(c_out * c_in).enumerate().collect();
        each(work, items, |(xi, sums): (usize, &mut [f32])| {
            let pitch = chunk.pitch();
            let strided = Layout::rows(xi * pitch, POSITIONS * pitch);
            let (to, shape) = (Layout::rows(0, c_in), (c_out, c_in, chunk.tiles()));
            let turned = strided.transposed();
            product(shape, (sums, to), (&spread, strided), (&inputs, turned), index > 0, Threads::One);
        });
        [inputs, spread].into_iter().for_each(pool::give);
    }
    let mut dw = pool::take(c_out * c_in * 9);
    let items = dw.chunks_mut(CHANNELS * c_in * 9).enumerate().collect();
    each(sums.len(), items, |(index, dw): (usize, &mut [f32])| {
        for (k, dw) in dw.chunks_exact_mut(c_in * 9).enumerate() {
            let start = (index * CHANNELS + k) * c_in;
            set.run(Taps { sums: &sums, start, plane: c_out * c_in, dw });
        }
    });
    pool::give(sums);
    dw
}

/// `A dY Aᵀ` of every output channel and tile of `chunk`: `[c_out][position][tile]`.
fn spread(set: Set, gy: &[f32], c: &Correlation, chunk: &Chunk) -> Vec<f32> {
    let gather = Gather::new(chunk, SIDE, [0, 0], (c.c_out * c.area(), c.oh, c.ow), 1);
    let size = POSITIONS * chunk.pitch();
    let mut all = pool::take(c.c_out * size);
    let items = all.chunks_mut(CHANNELS * size).enumerate().collect();
    each(c.c_out * size, items, |(index, all): (usize, &mut [f32])| {
        with_scratch(gather.copied() + SIDE * SIDE * GROUP, |scratch| {
            for (k, out) in all.chunks_exact_mut(size).enumerate() {
                let start = (index * CHANNELS + k) * c.area();
                set.run(Spread {
                    gy,
                    start,
                    gather: &gather,
                    pitch: chunk.pitch(),
                    scratch: &mut *scratch,
                    out,
                });
            }
        });
    });
    all
}

/// The tiles of one output channel, which starts at `start` in each picture.
struct Spread<'a> {
    gy: &'a [f32],
    start: usize,
    gather: &'a Gather,
    pitch: usize,
    scratch: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gy, start, gather, pitch, scratch, out } = self;
        let zero = simd.splat_f32s(0.0);
        let (plane, tile) = scratch.split_at_mut(gather.copied());
        gather.copy(gy, start, plane);
        for (g, (width, table)) in gather.groups().enumerate() {
            for (value, &at) in tile.iter_mut().zip(table) {
                *value = plane[at as usize];
            }
            for s in (0..width).step_by(S::F32_LANES) {
                let mut columns = [[zero; 6]; SIDE];
                for x in 0..SIDE {
                    let mut d = [zero; SIDE];
                    for y in 0..SIDE {
                        d[y] = load::<S>(tile, (SIDE * y + x) * width + s);
                    }
                    columns[x] = toom::spread(simd, d);
                }
                for y in 0..6 {
                    let row =
                        toom::spread(simd, [columns[0][y], columns[1][y], columns[2][y], columns[3][y]]);
                    for x in 0..6 {
                        let at = (6 * y + x) * pitch + g * GROUP + s;
                        store::<S>(&mut out[at..at + S::F32_LANES], row[x]);
                    }
                }
            }
        }
    }
}

/// `Gᵀ u G` of the kernels of one output channel, whose sums start at `start` in each plane.
struct Taps<'a> {
    sums: &'a [f32],
    start: usize,
    plane: usize,
    /// `[c_in, 9]`
    dw: &'a mut [f32],
}

impl WithSimd for Taps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sums, start, plane, dw } = self;
        let zero = simd.splat_f32s(0.0);
        let mut tile = [zero; POSITIONS];
        for (i, dw) in dw.chunks_mut(9 * S::F32_LANES).enumerate() {
            let count = dw.len() / 9;
            for (xi, to) in tile.iter_mut().enumerate() {
                let at = xi * plane + start + i * S::F32_LANES;
                let to: &mut [f32] = bytemuck::cast_slice_mut(std::slice::from_mut(to));
                to[..count].copy_from_slice(&sums[at..at + count]);
            }
            let mut columns = [[zero; 3]; 6];
            for x in 0..6 {
                let mut u = [zero; 6];
                for y in 0..6 {
                    u[y] = tile[6 * y + x];
                }
                columns[x] = toom::taps(simd, u);
            }
            let mut taps = [zero; 9];
            for y in 0..3 {
                let mut u = [zero; 6];
                for x in 0..6 {
                    u[x] = columns[x][y];
                }
                let row = toom::taps(simd, u);
                taps[3 * y..3 * y + 3].copy_from_slice(&row);
            }
            let values: &[f32] = bytemuck::cast_slice(&taps);
            for (lane, dw) in dw.chunks_exact_mut(9).enumerate() {
                for (t, dw) in dw.iter_mut().enumerate() {
                    *dw = values[t * S::F32_LANES + lane];
                }
            }
        }
    }
}
