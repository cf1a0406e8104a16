//! 3×3 correlation of stride 1 by Winograd's F(2×2, 3×3) (Lavin & Gray 2016): 16 products for four outputs
//! instead of 36.
//!
//! A tile of 2×2 outputs sees 4×4 inputs `d`. `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A`, where the sum over input
//! channels happens between the brackets: one matrix product for each of the 16 positions ξ. The 4×4 inputs at
//! distance two are the taps of a stride-2 layout, and the products are the register blocks of [`tile`](super::tile).
//! B and A hold only 0 and ±1, G also ½, so rounding stays that of a direct sum within a small factor.

use pulp::{Simd, WithSimd};

use super::super::parallel::{cut, each};
use super::super::pool;
use super::super::simd::Set;
use super::correlate::{Correlation, TASKS, blocked};
use super::layout::{Lanes, Layout};
use super::tile::{CHANNELS, Offsets, VECTORS, block, lanes, window};

/// Positions of a transformed tile.
const POSITIONS: usize = 16;

/// All positions of the vectors of one channel, and one more row that keeps channels from sharing cache sets.
type Transformed<S> = [[<S as Simd>::f32s; VECTORS]; POSITIONS + 1];

/// Whether `c` has the form, and channels enough to pay for the transforms.
pub fn suits(c: &Correlation) -> bool {
    (c.kh, c.kw, c.stride) == (3, 3, 1) && c.c_in >= 16 && c.c_out >= 16 && c.oh >= 4 && c.ow >= 4
}

/// `G g Gᵀ` of all kernels, `[block][ξ][c_in][CHANNELS]`, and the biases.
pub struct Kernels {
    values: Vec<[f32; CHANNELS]>,
    bias: Vec<[f32; CHANNELS]>,
    c_in: usize,
}

impl Kernels {
    /// Of `[c_out, c_in, 9]` weights given one by one.
    pub fn new(
        (c_out, c_in): (usize, usize),
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync + Send,
    ) -> Self {
        let blocks = c_out.div_ceil(CHANNELS);
        let mut values = vec![[0.0; CHANNELS]; blocks * POSITIONS * c_in];
        let items: Vec<_> = values.chunks_mut(POSITIONS * c_in).enumerate().collect();
        each(blocks * POSITIONS * c_in * CHANNELS, items, |(b, block)| {
            let count = CHANNELS.min(c_out - b * CHANNELS);
            for c in 0..c_in {
                let mut g = [[0.0; CHANNELS]; 9];
                for m in 0..count {
                    for (t, g) in g.iter_mut().enumerate() {
                        g[m] = weight(b * CHANNELS + m, c, t);
                    }
                }
                for (xi, value) in transformed_kernel(&g).into_iter().enumerate() {
                    block[xi * c_in + c] = value;
                }
            }
        });
        Self { values, bias: blocked(bias, blocks), c_in }
    }

    fn blocks(&self) -> usize {
        self.bias.len()
    }

    fn block(&self, xi: usize, block: usize) -> &[[f32; CHANNELS]] {
        let at = (block * POSITIONS + xi) * self.c_in;
        &self.values[at..at + self.c_in]
    }
}

/// `G g Gᵀ` of the kernels of [`CHANNELS`] output channels.
fn transformed_kernel(g: &[[f32; CHANNELS]; 9]) -> [[f32; CHANNELS]; POSITIONS] {
    let mut columns = [[[0.0; CHANNELS]; 4]; 3];
    for x in 0..3 {
        columns[x] = kernel_pass(&g[x], &g[3 + x], &g[6 + x]);
    }
    let mut values = [[0.0; CHANNELS]; POSITIONS];
    for y in 0..4 {
        let row = kernel_pass(&columns[0][y], &columns[1][y], &columns[2][y]);
        values[y * 4..y * 4 + 4].copy_from_slice(&row);
    }
    values
}

/// `G g` of one column.
fn kernel_pass(a: &[f32; CHANNELS], b: &[f32; CHANNELS], c: &[f32; CHANNELS]) -> [[f32; CHANNELS]; 4] {
    let mut values = [*a, [0.0; CHANNELS], [0.0; CHANNELS], *c];
    for m in 0..CHANNELS {
        values[1][m] = 0.5 * (a[m] + b[m] + c[m]);
        values[2][m] = 0.5 * (a[m] - b[m] + c[m]);
    }
    values
}

