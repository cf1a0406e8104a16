//! A profile of a stretch of work on one thread: its time by phase and by operation, with bytes,
//! arithmetic and GPU launches.
//!
//! Off by default; then an operation pays one look at a thread-local. [`record`] turns it on. The
//! clock never stops: every moment belongs to the phase that runs. Backward of an operation belongs
//! to the phase its forward ran in; plain tensor operations, which are not watched one by one, belong
//! to the phase around them (in backward: to that of the last hand-written operation before them).
//!
//! On a GPU device every launch is counted and, while recording, waited for: launches do not
//! overlap, so times are each kernel's own and their sum is more than a step takes.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use burn::cubecl::logging::{Duration, LaunchObservation, LaunchObserver, TimingMethod, TimingRequest};
use serde::Serialize;

/// What a phase, an operation or a GPU kernel cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// How often it ran.
    pub calls: u64,
    /// Wall time; of a GPU kernel, its time on the device.
    pub seconds: f64,
    /// Read and written by hand-written operations: inputs, outputs and what is kept.
    pub bytes: u64,
    /// Floating-point operations, where an operation can count them.
    pub flops: u64,
    /// GPU launches.
    pub launches: u64,
}

/// A named cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Phase, operation or GPU kernel.
    pub name: &'static str,
    /// Whether this is its backward.
    pub backward: bool,
    /// What it cost.
    #[serde(flatten)]
    pub cost: Cost,
}

/// What a recorded stretch of work consisted of, each list in order of first appearance.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    /// Wall time of the whole.
    pub seconds: f64,
    /// The whole, cut into phases.
    pub phases: Vec<Entry>,
    /// Hand-written operations; what they leave of the whole went into plain tensor operations.
    pub operations: Vec<Entry>,
    /// Every kernel launched on a GPU device, burn's own too.
    pub launches: Vec<Entry>,
}

impl Profile {
    /// GPU launches in all.
    pub fn num_launches(&self) -> u64 {
        self.launches.iter().map(|entry| entry.cost.calls).sum()
    }

    /// Bytes that hand-written operations moved.
    pub fn bytes(&self) -> u64 {
        self.operations.iter().map(|entry| entry.cost.bytes).sum()
    }
}

/// Name, and whether it is a backward.
type Key = (&'static str, bool);

/// Where time goes that no phase claims.
const ELSEWHERE: Key = ("elsewhere", false);

struct Recorder {
    began: Instant,
    /// Time before this has been given to a phase.
    mark: Instant,
    phase: Key,
    operation: Option<Key>,
    profile: Profile,
}

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

fn entry(list: &mut Vec<Entry>, (name, backward): Key) -> &mut Cost {
    let found = list.iter().position(|e| e.name == name && e.backward == backward);
    let at = found.unwrap_or_else(|| {
        list.push(Entry { name, backward, cost: Cost::default() });
        list.len() - 1
    });
    &mut list[at].cost
}

impl Recorder {
    fn new() -> Self {
        let now = Instant::now();
        Self { began: now, mark: now, phase: ELSEWHERE, operation: None, profile: Profile::default() }
    }

    /// Gives the time since the last mark to the running phase, and goes on in `next`.
    fn enter(&mut self, next: Key) {
        let now = Instant::now();
        entry(&mut self.profile.phases, self.phase).seconds += (now - self.mark).as_secs_f64();
        (self.mark, self.phase) = (now, next);
    }
}

/// Runs `f` on this thread's recorder, if it records.
fn with<R>(f: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
    RECORDER.with_borrow_mut(|recorder| recorder.as_mut().map(f))
}

/// Whether this thread records.
pub fn is_recording() -> bool {
    RECORDER.with_borrow(Option::is_some)
}

/// Runs `work` and tells what it consisted of. A recording inside a recording takes its place until
/// it ends.
pub fn record<R>(work: impl FnOnce() -> R) -> (R, Profile) {
    let before = RECORDER.replace(Some(Recorder::new()));
    let watching = LaunchObservation::new(Arc::new(Launches));
    let result = work();
    drop(watching);
    let recorder = RECORDER.replace(before);
    let profile = recorder.map_or_else(Profile::default, |mut recorder| {
        recorder.enter(ELSEWHERE);
        recorder.profile.seconds = recorder.began.elapsed().as_secs_f64();
        recorder.profile
    });
    (result, profile)
}

/// Runs `work` as phase `name`; afterwards the phase around it goes on.
pub fn phase<R>(name: &'static str, work: impl FnOnce() -> R) -> R {
    let around = with(|r| {
        let around = r.phase;
        r.enter((name, false));
        entry(&mut r.profile.phases, (name, false)).calls += 1;
        around
    });
    let result = work();
    if let Some(around) = around {
        with(|r| r.enter(around));
    }
    result
}

/// The phase that runs, so that backward can be counted to it; empty when nothing is recorded.
pub fn current_phase() -> &'static str {
    with(|r| r.phase.0).unwrap_or("")
}

