//! What frozen networks say about each picture, computed once and kept: teacher features, latents
//! of a frozen autoencoder.
//!
//! Values are stored as f16 or f32, in memory while they fit the budget, else in one file of the
//! run folder. A value is always used as it was stored, also when it was just computed, so a
//! resumed run sees the same numbers. It is only a cache: what a disk refuses to keep or to give
//! back is computed again, and told once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::f16;

use super::latent_store::LatentStore;
use crate::error::{Error, Result};

/// Largest cache kept in memory.
pub const MEMORY_BUDGET_BYTES: u64 = 256 << 20;

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Two bytes: teacher features, which only a cosine looks at.
    Half,
    /// Four bytes: latents.
    Full,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<Option<Box<[u8]>>>),
    Disk {
        file: File,
        path: PathBuf,
        filled: Vec<bool>,
    },
    /// Encoded beforehand by `tandem cache`.
    Encoded(Box<LatentStore>),
}

/// One fixed-size record for each picture and its mirror image.
#[derive(Debug)]
pub struct ImageCache {
    store: Store,
    values: usize,
    precision: Precision,
    trouble: Trouble,
}

/// What a disk refused.
#[derive(Debug)]
enum Trouble {
    None,
    New(Error),
    Told,
}

impl ImageCache {
    /// A cache of `values` numbers for each of `images` pictures and, with `flip`, their mirror
    /// images; on disk at `spill` when larger than the memory budget.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn new(images: usize, flip: bool, values: usize, precision: Precision, spill: &Path) -> Result<Self> {
        let slots = if flip { 2 * images } else { images };
        let bytes = slots as u64 * record_bytes(values, precision) as u64;
        let store = if bytes <= MEMORY_BUDGET_BYTES {
            Store::Memory(vec![None; slots])
        } else {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(spill)
                .map_err(|e| Error::io("create", spill, e))?;
            Store::Disk { file, path: spill.to_path_buf(), filled: vec![false; slots] }
        };
        Ok(Self { store, values, precision, trouble: Trouble::None })
    }

    /// A full cache that was encoded beforehand.
    pub fn encoded(store: LatentStore) -> Self {
        let values = 2 * store.index().shape.iter().product::<usize>();
        let store = Store::Encoded(Box::new(store));
        Self { store, values, precision: Precision::Full, trouble: Trouble::None }
    }

    /// Size when full, in bytes.
    pub fn full_bytes(&self) -> u64 {
        self.num_slots() as u64 * record_bytes(self.values, self.precision) as u64
    }

    /// Whether it is kept on disk.
    pub fn on_disk(&self) -> bool {
        !matches!(self.store, Store::Memory(_))
    }

    fn num_slots(&self) -> usize {
        match &self.store {
            Store::Memory(slots) => slots.len(),
            Store::Disk { filled, .. } => filled.len(),
            Store::Encoded(store) => 2 * store.index().num,
        }
    }

    fn slot(&self, index: usize, flipped: bool) -> usize {
        let slots = self.num_slots();
        // Mirror images lie behind all pictures.
        if flipped { slots / 2 + index } else { index }
    }

    /// Stores the values of a picture, and gives them as they will come back.
    pub fn put(&mut self, index: usize, flipped: bool, values: &[f32]) -> Vec<f32> {
        assert_eq!(values.len(), self.values, "a record of the cache");
        let slot = self.slot(index, flipped);
        let bytes = encode(values, self.precision);
        let stored = decode(&bytes, self.precision);
        match &mut self.store {
            Store::Memory(slots) => slots[slot] = Some(bytes.into_boxed_slice()),
            Store::Disk { file, path, filled } => {
                let at = slot as u64 * bytes.len() as u64;
                let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&bytes));
                filled[slot] = written.is_ok();
                self.trouble.note(written.map_err(|e| Error::io("write", &*path, e)));
            }
            // Computed only because that file could not be read: the trouble is noted.
            Store::Encoded(_) => {}
        }
        stored
    }

    /// The values of a picture, if they are there.
    pub fn get(&mut self, index: usize, flipped: bool) -> Option<Vec<f32>> {
        let slot = self.slot(index, flipped);
        let length = record_bytes(self.values, self.precision);
        match &mut self.store {
            Store::Memory(slots) => slots[slot].as_deref().map(|bytes| decode(bytes, self.precision)),
            Store::Disk { file, path, filled } => {
                if !filled[slot] {
                    return None;
                }
                let mut bytes = vec![0; length];
                let at = SeekFrom::Start(slot as u64 * length as u64);
                let read = file.seek(at).and_then(|_| file.read_exact(&mut bytes));
                filled[slot] = read.is_ok();
                self.trouble.note(read.map_err(|e| Error::io("read", &*path, e)));
                filled[slot].then(|| decode(&bytes, self.precision))
            }
            Store::Encoded(store) => match store.get(index, flipped) {
                Ok(values) => Some(values),
                Err(error) => {
                    self.trouble.note(Err(error));
                    None
                }
            },
        }
    }

    /// The first thing that the disk refused, once.
    pub fn take_trouble(&mut self) -> Option<Error> {
        match std::mem::replace(&mut self.trouble, Trouble::Told) {
            Trouble::New(error) => Some(error),
            before => {
                self.trouble = before;
                None
            }
        }
    }
}

