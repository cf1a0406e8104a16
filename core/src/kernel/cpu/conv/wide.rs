//! 3×3 correlation of stride 1 over many channels by Winograd's F(4×4, 3×3): 36 products for sixteen outputs
//! instead of 144; and 5×5 by F(2×2, 5×5): 36 for four instead of 100.
//!
//! A tile of 4×4 (2×2) outputs sees 6×6 inputs `d`: `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A` ([`toom`](super::toom)). The
//! sum over channels between the brackets is a matrix product for each of the 36 positions, large enough here for
//! the `gemm` crate. Rounding is about ten times that of a direct sum: some 1e-6 of the largest output.
#![allow(clippy::needless_range_loop, reason = "rows and columns of a tile are plainest as indices")]

use pulp::{Simd, WithSimd};

use super::super::gemm::{Layout, Threads, product};
use super::super::parallel::{each, with_scratch};
use super::super::pool;
use super::super::simd::Set;
use super::correlate::Correlation;
use super::patches::{Chunk, GROUP, Gather, Spot, WINDOW, cut_rows, side, spots};
use super::tile::lanes;
use super::toom;

/// Positions of a transformed tile.
pub const POSITIONS: usize = 36;
/// Output channels of a task.
pub const BLOCK: usize = 32;
/// Input channels of a task.
const CHANNELS: usize = 4;
/// Kernels transformed together.
const KERNELS: usize = 8;

/// Whether `c` has one of the forms, and channels and tiles enough.
pub fn suits(c: &Correlation) -> bool {
    if !matches!((c.kh, c.kw, c.stride), (3, 3, 1) | (5, 5, 1)) {
        return false;
    }
    let inside = c.origin.iter().all(|&at| (1 - c.kh as isize..=0).contains(&at));
    let tiles = c.n * c.oh.div_ceil(side(c)) * c.ow.div_ceil(side(c));
    // Five taps have four times the tiles: there it pays where the inputs to transform are few.
    let few = c.kh == 3 || c.c_out >= 2 * c.c_in;
    inside && few && c.c_in.min(c.c_out) >= 64 && tiles >= 32 && c.oh.min(c.ow) >= 4
}

/// The vector at `at`.
#[inline(always)]
pub fn load<S: Simd>(x: &[f32], at: usize) -> S::f32s {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&x[at..at + S::F32_LANES]))
}

/// Writes the first values of `vector` to all of `to`.
#[inline(always)]
pub fn store<S: Simd>(to: &mut [f32], vector: S::f32s) {
    let values = lanes::<S>(&vector);
    if to.len() == S::F32_LANES {
        to.copy_from_slice(values);
    } else {
        to.copy_from_slice(&values[..to.len()]);
    }
}

/// `G g Gᵀ` of all kernels, `[block of outputs][position][output][c_in]`, and the biases.
pub struct Bank {
    values: Vec<f32>,
    bias: Vec<f32>,
    c_in: usize,
}

impl Drop for Bank {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.values));
    }
}

impl Bank {
    /// Of `[c_out, c_in, size, size]` weights, 3×3 or 5×5, given one by one.
    pub fn new(
        set: Set,
        (c_out, c_in, size): (usize, usize, usize),
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync + Send,
    ) -> Self {
        let mut values = pool::take(c_out * POSITIONS * c_in);
        let blocks = values.chunks_mut(BLOCK * POSITIONS * c_in).enumerate().collect();
        each(c_out * POSITIONS * c_in, blocks, |(b, values): (usize, &mut [f32])| {
            let count = values.len() / (POSITIONS * c_in);
            let pitch = c_in.next_multiple_of(set.lanes());
            let taps = size * size;
            with_scratch(KERNELS * taps * pitch, |kernels| {
                for first in (0..count).step_by(KERNELS) {
                    let several = KERNELS.min(count - first);
                    // Inputs outside, so that neighbouring weights are read together whichever way they are turned.
                    for i in 0..c_in {
                        for (k, at) in (i..several * taps * pitch).step_by(pitch).enumerate() {
                            kernels[at] = weight(b * BLOCK + first + k / taps, i, k % taps);
                        }
                    }
                    let kernels = &kernels[..several * taps * pitch];
                    let values = &mut *values;
                    match size {
                        3 => set.run(TransformKernels::<3> { kernels, values, first, count, c_in }),
                        _ => set.run(TransformKernels::<5> { kernels, values, first, count, c_in }),
                    }
                }
            });
        });
        let bias = bias.map_or_else(|| vec![0.0; c_out], <[f32]>::to_vec);
        Self { values, bias, c_in }
    }
}

