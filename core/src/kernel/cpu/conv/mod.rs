//! Convolution without gathered columns: a picture is laid out once with its zeros around it ([`layout`]), and
//! the inner loop ([`tile`]) reads shifted vectors of it straight into a register block of the product.
//!
//! `y = w ⋆ x` and the data gradient of stride 1 (weights turned) are [`correlate`], or [`winograd`] for 3×3 with
//! channels enough, or with many of them [`wide`], which also has the weight gradient; the data gradient of other
//! strides is one correlation for each phase of the output ([`transposed`]); the weight gradient of all others has its
//! own loop order, vectors along pixels ([`weight`]). Work is cut by shape alone.

mod columns;
mod correlate;
pub mod enlarged;
mod layout;
mod patches;
#[cfg(test)]
mod tests;
mod tile;
mod toom;
mod transposed;
mod weight;
mod wide;
mod wide_weight;
mod winograd;

use super::gemm::Layout;
use super::parallel::each;
use super::simd::{self, Set};
use correlate::{Weights, correlate};
use winograd::Kernels;

pub use correlate::Correlation;

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

    fn taps(&self) -> usize {
        self.kh * self.kw
    }

    fn inner(&self) -> usize {
        self.c_in * self.taps()
    }

    /// Values of one input picture.
    fn image(&self) -> usize {
        self.c_in * self.h * self.w
    }

    /// Values of one output picture.
    fn output(&self) -> usize {
        self.c_out * self.oh() * self.ow()
    }

    fn correlation(&self) -> Correlation {
        Correlation {
            n: self.n,
            c_in: self.c_in,
            h: self.h,
            w: self.w,
            c_out: self.c_out,
            oh: self.oh(),
            ow: self.ow(),
            kh: self.kh,
            kw: self.kw,
            stride: self.stride,
            origin: [-(self.pad[0] as isize), -(self.pad[1] as isize)],
        }
    }
}

/// `y [N, O, OH, OW]` of `x [N, I, H, W]`, `w [O, I, kh, kw]`, `b [O]`.
pub fn forward(x: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    forward_on(Set::Best, x, w, b, g)
}

fn forward_on(set: Set, x: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    if columns::is_point(g) {
        let weights = (w, Layout::rows(0, g.c_in));
        return columns::point(x, weights, b, (g.c_in, g.c_out), (g.n, g.h * g.w));
    }
    let taps = g.taps();
    bank(set, x, b, &g.correlation(), |o, i, t| w[(o * g.c_in + i) * taps + t])
}

/// Correlation with weights (output channel, input channel, tap), in the form that suits its shape.
fn bank(
    set: Set,
    x: &[f32],
    b: Option<&[f32]>,
    c: &Correlation,
    w: impl Fn(usize, usize, usize) -> f32 + Sync + Send,
) -> Vec<f32> {
    if wide::suits(c) {
        wide::correlate(set, x, &wide::Bank::new(set, (c.c_out, c.c_in, c.kh), b, w), c, 1)
    } else if winograd::suits(c) {
        winograd::correlate(set, x, &Kernels::new((c.c_out, c.c_in), b, w), c)
    } else {
        correlate(set, x, &Weights::new((c.c_out, c.c_in, c.kh * c.kw), b, w), c)
    }
}

/// `dx [N, I, H, W]` of `gy [N, O, OH, OW]`; `b [I]`, if any, is added to it (a transposed convolution's bias).
pub fn grad_input(gy: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    grad_input_on(Set::Best, gy, w, b, g)
}

fn grad_input_on(set: Set, gy: &[f32], w: &[f32], b: Option<&[f32]>, g: &Geometry) -> Vec<f32> {
    if columns::is_point(g) {
        let weights = (w, Layout::rows(0, g.c_in).transposed());
        return columns::point(gy, weights, b, (g.c_out, g.c_in), (g.n, g.h * g.w));
    }
    if columns::is_narrow(g) {
        return columns::grad_input(gy, w, b, g);
    }
    if g.stride > 1 {
        return transposed::grad_input(set, gy, w, b, g);
    }
    let taps = g.taps();
    let origin = [g.pad[0] as isize + 1 - g.kh as isize, g.pad[1] as isize + 1 - g.kw as isize];
    let back = Correlation {
        c_in: g.c_out,
        h: g.oh(),
        w: g.ow(),
        c_out: g.c_in,
        oh: g.h,
        ow: g.w,
        origin,
        ..g.correlation()
    };
    // Turned: dx_i = Σ_o gy_o ⋆ w_oi read backwards.
    bank(set, gy, b, &back, |i, o, t| w[(o * g.c_in + i) * taps + (taps - 1 - t)])
}

/// `dW [O, I, kh, kw]` of `gy [N, O, OH, OW]` and `x [N, I, H, W]`.
pub fn grad_weight(gy: &[f32], x: &[f32], g: &Geometry) -> Vec<f32> {
    grad_weight_on(Set::Best, gy, x, g)
}

fn grad_weight_on(set: Set, gy: &[f32], x: &[f32], g: &Geometry) -> Vec<f32> {
    let c = g.correlation();
    if g.kh == 3 && wide::suits(&c) {
        wide_weight::grad_weight(set, gy, x, &c, 1)
    } else {
        weight::grad_weight(set, gy, x, g)
    }
}

/// `db [O]` of `gy [N, O, area]`.
pub fn grad_bias(gy: &[f32], channels: usize, area: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; gy.len() / area];
    let items = sums.chunks_mut(channels).zip(gy.chunks(channels * area)).collect();
    each(gy.len(), items, |(sums, gy)| {
        simd::run(
            #[inline(always)]
            |_| {
                for (sum, plane) in sums.iter_mut().zip(gy.chunks_exact(area)) {
                    *sum = simd::sum1(plane, |v| v);
                }
            },
        );
    });
    (0..channels).map(|o| sums.iter().skip(o).step_by(channels).sum::<f64>() as f32).collect()
}
