//! Maps cut into tiles of 4 × 4 outputs (2 × 2 for five taps) for [`wide`](super::wide): which values each tile
//! reads and writes.
//!
//! Values are gathered by a table of places, the same for every channel, so that one loop serves borders, maps
//! smaller than a vector and several pictures side by side.

use super::correlate::Correlation;

/// Inputs of a tile along each axis.
pub const WINDOW: usize = 6;
/// Tiles whose values lie side by side while they are transformed: 36 rows of them fit in the L1 cache.
pub const GROUP: usize = 64;
/// Values of the transformed inputs and products of a chunk: 12 MiB, to stay in the last-level cache.
const CHUNK_VALUES: usize = 3 << 20;
/// Tiles of a chunk are a multiple of this, the widest vector.
const WIDEST: usize = 16;

/// Some rows of tiles: whole pictures, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First picture, number of pictures.
    pub pictures: (usize, usize),
    /// First row of tiles of each picture, number of rows.
    rows: (usize, usize),
    /// Tiles along a row.
    cols: usize,
    /// Outputs of a tile along each axis.
    side: usize,
}

/// Outputs of a tile of `c` along each axis.
pub fn side(c: &Correlation) -> usize {
    WINDOW + 1 - c.kh
}

impl Chunk {
    /// The chunks of `c`, by its shape alone.
    pub fn all(c: &Correlation) -> Vec<Self> {
        let side = side(c);
        let (rows, cols) = (c.oh.div_ceil(side), c.ow.div_ceil(side));
        let tiles = (CHUNK_VALUES / (36 * (c.c_in + c.c_out))).clamp(GROUP, 1024);
        if rows * cols > tiles {
            // Equal parts of a picture.
            let parts = rows.div_ceil((tiles / cols).max(1));
            let per = rows.div_ceil(parts);
            let part = move |first: usize| (first, per.min(rows - first));
            let of = |n: usize| {
                (0..rows).step_by(per).map(move |r| Self { pictures: (n, 1), rows: part(r), cols, side })
            };
            return (0..c.n).flat_map(of).collect();
        }
        let parts = c.n.div_ceil(tiles / (rows * cols));
        let per = c.n.div_ceil(parts);
        let whole = |n: usize| Self { pictures: (n, per.min(c.n - n)), rows: (0, rows), cols, side };
        (0..c.n).step_by(per).map(whole).collect()
    }

    /// Tiles in it.
    pub fn tiles(&self) -> usize {
        self.pictures.1 * self.rows.1 * self.cols
    }

    /// Tiles with their filling: a multiple of every vector, and an odd one, so that rows of them do not share
    /// cache sets.
    pub fn pitch(&self) -> usize {
        (self.tiles().div_ceil(WIDEST) | 1) * WIDEST
    }

    /// Each tile's picture within the chunk, row and column.
    fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Self { rows: (first, count), cols, pictures, .. } = *self;
        (0..pictures.1)
            .flat_map(move |n| (first..first + count).flat_map(move |r| (0..cols).map(move |c| (n, r, c))))
    }
}

/// Where tiles find a plane's values: `[group][tap][tile of the group]`.
#[derive(Debug)]
pub struct Gather {
    table: Vec<u32>,
    taps: usize,
    /// Rows of the plane that are read: first, count.
    rows: (usize, usize),
    width: usize,
    /// Values from one picture's channel to the next picture's.
    image: usize,
    pictures: (usize, usize),
}

impl Gather {
    /// For windows of `reach` × `reach` values, `origin` before their tile's first output, of maps `[.., h, w]`
    /// with `image` values a picture, each value taken for a square of `up` × `up`.
    pub fn new(
        chunk: &Chunk,
        reach: usize,
        origin: [isize; 2],
        (image, h, w): (usize, usize, usize),
        up: usize,
    ) -> Self {
        let (high, wide) = ((h * up) as isize, (w * up) as isize);
        let clip = |y: isize| y.clamp(0, high).unsigned_abs();
        let side = chunk.side;
        let first = clip((chunk.rows.0 * side) as isize + origin[0]) / up;
        let end = (chunk.rows.0 + chunk.rows.1 - 1) * side + reach;
        let last = clip(end as isize + origin[0]).div_ceil(up).max(first);
        let rows = (first, last - first);
        let pitch = chunk.pitch();
        // What is not read from the plane is read from the zero behind the copy.
        let zero = (chunk.pictures.1 * rows.1 * w) as u32;
        let mut table = vec![zero; pitch * reach * reach];
        for (t, (n, r, c)) in chunk.places().enumerate() {
            let (group, lane) = (t / GROUP, t % GROUP);
            let width = GROUP.min(pitch - group * GROUP);
            let cells = &mut table[group * GROUP * reach * reach..];
            for (k, cell) in cells[lane..].iter_mut().step_by(width).take(reach * reach).enumerate() {
                let y = (r * side + k / reach) as isize + origin[0];
                let x = (c * side + k % reach) as isize + origin[1];
                if (0..high).contains(&y) && (0..wide).contains(&x) {
                    let row = n * rows.1 + y.unsigned_abs() / up - first;
                    *cell = (row * w + x.unsigned_abs() / up) as u32;
                }
            }
        }
        Self { table, taps: reach * reach, rows, width: w, image, pictures: chunk.pictures }
    }

