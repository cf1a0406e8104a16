//! Batches prepared ahead by one named thread, in the order that [`super::order`] fixes.
//!
//! Step s takes positions `[s·B, (s+1)·B)` of the endless concatenation of epochs, so a batch may span
//! two epochs and a set may be smaller than a batch. A loader that starts at step s yields exactly what
//! another one yields from its step s on: a resumed run is the same run.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::dataset::{Dataset, Split};
use super::order::Epoch;
use super::pixels::planar_from_hwc;
use crate::error::{Error, Result};

/// How many batches lie ready besides the one in work.
const DEPTH: usize = 4;

/// The pictures of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `[B, 3, S, S]`, planar RGB8.
    pub images: Vec<u8>,
    /// Class of each picture, `[B]`.
    pub labels: Vec<usize>,
    /// Index of each picture in [`Split::Train`], `[B]`.
    pub indices: Vec<usize>,
    /// Whether each picture is mirrored, `[B]`.
    pub flipped: Vec<bool>,
}

impl Batch {
    /// The batch in parts of `size` pictures, the last perhaps smaller.
    pub fn parts(self, size: usize) -> Vec<Self> {
        let count = self.labels.len();
        if size >= count {
            return vec![self];
        }
        let pixels = self.images.len() / count;
        let part = |first: usize| {
            let range = first..count.min(first + size);
            Self {
                images: self.images[range.start * pixels..range.end * pixels].to_vec(),
                labels: self.labels[range.clone()].to_vec(),
                indices: self.indices[range.clone()].to_vec(),
                flipped: self.flipped[range].to_vec(),
            }
        };
        (0..count).step_by(size).map(part).collect()
    }
}

/// Hands out training batches; dropping it stops its thread.
pub struct Loader {
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
    failure: Option<String>,
    received: u64,
    waited: Duration,
}

impl Loader {
    /// Starts preparing batches of `batch` pictures, the first one that of step `first_step`.
    ///
    /// `flip` mirrors half of the pictures, anew in each epoch.
    pub fn new(dataset: Arc<Dataset>, batch: usize, seed: u64, flip: bool, first_step: u64) -> Self {
        let mut loader =
            Self { batches: None, thread: None, failure: None, received: 0, waited: Duration::ZERO };
        if batch == 0 || dataset.is_empty(Split::Train) {
            loader.failure = Some("a batch of no images cannot be loaded".into());
            return loader;
        }
        let (sender, receiver) = sync_channel(DEPTH);
        let work = move || prepare(&Order { dataset, batch, seed, flip }, first_step, &sender);
        match Builder::new().name("tandem-loader".into()).spawn(work) {
            Ok(thread) => (loader.batches, loader.thread) = (Some(receiver), Some(thread)),
            Err(error) => loader.failure = Some(format!("cannot start the loader thread: {error}")),
        }
        loader
    }

    /// The next step's batch; waits for it if need be.
    ///
    /// # Errors
    /// The batch size is 0, or the loader thread could not be started or died.
    #[allow(clippy::should_implement_trait, reason = "endless and fallible; an Iterator would be neither")]
    pub fn next(&mut self) -> Result<Batch> {
        if let Some(failure) = &self.failure {
            return Err(Error::Data(failure.clone()));
        }
        let start = Instant::now();
        let received = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        if self.received > 0 {
            self.waited += start.elapsed();
        }
        self.received += 1;
        received.ok_or_else(|| Error::Data("the loader thread died".into()))
    }

    /// The time that [`Self::next`] has waited in all, without the first batch.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Without a receiver the thread's next send fails, and it ends.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported by `next` already.
            let _ = thread.join();
        }
    }
}

/// What determines every batch.
struct Order {
    dataset: Arc<Dataset>,
    batch: usize,
    seed: u64,
    flip: bool,
}

