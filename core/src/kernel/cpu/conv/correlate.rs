//! Correlation of pictures with a bank of kernels: forward of a convolution, and the heart of its data gradient.

use pulp::{Simd, WithSimd};

use super::super::parallel::{cut, each};
use super::super::pool;
use super::super::simd::Set;
use super::layout::{Lanes, Layout};
use super::tile::{CHANNELS, VECTORS, block, lanes};

/// Fewer pictures than this are cut along output channels too.
pub const TASKS: usize = 8;

/// `y[o, p] = b_o + Σ w[o, i, t] x[i, stride · p + origin + t]`, zero outside of `x`.
#[derive(Clone, Copy, Debug)]
pub struct Correlation {
    pub n: usize,
    pub c_in: usize,
    pub h: usize,
    pub w: usize,
    pub c_out: usize,
    pub oh: usize,
    pub ow: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    /// Input row and column of tap (0, 0) at output pixel (0, 0): minus the zeros above and to the left.
    pub origin: [isize; 2],
}

impl Correlation {
    /// Values of one input picture.
    pub fn image(&self) -> usize {
        self.c_in * self.h * self.w
    }

    /// Pixels of one output plane.
    pub fn area(&self) -> usize {
        self.oh * self.ow
    }

    /// Products per output picture.
    pub fn work(&self) -> usize {
        self.c_in * self.kh * self.kw * self.c_out * self.area()
    }
}

/// Weights in blocks of [`CHANNELS`] output channels, `[block][inner][channel]`, with their biases.
#[derive(Debug)]
pub struct Weights {
    values: Vec<[f32; CHANNELS]>,
    bias: Vec<[f32; CHANNELS]>,
    inner: usize,
}

impl Weights {
    /// Of `[c_out, c_in, taps]` weights given one by one.
    pub fn new(
        (c_out, c_in, taps): (usize, usize, usize),
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync + Send,
    ) -> Self {
        let (blocks, inner) = (c_out.div_ceil(CHANNELS), c_in * taps);
        let mut values = vec![[0.0; CHANNELS]; blocks * inner];
        let items: Vec<_> = values.chunks_mut(inner.max(1)).enumerate().collect();
        each(blocks * inner * CHANNELS, items, |(b, block)| {
            let count = CHANNELS.min(c_out - b * CHANNELS);
            for (c, cells) in block.chunks_mut(taps).enumerate() {
                for (t, cell) in cells.iter_mut().enumerate() {
                    for (m, value) in cell.iter_mut().enumerate().take(count) {
                        *value = weight(b * CHANNELS + m, c, t);
                    }
                }
            }
        });
        Self { values, bias: blocked(bias, blocks), inner }
    }

    /// The blocks from number `first` on, each with its bias.
    fn from(&self, first: usize) -> impl Iterator<Item = (&[[f32; CHANNELS]], [f32; CHANNELS])> {
        let block = |b: usize| &self.values[b * self.inner..(b + 1) * self.inner];
        (first..self.bias.len()).map(move |b| (block(b), self.bias[b]))
    }
}

/// Biases in blocks, zeros where there are none.
pub fn blocked(bias: Option<&[f32]>, blocks: usize) -> Vec<[f32; CHANNELS]> {
    let mut values = vec![[0.0; CHANNELS]; blocks];
    if let Some(b) = bias {
        values.as_flattened_mut()[..b.len()].copy_from_slice(b);
    }
    values
}

/// `y [N, c_out, oh, ow]` of `x [N, c_in, h, w]`.
pub fn correlate(set: Set, x: &[f32], weights: &Weights, c: &Correlation) -> Vec<f32> {
    let mut y = pool::take(c.n * c.c_out * c.area());
    let layout = Layout::new(c, set.lanes(), usize::MAX);
    let pictures = layout.pictures();
    let blocks = c.c_out.div_ceil(CHANNELS);
    // Whole pictures where there are many, else ranges of output channels, at least four blocks each.
    let ranges = if layout.batched { 1 } else { TASKS.div_ceil(c.n).min(blocks.div_ceil(4)) };
    let per_range = blocks.div_ceil(ranges);
    let mut tasks = Vec::new();
    let outputs = y.chunks_mut(pictures * c.c_out * c.area());
    for (x, y) in x.chunks(pictures * c.image()).zip(outputs) {
        let starts: Vec<_> = (0..blocks).step_by(per_range).collect();
        let whole = y.len() / c.area();
        let channels = |first: usize| {
            if ranges == 1 { whole } else { (per_range * CHANNELS).min(c.c_out - first * CHANNELS) }
        };
        let parts = cut(y, starts.iter().map(|&first| channels(first) * c.area()));
        tasks.extend(starts.into_iter().zip(parts).map(|(first, y)| Task {
            x,
            y,
            weights,
            first,
            c,
            layout: &layout,
        }));
    }
    each(c.n * c.work() / 8, tasks, |task| set.run(task));
    y
}

/// Some output channels of one picture, or all of one batch of pictures.
pub struct Task<'a> {
    pub x: &'a [f32],
    pub y: &'a mut [f32],
    pub weights: &'a Weights,
    /// First block of output channels.
    pub first: usize,
    pub c: &'a Correlation,
    pub layout: &'a Layout,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Task { x, y, weights, first, c, layout } = self;
        let area = c.area();
        let pictures = x.len() / c.image();
        let channels = y.len() / area / if layout.batched { pictures } else { 1 };
        let offsets = layout.offsets();
        let mut values = vec![0.0; layout.size()];
        for tile in layout.tiles() {
            layout.pack(x, c.image(), 0, tile, &mut values);
            let vectors = layout.vectors(tile, pictures);
            for (b, weights) in weights.from(first).take(channels.div_ceil(CHANNELS)).enumerate() {
                let mut place =
                    Place { y: &mut *y, first: b * CHANNELS, channels, area, batched: layout.batched };
                for group in vectors.chunks(VECTORS) {
                    match *group {
                        [p, q, r] => {
                            let at = [p.base, q.base, r.base];
                            place.store::<S, 3>(&block(simd, weights, &offsets, &values, at), [p, q, r]);
                        }
                        [p, q] => {
                            let at = [p.base, q.base];
                            place.store::<S, 2>(&block(simd, weights, &offsets, &values, at), [p, q]);
                        }
                        [p] => place.store::<S, 1>(&block(simd, weights, &offsets, &values, [p.base]), [p]),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Where a block of output channels goes.
struct Place<'a> {
    y: &'a mut [f32],
    first: usize,
    channels: usize,
    area: usize,
    batched: bool,
}

impl Place<'_> {
    #[inline(always)]
    fn store<S: Simd, const V: usize>(&mut self, sums: &[[S::f32s; V]; CHANNELS], to: [Lanes; V]) {
        let count = CHANNELS.min(self.channels - self.first);
        for (m, sums) in sums.iter().enumerate().take(count) {
            let o = self.first + m;
            for (vector, to) in sums.iter().zip(to) {
                let values = lanes::<S>(vector);
                if self.batched {
                    for (n, &v) in values.iter().enumerate().take(to.count) {
                        self.y[(n * self.channels + o) * self.area + to.out] = v;
                    }
                } else if to.count == S::F32_LANES {
                    let at = o * self.area + to.out;
                    self.y[at..at + S::F32_LANES].copy_from_slice(values);
                } else {
                    let at = o * self.area + to.out;
                    self.y[at..at + to.count].copy_from_slice(&values[..to.count]);
                }
            }
        }
    }
}