/// Some kernels `[kernel][tap][c_in, filled up]` into their block, whose outputs number `count`.
struct TransformKernels<'a, const SIZE: usize> {
    kernels: &'a [f32],
    values: &'a mut [f32],
    first: usize,
    count: usize,
    c_in: usize,
}

impl<const SIZE: usize> WithSimd for TransformKernels<'_, SIZE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { kernels, values, first, count, c_in } = self;
        let pitch = c_in.next_multiple_of(S::F32_LANES);
        let zero = simd.splat_f32s(0.0);
        for (m, kernel) in kernels.chunks_exact(SIZE * SIZE * pitch).enumerate() {
            for i in (0..c_in).step_by(S::F32_LANES) {
                let mut columns = [[zero; 6]; SIZE];
                for x in 0..SIZE {
                    let mut g = [zero; SIZE];
                    for y in 0..SIZE {
                        g[y] = load::<S>(kernel, (SIZE * y + x) * pitch + i);
                    }
                    columns[x] = toom::kernel(simd, g);
                }
                let wide = S::F32_LANES.min(c_in - i);
                for y in 0..6 {
                    let mut g = [zero; SIZE];
                    for x in 0..SIZE {
                        g[x] = columns[x][y];
                    }
                    let row = toom::kernel(simd, g);
                    for x in 0..6 {
                        let at = ((6 * y + x) * count + first + m) * c_in + i;
                        store::<S>(&mut values[at..at + wide], row[x]);
                    }
                }
            }
        }
    }
}

/// `y [N, c_out, oh, ow]` of `x [N, c_in, h, w]`, which is read as if each value were a square of `up` × `up`.
pub fn correlate(set: Set, x: &[f32], bank: &Bank, c: &Correlation, up: usize) -> Vec<f32> {
    let mut y = pool::take(c.n * c.c_out * c.area());
    for chunk in Chunk::all(c) {
        let pitch = chunk.pitch();
        let inputs = windows(set, x, (c, up), &chunk);
        let spots = spots(&chunk, c);
        // The rows of each block of outputs, picture by picture.
        let mut blocks: Vec<Vec<&mut [f32]>> = (0..c.c_out.div_ceil(BLOCK)).map(|_| Vec::new()).collect();
        for (index, rows) in cut_rows(&chunk, c, &mut y).into_iter().enumerate() {
            blocks[index % c.c_out / BLOCK].push(rows);
        }
        let work = chunk.tiles() * POSITIONS * c.c_in * c.c_out / 16;
        each(work, blocks.into_iter().enumerate().collect(), |(b, mut rows)| {
            let count = BLOCK.min(c.c_out - b * BLOCK);
            let kernels = &bank.values[b * BLOCK * POSITIONS * bank.c_in..];
            with_scratch(count * POSITIONS * pitch, |products| {
                for xi in 0..POSITIONS {
                    let strided = Layout::rows(xi * pitch, POSITIONS * pitch);
                    let shape = (count, chunk.tiles(), c.c_in);
                    let factor = (kernels, Layout::rows(xi * count * c.c_in, c.c_in));
                    product(shape, (products, strided), factor, (&inputs, strided), false, Threads::One);
                }
                let bias = &bank.bias[b * BLOCK..b * BLOCK + count];
                let (spots, width, rows) = (&spots[..], c.ow, &mut rows[..]);
                match side(c) {
                    4 => set.run(Outputs::<4> { products, pitch, spots, width, bias, rows }),
                    _ => set.run(Outputs::<2> { products, pitch, spots, width, bias, rows }),
                }
            });
        });
        pool::give(inputs);
    }
    y
}

