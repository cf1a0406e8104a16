//! The data gradient of a strided convolution, which is also the forward of a transposed one.
//!
//! Row `y` of `dx` lies at `q = y + top` among the zeros; only kernel rows `r, r + s, …` with `r = q mod s` ever
//! meet it, at output rows `⌊q/s⌋, ⌊q/s⌋ − 1, …`. So each of the s × s phases of `dx` is a correlation of `gy`
//! with its own part of the kernel, read backwards, and no zero is multiplied.

use super::super::parallel::each;
use super::super::pool;
use super::super::simd::Set;
use super::Geometry;
use super::correlate::{Correlation, Task, Weights};
use super::layout::Layout;

/// One phase along one axis.
#[derive(Clone, Copy, Debug)]
struct Phase {
    /// First kernel index; the others follow at the stride.
    first: usize,
    /// Kernel indices.
    taps: usize,
    /// Output index of the last tap at this phase's first value.
    quotient: usize,
    /// First position in `dx`, and the number of positions, at the stride.
    start: usize,
    count: usize,
}

impl Phase {
    /// The phases of an axis of `length` values behind `pad` zeros, for a kernel of `kernel`.
    fn all(length: usize, pad: usize, kernel: usize, stride: usize) -> Vec<Self> {
        let phase = |first: usize| {
            let quotient = pad.saturating_sub(first).div_ceil(stride);
            let start = quotient * stride + first - pad;
            let count = length.saturating_sub(start).div_ceil(stride);
            Self { first, taps: kernel.saturating_sub(first).div_ceil(stride), quotient, start, count }
        };
        (0..stride).map(phase).filter(|p| p.count > 0).collect()
    }
}

/// A phase of both axes with its part of the kernel.
struct Part {
    rows: Phase,
    cols: Phase,
    weights: Weights,
    c: Correlation,
    layout: Layout,
}

/// `dx [N, I, H, W]` of `gy [N, O, OH, OW]`, plus `b [I]` if there is one.
pub fn grad_input(set: Set, gy: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    let mut dx = pool::take(g.n * g.image());
    let parts = parts(set, w, b, g);
    let together = if parts.iter().any(|p| p.layout.batched) { set.lanes() } else { 1 };
    let outputs = dx.chunks_mut(together * g.image()).zip(gy.chunks(together * g.output())).collect();
    each(g.n * g.output() * g.inner() / 8, outputs, |(dx, gy): (&mut [f32], &[f32])| {
        let mut scratch = Vec::new();
        for part in &parts {
            let pictures = if part.layout.batched { together } else { 1 };
            let groups = dx.chunks_mut(pictures * g.image()).zip(gy.chunks(pictures * g.output()));
            for (dx, gy) in groups {
                scratch.resize(dx.len() / (g.h * g.w) * part.c.area(), 0.0);
                let Part { weights, c, layout, .. } = part;
                set.run(Task { x: gy, y: &mut scratch, weights, first: 0, c, layout });
                part.spread(&scratch, dx, g);
            }
        }
    });
    dx
}

fn parts(set: Set, w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<Part> {
    let mut parts = Vec::new();
    for rows in Phase::all(g.h, g.pad[0], g.kh, g.stride) {
        for cols in Phase::all(g.w, g.pad[1], g.kw, g.stride) {
            // Where each tap of this phase lies in the whole kernel.
            let tap = |t: usize| {
                let ky = rows.first + (rows.taps - 1 - t / cols.taps) * g.stride;
                let kx = cols.first + (cols.taps - 1 - t % cols.taps) * g.stride;
                ky * g.kw + kx
            };
            let taps: Vec<_> = (0..rows.taps * cols.taps).map(tap).collect();
            let weights = Weights::new((g.c_in, g.c_out, taps.len()), b, |i, o, t| {
                w[(o * g.c_in + i) * g.taps() + taps[t]]
            });
            let origin = |p: Phase| p.quotient as isize + 1 - p.taps as isize;
            let c = Correlation {
                n: g.n,
                c_in: g.c_out,
                h: g.oh(),
                w: g.ow(),
                c_out: g.c_in,
                oh: rows.count,
                ow: cols.count,
                kh: rows.taps,
                kw: cols.taps,
                stride: 1,
                origin: [origin(rows), origin(cols)],
            };
            let layout = Layout::new(&c, set.lanes(), usize::MAX);
            parts.push(Part { rows, cols, weights, c, layout });
        }
    }
    parts
}

impl Part {
    /// Writes this phase's `values [pictures · I, rows, cols]` to its places in `dx`.
    fn spread(&self, values: &[f32], dx: &mut [f32], g: &Geometry) {
        let Self { rows, cols, .. } = self;
        for (plane, values) in dx.chunks_exact_mut(g.h * g.w).zip(values.chunks_exact(self.c.area())) {
            let lines = plane.chunks_exact_mut(g.w).skip(rows.start).step_by(g.stride);
            for (line, values) in lines.zip(values.chunks_exact(cols.count)) {
                line[cols.start..].iter_mut().step_by(g.stride).zip(values).for_each(|(o, &v)| *o = v);
            }
        }
    }
}