/// The stride-2 correlation whose 4×4 windows are the tiles of `c`.
fn windows(c: &Correlation) -> Correlation {
    Correlation { kh: 4, kw: 4, stride: 2, oh: c.oh.div_ceil(2), ow: c.ow.div_ceil(2), ..*c }
}

/// `y [N, c_out, oh, ow]` of `x [N, c_in, h, w]`.
pub fn correlate(set: Set, x: &[f32], kernels: &Kernels, c: &Correlation) -> Vec<f32> {
    let mut y = pool::take(c.n * c.c_out * c.area());
    let layout = Layout::new(&windows(c), set.lanes(), usize::MAX);
    let pictures = layout.pictures();
    // Every range transforms the windows anew: half as many as for a direct correlation.
    let ranges = if layout.batched { 1 } else { (TASKS / 2).div_ceil(c.n).min(kernels.blocks().div_ceil(8)) };
    let per_range = kernels.blocks().div_ceil(ranges);
    let mut tasks = Vec::new();
    let outputs = y.chunks_mut(pictures * c.c_out * c.area());
    for (x, y) in x.chunks(pictures * c.image()).zip(outputs) {
        let starts: Vec<_> = (0..kernels.blocks()).step_by(per_range).collect();
        let whole = y.len() / c.area();
        let channels = |first: usize| {
            if ranges == 1 { whole } else { (per_range * CHANNELS).min(c.c_out - first * CHANNELS) }
        };
        let parts = cut(y, starts.iter().map(|&first| channels(first) * c.area()));
        let task = |(first, y)| Task { x, y, kernels, first, c, layout: &layout };
        tasks.extend(starts.into_iter().zip(parts).map(task));
    }
    each(c.n * c.work() / 16, tasks, |task| set.run(task));
    y
}

/// Some output channels of one picture, or all of one batch of pictures.
struct Task<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    kernels: &'a Kernels,
    /// First block of output channels.
    first: usize,
    c: &'a Correlation,
    layout: &'a Layout,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Task { x, y, kernels, first, c, layout } = self;
        let pictures = x.len() / c.image();
        let channels = y.len() / c.area() / if layout.batched { pictures } else { 1 };
        let blocks = channels.div_ceil(CHANNELS);
        let taps = layout.offsets();
        let mut values = vec![0.0; layout.size()];
        let zero: Transformed<S> = [[simd.splat_f32s(0.0); VECTORS]; POSITIONS + 1];
        let mut windows = vec![zero; c.c_in];
        let mut products = vec![zero; blocks * CHANNELS];
        let row = size_of::<Transformed<S>>() / size_of::<f32>();
        let rows = Offsets::new((0..c.c_in).map(|i| i * row).collect());
        let bias = kernels.bias[first..].as_flattened();
        let mut place = Place { y, channels, c, batched: layout.batched };
        for tile in layout.tiles() {
            layout.pack(x, c.image(), 0, tile, &mut values);
            for strip in layout.vectors(tile, pictures).chunks(VECTORS) {
                window_transform(simd, &values, &taps, strip, &mut windows);
                for xi in 0..POSITIONS {
                    let window = &bytemuck::cast_slice::<_, f32>(&windows)[xi * VECTORS * S::F32_LANES..];
                    for (b, to) in products.chunks_exact_mut(CHANNELS).enumerate() {
                        let weights = (kernels.block(xi, first + b), [0.0; CHANNELS]);
                        match strip.len() {
                            3 => keep::<S, 3>(simd, weights, &rows, window, xi, to),
                            2 => keep::<S, 2>(simd, weights, &rows, window, xi, to),
                            _ => keep::<S, 1>(simd, weights, &rows, window, xi, to),
                        }
                    }
                }
                for ((o, products), &bias) in products.iter().enumerate().take(channels).zip(bias) {
                    for (v, &to) in strip.iter().enumerate().take(VECTORS) {
                        place.store::<S>(o, output_transform(simd, products, v, bias), to);
                    }
                }
            }
        }
    }
}

/// One register block of position `xi` into four channels' products.
#[inline(always)]
fn keep<S: Simd, const V: usize>(
    simd: S,
    weights: (&[[f32; CHANNELS]], [f32; CHANNELS]),
    rows: &Offsets,
    window: &[f32],
    xi: usize,
    to: &mut [Transformed<S>],
) {
    let bases = [0, S::F32_LANES, 2 * S::F32_LANES];
    let sums = block::<S, V>(simd, weights, rows, window, *bases.first_chunk().unwrap_or(&[0; V]));
    for (to, sums) in to.iter_mut().zip(&sums) {
        to[xi][..V].copy_from_slice(sums);
    }
}