/// `Bᵀ d B` of every input channel and tile of `chunk`: `[c_in][position][tile]`.
pub fn windows(set: Set, x: &[f32], (c, up): (&Correlation, usize), chunk: &Chunk) -> Vec<f32> {
    let gather = Gather::new(chunk, WINDOW, c.origin, (c.image(), c.h, c.w), up);
    let size = POSITIONS * chunk.pitch();
    let mut inputs = pool::take(c.c_in * size);
    let items = inputs.chunks_mut(CHANNELS * size).enumerate().collect();
    each(c.c_in * size, items, |(index, inputs): (usize, &mut [f32])| {
        with_scratch(gather.copied() + POSITIONS * GROUP, |scratch| {
            for (k, out) in inputs.chunks_exact_mut(size).enumerate() {
                let start = (index * CHANNELS + k) * c.h * c.w;
                set.run(Windows {
                    x,
                    start,
                    gather: &gather,
                    pitch: chunk.pitch(),
                    scratch: &mut *scratch,
                    out,
                });
            }
        });
    });
    inputs
}

/// The tiles of one channel, which starts at `start` in each picture.
struct Windows<'a> {
    x: &'a [f32],
    start: usize,
    gather: &'a Gather,
    pitch: usize,
    scratch: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Windows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, start, gather, pitch, scratch, out } = self;
        let zero = simd.splat_f32s(0.0);
        let (plane, window) = scratch.split_at_mut(gather.copied());
        gather.copy(x, start, plane);
        for (g, (width, table)) in gather.groups().enumerate() {
            for (value, &at) in window.iter_mut().zip(table) {
                *value = plane[at as usize];
            }
            for s in (0..width).step_by(S::F32_LANES) {
                let mut columns = [[zero; 6]; 6];
                for x in 0..6 {
                    let mut d = [zero; 6];
                    for y in 0..6 {
                        d[y] = load::<S>(window, (6 * y + x) * width + s);
                    }
                    columns[x] = toom::window(simd, d);
                }
                for y in 0..6 {
                    let mut d = [zero; 6];
                    for x in 0..6 {
                        d[x] = columns[x][y];
                    }
                    let row = toom::window(simd, d);
                    for x in 0..6 {
                        let at = (6 * y + x) * pitch + g * GROUP + s;
                        store::<S>(&mut out[at..at + S::F32_LANES], row[x]);
                    }
                }
            }
        }
    }
}

/// `Aᵀ m A + bias` of a block's channels, to where they belong.
struct Outputs<'a, 'b, const SIDE: usize> {
    /// `[channel][position][tile]`
    products: &'a [f32],
    pitch: usize,
    spots: &'a [Spot],
    /// Of the maps.
    width: usize,
    bias: &'a [f32],
    /// `[picture][channel]`
    rows: &'a mut [&'b mut [f32]],
}

impl<const SIDE: usize> WithSimd for Outputs<'_, '_, SIDE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { products, pitch, spots, width, bias, rows } = self;
        let channels = bias.len();
        let zero = simd.splat_f32s(0.0);
        let mut tile = [[zero; SIDE]; SIDE];
        for (m, (products, &bias)) in products.chunks_exact(POSITIONS * pitch).zip(bias).enumerate() {
            let bias_lanes = simd.splat_f32s(bias);
            for (s, spots) in spots.chunks(S::F32_LANES).enumerate() {
                let mut columns = [[zero; SIDE]; 6];
                for x in 0..6 {
                    let mut p = [zero; 6];
                    for y in 0..6 {
                        p[y] = load::<S>(products, (6 * y + x) * pitch + s * S::F32_LANES);
                    }
                    columns[x] = toom::outputs(simd, p);
                }
                for y in 0..SIDE {
                    let mut p = [zero; 6];
                    for x in 0..6 {
                        p[x] = columns[x][y];
                    }
                    let row: [S::f32s; SIDE] = toom::outputs(simd, p);
                    for x in 0..SIDE {
                        tile[y][x] = simd.add_f32s(row[x], bias_lanes);
                    }
                }
                let values: &[f32] = bytemuck::cast_slice(tile.as_flattened());
                for (lane, spot) in spots.iter().enumerate() {
                    let plane = &mut rows[spot.picture * channels + m];
                    for y in 0..spot.rows {
                        let value = |x: usize| values[(y * SIDE + x) * S::F32_LANES + lane];
                        let line = &mut plane[spot.at + y * width..][..spot.cols];
                        if let Some(all) = line.first_chunk_mut::<SIDE>() {
                            for x in 0..SIDE {
                                all[x] = value(x);
                            }
                        } else {
                            line.iter_mut().enumerate().for_each(|(x, v)| *v = value(x));
                        }
                    }
                }
            }
        }
    }
}
