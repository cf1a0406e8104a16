//! Buffers of outputs, used again: a step makes the same tensors as the step before, and clearing fresh memory
//! that a kernel is about to fill was a twentieth of its time, on one thread.
//!
//! [`take`] lends a buffer of exactly the wanted length, holding anything; whoever drops the tensor that it became
//! gives it back. What no output asked for during [`AGE`] of them goes back to the allocator.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shorter buffers cost nothing to clear.
const SHORTEST: usize = 4096;
/// Outputs after which an unused buffer is let go: several steps of the largest preset.
const AGE: u64 = 16 * 1024;
/// Outputs between two looks for old buffers.
const SWEEP: u64 = 512;

#[derive(Default)]
struct Pool {
    /// By length, each with the moment it came back; the latest last.
    idle: HashMap<usize, Vec<(u64, Vec<f32>)>>,
    /// Outputs so far.
    clock: u64,
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
            self.idle.retain(|_, buffers| {
                buffers.retain(|(since, _)| *since >= oldest);
                !buffers.is_empty()
            });
        }
        self.idle.get_mut(&len)?.pop().map(|(_, buffer)| buffer)
    }

    fn give(&mut self, buffer: Vec<f32>) {
        self.idle.entry(buffer.len()).or_default().push((self.clock, buffer));
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
    if buffer.len() >= SHORTEST {
        lock().get_or_insert_default().give(buffer);
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
    fn a_buffer_comes_back_for_its_own_length_only() {
        let mut pool = Pool::default();
        pool.give(vec![1.0; 5000]);
        assert!(pool.take(5001).is_none());
        assert_eq!(pool.take(5000), Some(vec![1.0; 5000]));
        assert!(pool.take(5000).is_none(), "lent twice");
    }

    #[test]
    fn what_nobody_asks_for_is_let_go() {
        let mut pool = Pool::default();
        pool.give(vec![1.0; 5000]);
        (0..AGE).for_each(|_| drop(pool.take(6000)));
        assert_eq!(pool.idle.len(), 1);
        (0..SWEEP + 1).for_each(|_| drop(pool.take(6000)));
        assert!(pool.idle.is_empty());
    }

    #[test]
    fn a_fresh_buffer_shows_what_was_not_written() {
        assert!(take(10).iter().all(|v| v.is_nan()));
        assert!(take(SHORTEST).iter().all(|v| v.is_nan()));
    }
}
