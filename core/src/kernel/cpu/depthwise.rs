//! Depthwise convolution: every channel has a kernel of its own. One plane at a time, laid out with its zeros in
//! segments by column phase, so that each tap is one pass over neighbouring values.

use super::conv::Geometry;
use super::parallel::each;
use super::pool;
use super::simd;

/// Rows and columns of the output that are summed up in registers at a time.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

/// One plane with its zeros: column `x` lies in segment `x mod stride`.
struct Padded {
    segment: usize,
    row: usize,
    values: Vec<f32>,
}

impl Padded {
    fn new(g: &Geometry) -> Self {
        let segment = (g.w + g.pad[1] + g.pad[3]).div_ceil(g.stride);
        let row = segment * g.stride;
        // A block of columns may begin in the last ones: what it reads behind them is not used.
        Self { segment, row, values: vec![0.0; (g.h + g.pad[0] + g.pad[2]) * row + COLUMNS] }
    }

    fn place(&self, g: &Geometry, y: usize, x: usize) -> usize {
        (y + g.pad[0]) * self.row + (x + g.pad[1]) % g.stride * self.segment + (x + g.pad[1]) / g.stride
    }

    /// Copies `plane [H, W]` in; the zeros stay.
    fn fill(&mut self, g: &Geometry, plane: &[f32]) {
        for (y, line) in plane.chunks_exact(g.w).enumerate() {
            for phase in 0..g.stride.min(g.w) {
                let at = self.place(g, y, phase);
                let values = line[phase..].iter().step_by(g.stride);
                self.values[at..].iter_mut().zip(values).for_each(|(o, &v)| *o = v);
            }
        }
    }

    /// Copies the plane out.
    fn empty(&self, g: &Geometry, plane: &mut [f32]) {
        for (y, line) in plane.chunks_exact_mut(g.w).enumerate() {
            for phase in 0..g.stride.min(g.w) {
                let at = self.place(g, y, phase);
                line[phase..].iter_mut().step_by(g.stride).zip(&self.values[at..]).for_each(|(o, &v)| *o = v);
            }
        }
    }

    /// Where tap (ky, kx) of output row `y` begins.
    fn tap(&self, g: &Geometry, y: usize, (ky, kx): (usize, usize)) -> usize {
        (y * g.stride + ky) * self.row + kx % g.stride * self.segment + kx / g.stride
    }
}

fn taps(g: &Geometry) -> impl Iterator<Item = (usize, usize)> {
    let kw = g.kw;
    (0..g.kh).flat_map(move |y| (0..kw).map(move |x| (y, x)))
}

/// `y [N, C, OH, OW]` of `x [N, C, H, W]`, `w [C, 1, kh, kw]`, `b [C]`; `g.c_in = g.c_out` = C.
pub fn forward(x: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    let (area, size) = (g.oh() * g.ow(), g.kh * g.kw);
    let mut y = pool::take(g.n * g.c_out * area);
    let items = y.chunks_mut(g.c_out * area).zip(x.chunks(g.c_out * g.h * g.w)).collect();
    each(y_work(g), items, |(y, x): (&mut [f32], &[f32])| {
        let mut padded = Padded::new(g);
        let starts: Vec<usize> = taps(g).map(|tap| padded.tap(g, 0, tap)).collect();
        for (c, (y, x)) in y.chunks_exact_mut(area).zip(x.chunks_exact(g.h * g.w)).enumerate() {
            padded.fill(g, x);
            let kernel = &w[c * size..(c + 1) * size];
            let bias = b.map_or(0.0, |b| b[c]);
            let taps: Vec<(usize, f32)> = starts.iter().copied().zip(kernel.iter().copied()).collect();
            simd::run(
                #[inline(always)]
                |fused| correlate(fused, g, &padded, (&taps, bias), y),
            );
        }
    });
    y
}

