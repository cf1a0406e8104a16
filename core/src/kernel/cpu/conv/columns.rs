//! Two shapes that a plain matrix product serves better than the register blocks of [`tile`](super::tile): 1×1
//! convolutions, and the data gradient of a strided convolution with fewer input channels than a block has.

use super::super::gemm::{Layout, Threads, product};
use super::super::parallel::each;
use super::super::pool;
use super::Geometry;
use super::tile::CHANNELS;

/// Values of a tile's columns: 1 MiB.
const TILE_VALUES: usize = 256 * 1024;

/// Whether `g` is a matrix product over the channels as it stands.
pub fn is_point(g: &Geometry) -> bool {
    g.taps() == 1 && g.stride == 1 && g.pad == [0; 4]
}

/// Whether the data gradient of `g` is better made by [`grad_input`].
pub fn is_narrow(g: &Geometry) -> bool {
    g.stride > 1 && g.c_in < CHANNELS
}

/// `y [N, to, area] = w [to, from] · x [N, from, area] + b`.
pub fn point(
    x: &[f32],
    (w, layout): (&[f32], Layout),
    b: Option<&[f32]>,
    (from, to): (usize, usize),
    (n, area): (usize, usize),
) -> Vec<f32> {
    let mut y = pool::take(n * to * area);
    // Whole pictures are the unit; a single one is cut by the product itself.
    let threads = if n == 1 { Threads::All } else { Threads::One };
    let images: Vec<_> = y.chunks_exact_mut(to * area).zip(x.chunks_exact(from * area)).collect();
    each(n * from * to * area / 8, images, |(y, x)| {
        if let Some(b) = b {
            y.chunks_exact_mut(area).zip(b).for_each(|(plane, &b)| plane.fill(b));
        }
        let rows = Layout::rows(0, area);
        product((to, area, from), (y, rows), (w, layout), (x, rows), b.is_some(), threads);
    });
    y
}

/// `dx [N, I, H, W]` of `gy [N, O, OH, OW]`, plus `b [I]`: the product `wᵀ · gy` for a tile of output rows, added
/// back to where its columns would have been gathered from.
pub fn grad_input(gy: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    let (oh, ow) = (g.oh(), g.ow());
    let tile_rows = (TILE_VALUES / (g.inner() * ow).max(1)).clamp(1, oh);
    let mut dx = vec![0.0; g.n * g.image()];
    let images: Vec<_> = dx.chunks_exact_mut(g.image()).zip(gy.chunks_exact(g.output())).collect();
    each(g.n * g.output() * g.inner() / 8, images, |(dx, gy)| {
        if let Some(b) = b {
            dx.chunks_exact_mut(g.h * g.w).zip(b).for_each(|(plane, &b)| plane.fill(b));
        }
        let mut columns = vec![0.0; g.inner() * tile_rows * ow];
        for first in (0..oh).step_by(tile_rows) {
            let width = tile_rows.min(oh - first) * ow;
            let weights = (w, Layout::rows(0, g.inner()).transposed());
            let from = (gy, Layout::rows(first * ow, oh * ow));
            let to = (&mut columns[..], Layout::rows(0, width));
            product((g.inner(), width, g.c_out), to, weights, from, false, Threads::One);
            scatter(g, &columns[..g.inner() * width], first, dx);
        }
    });
    dx
}

/// Range of output columns whose tap `kx` lies inside the picture.
fn inside(g: &Geometry, kx: usize) -> (usize, usize) {
    let left = g.pad[1];
    let first = left.saturating_sub(kx).div_ceil(g.stride);
    let last = (g.w + left).saturating_sub(kx).div_ceil(g.stride).min(g.ow());
    (first.min(last), last)
}

/// Adds the columns of output rows from `first` on to their places.
fn scatter(g: &Geometry, columns: &[f32], first: usize, dx: &mut [f32]) {
    let ow = g.ow();
    for (k, line) in columns.chunks_exact(columns.len() / g.inner()).enumerate() {
        let (c, ky, kx) = (k / g.taps(), k / g.kw % g.kh, k % g.kw);
        let (from, to) = inside(g, kx);
        for (r, values) in line.chunks_exact(ow).enumerate() {
            let y = ((first + r) * g.stride + ky).wrapping_sub(g.pad[0]);
            if y >= g.h || from == to {
                continue;
            }
            let row = &mut dx[(c * g.h + y) * g.w..(c * g.h + y + 1) * g.w];
            let start = from * g.stride + kx - g.pad[1];
            for (o, &v) in row[start..].iter_mut().step_by(g.stride).zip(&values[from..to]) {
                *o += v;
            }
        }
    }
}
