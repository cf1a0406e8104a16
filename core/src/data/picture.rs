//! One picture file, as a model takes it.

use std::path::Path;

use super::decode::{Rgb, decode_rgb};
use super::resize::center_crop;
use crate::error::{Error, Result};

/// No picture file that is read here is larger.
const LIMIT_BYTES: u64 = 1 << 30;

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Planar, `[3, height, width]`.
    pub planar: Vec<u8>,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

impl Picture {
    /// Reads a picture file. With `square_px` its middle square of that side (ADM's crop); otherwise as
    /// it is, less what is over a multiple of `factor` at the right and the bottom.
    ///
    /// # Errors
    /// A file that is no picture, or one smaller than `factor`.
    pub fn open(path: &Path, square_px: Option<usize>, factor: usize) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?.len();
        if size > LIMIT_BYTES {
            return Err(Error::file(path, format!("{size} bytes are too many for a picture")));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let Rgb { pixels, width, height } = decode_rgb(&bytes).map_err(|reason| Error::file(path, reason))?;
        if let Some(side) = square_px {
            let square = center_crop(&pixels, width, height, side);
            return Ok(Self::from_interleaved(&square, side, side, side));
        }
        let (w, h) = (width / factor * factor, height / factor * factor);
        if w == 0 || h == 0 {
            return Err(Error::file(
                path,
                format!("{width} x {height} pixels are fewer than the model's factor of {factor}"),
            ));
        }
        Ok(Self::from_interleaved(&pixels, width, w, h))
    }

    /// The top left `width` × `height` of rows of `row` pixels.
    fn from_interleaved(pixels: &[u8], row: usize, width: usize, height: usize) -> Self {
        let plane = width * height;
        let mut planar = vec![0; 3 * plane];
        for y in 0..height {
            for (x, pixel) in pixels[3 * y * row..][..3 * width].as_chunks::<3>().0.iter().enumerate() {
                for (channel, &value) in pixel.iter().enumerate() {
                    planar[channel * plane + y * width + x] = value;
                }
            }
        }
        Self { planar, height, width }
    }

    /// Values in [−1, 1], `u8 / 127.5 − 1`.
    pub fn values(&self) -> Vec<f32> {
        self.planar.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_cut_to_a_multiple_or_to_a_square() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        let pixels: Vec<u8> = (0..7 * 5 * 3).map(|v| v as u8).collect();
        image::save_buffer(&path, &pixels, 7, 5, image::ExtendedColorType::Rgb8).unwrap();
        let picture = Picture::open(&path, None, 4).unwrap();
        assert_eq!((picture.width, picture.height), (4, 4));
        assert_eq!(picture.planar[..6], [0, 3, 6, 9, 21, 24]);
        assert_eq!(picture.values()[0], -1.0);
        assert_eq!(Picture::open(&path, Some(2), 4).unwrap().planar.len(), 12);
        assert!(Picture::open(&path, None, 8).unwrap_err().to_string().contains("fewer"));
    }
}
