//! How fast the convolutions of a step are, one by one:
//!
//! ```sh
//! RAYON_NUM_THREADS=1 cargo test --release --workspace --lib convolutions_of_a_step -- --ignored --nocapture
//! ```

use std::hint::black_box;
use std::time::Instant;

use super::*;
use crate::kernel::cpu::pool;

/// Milliseconds of the fastest of nine calls.
fn fastest(mut call: impl FnMut() -> Vec<f32>) -> f64 {
    let once = |_| {
        let began = Instant::now();
        pool::give(black_box(call()));
        began.elapsed().as_secs_f64() * 1e3
    };
    (0..9).map(once).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "a measurement, not a test"]
fn convolutions_of_a_step() {
    let same = |n, c_in, side, c_out| Geometry {
        n,
        c_in,
        h: side,
        w: side,
        c_out,
        kh: 3,
        kw: 3,
        stride: 1,
        pad: [1; 4],
    };
    let of = |size, stride, pad, g: Geometry| Geometry { kh: size, kw: size, stride, pad: [pad; 4], ..g };
    let down = |g: Geometry| Geometry { stride: 2, pad: [0, 0, 1, 1], ..g };
    for (name, g) in [
        ("AlexNet 11x11 stride 4, 3 to 64, 64 px", of(11, 4, 2, same(32, 3, 64, 64))),
        ("AlexNet 5x5, 64 to 192, 7 px", of(5, 1, 2, same(32, 64, 7, 192))),
        ("AlexNet 3x3, 192 to 384, 3 px", same(32, 192, 3, 384)),
        ("AlexNet 3x3, 384 to 256, 3 px", same(32, 384, 3, 256)),
        ("AlexNet 3x3, 256 to 256, 3 px", same(32, 256, 3, 256)),
        ("discriminator 4x4 stride 2, 3 to 16, 32 px", of(4, 2, 1, same(32, 3, 32, 16))),
        ("discriminator 4x4 stride 2, 16 to 32, 16 px", of(4, 2, 1, same(32, 16, 16, 32))),
        ("discriminator 4x4, 32 to 64, 8 px", of(4, 1, 1, same(32, 32, 8, 64))),
        ("3x3, 3 to 16, 32 px", same(32, 3, 32, 16)),
        ("3x3, 16 to 16, 32 px", same(32, 16, 32, 16)),
        ("3x3, 16 to 3, 32 px", same(32, 16, 32, 3)),
        ("3x3, 32 to 32, 16 px", same(32, 32, 16, 32)),
        ("3x3, 64 to 64, 8 px", same(32, 64, 8, 64)),
        ("3x3 stride 2, 16 to 16, 32 px", down(same(32, 16, 32, 16))),
        ("3x3 stride 2, 32 to 32, 16 px", down(same(32, 32, 16, 32))),
        ("3x3, 128 to 128, 8 px", same(32, 128, 8, 128)),
        ("3x3, 128 to 128, 32 px, 16 pictures", same(16, 128, 32, 128)),
        ("3x3 stride 2, 128 to 128, 32 px, 16 pictures", down(same(16, 128, 32, 128))),
    ] {
        let (x, w) = (values(1, g.n * g.image()), values(2, g.c_out * g.inner()));
        let gy = values(3, g.n * g.output());
        let gigaflops = 2.0 * (g.n * g.output() * g.inner()) as f64 / 1e6;
        let told = [
            fastest(|| forward(&x, &w, None, &g)),
            fastest(|| grad_input(&gy, &w, None, &g)),
            fastest(|| grad_weight(&gy, &x, &g)),
        ]
        .map(|ms| format!("{ms:8.2} ms {:6.1} GFLOP/s", gigaflops / ms));
        println!("{name:<46}{}", told.join(" |"));
    }
}
