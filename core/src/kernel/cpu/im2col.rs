//! Convolution as matrix products: patches of a tile of output rows are gathered into columns that
//! fit the L2 cache, then one product with the weights.
//!
//! `y_n = W · col(x_n)`; `dW = Σ g_n · col(x_n)ᵀ`; the data gradient of a stride-1 convolution is a
//! convolution with the turned weights, of others `col⁻¹(Wᵀ · g_n)`. Work is cut by shape alone.

use super::gemm::{Layout, Threads, product};
use super::parallel::{cut, each, sum_rows};

/// Values of a tile's columns: 1 MiB, half of a common L2 cache.
const TILE_VALUES: usize = 256 * 1024;
/// Parts of a weight gradient that are summed at the end.
const WEIGHT_PARTS: usize = 8;

/// Shape of a convolution, NCHW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub n: usize,
    pub c_in: usize,
    pub h: usize,
    pub w: usize,
    pub c_out: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    /// Zeros at the top, left, bottom and right.
    pub pad: [usize; 4],
}

impl Geometry {
    /// Output rows.
    pub fn oh(&self) -> usize {
        (self.h + self.pad[0] + self.pad[2] - self.kh) / self.stride + 1
    }

    /// Output columns.
    pub fn ow(&self) -> usize {
        (self.w + self.pad[1] + self.pad[3] - self.kw) / self.stride + 1
    }

    fn inner(&self) -> usize {
        self.c_in * self.kh * self.kw
    }

    fn is_point(&self) -> bool {
        self.kh == 1 && self.kw == 1 && self.stride == 1 && self.pad == [0; 4]
    }

    fn image(&self) -> usize {
        self.c_in * self.h * self.w
    }

    /// Output rows of a tile.
    fn tile_rows(&self) -> usize {
        (TILE_VALUES / (self.inner() * self.ow()).max(1)).clamp(1, self.oh())
    }

    /// First output row and number of rows of each tile of an image.
    fn tiles(&self) -> Vec<(usize, usize)> {
        let rows = self.tile_rows();
        (0..self.oh()).step_by(rows).map(|first| (first, rows.min(self.oh() - first))).collect()
    }

    fn work(&self) -> usize {
        self.n * self.inner() * self.oh() * self.ow()
    }
}

/// Range of output columns whose tap `kx` lies inside the picture.
fn inside(g: &Geometry, kx: usize) -> (usize, usize) {
    let left = g.pad[1];
    let first = left.saturating_sub(kx).div_ceil(g.stride);
    let last = (g.w + left).saturating_sub(kx).div_ceil(g.stride).min(g.ow());
    (first.min(last), last)
}

/// Gathers the patches of `rows` output rows from `first` on into `col [inner, rows · ow]`.
fn gather(g: &Geometry, x: &[f32], (first, rows): (usize, usize), col: &mut [f32]) {
    let (ow, width) = (g.ow(), rows * g.ow());
    for (k, line) in col.chunks_exact_mut(width).enumerate() {
        let (c, ky, kx) = (k / (g.kh * g.kw), k / g.kw % g.kh, k % g.kw);
        let (from, to) = inside(g, kx);
        for (r, out) in line.chunks_exact_mut(ow).enumerate() {
            let y = ((first + r) * g.stride + ky).wrapping_sub(g.pad[0]);
            if y >= g.h || from == to {
                out.fill(0.0);
                continue;
            }
            out[..from].fill(0.0);
            out[to..].fill(0.0);
            let row = &x[(c * g.h + y) * g.w..(c * g.h + y + 1) * g.w];
            let start = from * g.stride + kx - g.pad[1];
            if g.stride == 1 {
                out[from..to].copy_from_slice(&row[start..start + to - from]);
            } else {
                for (o, &v) in out[from..to].iter_mut().zip(row[start..].iter().step_by(g.stride)) {
                    *o = v;
                }
            }
        }
    }
}

