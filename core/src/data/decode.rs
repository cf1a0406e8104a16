//! Bytes of a picture file to RGB8, defensively.
//!
//! PNG, JPEG, WebP, BMP, GIF (first frame), TIFF, told apart by content. EXIF orientation is applied,
//! alpha laid over white, grey and 16 bit brought to RGB8. Size is checked before decoding, and the
//! decoder's memory is bounded. A JPEG that stops early is refused, as Pillow does; the decoder alone
//! would paint the rest grey.

use std::borrow::Cow;
use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::resize::center_crop;

/// File extensions, in lower case, that are taken for pictures.
pub const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];

/// The most pixels a picture may have before it is refused.
pub const MAX_PIXELS: u64 = 100_000_000;

/// The most memory one decoder may take, in bytes.
const MAX_DECODER_BYTES: u64 = 512 << 20;

/// Whether a file name has one of [`EXTENSIONS`].
pub fn is_picture_name(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// `[height, width, 3]`.
    pub pixels: Vec<u8>,
    /// In pixels, after orientation.
    pub width: usize,
    /// In pixels, after orientation.
    pub height: usize,
}

/// Decodes a picture file.
///
/// # Errors
/// One line for a person: not a picture, damaged, truncated, or too large.
pub fn decode_rgb(bytes: &[u8]) -> Result<Rgb, String> {
    let readable = |e: image::ImageError| e.to_string().trim().replace('\n', " ");
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let format = reader.format().ok_or("not a picture (unknown format)")?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(readable)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(format!("{width} x {height} pixels; at least 1 and at most {MAX_PIXELS} are read"));
    }
    if format == image::ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err("truncated JPEG (no end marker)".into());
    }
    // A damaged EXIF block is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(readable)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Rgb { pixels: over_white(image), width, height })
}

/// Decodes a picture file and crops its middle square (ADM), `[side_px, side_px, 3]`.
///
/// # Errors
/// As [`decode_rgb`].
pub fn decode_square(bytes: &[u8], side_px: usize) -> Result<Vec<u8>, String> {
    let Rgb { pixels, width, height } = decode_rgb(bytes)?;
    if width == side_px && height == side_px {
        return Ok(pixels);
    }
    Ok(center_crop(&pixels, width, height, side_px))
}

/// Decodes a picture file to what [`square`] needs of it: the picture itself where it is a square and not larger,
/// else the middle square, `[side_px, side_px, 3]`.
///
/// # Errors
/// As [`decode_rgb`].
pub fn decode_small(bytes: &[u8], side_px: usize) -> Result<Vec<u8>, String> {
    let Rgb { pixels, width, height } = decode_rgb(bytes)?;
    if width == height && width <= side_px {
        return Ok(pixels);
    }
    Ok(center_crop(&pixels, width, height, side_px))
}

/// The square `[side_px, side_px, 3]` that [`decode_square`] gives, from what [`decode_small`] gave.
pub fn square(small: &[u8], side_px: usize) -> Cow<'_, [u8]> {
    let side = (small.len() / 3).isqrt();
    if side == side_px { Cow::Borrowed(small) } else { Cow::Owned(center_crop(small, side, side, side_px)) }
}

/// RGB8 pixels, alpha composited over white.
fn over_white(image: DynamicImage) -> Vec<u8> {
    if !image.color().has_alpha() {
        return image.into_rgb8().into_raw();
    }
    let blend = |c: u8, a: u8| ((u32::from(c) * u32::from(a) + 255 * (255 - u32::from(a)) + 127) / 255) as u8;
    let rgba = image.into_rgba8().into_raw();
    rgba.chunks_exact(4).flat_map(|p| [blend(p[0], p[3]), blend(p[1], p[3]), blend(p[2], p[3])]).collect()
}

