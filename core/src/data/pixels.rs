//! Between bytes and floats: the exact rounding rules, and planar order.
//!
//! Models see values in [-1, 1]. REPA-E writes samples by *truncation* (`clamp(255·(v+1)/2)` to u8),
//! preview grids by *rounding*; both are kept, because a truncated set scores differently.

/// Bytes of a sample as REPA-E writes it: `clamp(255·((v+1)/2), 0, 255)`, truncated. NaN becomes 0.
///
/// `values` lie in [-1, 1] nominally; the result has one byte per value.
pub fn u8_truncated_from_f32(values: &[f32]) -> Vec<u8> {
    values.iter().map(|&v| (255.0 * ((v + 1.0) / 2.0)).clamp(0.0, 255.0) as u8).collect()
}

/// Bytes of a preview grid: `clamp((v+1)/2, 0, 1)·255 + 0.5`, truncated. NaN becomes 0.
///
/// `values` lie in [-1, 1] nominally; the result has one byte per value.
pub fn u8_rounded_from_f32(values: &[f32]) -> Vec<u8> {
    let level = |v: f32| (((v + 1.0) / 2.0).clamp(0.0, 1.0) * 255.0 + 0.5).clamp(0.0, 255.0);
    values.iter().map(|&v| level(v) as u8).collect()
}

/// Writes one interleaved picture into planar order, mirrored left to right when `flip`.
///
/// # Shapes
/// `hwc` is `[side, side, 3]`, `planar` is `[3, side, side]`.
pub fn planar_from_hwc(hwc: &[u8], side: usize, flip: bool, planar: &mut [u8]) {
    assert_eq!(hwc.len(), side * side * 3, "a square RGB picture");
    assert_eq!(planar.len(), hwc.len(), "planar has the size of hwc");
    let area = side * side;
    for y in 0..side {
        for x in 0..side {
            let from = (y * side + if flip { side - 1 - x } else { x }) * 3;
            for channel in 0..3 {
                planar[channel * area + y * side + x] = hwc[from + channel];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_and_rounding_differ_where_they_should() {
        let values = [-2.0, -1.0, 0.0, 0.999, 1.0, 3.0, f32::NAN];
        assert_eq!(u8_truncated_from_f32(&values), [0, 0, 127, 254, 255, 255, 0]);
        assert_eq!(u8_rounded_from_f32(&values), [0, 0, 128, 255, 255, 255, 0]);
    }

    #[test]
    fn planes_are_separated_and_mirrored() {
        let hwc = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let mut planar = [0; 12];
        planar_from_hwc(&hwc, 2, false, &mut planar);
        assert_eq!(planar, [1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12]);
        planar_from_hwc(&hwc, 2, true, &mut planar);
        assert_eq!(planar, [4, 1, 10, 7, 5, 2, 11, 8, 6, 3, 12, 9]);
    }
}