/// Adds columns back to where they were gathered from.
fn scatter(g: &Geometry, col: &[f32], (first, rows): (usize, usize), dx: &mut [f32]) {
    let (ow, width) = (g.ow(), rows * g.ow());
    for (k, line) in col.chunks_exact(width).enumerate() {
        let (c, ky, kx) = (k / (g.kh * g.kw), k / g.kw % g.kh, k % g.kw);
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

/// `y [N, O, OH, OW]` of `x [N, I, H, W]`, `w [O, I, kh, kw]`, `b [O]`.
pub fn forward(x: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    let area = g.oh() * g.ow();
    let mut y = vec![0.0; g.n * g.c_out * area];
    // Whole images are the unit; a single large image is cut by the product itself.
    let threads = if g.n == 1 { Threads::All } else { Threads::One };
    let images: Vec<_> = y.chunks_exact_mut(g.c_out * area).zip(x.chunks_exact(g.image())).collect();
    each(g.work(), images, |(y, x)| {
        if let Some(b) = b {
            y.chunks_exact_mut(area).zip(b).for_each(|(plane, &b)| plane.fill(b));
        }
        let weights = (w, Layout::rows(0, g.inner()));
        if g.is_point() {
            let (to, from) = (Layout::rows(0, area), Layout::rows(0, area));
            return product((g.c_out, area, g.inner()), (y, to), weights, (x, from), true, threads);
        }
        let mut col = vec![0.0; g.inner() * g.tile_rows() * g.ow()];
        for (first, rows) in g.tiles() {
            let width = rows * g.ow();
            gather(g, x, (first, rows), &mut col[..g.inner() * width]);
            let to = Layout::rows(first * g.ow(), area);
            product(
                (g.c_out, width, g.inner()),
                (y, to),
                weights,
                (&col, Layout::rows(0, width)),
                true,
                threads,
            );
        }
    });
    y
}

/// `dx` of `gy [N, O, OH, OW]`.
pub fn grad_input(gy: &[f32], w: &[f32], g: &Geometry) -> Vec<f32> {
    let taps = g.kh * g.kw;
    let [top, left, bottom, right] = g.pad;
    if g.stride == 1 && top.max(bottom) < g.kh && left.max(right) < g.kw {
        let mut turned = vec![0.0; w.len()];
        for (o, row) in w.chunks_exact(g.inner()).enumerate() {
            for (i, kernel) in row.chunks_exact(taps).enumerate() {
                let at = (i * g.c_out + o) * taps;
                turned[at..at + taps].iter_mut().zip(kernel.iter().rev()).for_each(|(t, &k)| *t = k);
            }
        }
        let pad = [g.kh - 1 - top, g.kw - 1 - left, g.kh - 1 - bottom, g.kw - 1 - right];
        let back = Geometry { c_in: g.c_out, c_out: g.c_in, h: g.oh(), w: g.ow(), pad, ..*g };
        return forward(gy, &turned, None, &back);
    }
    let area = g.oh() * g.ow();
    let mut dx = vec![0.0; g.n * g.image()];
    let images: Vec<_> = dx.chunks_exact_mut(g.image()).zip(gy.chunks_exact(g.c_out * area)).collect();
    each(g.work(), images, |(dx, gy)| {
        let mut col = vec![0.0; g.inner() * g.tile_rows() * g.ow()];
        for (first, rows) in g.tiles() {
            let width = rows * g.ow();
            let weights = (w, Layout::rows(0, g.inner()).transposed());
            let from = Layout::rows(first * g.ow(), area);
            let to = (&mut col[..], Layout::rows(0, width));
            product((g.inner(), width, g.c_out), to, weights, (gy, from), false, Threads::One);
            scatter(g, &col[..g.inner() * width], (first, rows), dx);
        }
    });
    dx
}

/// `dW [O, I, kh, kw]` of `gy [N, O, OH, OW]` and `x`.
pub fn grad_weight(gy: &[f32], x: &[f32], g: &Geometry) -> Vec<f32> {
    let (area, size) = (g.oh() * g.ow(), g.c_out * g.inner());
    let tiles: Vec<_> = (0..g.n).flat_map(|n| g.tiles().into_iter().map(move |tile| (n, tile))).collect();
    let per_part = tiles.len().div_ceil(WEIGHT_PARTS);
    let chunks: Vec<_> = tiles.chunks(per_part).collect();
    let mut partial = vec![0.0; chunks.len() * size];
    let lengths = vec![size; chunks.len()];
    let items: Vec<_> = cut(&mut partial, lengths).into_iter().zip(chunks).collect();
    each(g.work(), items, |(sum, tiles)| {
        let mut col = vec![0.0; g.inner() * g.tile_rows() * g.ow()];
        for &(n, (first, rows)) in tiles {
            let width = rows * g.ow();
            gather(g, &x[n * g.image()..(n + 1) * g.image()], (first, rows), &mut col[..g.inner() * width]);
            let from = Layout::rows(n * g.c_out * area + first * g.ow(), area);
            let columns = (&col[..], Layout::rows(0, width).transposed());
            let to = (&mut *sum, Layout::rows(0, g.inner()));
            product((g.c_out, g.inner(), width), to, (gy, from), columns, true, Threads::One);
        }
    });
    sum_rows(&partial, size)
}

/// `db [O]` of `gy [N, O, OH, OW]`.
pub fn grad_bias(gy: &[f32], g: &Geometry) -> Vec<f32> {
    let area = g.oh() * g.ow();
    let mut sums = vec![0.0f64; g.c_out];
    for (i, plane) in gy.chunks_exact(area).enumerate() {
        // Lanes of f32 within a plane, f64 across planes.
        let mut lanes = [0.0f32; 16];
        let (body, rest) = plane.as_chunks::<16>();
        body.iter().for_each(|block| lanes.iter_mut().zip(block).for_each(|(l, v)| *l += v));
        let total: f32 = lanes.iter().sum::<f32>() + rest.iter().sum::<f32>();
        sums[i % g.c_out] += f64::from(total);
    }
    sums.into_iter().map(|s| s as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Visits every product of a convolution: indices into y, x and w.
    fn each_product(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
        for n in 0..g.n {
            for o in 0..g.c_out {
                for (oy, ox) in (0..g.oh()).flat_map(|y| (0..g.ow()).map(move |x| (y, x))) {
                    for i in 0..g.c_in {
                        for (ky, kx) in (0..g.kh).flat_map(|y| (0..g.kw).map(move |x| (y, x))) {
                            let y = (oy * g.stride + ky).wrapping_sub(g.pad[0]);
                            let x = (ox * g.stride + kx).wrapping_sub(g.pad[1]);
                            if y < g.h && x < g.w {
                                let at_y = ((n * g.c_out + o) * g.oh() + oy) * g.ow() + ox;
                                let at_x = ((n * g.c_in + i) * g.h + y) * g.w + x;
                                visit(at_y, at_x, ((o * g.c_in + i) * g.kh + ky) * g.kw + kx);
                            }
                        }
                    }
                }
            }
        }
    }

    fn close(what: &str, a: &[f32], b: &[f64]) {
        let worst = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert_eq!(a.len(), b.len());
        assert!(worst < 2e-4, "{what}: {worst:e}");
        let moved = f64::from(a[0]) + 1e-3;
        assert!((moved - b[0]).abs() > 2e-4, "{what}: the comparison cannot fail");
    }

    #[test]
    fn all_four_agree_with_the_definition() {
        let base = Geometry { n: 3, c_in: 5, h: 9, w: 7, c_out: 4, kh: 3, kw: 3, stride: 1, pad: [1; 4] };
        for g in [
            base,
            Geometry { stride: 2, pad: [0, 0, 1, 1], ..base },
            Geometry { kh: 1, kw: 1, pad: [0; 4], ..base },
            Geometry { kh: 4, kw: 4, stride: 2, ..base },
            Geometry { kh: 4, kw: 4, ..base },
            Geometry { n: 1, c_in: 3, h: 23, w: 23, kh: 11, kw: 11, stride: 4, pad: [2; 4], ..base },
            Geometry { n: 1, h: 1, w: 1, ..base },
            Geometry { n: 9, h: 64, w: 64, ..base },
        ] {
            let x = values(1, g.n * g.image());
            let w = values(2, g.c_out * g.inner());
            let b = values(3, g.c_out);
            let gy = values(4, g.n * g.c_out * g.oh() * g.ow());
            let area = g.oh() * g.ow();
            let mut y: Vec<f64> = (0..gy.len()).map(|i| f64::from(b[i / area % g.c_out])).collect();
            let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
            each_product(&g, |iy, ix, iw| {
                y[iy] += f64::from(x[ix]) * f64::from(w[iw]);
                dx[ix] += f64::from(gy[iy]) * f64::from(w[iw]);
                dw[iw] += f64::from(gy[iy]) * f64::from(x[ix]);
            });
            let db: Vec<f64> = (0..g.c_out)
                .map(|o| {
                    gy.iter()
                        .enumerate()
                        .filter(|(i, _)| i / area % g.c_out == o)
                        .map(|(_, v)| f64::from(*v))
                        .sum()
                })
                .collect();
            close("forward", &forward(&x, &w, Some(&b), &g), &y);
            close("grad_input", &grad_input(&gy, &w, &g), &dx);
            let scale = 1.0 / (1.0 + (g.n * area) as f64 / 100.0);
            let scaled = |v: &[f64]| v.iter().map(|v| v * scale).collect::<Vec<_>>();
            let ours = |v: Vec<f32>| v.into_iter().map(|v| (f64::from(v) * scale) as f32).collect::<Vec<_>>();
            close("grad_weight", &ours(grad_weight(&gy, &x, &g)), &scaled(&dw));
            close("grad_bias", &ours(grad_bias(&gy, &g)), &scaled(&db));
        }
    }
}
