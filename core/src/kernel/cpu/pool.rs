//! Buffers of outputs, used again: a step makes the same tensors as the step before, and clearing fresh memory
//! that a kernel is about to fill was a twentieth of its time, on one thread.
//!
//! [`take`] lends a buffer of the wanted length, holding anything: one that was given back and is not much larger, else
//! a new one. Whoever drops the tensor that it became gives it back. Buffers are kept only while work [`repeats`]:
//! elsewhere many lengths come once each. What no output asked for during [`AGE`] of them goes back to the allocator,
//! and what lies idle is a small part of what is in use: it is memory that nobody sees.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shorter buffers cost nothing to clear.
const SHORTEST: usize = 4096;
/// Outputs after which an unused buffer is let go: several steps of the largest preset.
const AGE: u64 = 8 * 1024;
/// Outputs between two looks for old buffers.
const SWEEP: u64 = 512;
/// Idle values kept at most: a part of the most that tensors held at once, between two bounds (16 and 256 MiB).
const PART: usize = 4;
const FEWEST: usize = 4 << 20;
const MOST: usize = 64 << 20;
/// A buffer serves lengths down to this part less than its own: lengths that differ little share memory.
const SPARE: usize = 5;

#[derive(Default)]
struct Pool {
    /// By capacity, each with the moment it came back; the latest last.
    idle: BTreeMap<usize, Vec<(u64, Vec<f32>)>>,
    /// Outputs so far.
    clock: u64,
    /// Values in all idle buffers.
    values: usize,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Pool>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        self.clock += 1;
        if self.clock.is_multiple_of(SWEEP) {
            let oldest = self.clock.saturating_sub(AGE);
            let values = &mut self.values;
            self.idle.retain(|capacity, buffers| {
                let before = buffers.len();
                buffers.retain(|(since, _)| *since >= oldest);
                *values -= (before - buffers.len()) * capacity;
                !buffers.is_empty()
            });
        }
        let (&capacity, _) = self.idle.range(len..=len + len / (SPARE - 1)).next()?;
        let buffers = self.idle.get_mut(&capacity)?;
        let (_, mut buffer) = buffers.pop()?;
        if buffers.is_empty() {
            self.idle.remove(&capacity);
        }
        self.values -= capacity;
        // Clears what was cut off before, at most.
        buffer.resize(len, 0.0);
        Some(buffer)
    }

    /// Keeps `buffer`, or gives it back where that would be more than `most` idle values.
    fn give(&mut self, buffer: Vec<f32>, most: usize) -> Option<Vec<f32>> {
        let capacity = buffer.capacity();
        if self.values + capacity > most {
            return Some(buffer);
        }
        self.values += capacity;
        self.idle.entry(capacity).or_default().push((self.clock, buffer));
        None
    }
}

/// Values in all tensors that live, and the most there were.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts a tensor of `len` values that begins to live.
pub fn begins(len: usize) {
    let live = LIVE.fetch_add(len, Ordering::Relaxed) + len;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

/// Counts a tensor of `len` values that ends.
pub fn ends(len: usize) {
    LIVE.fetch_sub(len, Ordering::Relaxed);
}

/// Bytes in tensors that kernels of the CPU device made and somebody still holds. Weights and results of plain
/// tensor operations are not among them.
pub fn live_bytes() -> usize {
    4 * LIVE.load(Ordering::Relaxed)
}

/// The most [`live_bytes`] that there were.
pub fn peak_live_bytes() -> usize {
    4 * PEAK.load(Ordering::Relaxed)
}

/// Stretches of repeating work that run.
static REPEATING: AtomicUsize = AtomicUsize::new(0);

/// While it lives, buffers that come back are kept for the next output.
#[derive(Debug)]
pub struct Repeats(());

/// Says that work begins which makes outputs of the same lengths again and again.
pub fn repeats() -> Repeats {
    REPEATING.fetch_add(1, Ordering::Relaxed);
    Repeats(())
}

impl Drop for Repeats {
    fn drop(&mut self) {
        REPEATING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A buffer of `len` values that hold anything, for a kernel that writes them all. In unit tests they are not
/// numbers, so that a value which was not written shows.
pub fn take(len: usize) -> Vec<f32> {
    let kept = if len < SHORTEST { None } else { lock().get_or_insert_default().take(len) };
    let mut buffer = kept.unwrap_or_else(|| vec![0.0; len]);
    if cfg!(test) {
        buffer.fill(f32::NAN);
    }
    buffer
}

/// Takes a buffer back.
pub fn give(buffer: Vec<f32>) {
    if buffer.len() >= SHORTEST && REPEATING.load(Ordering::Relaxed) > 0 {
        let most = (PEAK.load(Ordering::Relaxed) / PART).clamp(FEWEST, MOST);
        // What is not kept is freed after the lock is released.
        let refused = lock().get_or_insert_default().give(buffer, most);
        drop(refused);
    }
}

/// Lets every unused buffer go.
pub fn clear() {
    // Freed after the lock is released.
    let idle = lock().take();
    drop(idle);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_for_its_own_length_and_those_a_little_less() {
        let mut pool = Pool::default();
        assert!(pool.give(vec![1.0; 5000], MOST).is_none());
        assert_eq!(pool.values, 5000);
        assert!(pool.take(5001).is_none(), "too short");
        assert!(pool.take(3999).is_none(), "a fifth of it would lie idle");
        let mut lent = pool.take(4000).unwrap();
        assert_eq!((lent.len(), lent.capacity()), (4000, 5000));
        assert!(pool.take(4000).is_none(), "lent twice");
        assert_eq!(pool.values, 0);
        lent.fill(2.0);
        assert!(pool.give(lent, MOST).is_none());
        assert_eq!(pool.take(5000).map(|whole| (whole.len(), whole[3999])), Some((5000, 2.0)));
        pool.values = MOST - 4999;
        assert_eq!(pool.give(vec![1.0; 5000], MOST).map(|refused| refused.len()), Some(5000));
    }

    #[test]
    fn what_nobody_asks_for_is_let_go() {
        let mut pool = Pool::default();
        assert!(pool.give(vec![1.0; 5000], MOST).is_none());
        (0..AGE).for_each(|_| drop(pool.take(6000)));
        assert_eq!(pool.idle.len(), 1);
        (0..SWEEP + 1).for_each(|_| drop(pool.take(6000)));
        assert!(pool.idle.is_empty() && pool.values == 0);
    }

    #[test]
    fn a_fresh_buffer_shows_what_was_not_written() {
        assert!(take(10).iter().all(|v| v.is_nan()));
        assert!(take(SHORTEST).iter().all(|v| v.is_nan()));
    }
}
