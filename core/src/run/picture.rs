//! RGB pictures for previews: from model values, side by side in a grid, to PNG.
//!
//! Values become bytes as torchvision's `save_image` does (the golden case `u8.rounded`), which is
//! what the original code writes its previews with.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::disk::write_atomically;
use crate::error::{Error, Result};

/// A picture of 8 bits a channel: `pixels` is `[height, width, 3]`, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb8 {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green, blue for each pixel.
    pub pixels: Vec<u8>,
}

impl Rgb8 {
    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, pixels: colour.repeat(width * height) }
    }

    /// From model values in [-1, 1], planar `[3, height, width]`; others are clamped, NaN is black.
    ///
    /// # Panics
    /// When the length is not `3 * height * width`.
    pub fn from_planar_f32(values: &[f32], height: usize, width: usize) -> Self {
        let bytes: Vec<u8> = values.iter().map(|value| byte_from_model_value(*value)).collect();
        Self::from_planar_u8(&bytes, height, width)
    }

    /// From bytes, planar `[3, height, width]`.
    ///
    /// # Panics
    /// When the length is not `3 * height * width`.
    pub fn from_planar_u8(values: &[u8], height: usize, width: usize) -> Self {
        let plane = height * width;
        assert_eq!(values.len(), 3 * plane, "a planar RGB picture of {height}x{width}");
        let pixels =
            (0..plane).flat_map(|at| [values[at], values[plane + at], values[2 * plane + at]]).collect();
        Self { width, height, pixels }
    }

    /// The picture `factor` times larger, each pixel a square.
    #[must_use]
    pub fn enlarged(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        let mut pixels = Vec::with_capacity(self.pixels.len() * factor * factor);
        for row in self.pixels.chunks_exact((3 * self.width).max(1)) {
            let wide: Vec<u8> = row.chunks_exact(3).flat_map(|pixel| pixel.repeat(factor)).collect();
            (0..factor).for_each(|_| pixels.extend_from_slice(&wide));
        }
        Self { width: self.width * factor, height: self.height * factor, pixels }
    }

    /// Copies `other` in with its top left corner at (`left`, `top`); what does not fit is cut off.
    pub fn paste(&mut self, other: &Rgb8, left: usize, top: usize) {
        let columns = other.width.min(self.width.saturating_sub(left));
        let rows = other.height.min(self.height.saturating_sub(top));
        for row in 0..rows {
            let to = 3 * ((top + row) * self.width + left);
            let from = 3 * row * other.width;
            self.pixels[to..to + 3 * columns].copy_from_slice(&other.pixels[from..from + 3 * columns]);
        }
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    /// [`Error::Data`] when a side is 0 or too long for a PNG.
    pub fn png_bytes(&self) -> Result<Vec<u8>> {
        let side = |length: usize| u32::try_from(length).ok().filter(|side| *side > 0);
        let (Some(width), Some(height)) = (side(self.width), side(self.height)) else {
            return Err(Error::Data(format!("no PNG has {}x{} pixels", self.width, self.height)));
        };
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(&self.pixels, width, height, ExtendedColorType::Rgb8)
            .map_err(|e| Error::Data(format!("a picture cannot be made a PNG: {e}")))?;
        Ok(bytes)
    }

    /// Writes the picture as a PNG that is there whole or not at all.
    ///
    /// # Errors
    /// When the picture is empty or the disk refuses.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        write_atomically(path, &self.png_bytes()?)
    }
}

/// Pictures in rows of `columns`, `gap` pixels apart and around, each enlarged `scale` times.
///
/// Cells are as large as the largest picture; smaller ones sit at the top left of theirs. No pictures
/// make an empty picture.
pub fn grid(images: &[Rgb8], columns: usize, gap: usize, background: [u8; 3], scale: usize) -> Rgb8 {
    let columns = columns.clamp(1, images.len().max(1));
    let cell_width = images.iter().map(|image| image.width).max().unwrap_or(0) * scale.max(1);
    let cell_height = images.iter().map(|image| image.height).max().unwrap_or(0) * scale.max(1);
    let rows = images.len().div_ceil(columns);
    if rows == 0 {
        return Rgb8::filled(0, 0, background);
    }
    let width = gap + columns * (cell_width + gap);
    let mut sheet = Rgb8::filled(width, gap + rows * (cell_height + gap), background);
    for (index, image) in images.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let (left, top) = (gap + column * (cell_width + gap), gap + row * (cell_height + gap));
        sheet.paste(&image.enlarged(scale), left, top);
    }
    sheet
}

/// A model value in [-1, 1] as a byte, rounded; these f32 operations in this order.
pub fn byte_from_model_value(value: f32) -> u8 {
    let unit = ((value + 1.0) / 2.0).clamp(0.0, 1.0);
    // The cast truncates, saturates and takes NaN to 0.
    (unit * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_comes_back_pixel_by_pixel() {
        let dir = tempfile::tempdir().unwrap();
        let picture = Rgb8 { width: 3, height: 2, pixels: (0..18).map(|v| v * 14).collect() };
        let path = dir.path().join("p.png");
        picture.save_png(&path).unwrap();
        let back = image::open(&path).unwrap().to_rgb8();
        assert_eq!((back.dimensions(), back.into_raw()), ((3, 2), picture.pixels.clone()));
        assert!(Rgb8::filled(0, 4, [0; 3]).png_bytes().is_err());
    }

    #[test]
    fn planes_become_pixels_and_values_are_clamped() {
        let picture = Rgb8::from_planar_f32(&[-1.0, 1.0, 0.0, 7.0, f32::NAN, -7.0], 1, 2);
        assert_eq!(picture.pixels, [0, 128, 0, 255, 255, 0]);
    }

    #[test]
    fn a_grid_places_each_picture_in_its_cell() {
        let one = Rgb8::filled(1, 1, [255, 0, 0]);
        let two = Rgb8::filled(1, 1, [0, 255, 0]);
        let sheet = grid(&[one.clone(), two.clone(), one], 2, 1, [9, 9, 9], 2);
        assert_eq!((sheet.width, sheet.height), (7, 7));
        let at = |x: usize, y: usize| &sheet.pixels[3 * (y * 7 + x)..][..3];
        assert_eq!(
            (at(0, 0), at(1, 1), at(2, 2), at(3, 1), at(4, 1)),
            (&[9; 3][..], &[255, 0, 0][..], &[255, 0, 0][..], &[9; 3][..], &[0, 255, 0][..])
        );
        assert_eq!((at(1, 4), at(4, 4)), (&[255, 0, 0][..], &[9; 3][..]));
        assert_eq!(grid(&[], 4, 2, [0; 3], 3).pixels.len(), 0);
        assert_eq!(grid(&[two], 0, 0, [0; 3], 0).width, 1);
    }

    #[test]
    fn a_picture_too_large_for_its_place_is_cut() {
        let mut sheet = Rgb8::filled(2, 2, [0; 3]);
        sheet.paste(&Rgb8::filled(3, 3, [1; 3]), 1, 1);
        assert_eq!(sheet.pixels.iter().filter(|v| **v == 1).count(), 3);
    }
}
