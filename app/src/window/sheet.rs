//! Preview pictures as the window holds them: a sheet of equal cells in one image, drawn by cutting.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Color32, ColorImage, Pos2, Rect};
use tandem_core::run::Rgb8;
use tandem_core::train::preview::{GAP_PX, scale};

/// Which preview of which run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SheetKey {
    /// The run folder.
    pub run: PathBuf,
    /// "reconstructions" or "samples".
    pub name: String,
    /// Steps done when it was made.
    pub step: u64,
}

/// A sheet of cells.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// All cells.
    pub image: Arc<ColorImage>,
    /// Cells in a row.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
    cell: usize,
    gap: usize,
}

impl Sheet {
    /// A preview of training pictures of side `image_px`; one cell when the sizes do not say more.
    pub fn of_preview(picture: &Rgb8, image_px: usize) -> Self {
        let cell = image_px * scale(image_px);
        let fit = |side: usize| {
            let cells = side.checked_sub(GAP_PX)? / (cell + GAP_PX);
            (cells > 0 && GAP_PX + cells * (cell + GAP_PX) == side).then_some(cells)
        };
        let image = Arc::new(color_image(picture));
        match (fit(picture.width), fit(picture.height)) {
            (Some(columns), Some(rows)) => {
                let mut sheet = Self { image, columns, rows, cell, gap: GAP_PX };
                sheet.clear_gaps();
                sheet
            }
            _ => Self { image, columns: 1, rows: 1, cell: 0, gap: 0 },
        }
    }

    /// A preview of reconstructions: a row of differences (four times enlarged, on grey) goes in
    /// after the pictures and their reconstructions.
    pub fn of_reconstructions(picture: &Rgb8, image_px: usize) -> Self {
        let sheet = Self::of_preview(picture, image_px);
        if sheet.rows < 2 {
            return sheet;
        }
        let (width, line) = (picture.width, 3 * picture.width);
        let pitch = sheet.cell + sheet.gap;
        let mut pixels = picture.pixels[..line * (sheet.gap + 2 * pitch)].to_vec();
        for y in 0..pitch {
            for x in 0..line {
                let at = |row: usize| i32::from(picture.pixels[(sheet.gap + row * pitch + y) * line + x]);
                pixels.push((128 + 4 * (at(1) - at(0))).clamp(0, 255) as u8);
            }
        }
        pixels.extend_from_slice(&picture.pixels[line * (sheet.gap + 2 * pitch)..]);
        let picture = Rgb8 { width, height: picture.height + pitch, pixels };
        let mut sheet = Self { image: Arc::new(color_image(&picture)), rows: sheet.rows + 1, ..sheet };
        sheet.clear_gaps();
        sheet
    }

    /// What lies between the cells is let through, so that it has the window's colour.
    fn clear_gaps(&mut self) {
        let (pitch, gap, width) = (self.cell + self.gap, self.gap, self.image.size[0]);
        let image = Arc::make_mut(&mut self.image);
        for (at, pixel) in image.pixels.iter_mut().enumerate() {
            if at % width % pitch < gap || at / width % pitch < gap {
                *pixel = Color32::TRANSPARENT;
            }
        }
    }

    /// Loose pictures of one size in rows of `columns`, without gaps.
    pub fn of_pictures(pictures: &[Rgb8], columns: usize) -> Self {
        let columns = columns.clamp(1, pictures.len().max(1));
        let grid = tandem_core::run::picture::grid(pictures, columns, 0, [0; 3], 1);
        let cell = pictures.first().map_or(0, |p| p.width);
        Self {
            image: Arc::new(color_image(&grid)),
            columns,
            rows: pictures.len().div_ceil(columns),
            cell,
            gap: 0,
        }
    }

    /// Where a cell lies in the image, in parts of its sides.
    pub fn uv(&self, column: usize, row: usize) -> Rect {
        if self.cell == 0 {
            return Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        }
        let [width, height] = self.image.size;
        let start = |index: usize| (self.gap + index * (self.cell + self.gap)) as f32;
        let (left, top, side) = (start(column), start(row), self.cell as f32);
        Rect::from_min_max(
            Pos2::new(left / width as f32, top / height as f32),
            Pos2::new((left + side) / width as f32, (top + side) / height as f32),
        )
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        4 * self.image.pixels.len()
    }
}

/// As egui wants it.
pub fn color_image(picture: &Rgb8) -> ColorImage {
    ColorImage::from_rgb([picture.width, picture.height], &picture.pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::run::picture::grid;

    #[test]
    fn cells_are_found_again_and_differences_stand_between() {
        let colours = [[10, 10, 10], [20, 20, 20], [15, 10, 10], [20, 20, 21], [1, 2, 3], [4, 5, 6]];
        let cells: Vec<_> = colours.iter().map(|c| Rgb8::filled(32, 32, *c)).collect();
        let sheet = Sheet::of_reconstructions(&grid(&cells, 2, GAP_PX, [255; 3], scale(32)), 32);
        assert_eq!((sheet.columns, sheet.rows), (2, 4));
        let middle = |column, row| {
            let at = sheet.uv(column, row).center();
            let [w, h] = sheet.image.size;
            let [r, g, b, _] =
                sheet.image[((at.x * w as f32) as usize, (at.y * h as f32) as usize)].to_array();
            [r, g, b]
        };
        assert_eq!((middle(0, 0), middle(1, 1)), ([10, 10, 10], [20, 20, 21]));
        assert_eq!((middle(0, 2), middle(1, 2)), ([148, 128, 128], [128, 128, 132]));
        assert_eq!(middle(1, 3), [4, 5, 6]);
    }

    #[test]
    fn a_picture_of_another_size_is_one_cell() {
        let sheet = Sheet::of_reconstructions(&Rgb8::filled(50, 40, [9; 3]), 32);
        assert_eq!((sheet.columns, sheet.rows), (1, 1));
        assert_eq!(sheet.uv(0, 0).max, Pos2::new(1.0, 1.0));
    }
}
