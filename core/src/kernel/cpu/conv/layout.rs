//! Where the values of a tile lie: pictures with their zeros around them, so that every tap of a convolution is
//! a vector load at a fixed distance from the tap before.
//!
//! Two orders. *Planar*: lanes run along a row; the columns of a stride-s convolution are dealt into s segments,
//! so that lanes stay neighbours. *Batched*: lanes run over pictures, which wastes nothing on maps of 3 × 3.

use super::correlate::Correlation;
use super::tile::Offsets;

/// Values of a tile's layout: 384 KiB, three quarters of a common L2 cache.
pub const TILE_VALUES: usize = 96 * 1024;

/// A rectangle of output pixels.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    y: usize,
    x: usize,
    rows: usize,
    cols: usize,
}

/// A vector of output pixels: where its first tap lies, which output pixel its first lane is, and how many
/// lanes count.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    pub base: usize,
    pub out: usize,
    pub count: usize,
}

/// The order of values for one correlation and one vector width.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    c: Correlation,
    lanes: usize,
    /// Lanes run over pictures.
    pub batched: bool,
    rows: usize,
    cols: usize,
    segment: usize,
    row: usize,
    plane: usize,
}

impl Layout {
    /// The layout of `c` for vectors of `lanes`; tiles hold at most `limit` vectors.
    pub fn new(c: &Correlation, lanes: usize, limit: usize) -> Self {
        let used = |count: usize| count as f64 / count.next_multiple_of(lanes) as f64;
        let batched = c.n >= lanes && used(c.ow) < 0.8 * used(c.n);
        let mut layout = Self { c: *c, lanes, batched, rows: 1, cols: c.ow, segment: 0, row: 0, plane: 0 };
        let wanted = 4.min(c.oh);
        layout.measure();
        while layout.cols > 2 * lanes && layout.size_with(wanted) > TILE_VALUES {
            layout.cols = (layout.cols / 2).next_multiple_of(lanes);
            layout.measure();
        }
        let vectors = if batched { layout.cols } else { layout.cols.div_ceil(lanes) };
        let fits = (1..=c.oh).take_while(|&r| layout.size_with(r) <= TILE_VALUES && r * vectors <= limit);
        let rows = fits.last().unwrap_or(1);
        layout.rows = c.oh.div_ceil(c.oh.div_ceil(rows));
        layout.measure();
        layout
    }

    fn input_rows(&self, rows: usize) -> usize {
        (rows - 1) * self.c.stride + self.c.kh.max(1)
    }

    fn measure(&mut self) {
        let Correlation { stride, kw, .. } = self.c;
        let kw = kw.max(1);
        if self.batched {
            self.row = ((self.cols - 1) * stride + kw) * self.lanes;
        } else {
            let reach = self.cols.next_multiple_of(self.lanes) + (kw - 1) / stride;
            self.segment = reach.next_multiple_of(4);
            self.row = self.segment * stride;
        }
        self.plane = self.input_rows(self.rows) * self.row;
        // Planes a multiple of 2 KiB apart would share few cache sets.
        while self.plane % 512 < 32 {
            self.plane += 16;
        }
    }

    fn size_with(&self, rows: usize) -> usize {
        self.c.c_in * self.input_rows(rows) * self.row
    }

    /// Values of a tile.
    pub fn size(&self) -> usize {
        self.c.c_in * self.plane
    }

    /// Pictures laid out together.
    pub fn pictures(&self) -> usize {
        if self.batched { self.lanes } else { 1 }
    }

    /// Distance of each (channel, row, column) tap from a vector's base, in the order of weights.
    pub fn offsets(&self) -> Offsets {
        let Correlation { c_in, kh, kw, stride, .. } = self.c;
        let column = |x: usize| {
            if self.batched { x * self.lanes } else { x % stride * self.segment + x / stride }
        };
        let mut offsets = Vec::with_capacity(c_in * kh * kw);
        for line in (0..c_in).flat_map(|c| (0..kh).map(move |y| c * self.plane + y * self.row)) {
            offsets.extend((0..kw).map(|x| line + column(x)));
        }
        Offsets::new(offsets)
    }

