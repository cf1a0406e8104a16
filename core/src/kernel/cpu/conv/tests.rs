//! All forms against the definition, on the best instruction set and on the portable one.

mod times;

use super::super::testing::{assert_close, values};
use super::*;

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

#[test]
fn all_four_agree_with_the_definition() {
    let base = Geometry { n: 3, c_in: 5, h: 9, w: 7, c_out: 4, kh: 3, kw: 3, stride: 1, pad: [1; 4] };
    for g in [
        base,
        Geometry { stride: 2, pad: [0, 0, 1, 1], ..base },
        Geometry { stride: 2, pad: [1, 0, 2, 1], kw: 2, ..base },
        Geometry { kh: 1, kw: 1, pad: [0; 4], ..base },
        Geometry { kh: 1, kw: 1, stride: 2, pad: [0; 4], ..base },
        Geometry { kh: 1, kw: 1, stride: 3, pad: [2, 1, 0, 4], ..base },
        Geometry { kh: 4, kw: 4, stride: 2, ..base },
        Geometry { kh: 4, kw: 4, h: 8, w: 32, stride: 2, ..base },
        Geometry { kh: 4, kw: 4, ..base },
        Geometry { n: 1, c_in: 3, h: 23, w: 23, kh: 11, kw: 11, stride: 4, pad: [2; 4], ..base },
        Geometry { n: 9, c_in: 3, h: 64, w: 35, kh: 4, kw: 4, stride: 2, ..base },
        Geometry { n: 1, h: 1, w: 1, ..base },
        Geometry { n: 9, h: 3, w: 3, c_out: 7, ..base },
        Geometry { n: 19, h: 6, w: 3, stride: 2, c_out: 7, ..base },
        Geometry { n: 1, c_in: 1, h: 1, w: 1, c_out: 1, kh: 1, kw: 1, stride: 1, pad: [0; 4] },
        Geometry { n: 9, h: 32, w: 40, ..base },
        Geometry { n: 1, c_in: 70, h: 40, w: 150, c_out: 67, ..base },
        Geometry { n: 3, c_in: 16, h: 9, w: 33, c_out: 19, ..base },
        Geometry { n: 9, c_in: 17, h: 5, w: 4, c_out: 16, ..base },
        Geometry { n: 1, c_in: 33, h: 50, w: 30, c_out: 70, pad: [0, 1, 2, 0], ..base },
        Geometry { n: 2, c_in: 300, h: 9, w: 40, c_out: 17, ..base },
        Geometry { n: 9, c_in: 64, h: 8, w: 8, c_out: 65, ..base },
        Geometry { n: 9, c_in: 64, h: 7, w: 7, c_out: 130, kh: 5, kw: 5, pad: [2; 4], ..base },
        Geometry { n: 2, c_in: 65, h: 17, w: 30, c_out: 64, pad: [0, 1, 2, 0], ..base },
    ] {
        let (x, w, b) = (values(1, g.n * g.image()), values(2, g.c_out * g.inner()), values(3, g.c_out));
        let (gy, a) = (values(4, g.n * g.output()), values(5, g.c_in));
        let area = g.oh() * g.ow();
        let channel = |v: &[f32], i: usize, area: usize| f64::from(v[i / area % v.len()]);
        let mut y: Vec<f64> = (0..gy.len()).map(|i| channel(&b, i, area)).collect();
        let mut dx: Vec<f64> = (0..x.len()).map(|i| channel(&a, i, g.h * g.w)).collect();
        let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; g.c_out]);
        each_product(&g, |iy, ix, iw| {
            y[iy] += f64::from(x[ix]) * f64::from(w[iw]);
            dx[ix] += f64::from(gy[iy]) * f64::from(w[iw]);
            dw[iw] += f64::from(gy[iy]) * f64::from(x[ix]);
        });
        gy.iter().enumerate().for_each(|(i, &v)| db[i / area % g.c_out] += f64::from(v));
        for set in [Set::Best, Set::Portable] {
            let what = |part: &str| format!("{part} of {g:?}, {set:?}");
            assert_close(&what("y"), &forward_on(set, &x, &w, Some(&b), &g), &y, 2e-6);
            assert_close(&what("dx"), &grad_input_on(set, &gy, &w, Some(&a), &g), &dx, 2e-6);
            // Rounding of F(4×4, 3×3) is a little coarser.
            let tolerance = if wide::suits(&g.correlation()) { 8e-6 } else { 3e-6 };
            assert_close(&what("dw"), &grad_weight_on(set, &gy, &x, &g), &dw, tolerance);
        }
        assert_close("db", &grad_bias(&gy, g.c_out, area), &db, 2e-6);
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let g = Geometry { n: 5, c_in: 33, h: 16, w: 16, c_out: 20, kh: 3, kw: 3, stride: 1, pad: [1; 4] };
    let (x, w, gy) =
        (values(1, g.n * g.image()), values(2, g.c_out * g.inner()), values(4, g.n * g.output()));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let all = || [forward(&x, &w, None, &g), grad_input(&gy, &w, None, &g), grad_weight(&gy, &x, &g)];
        pool.map(|pool| pool.install(all)).ok()
    };
    let one = run(1);
    assert!(one.is_some() && one == run(3));
}
