//! A comparison as one picture: the main charts, then the samples. Plain pixels, with the
//! 5 × 7 letters of character displays, so that no font has to come along.

use super::SharedChart;
use super::chart::{self, Frame};
use super::comparison::ComparisonPage;
use crate::run::picture::Rgb8;

const INK: [u8; 3] = [27, 28, 30];
const SOFT: [u8; 3] = [120, 123, 128];
const RULE: [u8; 3] = [225, 225, 221];
const PAPER: [u8; 3] = [255, 255, 255];
/// The page's colours, in its order.
const COLOURS: [[u8; 3]; chart::NUM_COLOURS] =
    [[47, 111, 222], [217, 130, 43], [42, 157, 119], [181, 73, 143], [122, 106, 216], [125, 129, 135]];

/// Letters are drawn this many times larger.
const LETTER: usize = 2;
const LETTER_WIDE: usize = 6 * LETTER;
const LINE: usize = 10 * LETTER;
const WIDTH: usize = 1200;
const MARGIN: usize = 24;
/// Two charts side by side.
const CHART_WIDTH: usize = (WIDTH - 3 * MARGIN) / 2;
const PLOT_HEIGHT: usize = 240;
/// Room for the numbers of the y axis.
const AXIS: usize = 8 * LETTER_WIDE;

/// Draws the whole comparison.
pub(super) fn comparison(page: &ComparisonPage) -> Rgb8 {
    let sentence = wrapped(&page.sentence, (WIDTH - 2 * MARGIN) / LETTER_WIDE);
    let mut parts: Vec<Rgb8> = vec![text_block(&sentence, INK)];
    // A single point is a number of the page's table, not a curve.
    let shown =
        |chart: &&SharedChart| chart.is_main && chart.curves.iter().any(|(_, curve)| curve.points.len() > 1);
    let charts: Vec<Rgb8> = page.charts.iter().filter(shown).filter_map(chart_picture).collect();
    parts.push(beside(&charts));
    for grids in &page.grids {
        let pictures: Vec<Rgb8> = grids
            .pictures
            .iter()
            .map(|(run, caption, picture)| {
                stacked(&[text_block(std::slice::from_ref(caption), colour(*run)), picture.clone()], 6)
            })
            .collect();
        parts.push(stacked(&[text_block(std::slice::from_ref(&grids.title), INK), beside(&pictures)], 8));
    }
    let inner = stacked(&parts, MARGIN);
    let width = (inner.width + 2 * MARGIN).max(WIDTH);
    let mut sheet = Rgb8::filled(width, inner.height + 2 * MARGIN, PAPER);
    sheet.paste(&inner, MARGIN, MARGIN);
    sheet
}

fn colour(run: usize) -> [u8; 3] {
    COLOURS[run % COLOURS.len()]
}

fn stacked(parts: &[Rgb8], gap: usize) -> Rgb8 {
    let width = parts.iter().map(|part| part.width).max().unwrap_or(0);
    let height = parts.iter().map(|part| part.height + gap).sum::<usize>().saturating_sub(gap);
    let mut sheet = Rgb8::filled(width, height, PAPER);
    let mut top = 0;
    for part in parts {
        sheet.paste(part, 0, top);
        top += part.height + gap;
    }
    sheet
}

/// Pictures in rows that fit the width.
fn beside(pictures: &[Rgb8]) -> Rgb8 {
    let mut rows: Vec<Vec<&Rgb8>> = Vec::new();
    let mut used = usize::MAX;
    for picture in pictures {
        if used.saturating_add(picture.width) > WIDTH - 2 * MARGIN {
            rows.push(Vec::new());
            used = 0;
        }
        used += picture.width + MARGIN;
        if let Some(row) = rows.last_mut() {
            row.push(picture);
        }
    }
    let row_picture = |row: &Vec<&Rgb8>| {
        let width = row.iter().map(|p| p.width + MARGIN).sum::<usize>().saturating_sub(MARGIN);
        let mut sheet = Rgb8::filled(width, row.iter().map(|p| p.height).max().unwrap_or(0), PAPER);
        let mut left = 0;
        for picture in row {
            sheet.paste(picture, left, 0);
            left += picture.width + MARGIN;
        }
        sheet
    };
    stacked(&rows.iter().map(row_picture).collect::<Vec<_>>(), MARGIN)
}

