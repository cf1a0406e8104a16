//! Pictures to be judged, a batch at a time: 50 000 take no more memory than 500.
//!
//! A source is what `--data` names (embedded, a folder, a zip) or an `.npz` with `arr_0` (uint8,
//! NHWC), as the ADM evaluation suite has its samples.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::dataset::Split;
use super::decode::{decode_rgb, decode_square};
use super::npz::NpzFile;
use super::pixels::planar_from_hwc;
use super::source::{DataSource, Item, Listing, Reader};
use crate::error::{Error, Result};
use crate::files::Dtype;

/// Pictures that can be read one batch after the other.
pub struct PictureStream {
    source: Source,
    px: usize,
    title: String,
}

enum Source {
    Items(Vec<Item>, Reader),
    Npz(PathBuf, usize),
}

impl PictureStream {
    /// Opens `source`, a word or path: of `split`, or all of it. Pictures become squares of side
    /// `px`, by default that of the first one.
    ///
    /// # Errors
    /// A source that cannot be read or holds no picture; an array of another size.
    pub fn open(source: &str, split: Option<Split>, px: Option<usize>) -> Result<Self> {
        let title = source.to_string();
        if Path::new(source).extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")) {
            return Self::open_npz(Path::new(source), px);
        }
        let parsed = source.parse().unwrap_or(DataSource::Embedded);
        let Listing { train, held, mut reader, .. } = Listing::open(&parsed)?;
        let items = match split {
            Some(Split::Train) => train,
            Some(Split::Held) => held,
            None => train.into_iter().chain(held).collect(),
        };
        let first =
            items.first().ok_or_else(|| Error::Data(format!("{source}: that part has no pictures")))?;
        let px = match px {
            Some(px) => px,
            None => {
                let decoded = reader.read(&first.location).and_then(|bytes| decode_rgb(&bytes));
                let found = decoded.map_err(|e| Error::Data(format!("{source}: {}: {e}", first.name)))?;
                found.width.min(found.height)
            }
        };
        Ok(Self { source: Source::Items(items, reader), px, title })
    }

    fn open_npz(path: &Path, px: Option<usize>) -> Result<Self> {
        let header = NpzFile::open(path)?.header("arr_0")?;
        let header = header.ok_or_else(|| Error::file(path, "has no arr_0, where samples are looked for"))?;
        let &[count, height, width, 3] = header.shape.as_slice() else {
            let reason = format!("arr_0 has shape {:?}; samples are [N, S, S, 3]", header.shape);
            return Err(Error::file(path, reason));
        };
        if header.dtype != Dtype::U8 || height != width || count == 0 {
            let reason =
                format!("arr_0 is {:?} of {:?}; samples are uint8 squares", header.dtype, header.shape);
            return Err(Error::file(path, reason));
        }
        if px.is_some_and(|px| px != width) {
            let reason = format!("has pictures of {width} px, the others have {} px", px.unwrap_or(0));
            return Err(Error::file(path, reason));
        }
        Ok(Self {
            source: Source::Npz(path.to_path_buf(), count),
            px: width,
            title: path.display().to_string(),
        })
    }

    /// Side of the pictures.
    pub fn px(&self) -> usize {
        self.px
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Items(items, _) => items.len(),
            Source::Npz(_, count) => *count,
        }
    }

    /// Whether there are none: never, an opened stream has pictures.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps `num` of them, evenly spread; of an array the first.
    pub fn keep(&mut self, num: usize) {
        match &mut self.source {
            Source::Items(items, _) if num < items.len() => {
                let all = items.len();
                *items = (0..num).map(|i| items[i * all / num].clone()).collect();
            }
            Source::Items(..) => {}
            Source::Npz(_, count) => *count = num.min(*count),
        }
    }

    /// Calls `take` with planar bytes `[n, 3, px, px]` of at most `batch` pictures at a time.
    ///
    /// # Errors
    /// A picture that cannot be read (a set that is judged must be whole), or what `take` gives.
    pub fn each(&self, batch: usize, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let size = 3 * self.px * self.px;
        match &self.source {
            Source::Items(items, reader) => {
                for part in items.chunks(batch) {
                    let mut planar = vec![0; part.len() * size];
                    let work = planar.par_chunks_exact_mut(size).zip(part);
                    work.map_init(|| reader.clone(), |reader, (to, item)| self.read(reader, item, to))
                        .collect::<Result<()>>()?;
                    take(&planar)?;
                }
                Ok(())
            }
            Source::Npz(path, count) => {
                let mut left = *count;
                NpzFile::open(path)?.each_row("arr_0", batch, |_, rows| {
                    let now = (rows.len() / size).min(left);
                    left -= now;
                    let mut planar = vec![0; now * size];
                    for (to, hwc) in planar.chunks_exact_mut(size).zip(rows.chunks_exact(size)) {
                        planar_from_hwc(hwc, self.px, false, to);
                    }
                    if now > 0 { take(&planar) } else { Ok(()) }
                })
            }
        }
    }

    fn read(&self, reader: &mut Reader, item: &Item, to: &mut [u8]) -> Result<()> {
        let square = reader.read(&item.location).and_then(|bytes| decode_square(&bytes, self.px));
        let square = square.map_err(|e| Error::Data(format!("{}: {}: {e}", self.title, item.name)))?;
        planar_from_hwc(&square, self.px, false, to);
        Ok(())
    }

    /// Names the set for a cache: what is in it by name, size and time of change; nothing is decoded.
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update((self.px as u64).to_le_bytes());
        let stamp = |path: &Path| {
            let found = std::fs::metadata(path).ok();
            let changed = found.as_ref().and_then(|f| f.modified().ok());
            let since = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
            format!("{} {:?}", found.map_or(0, |f| f.len()), since)
        };
        hash.update(std::path::absolute(&self.title).unwrap_or_default().to_string_lossy().as_bytes());
        hash.update(stamp(Path::new(&self.title)));
        match &self.source {
            Source::Npz(_, count) => hash.update((*count as u64).to_le_bytes()),
            Source::Items(items, _) => {
                for item in items {
                    hash.update(&item.name);
                    if let super::source::Location::File(path) = &item.location {
                        hash.update(stamp(path));
                    }
                }
            }
        }
        hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::npz::write_bytes;
    use image::{Rgb, RgbImage};

    #[test]
    fn a_folder_is_streamed_in_batches_at_its_own_size() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..5u8 {
            RgbImage::from_pixel(6, 6, Rgb([i, 2, 3])).save(dir.path().join(format!("{i}.png"))).unwrap();
        }
        let source = dir.path().to_str().unwrap();
        let mut stream = PictureStream::open(source, None, None).unwrap();
        assert_eq!((stream.px(), stream.len()), (6, 5));
        let mut sizes = Vec::new();
        stream
            .each(2, |planar| {
                sizes.push(planar.len() / 108);
                assert_eq!(planar[36..72], [2; 36]);
                Ok(())
            })
            .unwrap();
        assert_eq!(sizes, [2, 2, 1]);
        let key = stream.key();
        stream.keep(2);
        assert_eq!(stream.len(), 2);
        assert_ne!(key, stream.key());
        assert_eq!(PictureStream::open(source, None, Some(3)).unwrap().px(), 3);
    }

    #[test]
    fn an_array_is_streamed_and_its_shape_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let bytes: Vec<u8> = (0..3 * 12).collect();
        write_bytes(&path, "arr_0", &[3, 2, 2, 3], bytes.as_slice()).unwrap();
        let source = path.to_str().unwrap();
        let mut stream = PictureStream::open(source, None, None).unwrap();
        stream.keep(2);
        let mut seen = Vec::new();
        stream
            .each(1, |planar| {
                seen.push(planar.to_vec());
                Ok(())
            })
            .unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0], [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        assert!(PictureStream::open(source, None, Some(4)).err().unwrap().to_string().contains("2 px"));
        write_bytes(&path, "arr_0", &[36], bytes.as_slice()).unwrap();
        assert!(PictureStream::open(source, None, None).err().unwrap().to_string().contains("[N, S, S, 3]"));
    }

    #[test]
    fn a_broken_picture_is_named() {
        let dir = tempfile::tempdir().unwrap();
        RgbImage::new(4, 4).save(dir.path().join("a.png")).unwrap();
        std::fs::write(dir.path().join("b.png"), "text").unwrap();
        let stream = PictureStream::open(dir.path().to_str().unwrap(), None, Some(4)).unwrap();
        assert!(stream.each(8, |_| Ok(())).unwrap_err().to_string().contains("b.png"));
    }
}