/// The thread: sends batches until nobody listens.
fn prepare(order: &Order, first_step: u64, sender: &SyncSender<Batch>) {
    let len = order.dataset.len(Split::Train);
    let first = u128::from(first_step) * order.batch as u128;
    let (number, mut place) = ((first / len as u128) as u64, (first % len as u128) as usize);
    let mut epoch = Epoch::new(len, order.seed, number);
    loop {
        let mut picks = Vec::with_capacity(order.batch);
        for _ in 0..order.batch {
            if place == len {
                epoch = Epoch::new(len, order.seed, epoch.number + 1);
                place = 0;
            }
            let index = epoch.indices[place];
            picks.push((index, order.flip && epoch.flipped[index]));
            place += 1;
        }
        if sender.send(gather(&order.dataset, &picks)).is_err() {
            return;
        }
    }
}

fn gather(dataset: &Dataset, picks: &[(usize, bool)]) -> Batch {
    let side = dataset.image_px();
    let size = side * side * 3;
    let mut images = vec![0; picks.len() * size];
    for (planar, &(index, flip)) in images.chunks_exact_mut(size).zip(picks) {
        planar_from_hwc(&dataset.image(Split::Train, index), side, flip, planar);
    }
    let labels = picks.iter().map(|&(index, _)| dataset.label(Split::Train, index)).collect();
    let (indices, flipped) = picks.iter().copied().unzip();
    Batch { images, labels, indices, flipped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loader(len: usize, batch: usize, seed: u64, first_step: u64) -> Loader {
        Loader::new(Arc::new(Dataset::of_shades(len, 2)), batch, seed, true, first_step)
    }

    fn take(loader: &mut Loader, steps: usize) -> Vec<Batch> {
        (0..steps).map(|_| loader.next().unwrap()).collect()
    }

    #[test]
    fn a_resumed_loader_goes_on_exactly() {
        for (len, batch) in [(10, 3), (10, 10), (3, 8), (1, 2)] {
            let whole = take(&mut loader(len, batch, 7, 0), 20);
            for first in [0, 1, 7, 13] {
                let rest = take(&mut loader(len, batch, 7, first as u64), 20 - first);
                assert_eq!(rest, whole[first..], "{len} images, batches of {batch}, from {first}");
            }
        }
        assert_ne!(take(&mut loader(10, 3, 7, 0), 5), take(&mut loader(10, 3, 8, 0), 5));
    }

    #[test]
    fn every_epoch_shows_each_picture_once_across_batch_borders() {
        let batches = take(&mut loader(10, 4, 0, 0), 10);
        let indices: Vec<usize> = batches.iter().flat_map(|b| b.indices.clone()).collect();
        for epoch in indices.chunks_exact(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_holds_what_its_fields_say() {
        let set = Arc::new(Dataset::of_shades(6, 2));
        let mut mirrored = 0;
        let mut loader = Loader::new(set.clone(), 6, 1, true, 0);
        for _ in 0..10 {
            let batch = loader.next().unwrap();
            for (k, &index) in batch.indices.iter().enumerate() {
                let image = &batch.images[k * 12..(k + 1) * 12];
                let row = if batch.flipped[k] { [3, 0, 9, 6] } else { [0, 3, 6, 9] };
                assert_eq!(image[..4], row);
                assert_eq!(image[4..], [index as u8; 8]);
                assert_eq!(batch.labels[k], index % 2);
                mirrored += usize::from(batch.flipped[k]);
            }
        }
        assert!((15..46).contains(&mirrored), "{mirrored} of 60");
        let plain = Loader::new(set, 6, 1, false, 0).next().unwrap();
        assert_eq!(plain.flipped, [false; 6]);
    }

    #[test]
    fn dropping_stops_the_thread_promptly() {
        let start = Instant::now();
        for step in 0..50 {
            drop(loader(10, 3, 0, step));
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn an_empty_batch_is_an_error_not_a_hang() {
        assert!(loader(10, 0, 0, 0).next().is_err());
        assert!(loader(0, 4, 0, 0).next().is_err());
    }

    #[test]
    fn waiting_is_counted_after_the_first_batch() {
        let mut loader = loader(10, 3, 0, 0);
        take(&mut loader, 1);
        assert_eq!(loader.waited(), Duration::ZERO);
        take(&mut loader, 3);
        assert!(loader.waited() < Duration::from_secs(1));
    }
}