    /// Values that [`copy`](Self::copy) wants.
    pub fn copied(&self) -> usize {
        self.pictures.1 * self.rows.1 * self.width + 1
    }

    /// Puts the rows of a channel, which starts at `start` in each picture of `x`, side by side, and a zero
    /// behind them.
    pub fn copy(&self, x: &[f32], start: usize, plane: &mut [f32]) {
        let rows = self.rows.1 * self.width;
        if rows > 0 {
            for (n, copy) in plane.chunks_exact_mut(rows).take(self.pictures.1).enumerate() {
                let at = (self.pictures.0 + n) * self.image + start + self.rows.0 * self.width;
                copy.copy_from_slice(&x[at..at + rows]);
            }
        }
        plane[self.pictures.1 * rows] = 0.0;
    }

    /// The table, one group of tiles after the other, each with its number of tiles.
    pub fn groups(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.table.chunks(self.taps * GROUP).map(|table| (table.len() / self.taps, table))
    }
}

/// A tile's place in a plane of outputs.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// Picture within the chunk.
    pub picture: usize,
    /// First value, counted from the chunk's first row.
    pub at: usize,
    /// Rows and columns inside of the map.
    pub rows: usize,
    pub cols: usize,
}

/// Where the outputs of each tile of a chunk go.
pub fn spots(chunk: &Chunk, c: &Correlation) -> Vec<Spot> {
    let side = chunk.side;
    let spot = |(picture, r, col): (usize, usize, usize)| Spot {
        picture,
        at: (r - chunk.rows.0) * side * c.ow + col * side,
        rows: side.min(c.oh - r * side),
        cols: side.min(c.ow - col * side),
    };
    chunk.places().map(spot).collect()
}

/// The rows of outputs of a chunk, `[picture][channel]`, cut from `y [N, c_out, oh, ow]`.
pub fn cut_rows<'a>(chunk: &Chunk, c: &Correlation, y: &'a mut [f32]) -> Vec<&'a mut [f32]> {
    let from = chunk.rows.0 * chunk.side * c.ow;
    let to = ((chunk.rows.0 + chunk.rows.1) * chunk.side).min(c.oh) * c.ow;
    let planes = y.chunks_exact_mut(c.area()).skip(chunk.pictures.0 * c.c_out);
    planes.take(chunk.pictures.1 * c.c_out).map(|plane| &mut plane[from..to]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(n: usize, oh: usize, ow: usize, channels: usize) -> Correlation {
        let (h, w) = (oh, ow);
        let (c_in, c_out, kh, kw, stride, origin) = (channels, channels, 3, 3, 1, [-1, -1]);
        Correlation { n, c_in, h, w, c_out, oh, ow, kh, kw, stride, origin }
    }

    #[test]
    fn chunks_cover_every_row_of_tiles_once() {
        let five = Correlation { kh: 5, kw: 5, ..shape(32, 7, 7, 64) };
        for c in
            [five, shape(1, 256, 256, 128), shape(32, 8, 8, 64), shape(5, 9, 7, 600), shape(3, 70, 1, 512)]
        {
            let rows = c.oh.div_ceil(side(&c));
            let mut seen = vec![0; c.n * rows];
            for chunk in Chunk::all(&c) {
                assert!(chunk.tiles() > 0 && chunk.pitch() >= chunk.tiles());
                for n in chunk.pictures.0..chunk.pictures.0 + chunk.pictures.1 {
                    for r in chunk.rows.0..chunk.rows.0 + chunk.rows.1 {
                        seen[n * rows + r] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{c:?}");
        }
    }

    #[test]
    fn a_window_is_gathered_with_zeros_around() {
        let c = shape(1, 5, 5, 1);
        let chunk = Chunk::all(&c)[0];
        let gather = Gather::new(&chunk, 6, [-1, -1], (25, 5, 5), 1);
        let x: Vec<f32> = (1..=25).map(|v| v as f32).collect();
        let mut plane = vec![f32::NAN; gather.copied()];
        gather.copy(&x, 0, &mut plane);
        let (width, table) = gather.groups().next().unwrap();
        // The last of 2 × 2 tiles begins at output (4, 4): its window at (3, 3).
        let window: Vec<f32> = (0..36).map(|k| plane[table[k * width + 3] as usize]).collect();
        assert_eq!(window[..3], [19.0, 20.0, 0.0]);
        assert_eq!(window[6..9], [24.0, 25.0, 0.0]);
        assert!(window[12..].iter().all(|&v| v == 0.0));
    }
}