impl Trouble {
    fn note(&mut self, outcome: Result<()>) {
        if let (true, Err(error)) = (matches!(self, Self::None), outcome) {
            *self = Self::New(error);
        }
    }
}

impl Drop for ImageCache {
    fn drop(&mut self) {
        if let Store::Disk { path, .. } = &self.store {
            // Only a cache: what cannot be removed is truncated by the next run that uses the folder.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn record_bytes(values: usize, precision: Precision) -> usize {
    values * if precision == Precision::Half { 2 } else { 4 }
}

fn encode(values: &[f32], precision: Precision) -> Vec<u8> {
    match precision {
        Precision::Half => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Precision::Full => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

fn decode(bytes: &[u8], precision: Precision) -> Vec<f32> {
    match precision {
        Precision::Half => bytes.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Precision::Full => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_from_memory_and_disk() {
        let folder = tempfile::tempdir().unwrap();
        for images in [3, 40_000_000] {
            let mut cache =
                ImageCache::new(images, true, 5, Precision::Full, &folder.path().join("cache")).unwrap();
            assert_eq!(cache.on_disk(), images > 3);
            assert_eq!(cache.get(2, true), None);
            let values = [1.0, 2.0, 3.0, 4.0, 0.1];
            assert_eq!(cache.put(2, true, &values), values);
            cache.put(1, false, &[5.0; 5]);
            assert_eq!(cache.get(2, true).unwrap(), values);
            assert_eq!(cache.get(1, false).unwrap(), [5.0; 5]);
            assert_eq!(cache.get(2, false), None);
            assert!(cache.take_trouble().is_none());
        }
        assert!(!folder.path().join("cache").exists(), "the spill file goes with the cache");
    }

    #[test]
    fn values_are_used_as_they_were_stored() {
        let mut cache = ImageCache::new(1, false, 1, Precision::Half, Path::new("")).unwrap();
        let stored = cache.put(0, false, &[0.1]);
        assert_eq!(stored, [f16::from_f32(0.1).to_f32()]);
        assert_eq!(cache.get(0, false).unwrap(), stored);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_only_means_computing_again() {
        // Every write to this device fails for want of space.
        let file = File::options().read(true).write(true).open("/dev/full").unwrap();
        let store = Store::Disk { file, path: "full".into(), filled: vec![false; 2] };
        let mut cache = ImageCache { store, values: 2, precision: Precision::Full, trouble: Trouble::None };
        assert_eq!(cache.put(0, false, &[1.0, 2.0]), [1.0, 2.0]);
        assert_eq!(cache.get(0, false), None);
        let told = cache.take_trouble().unwrap().to_string();
        assert!(told.starts_with("cannot write full: No space left"), "{told}");
        cache.put(1, false, &[1.0, 2.0]);
        assert!(cache.take_trouble().is_none(), "told once");
    }
}