/// A hand-written operation about to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub name: &'static str,
    /// For a backward: the phase of its forward.
    pub phase: Option<&'static str>,
    pub flops: u64,
}

/// Runs `work`, which also counts the bytes it moved (asked only while recording).
pub(super) fn operation<R>(what: Operation, work: impl FnOnce() -> R, bytes: impl FnOnce(&R) -> u64) -> R {
    let key = (what.name, what.phase.is_some());
    let began = with(|r| {
        if let Some(phase) = what.phase {
            r.enter((phase, true));
        }
        r.operation = Some(key);
        Instant::now()
    });
    let result = work();
    if let Some(began) = began {
        let (seconds, bytes) = (began.elapsed().as_secs_f64(), bytes(&result));
        with(|r| {
            r.operation = None;
            let cost = entry(&mut r.profile.operations, key);
            cost.calls += 1;
            cost.seconds += seconds;
            cost.bytes += bytes;
            cost.flops += what.flops;
        });
    }
    result
}

/// Counts what this thread launches.
struct Launches;

impl LaunchObserver for Launches {
    fn launched(&self, kernel: &'static str) {
        with(|r| {
            entry(&mut r.profile.launches, (kernel, false)).calls += 1;
            entry(&mut r.profile.phases, r.phase).launches += 1;
            if let Some(operation) = r.operation {
                entry(&mut r.profile.operations, operation).launches += 1;
            }
        });
    }

    fn timing(&self) -> TimingRequest {
        TimingRequest::Resolved
    }

    fn timed(&self, kernel: &'static str, duration: Duration, _: TimingMethod) {
        with(|r| entry(&mut r.profile.launches, (kernel, false)).seconds += duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(list: &[Entry], name: &str, backward: bool) -> Option<Cost> {
        list.iter().find(|e| e.name == name && e.backward == backward).map(|e| e.cost)
    }

    fn pause() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }

    #[test]
    fn phases_cover_the_whole_and_nest() {
        let ((), profile) = record(|| {
            phase("outer", || {
                pause();
                phase("inner", pause);
                pause();
            });
            pause();
        });
        let seconds: f64 = profile.phases.iter().map(|e| e.cost.seconds).sum();
        assert!((seconds - profile.seconds).abs() < 1e-3, "{profile:?}");
        let of = |name| find(&profile.phases, name, false).unwrap();
        assert!(of("outer").seconds > of("inner").seconds, "{profile:?}");
        assert!(of("elsewhere").seconds > 1e-3);
        assert_eq!(of("inner").calls, 1);
    }

    #[test]
    fn backward_belongs_to_the_phase_of_its_forward() {
        let ((), profile) = record(|| {
            let at = phase("encode", current_phase);
            phase("losses", || {
                let what = Operation { name: "Linear", phase: Some(at), flops: 7 };
                operation(what, pause, |()| 40);
            });
        });
        assert!(find(&profile.phases, "encode", true).unwrap().seconds > 1e-3, "{profile:?}");
        let linear = find(&profile.operations, "Linear", true).unwrap();
        assert_eq!((linear.calls, linear.bytes, linear.flops), (1, 40, 7));
        assert!(find(&profile.operations, "Linear", false).is_none());
    }

    #[test]
    fn nothing_is_recorded_outside() {
        assert!(!is_recording());
        let what = Operation { name: "Linear", phase: None, flops: 1 };
        operation(what, || (), |()| unreachable!("bytes are not asked for"));
        assert_eq!(current_phase(), "");
        let ((), profile) = record(|| assert!(is_recording()));
        assert!(profile.operations.is_empty() && !is_recording());
    }
}