/// Walks the markers of a JPEG from its start to its end marker.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2; // after the start marker
    while let Some(&[lead, marker]) = bytes.get(at..at + 2) {
        match (lead, marker) {
            (0xFF, 0xD9) => return true,
            // Fill bytes, stuffed zeros and restart markers.
            (0xFF, 0xFF) => at += 1,
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) => at += 2,
            (0xFF, _) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            // Inside a scan: on to the next 0xFF.
            _ => match bytes[at..].iter().position(|&byte| byte == 0xFF) {
                Some(skip) => at += skip,
                None => return false,
            },
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, ImageFormat, Luma, Rgb as RgbPixel, RgbImage, Rgba, RgbaImage};

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| RgbPixel([(x * 6) as u8, (y * 6) as u8, 90]))
    }

    #[test]
    fn lossless_formats_come_back_exactly() {
        let image = gradient(20, 12);
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP] {
            let rgb = decode_rgb(&encoded(image.clone(), format)).unwrap();
            assert_eq!((rgb.width, rgb.height), (20, 12), "{format:?}");
            assert_eq!(rgb.pixels, *image.as_raw(), "{format:?}");
        }
        let rgb = decode_rgb(&encoded(image.clone(), ImageFormat::Gif)).unwrap();
        assert_eq!((rgb.width, rgb.height), (20, 12));
        let rgb = decode_rgb(&encoded(image.clone(), ImageFormat::Jpeg)).unwrap();
        let off = rgb.pixels.iter().zip(image.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off < Some(40), "{off:?}");
    }

    #[test]
    fn small_squares_are_enlarged_when_they_are_asked_for() {
        for (width, height, stored) in [(20, 20, 20), (32, 32, 32), (40, 40, 32), (20, 24, 32)] {
            let bytes = encoded(gradient(width, height), ImageFormat::Png);
            let small = decode_small(&bytes, 32).unwrap();
            assert_eq!(small.len(), stored * stored * 3, "{width} x {height}");
            assert_eq!(square(&small, 32), decode_square(&bytes, 32).unwrap(), "{width} x {height}");
        }
    }

    #[test]
    fn alpha_lies_over_white() {
        let image = RgbaImage::from_fn(3, 1, |x, _| Rgba([200, 0, 100, [0, 128, 255][x as usize]]));
        let rgb = decode_rgb(&encoded(image, ImageFormat::Png)).unwrap();
        assert_eq!(rgb.pixels, [255, 255, 255, 227, 127, 177, 200, 0, 100]);
        let grey = GrayAlphaImage::from_pixel(1, 1, image::LumaA([10, 0]));
        assert_eq!(decode_rgb(&encoded(grey, ImageFormat::Png)).unwrap().pixels, [255; 3]);
    }

    #[test]
    fn grey_and_sixteen_bit_become_rgb8() {
        let deep = ImageBuffer::from_fn(3, 1, |x, _| Luma([[0u16, 257 * 77, 65535][x as usize]]));
        let rgb = decode_rgb(&encoded(deep, ImageFormat::Png)).unwrap();
        assert_eq!(rgb.pixels, [0, 0, 0, 77, 77, 77, 255, 255, 255]);
        let deep = ImageBuffer::from_pixel(1, 1, RgbPixel([65535u16, 257 * 9, 0]));
        assert_eq!(decode_rgb(&encoded(deep, ImageFormat::Tiff)).unwrap().pixels, [255, 9, 0]);
    }

    #[test]
    fn a_gif_that_moves_is_its_first_frame() {
        let frame = |colour| image::Frame::new(RgbaImage::from_pixel(4, 3, Rgba(colour)));
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        encoder.encode_frames([frame([255, 0, 0, 255]), frame([0, 0, 255, 255])]).unwrap();
        drop(encoder);
        let rgb = decode_rgb(&bytes).unwrap();
        assert_eq!((rgb.width, rgb.height, rgb.pixels), (4, 3, [255, 0, 0].repeat(12)));
    }

    #[test]
    fn exif_orientation_turns_the_picture() {
        let plain = encoded(gradient(16, 8), ImageFormat::Jpeg);
        // Orientation 6: the camera was turned; one IFD entry in big-endian TIFF.
        let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01".to_vec();
        exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0");
        let turned = [&plain[..2], &exif, &plain[2..]].concat();
        let (plain, turned) = (decode_rgb(&plain).unwrap(), decode_rgb(&turned).unwrap());
        assert_eq!((turned.width, turned.height), (8, 16));
        assert_eq!(turned.pixels[7 * 3..8 * 3], plain.pixels[..3], "top left goes to top right");
    }

    #[test]
    fn broken_files_are_refused_in_one_line() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::Bmp] {
            let whole = encoded(gradient(32, 32), format);
            for keep in [whole.len() / 2, whole.len() * 9 / 10, 30] {
                let error = decode_rgb(&whole[..keep]).unwrap_err();
                assert!(!error.contains('\n'), "{format:?} cut to {keep}: {error}");
            }
        }
        assert!(decode_rgb(b"this is not a picture").unwrap_err().contains("unknown format"));
        assert!(decode_rgb(b"").is_err());
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded() {
        let mut bomb = encoded(gradient(4, 4), ImageFormat::Bmp);
        bomb[18..22].copy_from_slice(&20_000i32.to_le_bytes());
        bomb[22..26].copy_from_slice(&20_000i32.to_le_bytes());
        let error = decode_rgb(&bomb).unwrap_err();
        assert!(error.contains("20000 x 20000"), "{error}");
        let flat = ImageBuffer::<Luma<u8>, _>::new(20_000, 20_000);
        let error = decode_rgb(&encoded(flat, ImageFormat::Png)).unwrap_err();
        assert!(error.contains("20000 x 20000"), "{error}");
    }

    #[test]
    fn names_tell_pictures_from_other_files() {
        assert!(is_picture_name("a/b.JPEG") && is_picture_name("x.tif"));
        assert!(!is_picture_name("labels.txt") && !is_picture_name("png") && !is_picture_name("a.png.md5"));
    }
}