fn chart_picture(shared: &SharedChart) -> Option<Rgb8> {
    let series: Vec<_> =
        shared.curves.iter().map(|(run, curve)| (*run, curve, chart::drawn(curve))).collect();
    let points: Vec<Vec<(f64, f64)>> = series.iter().map(|(_, _, points)| points.clone()).collect();
    if !points.iter().flatten().any(|(x, y)| x.is_finite() && y.is_finite()) {
        return None;
    }
    let frame = Frame::around(&points);
    let width = CHART_WIDTH;
    let columns = width / LETTER_WIDE;
    // A figure's name, and behind it in brackets how it was measured.
    let (name, how) = shared.title.split_once(" [").unwrap_or((&shared.title, ""));
    let heading = [
        text_block(&wrapped(name, columns), INK),
        text_block(&wrapped(how.trim_end_matches(']'), columns), SOFT),
        legend(series.iter().map(|(run, curve, _)| (curve.name.as_str(), colour(*run))), columns),
    ];
    let heading = stacked(&heading, 0);
    let top = heading.height + LINE;
    let mut sheet = Rgb8::filled(width, top + PLOT_HEIGHT + 2 * LINE, PAPER);
    sheet.paste(&heading, 0, 0);
    let place = |x: f64, y: f64| {
        let (across, up) = frame.share(x, y);
        (AXIS as f64 + across * (width - AXIS - 1) as f64, top as f64 + (1.0 - up) * PLOT_HEIGHT as f64)
    };
    for y in chart::ticks(frame.y0, frame.y1, 5) {
        let (_, down) = place(frame.x0, y);
        line(&mut sheet, (AXIS as f64, down), (width as f64 - 1.0, down), RULE, 1);
        let text = chart::number_text(y);
        let from = AXIS.saturating_sub((text.chars().count() + 1) * LETTER_WIDE);
        write(&mut sheet, from, (down as usize).saturating_sub(4 * LETTER), &text, SOFT);
    }
    for x in chart::ticks(frame.x0, frame.x1, 6) {
        let text = chart::number_text(x);
        let from = (place(x, frame.y0).0 as usize).saturating_sub(text.chars().count() * LETTER_WIDE / 2);
        let from = from.min(width - text.chars().count() * LETTER_WIDE);
        write(&mut sheet, from, top + PLOT_HEIGHT + LINE / 2, &text, SOFT);
    }
    write(&mut sheet, 0, top + PLOT_HEIGHT + LINE / 2, shared.unit, SOFT);
    for (run, _, points) in &series {
        for pair in points.windows(2).filter(|pair| pair.iter().all(|(x, y)| x.is_finite() && y.is_finite()))
        {
            line(&mut sheet, place(pair[0].0, pair[0].1), place(pair[1].0, pair[1].1), colour(*run), 2);
        }
        for &(x, y) in points.iter().filter(|(x, y)| points.len() < 30 && x.is_finite() && y.is_finite()) {
            let at = place(x, y);
            line(&mut sheet, (at.0 - 2.0, at.1), (at.0 + 2.0, at.1), colour(*run), 5);
        }
    }
    Some(sheet)
}

/// Names in their colours, in as many lines of `columns` letters as they need.
fn legend<'a>(names: impl Iterator<Item = (&'a str, [u8; 3])>, columns: usize) -> Rgb8 {
    let (mut places, mut column, mut row) = (Vec::new(), 0, 0);
    for (name, colour) in names {
        let long = name.chars().count();
        if column > 0 && column + long > columns {
            (column, row) = (0, row + 1);
        }
        places.push((name, colour, column, row));
        column += long + 2;
    }
    let mut sheet = Rgb8::filled(columns * LETTER_WIDE, (row + 1) * LINE, PAPER);
    for (name, colour, column, row) in places {
        write(&mut sheet, column * LETTER_WIDE, row * LINE, name, colour);
    }
    sheet
}

/// A straight line of `thick` pixels.
fn line(sheet: &mut Rgb8, from: (f64, f64), to: (f64, f64), colour: [u8; 3], thick: usize) {
    let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
    for step in 0..=steps as usize {
        let share = step as f64 / steps;
        let (x, y) = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
        for k in 0..thick * thick {
            let (x, y) =
                (x.round() as isize + (k % thick) as isize, y.round() as isize + (k / thick) as isize);
            dot(sheet, x - thick as isize / 2, y - thick as isize / 2, colour);
        }
    }
}

fn dot(sheet: &mut Rgb8, x: isize, y: isize, colour: [u8; 3]) {
    if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y))
        && x < sheet.width
        && y < sheet.height
    {
        let at = 3 * (y * sheet.width + x);
        sheet.pixels[at..at + 3].copy_from_slice(&colour);
    }
}