/// One plane of the output: a block of rows and columns stays in registers over all taps, each a place to
/// begin and a weight.
#[inline(always)]
fn correlate(
    fused: simd::Fused,
    g: &Geometry,
    padded: &Padded,
    (taps, bias): (&[(usize, f32)], f32),
    y: &mut [f32],
) {
    let (width, last) = (g.ow(), g.oh() - 1);
    for (block, y) in y.chunks_mut(ROWS * width).enumerate() {
        let mut lines = [0; ROWS];
        for (r, line) in lines.iter_mut().enumerate() {
            *line = (block * ROWS + r).min(last) * g.stride * padded.row;
        }
        for from in (0..width).step_by(COLUMNS) {
            let mut sums = [[bias; COLUMNS]; ROWS];
            for &(start, weight) in taps {
                for (sums, line) in sums.iter_mut().zip(lines) {
                    let Some(values) = padded.values[line + start + from..].first_chunk::<COLUMNS>() else {
                        continue;
                    };
                    for i in 0..COLUMNS {
                        sums[i] = fused.mul_add(weight, values[i], sums[i]);
                    }
                }
            }
            let count = COLUMNS.min(width - from);
            for (y, sums) in y.chunks_exact_mut(width).zip(&sums) {
                y[from..from + count].copy_from_slice(&sums[..count]);
            }
        }
    }
}

fn y_work(g: &Geometry) -> usize {
    g.n * g.c_out * g.oh() * g.ow() * g.kh * g.kw
}

/// `dx [N, C, H, W]` of `gy`.
pub fn grad_input(gy: &[f32], w: &[f32], g: &Geometry) -> Vec<f32> {
    let (area, size) = (g.oh() * g.ow(), g.kh * g.kw);
    let mut dx = pool::take(g.n * g.c_out * g.h * g.w);
    let items = dx.chunks_mut(g.c_out * g.h * g.w).zip(gy.chunks(g.c_out * area)).collect();
    each(y_work(g), items, |(dx, gy): (&mut [f32], &[f32])| {
        let mut padded = Padded::new(g);
        for (c, (dx, gy)) in dx.chunks_exact_mut(g.h * g.w).zip(gy.chunks_exact(area)).enumerate() {
            padded.values.fill(0.0);
            let kernel = &w[c * size..(c + 1) * size];
            simd::run(
                #[inline(always)]
                |fused| {
                    for (row, gy) in gy.chunks_exact(g.ow()).enumerate() {
                        for (tap, &weight) in taps(g).zip(kernel) {
                            let at = padded.tap(g, row, tap);
                            for (out, &v) in padded.values[at..].iter_mut().zip(gy) {
                                *out = fused.mul_add(weight, v, *out);
                            }
                        }
                    }
                },
            );
            padded.empty(g, dx);
        }
    });
    dx
}

/// `dW [C, 1, kh, kw]` of `gy` and `x`.
pub fn grad_weight(gy: &[f32], x: &[f32], g: &Geometry) -> Vec<f32> {
    let (area, size) = (g.oh() * g.ow(), g.kh * g.kw);
    let mut sums = vec![0.0_f64; g.n * g.c_out * size];
    let pairs = gy.chunks(g.c_out * area).zip(x.chunks(g.c_out * g.h * g.w));
    let items = sums.chunks_mut(g.c_out * size).zip(pairs).collect();
    each(y_work(g), items, |(sums, (gy, x)): (&mut [f64], (&[f32], &[f32]))| {
        let mut padded = Padded::new(g);
        let planes = gy.chunks_exact(area).zip(x.chunks_exact(g.h * g.w));
        for (sums, (gy, x)) in sums.chunks_exact_mut(size).zip(planes) {
            padded.fill(g, x);
            simd::run(
                #[inline(always)]
                |_| {
                    for (row, gy) in gy.chunks_exact(g.ow()).enumerate() {
                        for (tap, sum) in taps(g).zip(&mut *sums) {
                            let at = padded.tap(g, row, tap);
                            *sum += simd::sum2(gy, &padded.values[at..at + gy.len()], |a, b| a * b);
                        }
                    }
                },
            );
        }
    });
    let width = g.c_out * size;
    (0..width).map(|k| sums.iter().skip(k).step_by(width).sum::<f64>() as f32).collect()
}
