//! Values as colours, the same in both themes: two-sided maps for latents and likeness, one-sided for
//! deviations, and colours for classes.

use egui::Color32;

/// Below, at and above nought.
const LOW: [f32; 3] = [0.05, 0.45, 0.62];
const MIDDLE: [f32; 3] = [0.93, 0.92, 0.88];
const HIGH: [f32; 3] = [0.80, 0.36, 0.05];
/// Least and greatest of a one-sided map.
const DARK: [f32; 3] = [0.07, 0.09, 0.13];
const BRIGHT: [f32; 3] = [0.98, 0.90, 0.62];

fn between(a: [f32; 3], b: [f32; 3], share: f32) -> [u8; 3] {
    // NaN goes to the first colour.
    let share = share.clamp(0.0, 1.0);
    let share = if share.is_nan() { 0.0 } else { share };
    [0, 1, 2].map(|c| ((a[c] + share * (b[c] - a[c])) * 255.0 + 0.5) as u8)
}

/// `value` on a scale from −`limit` (blue) over 0 (pale) to `limit` (orange).
pub fn two_sided(value: f32, limit: f32) -> [u8; 3] {
    let share = if limit > 0.0 { value / limit } else { 0.0 };
    if share < 0.0 { between(MIDDLE, LOW, -share) } else { between(MIDDLE, HIGH, share) }
}

/// `value` on a scale from `low` (dark) to `high` (bright).
pub fn one_sided(value: f32, low: f32, high: f32) -> [u8; 3] {
    let share = if high > low { (value - low) / (high - low) } else { 0.5 };
    let middle = [0.16, 0.55, 0.56];
    if share < 0.5 { between(DARK, middle, 2.0 * share) } else { between(middle, BRIGHT, 2.0 * share - 1.0) }
}

/// The same as egui wants it.
pub fn colour([r, g, b]: [u8; 3]) -> Color32 {
    Color32::from_rgb(r, g, b)
}

/// The colour of class `index`: hues far apart from each other one after the other.
pub fn of_class(index: usize, dark: bool) -> Color32 {
    let hue = (0.47 + index as f32 * 0.618_034).fract();
    let ring = (index / 8 % 3) as f32;
    let (saturation, value) = if dark { (0.86 - 0.18 * ring, 0.95) } else { (0.85 - 0.15 * ring, 0.68) };
    egui::ecolor::Hsva::new(hue, saturation, value, 1.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_have_their_colours_and_nothing_breaks_the_scale() {
        let (low, middle, high) = (two_sided(-2.0, 2.0), two_sided(0.0, 2.0), two_sided(2.0, 2.0));
        assert!(low != middle && middle != high && low != high);
        assert_eq!((two_sided(-9.0, 2.0), two_sided(9.0, 2.0)), (low, high));
        assert_eq!((two_sided(1.0, 0.0), two_sided(f32::NAN, 1.0)), (middle, middle));
        assert!(one_sided(0.0, 0.0, 1.0) != one_sided(1.0, 0.0, 1.0));
        assert_eq!(one_sided(5.0, 3.0, 3.0), one_sided(0.5, 0.0, 1.0));
        let sum = |c: [u8; 3]| c.iter().map(|v| u32::from(*v)).sum::<u32>();
        assert!(sum(one_sided(0.2, 0.0, 1.0)) < sum(one_sided(0.8, 0.0, 1.0)), "brighter is more");
    }

    #[test]
    fn neighbouring_classes_differ() {
        for dark in [true, false] {
            let all: Vec<_> = (0..20).map(|i| of_class(i, dark)).collect();
            for (i, a) in all.iter().enumerate() {
                assert!(all[..i].iter().all(|b| a != b), "class {i}");
            }
        }
    }
}
