//! The centre crop of ADM (guided-diffusion `image_datasets.py`), bit for bit.
//!
//! Halve with a box filter while the short side is at least twice the target, then one antialiased
//! bicubic resize (a = -0.5), then the middle square. The filters are Pillow's
//! (`src/libImaging/Resample.c`): weights in fixed point with 22 fractional bits, the horizontal pass
//! first, each pass rounded to 8 bits. Deliberate difference: none; the resizes of torch are in
//! [`crate::kernel::resample`].

/// Fractional bits of a weight: Pillow's `PRECISION_BITS`, 32 - 8 - 2.
const PRECISION_BITS: u32 = 22;

/// A Pillow filter: its kernel and the half width it needs at scale one.
#[derive(Clone, Copy)]
enum Filter {
    Box,
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        match self {
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bicubic => match x.abs() {
                x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
                x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
                _ => 0.0,
            },
        }
    }
}

/// For each output position: the first input position and its fixed-point weights.
fn fixed_weights(from: usize, to: usize, filter: Filter) -> Vec<(usize, Vec<i32>)> {
    let scale = from as f64 / to as f64;
    let filter_scale = scale.max(1.0);
    let support = filter.support() * filter_scale;
    let step = 1.0 / filter_scale;
    let row = |position: usize| {
        let center = (position as f64 + 0.5) * scale;
        // `as i64` truncates toward zero, as Pillow's cast does.
        let first = ((center - support + 0.5) as i64).max(0) as usize;
        let end = ((center + support + 0.5) as i64).clamp(0, from as i64) as usize;
        let weights: Vec<f64> =
            (first..end).map(|x| filter.weight((x as f64 - center + 0.5) * step)).collect();
        let sum: f64 = weights.iter().sum();
        let norm = |w: f64| if sum == 0.0 { w } else { w / sum };
        (first, weights.into_iter().map(|w| fixed_from_f64(norm(w))).collect())
    };
    (0..to).map(row).collect()
}

/// Round half away from zero, as Pillow does.
fn fixed_from_f64(weight: f64) -> i32 {
    let scaled = weight * f64::from(1u32 << PRECISION_BITS);
    (scaled + if weight < 0.0 { -0.5 } else { 0.5 }) as i32
}

/// Pillow's `clip8`.
fn byte_from_fixed(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// `[h, w, 3]` to `[h, to, 3]`.
fn horizontal(rgb: &[u8], width: usize, height: usize, to: usize, filter: Filter) -> Vec<u8> {
    let weights = fixed_weights(width, to, filter);
    let mut out = Vec::with_capacity(to * height * 3);
    for row in rgb.chunks_exact(width * 3).take(height) {
        for (first, row_weights) in &weights {
            let mut sum = [HALF; 3];
            for (pixel, &w) in row[first * 3..].chunks_exact(3).zip(row_weights) {
                for channel in 0..3 {
                    sum[channel] += i32::from(pixel[channel]) * w;
                }
            }
            out.extend(sum.map(byte_from_fixed));
        }
    }
    out
}

/// `[h, w, 3]` to `[to, w, 3]`.
fn vertical(rgb: &[u8], width: usize, height: usize, to: usize, filter: Filter) -> Vec<u8> {
    let stride = width * 3;
    let mut out = Vec::with_capacity(stride * to);
    let mut sums = vec![HALF; stride];
    for (first, weights) in fixed_weights(height, to, filter) {
        sums.fill(HALF);
        for (row, &w) in rgb[first * stride..].chunks_exact(stride).zip(&weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * w;
            }
        }
        out.extend(sums.iter().map(|&sum| byte_from_fixed(sum)));
    }
    out
}

/// A picture on its way: `[height, width, 3]`.
struct Picture {
    rgb: Vec<u8>,
    width: usize,
    height: usize,
}

/// Pillow's `Image.resize`; a side that already fits has no pass.
fn resize(picture: Picture, width: usize, height: usize, filter: Filter) -> Picture {
    let mut rgb = picture.rgb;
    if width != picture.width {
        rgb = horizontal(&rgb, picture.width, picture.height, width, filter);
    }
    if height != picture.height {
        rgb = vertical(&rgb, width, picture.height, height, filter);
    }
    Picture { rgb, width, height }
}

/// The ADM centre crop of a picture to a square; a picture of that size already is returned as it is.
///
/// # Shapes
/// `rgb` is `[height, width, 3]`, the result `[target_px, target_px, 3]`. No side may be 0.
pub fn center_crop(rgb: &[u8], width: usize, height: usize, target_px: usize) -> Vec<u8> {
    assert_eq!(rgb.len(), width * height * 3, "rgb is [height, width, 3]");
    assert!(width > 0 && height > 0 && target_px > 0, "no empty pictures");
    let mut picture = Picture { rgb: rgb.to_vec(), width, height };
    while picture.width.min(picture.height) >= 2 * target_px {
        let (half_width, half_height) = (picture.width / 2, picture.height / 2);
        picture = resize(picture, half_width, half_height, Filter::Box);
    }
    let scale = target_px as f64 / picture.width.min(picture.height) as f64;
    // Python's round: half to even. The short side never falls under the target but for rounding.
    let side = |length: usize| ((length as f64 * scale).round_ties_even() as usize).max(target_px);
    let (new_width, new_height) = (side(picture.width), side(picture.height));
    let picture = resize(picture, new_width, new_height, Filter::Bicubic);
    let left = (picture.width - target_px) / 2;
    let top = (picture.height - target_px) / 2;
    let rows = picture.rgb.chunks_exact(picture.width * 3).skip(top).take(target_px);
    rows.flat_map(|row| &row[left * 3..(left + target_px) * 3]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_the_right_size_is_untouched() {
        let rgb: Vec<u8> = (0..48).map(|v| v * 5).collect();
        assert_eq!(center_crop(&rgb, 4, 4, 4), rgb);
        assert_ne!(center_crop(&rgb, 4, 4, 3).len(), rgb.len());
    }

    #[test]
    fn a_wide_picture_keeps_its_middle() {
        let rgb: Vec<u8> = (0..5u8).flat_map(|x| [x; 3]).cycle().take(30).collect();
        let crop = center_crop(&rgb, 5, 2, 2);
        assert_eq!(crop, [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn a_flat_colour_survives_every_scale() {
        for side in [1, 3, 7, 33, 64, 65, 200] {
            let crop = center_crop(&[9, 130, 255].repeat(side * (side + 3)), side, side + 3, 32);
            assert_eq!(crop, [9, 130, 255].repeat(32 * 32), "side {side}");
        }
    }
}
