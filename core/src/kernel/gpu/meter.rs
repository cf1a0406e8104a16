//! Counts launches and bytes, for profiles and for the promise that kernels halve them.
//!
//! Launches are counted by cubecl's own observer, so burn's operations count too. Bytes are those
//! of the buffers that our shaders bind, each once: what a launch must move at least.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::cubecl::logging::{LaunchObservation, LaunchObserver};

static BYTES: AtomicU64 = AtomicU64::new(0);
static OURS: AtomicU64 = AtomicU64::new(0);

/// Notes a launch of a shader of ours.
pub(super) fn launched(_name: &'static str, bytes: u64) {
    OURS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
}

/// What was launched while a [`Meter`] was held.
#[derive(Clone, Debug, Default)]
pub struct Launches {
    /// Launches by kernel, most frequent first.
    pub by_kernel: Vec<(&'static str, u64)>,
    /// All launches, burn's included.
    pub total: u64,
    /// Those of our shaders.
    pub ours: u64,
    /// Bytes of the buffers bound by our shaders.
    pub our_bytes: u64,
}

#[derive(Default)]
struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl LaunchObserver for Counts {
    fn launched(&self, kernel: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kernel).or_default() += 1;
    }
}

/// Counts all launches of the process from its making to [`Meter::finish`].
pub struct Meter {
    counts: Arc<Counts>,
    observation: LaunchObservation,
    before: (u64, u64),
}

impl Meter {
    /// Starts counting. One meter at a time.
    pub fn start() -> Self {
        let counts = Arc::new(Counts::default());
        let before = (OURS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
        Self { observation: LaunchObservation::new(counts.clone()), counts, before }
    }

    /// What was counted.
    pub fn finish(self) -> Launches {
        drop(self.observation);
        let counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_kernel: Vec<_> = counts.iter().map(|(name, count)| (*name, *count)).collect();
        by_kernel.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Launches {
            total: by_kernel.iter().map(|(_, count)| count).sum(),
            by_kernel,
            ours: OURS.load(Ordering::Relaxed) - self.before.0,
            our_bytes: BYTES.load(Ordering::Relaxed) - self.before.1,
        }
    }
}