fn text_block(lines: &[String], colour: [u8; 3]) -> Rgb8 {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) * LETTER_WIDE;
    let mut sheet = Rgb8::filled(width, lines.len() * LINE, PAPER);
    for (number, text) in lines.iter().enumerate() {
        write(&mut sheet, 0, number * LINE, text, colour);
    }
    sheet
}

/// The words of `text` in lines of at most `columns` letters, if no word is longer.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

fn write(sheet: &mut Rgb8, left: usize, top: usize, text: &str, colour: [u8; 3]) {
    for (place, c) in text.chars().enumerate() {
        let c = if c == '–' { '-' } else { c };
        let glyph = FONT.get((c as usize).wrapping_sub(32)).unwrap_or(&FONT['?' as usize - 32]);
        for (column, bits) in glyph.iter().enumerate() {
            for row in (0..8).filter(|row| bits >> row & 1 == 1) {
                for k in 0..LETTER * LETTER {
                    let x = left + place * LETTER_WIDE + column * LETTER + k % LETTER;
                    dot(sheet, x as isize, (top + row * LETTER + k / LETTER) as isize, colour);
                }
            }
        }
    }
}

/// Columns of the letters from blank to tilde, lowest bit on top.
#[rustfmt::skip]
const FONT: [[u8; 5]; 95] = [
    [0x00, 0x00, 0x00, 0x00, 0x00], [0x00, 0x00, 0x5F, 0x00, 0x00], [0x00, 0x07, 0x00, 0x07, 0x00], [0x14, 0x7F, 0x14, 0x7F, 0x14],
    [0x24, 0x2A, 0x7F, 0x2A, 0x12], [0x23, 0x13, 0x08, 0x64, 0x62], [0x36, 0x49, 0x56, 0x20, 0x50], [0x00, 0x08, 0x07, 0x03, 0x00],
    [0x00, 0x1C, 0x22, 0x41, 0x00], [0x00, 0x41, 0x22, 0x1C, 0x00], [0x2A, 0x1C, 0x7F, 0x1C, 0x2A], [0x08, 0x08, 0x3E, 0x08, 0x08],
    [0x00, 0x80, 0x70, 0x30, 0x00], [0x08, 0x08, 0x08, 0x08, 0x08], [0x00, 0x00, 0x60, 0x60, 0x00], [0x20, 0x10, 0x08, 0x04, 0x02],
    [0x3E, 0x51, 0x49, 0x45, 0x3E], [0x00, 0x42, 0x7F, 0x40, 0x00], [0x72, 0x49, 0x49, 0x49, 0x46], [0x21, 0x41, 0x49, 0x4D, 0x33],
    [0x18, 0x14, 0x12, 0x7F, 0x10], [0x27, 0x45, 0x45, 0x45, 0x39], [0x3C, 0x4A, 0x49, 0x49, 0x31], [0x41, 0x21, 0x11, 0x09, 0x07],
    [0x36, 0x49, 0x49, 0x49, 0x36], [0x46, 0x49, 0x49, 0x29, 0x1E], [0x00, 0x00, 0x14, 0x00, 0x00], [0x00, 0x40, 0x34, 0x00, 0x00],
    [0x00, 0x08, 0x14, 0x22, 0x41], [0x14, 0x14, 0x14, 0x14, 0x14], [0x00, 0x41, 0x22, 0x14, 0x08], [0x02, 0x01, 0x59, 0x09, 0x06],
    [0x3E, 0x41, 0x5D, 0x59, 0x4E], [0x7C, 0x12, 0x11, 0x12, 0x7C], [0x7F, 0x49, 0x49, 0x49, 0x36], [0x3E, 0x41, 0x41, 0x41, 0x22],
    [0x7F, 0x41, 0x41, 0x41, 0x3E], [0x7F, 0x49, 0x49, 0x49, 0x41], [0x7F, 0x09, 0x09, 0x09, 0x01], [0x3E, 0x41, 0x41, 0x51, 0x73],
    [0x7F, 0x08, 0x08, 0x08, 0x7F], [0x00, 0x41, 0x7F, 0x41, 0x00], [0x20, 0x40, 0x41, 0x3F, 0x01], [0x7F, 0x08, 0x14, 0x22, 0x41],
    [0x7F, 0x40, 0x40, 0x40, 0x40], [0x7F, 0x02, 0x1C, 0x02, 0x7F], [0x7F, 0x04, 0x08, 0x10, 0x7F], [0x3E, 0x41, 0x41, 0x41, 0x3E],
    [0x7F, 0x09, 0x09, 0x09, 0x06], [0x3E, 0x41, 0x51, 0x21, 0x5E], [0x7F, 0x09, 0x19, 0x29, 0x46], [0x26, 0x49, 0x49, 0x49, 0x32],
    [0x03, 0x01, 0x7F, 0x01, 0x03], [0x3F, 0x40, 0x40, 0x40, 0x3F], [0x1F, 0x20, 0x40, 0x20, 0x1F], [0x3F, 0x40, 0x38, 0x40, 0x3F],
    [0x63, 0x14, 0x08, 0x14, 0x63], [0x03, 0x04, 0x78, 0x04, 0x03], [0x61, 0x59, 0x49, 0x4D, 0x43], [0x00, 0x7F, 0x41, 0x41, 0x41],
    [0x02, 0x04, 0x08, 0x10, 0x20], [0x00, 0x41, 0x41, 0x41, 0x7F], [0x04, 0x02, 0x01, 0x02, 0x04], [0x40, 0x40, 0x40, 0x40, 0x40],
    [0x00, 0x03, 0x07, 0x08, 0x00], [0x20, 0x54, 0x54, 0x78, 0x40], [0x7F, 0x28, 0x44, 0x44, 0x38], [0x38, 0x44, 0x44, 0x44, 0x28],
    [0x38, 0x44, 0x44, 0x28, 0x7F], [0x38, 0x54, 0x54, 0x54, 0x18], [0x00, 0x08, 0x7E, 0x09, 0x02], [0x18, 0xA4, 0xA4, 0x9C, 0x78],
    [0x7F, 0x08, 0x04, 0x04, 0x78], [0x00, 0x44, 0x7D, 0x40, 0x00], [0x20, 0x40, 0x40, 0x3D, 0x00], [0x7F, 0x10, 0x28, 0x44, 0x00],
    [0x00, 0x41, 0x7F, 0x40, 0x00], [0x7C, 0x04, 0x78, 0x04, 0x78], [0x7C, 0x08, 0x04, 0x04, 0x78], [0x38, 0x44, 0x44, 0x44, 0x38],
    [0xFC, 0x18, 0x24, 0x24, 0x18], [0x18, 0x24, 0x24, 0x18, 0xFC], [0x7C, 0x08, 0x04, 0x04, 0x08], [0x48, 0x54, 0x54, 0x54, 0x24],
    [0x04, 0x04, 0x3F, 0x44, 0x24], [0x3C, 0x40, 0x40, 0x20, 0x7C], [0x1C, 0x20, 0x40, 0x20, 0x1C], [0x3C, 0x40, 0x30, 0x40, 0x3C],
    [0x44, 0x28, 0x10, 0x28, 0x44], [0x4C, 0x90, 0x90, 0x90, 0x7C], [0x44, 0x64, 0x54, 0x4C, 0x44], [0x00, 0x08, 0x36, 0x41, 0x00],
    [0x00, 0x00, 0x77, 0x00, 0x00], [0x00, 0x41, 0x36, 0x08, 0x00], [0x02, 0x01, 0x02, 0x04, 0x02],
];

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::page;
    use super::*;

    #[test]
    fn a_comparison_is_drawn_with_every_runs_colour() {
        let picture = comparison(&page());
        assert!(picture.width >= WIDTH && picture.height > PLOT_HEIGHT);
        let has = |colour: [u8; 3]| picture.pixels.chunks_exact(3).any(|pixel| pixel == colour);
        assert!(has(COLOURS[0]) && has(COLOURS[1]) && has([10, 20, 30]) && !has(COLOURS[2]));
    }

    #[test]
    fn long_sentences_are_wrapped() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
        assert!(wrapped("", 3).is_empty());
    }

    #[test]
    fn names_that_do_not_fit_side_by_side_take_more_lines() {
        let names = || ["repa-e", "vanilla", "naive"].into_iter().zip(COLOURS);
        assert_eq!(legend(names(), 40).height, LINE);
        let narrow = legend(names(), 9);
        assert_eq!((narrow.height, narrow.width), (3 * LINE, 9 * LETTER_WIDE));
        // The last letter of each is drawn, none is cut.
        let ink = |sheet: &Rgb8| sheet.pixels.iter().filter(|value| **value != 255).count();
        assert_eq!(ink(&narrow), ink(&legend(names(), 40)));
    }
}