// Below, loops over arrays stand where `from_fn` or `map` would be shorter: a closure handed to the library is
// compiled apart, without this function's instruction set, and every addition becomes a call.

/// `Bᵀ d` of one column.
#[inline(always)]
fn window_pass<S: Simd>(simd: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
    [
        simd.sub_f32s(d[0], d[2]),
        simd.add_f32s(d[1], d[2]),
        simd.sub_f32s(d[2], d[1]),
        simd.sub_f32s(d[1], d[3]),
    ]
}

/// `Aᵀ m` of one column.
#[inline(always)]
fn output_pass<S: Simd>(simd: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
    let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    [simd.add_f32s(m[0], sum), simd.sub_f32s(difference, m[3])]
}

/// `Bᵀ d B` of every channel and vector of `strip`.
#[inline(always)]
fn window_transform<S: Simd>(
    simd: S,
    x: &[f32],
    taps: &Offsets,
    strip: &[Lanes],
    out: &mut [Transformed<S>],
) {
    let zero = simd.splat_f32s(0.0);
    for (c, out) in out.iter_mut().enumerate() {
        for (v, lanes) in strip.iter().enumerate().take(VECTORS) {
            let d = window::<S, POSITIONS>(x, taps, c * POSITIONS, lanes.base);
            let mut columns = [[zero; 4]; 4];
            for column in 0..4 {
                columns[column] =
                    window_pass(simd, [d[column], d[4 + column], d[8 + column], d[12 + column]]);
            }
            for row in 0..4 {
                let d = [columns[0][row], columns[1][row], columns[2][row], columns[3][row]];
                let values = window_pass(simd, d);
                for column in 0..4 {
                    out[row * 4 + column][v] = values[column];
                }
            }
        }
    }
}

/// `Aᵀ m A + bias` of vector `v`: the 2×2 outputs, row by row.
#[inline(always)]
fn output_transform<S: Simd>(simd: S, m: &Transformed<S>, v: usize, bias: f32) -> [[S::f32s; 2]; 2] {
    let bias = simd.splat_f32s(bias);
    let mut columns = [[bias; 2]; 4];
    for column in 0..4 {
        let m = [m[column][v], m[4 + column][v], m[8 + column][v], m[12 + column][v]];
        columns[column] = output_pass(simd, m);
    }
    let mut outputs = [[bias; 2]; 2];
    for row in 0..2 {
        let m = [columns[0][row], columns[1][row], columns[2][row], columns[3][row]];
        let [even, odd] = output_pass(simd, m);
        outputs[row] = [simd.add_f32s(even, bias), simd.add_f32s(odd, bias)];
    }
    outputs
}

/// Where the outputs of tiles go.
struct Place<'a> {
    y: &'a mut [f32],
    channels: usize,
    c: &'a Correlation,
    batched: bool,
}

impl Place<'_> {
    #[inline(always)]
    fn store<S: Simd>(&mut self, o: usize, outputs: [[S::f32s; 2]; 2], to: Lanes) {
        let Correlation { oh, ow, .. } = *self.c;
        let across = ow.div_ceil(2);
        let (top, left) = (to.out / across * 2, to.out % across * 2);
        for (y, [even, odd]) in (top..oh).zip(&outputs) {
            let (even, odd) = (lanes::<S>(even), lanes::<S>(odd));
            let at = (o * oh + y) * ow + left;
            if self.batched {
                for (n, (&even, &odd)) in even.iter().zip(odd).enumerate().take(to.count) {
                    let at = at + n * self.channels * oh * ow;
                    self.y[at] = even;
                    if left + 1 < ow {
                        self.y[at + 1] = odd;
                    }
                }
            } else {
                let line = &mut self.y[at..at + (2 * to.count).min(ow - left)];
                let (pairs, last) = line.as_chunks_mut::<2>();
                for ((pair, &even), &odd) in pairs.iter_mut().zip(even).zip(odd) {
                    *pair = [even, odd];
                }
                if let [value] = last {
                    *value = even[to.count - 1];
                }
            }
        }
    }
}
