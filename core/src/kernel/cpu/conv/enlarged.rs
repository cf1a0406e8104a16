//! Nearest × 2 and the 3×3 convolution behind it where channels are many: [`wide`](super::wide) reads the small map
//! as if it were the large one, with a quarter of the products of a direct sum.

use super::super::parallel::each;
use super::super::pool;
use super::super::simd::Set;
use super::correlate::Correlation;
use super::{wide, wide_weight};

/// The correlation of the enlarged map, where this form suits it: pictures, input channels, rows and columns of
/// the small map, output channels.
pub fn suits(n: usize, c_in: usize, (h, w): (usize, usize), c_out: usize) -> Option<Correlation> {
    let (oh, ow, kh, kw, stride, origin) = (2 * h, 2 * w, 3, 3, 1, [-1, -1]);
    let c = Correlation { n, c_in, h, w, c_out, oh, ow, kh, kw, stride, origin };
    wide::suits(&c).then_some(c)
}

/// `y [N, O, 2H, 2W]` of `x [N, I, H, W]`, `w [O, I, 3, 3]`, `b [O]`.
pub fn forward(x: &[f32], w: &[f32], b: &[f32], c: &Correlation) -> Vec<f32> {
    forward_on(Set::Best, x, w, b, c)
}

fn forward_on(set: Set, x: &[f32], w: &[f32], b: &[f32], c: &Correlation) -> Vec<f32> {
    let bank = wide::Bank::new(set, (c.c_out, c.c_in, 3), Some(b), |o, i, t| w[(o * c.c_in + i) * 9 + t]);
    wide::correlate(set, x, &bank, c, 2)
}

/// `dx [N, I, H, W]` of `gy [N, O, 2H, 2W]`.
pub fn grad_input(gy: &[f32], w: &[f32], c: &Correlation) -> Vec<f32> {
    grad_input_on(Set::Best, gy, w, c)
}

fn grad_input_on(set: Set, gy: &[f32], w: &[f32], c: &Correlation) -> Vec<f32> {
    let back = Correlation { c_in: c.c_out, c_out: c.c_in, h: c.oh, w: c.ow, ..*c };
    let turned = |i: usize, o: usize, t: usize| w[(o * c.c_in + i) * 9 + 8 - t];
    let large = wide::correlate(set, gy, &wide::Bank::new(set, (c.c_in, c.c_out, 3), None, turned), &back, 1);
    let mut dx = pool::take(c.n * c.image());
    let planes = dx.chunks_exact_mut(c.h * c.w).zip(large.chunks_exact(c.area())).collect();
    each(large.len(), planes, |(dx, large): (&mut [f32], &[f32])| {
        for (dx, rows) in dx.chunks_exact_mut(c.w).zip(large.chunks_exact(2 * c.ow)) {
            let (upper, lower) = rows.split_at(c.ow);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            dx.iter_mut().zip(pairs).for_each(|(dx, (u, l))| *dx = (u[0] + u[1]) + (l[0] + l[1]));
        }
    });
    pool::give(large);
    dx
}

/// `dW [O, I, 3, 3]` of `gy [N, O, 2H, 2W]` and `x [N, I, H, W]`.
pub fn grad_weight(gy: &[f32], x: &[f32], c: &Correlation) -> Vec<f32> {
    wide_weight::grad_weight(Set::Best, gy, x, c, 2)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{assert_close, values, wide as wider};
    use super::super::{self as conv, Geometry};
    use super::*;

    /// Every value as a square of four.
    fn enlarge(x: &[f32], c: &Correlation) -> Vec<f32> {
        let at = |i: usize| {
            let (plane, y, x) = (i / c.area(), i % c.area() / c.ow, i % c.ow);
            (plane * c.h + y / 2) * c.w + x / 2
        };
        (0..c.n * c.c_in * c.area()).map(|i| x[at(i)]).collect()
    }

    #[test]
    fn the_small_map_gives_what_the_enlarged_one_does() {
        for (n, c_in, h, w, c_out) in [(1, 64, 9, 13, 65), (9, 70, 4, 4, 64)] {
            let c = suits(n, c_in, (h, w), c_out).unwrap();
            let g = Geometry { n, c_in, h: 2 * h, w: 2 * w, c_out, kh: 3, kw: 3, stride: 1, pad: [1; 4] };
            let (x, weight, b) = (values(1, n * c.image()), values(2, c_out * c_in * 9), values(3, c_out));
            let gy = values(4, n * c_out * c.area());
            let large = enlarge(&x, &c);
            let y = wider(&conv::forward(&large, &weight, Some(&b), &g));
            for set in [Set::Best, Set::Portable] {
                assert_close("y", &forward_on(set, &x, &weight, &b, &c), &y, 4e-6);
            }
            let dw = wider(&conv::grad_weight(&gy, &large, &g));
            assert_close("dw", &grad_weight(&gy, &x, &c), &dw, 4e-6);
            let mut dx = vec![0.0_f64; x.len()];
            let places = enlarge(&(0..x.len()).map(|i| i as f32).collect::<Vec<_>>(), &c);
            let back = conv::grad_input(&gy, &weight, None, &g);
            places.iter().zip(&back).for_each(|(&at, &v)| dx[at as usize] += f64::from(v));
            assert_close("dx", &grad_input(&gy, &weight, &c), &dx, 4e-6);
        }
    }
}