    /// The tiles that cover the output.
    pub fn tiles(&self) -> Vec<Tile> {
        let Correlation { oh, ow, .. } = self.c;
        let across = move |y: usize| (0..ow).step_by(self.cols).map(move |x| (y, x));
        let tile = |(y, x)| Tile { y, x, rows: self.rows.min(oh - y), cols: self.cols.min(ow - x) };
        (0..oh).step_by(self.rows).flat_map(across).map(tile).collect()
    }

    /// The vectors of a tile of `pictures` pictures.
    pub fn vectors(&self, tile: Tile, pictures: usize) -> Vec<Lanes> {
        let Correlation { ow, stride, .. } = self.c;
        let step = if self.batched { 1 } else { self.lanes };
        let vector = |y: usize, x: usize| Lanes {
            base: y * stride * self.row + if self.batched { x * stride * self.lanes } else { x },
            out: (tile.y + y) * ow + tile.x + x,
            count: if self.batched { pictures } else { self.lanes.min(tile.cols - x) },
        };
        (0..tile.rows)
            .flat_map(|y| (0..tile.cols).step_by(step).map(move |x| (y, x)))
            .map(|(y, x)| vector(y, x))
            .collect()
    }

    /// Lays out `channels` of the pictures in `x [pictures, all channels, H, W]` for `tile`.
    pub fn pack(&self, x: &[f32], image: usize, first: usize, tile: Tile, out: &mut [f32]) {
        let Correlation { h, w, .. } = self.c;
        for (c, plane) in out.chunks_exact_mut(self.plane).enumerate() {
            let rows = plane.chunks_exact_mut(self.row).take(self.input_rows(tile.rows));
            for (r, line) in rows.enumerate() {
                let y = (tile.y * self.c.stride + r) as isize + self.c.origin[0];
                if y < 0 || y >= h as isize {
                    line.fill(0.0);
                    continue;
                }
                let at = ((first + c) * h + y as usize) * w;
                if self.batched {
                    let pictures = x.chunks_exact(image).map(|x| &x[at..at + w]);
                    self.interleave(pictures, tile, line);
                } else {
                    self.deal(&x[at..at + w], tile, line);
                }
            }
        }
    }

    /// One row of a picture into its segments.
    fn deal(&self, row: &[f32], tile: Tile, line: &mut [f32]) {
        let stride = self.c.stride;
        for (phase, segment) in line.chunks_exact_mut(self.segment).enumerate() {
            // Element j is input column first + j · stride.
            let first = (tile.x * stride + phase) as isize + self.c.origin[1];
            let from = (-first).max(0).unsigned_abs().div_ceil(stride);
            let to = (row.len() as isize - first).max(0).unsigned_abs().div_ceil(stride);
            let to = to.min(segment.len());
            let from = from.min(to);
            segment[..from].fill(0.0);
            segment[to..].fill(0.0);
            if from == to {
                continue;
            }
            let values = &row[(first + (from * stride) as isize).unsigned_abs()..];
            let segment = &mut segment[from..to];
            match stride {
                1 => segment.copy_from_slice(&values[..to - from]),
                2 => {
                    // Pairs, so that the compiler shuffles vectors instead of moving values one by one.
                    let (pairs, last) = values.as_chunks::<2>();
                    segment.iter_mut().zip(pairs).for_each(|(o, pair)| *o = pair[0]);
                    if let (Some(o), [last]) = (segment.get_mut(pairs.len()), last) {
                        *o = *last;
                    }
                }
                _ => segment.iter_mut().zip(values.iter().step_by(stride)).for_each(|(o, &v)| *o = v),
            }
        }
    }

    /// One row of several pictures, lane by lane.
    fn interleave<'a>(&self, pictures: impl Iterator<Item = &'a [f32]>, tile: Tile, line: &mut [f32]) {
        line.fill(0.0);
        let first = (tile.x * self.c.stride) as isize + self.c.origin[1];
        for (lane, row) in pictures.enumerate() {
            for (j, cell) in line.chunks_exact_mut(self.lanes).enumerate() {
                let x = first + j as isize;
                if (0..row.len() as isize).contains(&x) {
                    cell[lane] = row[x.unsigned_abs()];
                }
            }
        }
    }
}
