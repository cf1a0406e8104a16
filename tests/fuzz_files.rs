//! Damaged files: whatever their bytes, a reader answers with a value or one clear line, within a second
//! and within its stated memory.
//!
//! Mutations are drawn from a fixed seed. Some thousand run each time; `TANDEM_FUZZ=200000` runs as many
//! as it says. What once failed lies in `tests/corpus/` and runs first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

#[path = "support/damaged.rs"]
mod damaged;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use damaged::{Kind, seeds};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Mutations of a short run, all kinds together.
const SHORT: usize = 6_000;
const LONGEST: Duration = Duration::from_secs(1);

/// Counts live bytes and their peak.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator is the only place where memory can be counted")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on as it came.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Memory is counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Values that break readers: bounds of integers, as bytes of every width.
const EDGES: [u64; 9] =
    [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX, 1 << 40];

/// One to four random changes.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=4usize) {
        if bytes.is_empty() {
            bytes.push(rng.random());
        }
        let at = rng.random_range(0..bytes.len());
        let length = rng.random_range(1..=16usize.min(bytes.len() - at).max(1)).min(bytes.len() - at);
        match rng.random_range(0..10) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let copy = bytes[at..at + length].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => {
                let width = [1, 2, 4, 8][rng.random_range(0..4)].min(bytes.len() - at);
                let edge = EDGES[rng.random_range(0..EDGES.len())].to_le_bytes();
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            6 => {
                // Another number in text.
                if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    let numbers = ["0", "-1", "99999999999", "1e400", "18446744073709551615", "4096"];
                    let number = numbers[rng.random_range(0..numbers.len())];
                    bytes.splice(at + digit..=at + digit, number.bytes());
                }
            }
            7 if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let until = (from + rng.random_range(1..64)).min(other.len());
                bytes.splice(at..at, other[from..until].iter().copied());
            }
            8 => {
                // Two places change roles.
                let to = rng.random_range(0..bytes.len());
                bytes.swap(at, to);
            }
            _ => {
                let byte = bytes[at];
                bytes.splice(at..at, std::iter::repeat_n(byte, rng.random_range(1..300)));
            }
        }
    }
}

/// Runs a reader on `bytes`: how it failed, if it did.
fn failure(kind: &Kind, bytes: &[u8]) -> Option<String> {
    watch(kind, bytes).0
}

/// The same, and whether the reader took the bytes for sound.
fn watch(kind: &Kind, bytes: &[u8]) -> (Option<String>, bool) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let began = Instant::now();
    let outcome = std::panic::catch_unwind(|| (kind.read)(bytes));
    let took = began.elapsed();
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    let bound = kind.fixed_bytes + kind.bytes_per_byte * bytes.len();
    let readable = matches!(outcome, Ok(Ok(())));
    let failed = match outcome {
        Err(_) => Some("panicked".into()),
        Ok(Err(text)) if text.contains('\n') => Some(format!("an error of several lines: {text:?}")),
        Ok(Err(text)) if text.is_empty() => Some("an error without words".into()),
        _ if took > LONGEST => Some(format!("took {took:?}")),
        _ if peak > bound => Some(format!("took {peak} bytes of memory, {bound} are allowed")),
        _ => None,
    };
    (failed, readable)
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus")
}

#[test]
fn damaged_files_are_answered_with_one_line() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let kinds = seeds();
    for kind in &kinds {
        for seed in &kind.seeds {
            assert!((kind.read)(seed).is_ok(), "{}: a seed is not sound: {:?}", kind.name, (kind.read)(seed));
        }
    }
    let mut failures = Vec::new();
    std::panic::set_hook(Box::new(|_| {}));
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(kind) = kinds.iter().find(|kind| name.starts_with(kind.name)) else { continue };
        let failed = failure(kind, &std::fs::read(&path).unwrap());
        failures.extend(failed.map(|text| format!("{name}: {text}")));
    }
    let total = std::env::var("TANDEM_FUZZ").map_or(SHORT, |text| text.parse().unwrap());
    let each = total.div_ceil(kinds.len());
    let mut accepted = 0;
    for (k, kind) in kinds.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(7 + k as u64);
        let began = Instant::now();
        for i in 0..each {
            let mut bytes = kind.seeds[i % kind.seeds.len()].clone();
            let other = kind.seeds[rng.random_range(0..kind.seeds.len())].clone();
            mutate(&mut bytes, &other, &mut rng);
            let (failed, readable) = watch(kind, &bytes);
            accepted += usize::from(readable);
            let Some(text) = failed else { continue };
            // The case is kept where the person who mends it finds it.
            let name = format!("{}-{i}.bin", kind.name);
            let kept = std::env::temp_dir().join(&name);
            std::fs::write(&kept, &bytes).unwrap();
            failures.push(format!("{}: {text}", kept.display()));
            if failures.len() > 20 {
                break;
            }
        }
        eprintln!("{}: {each} mutations in {:.1} s", kind.name, began.elapsed().as_secs_f64());
    }
    let _ = std::panic::take_hook();
    eprintln!("{} mutations, {accepted} of them still readable", each * kinds.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(accepted > 0 && accepted < each * kinds.len(), "mutations that change nothing or everything");
}

#[test]
fn the_watch_on_readers_sees_what_it_should() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let kind = |read: fn(&[u8]) -> Result<(), String>| Kind {
        name: "x",
        seeds: Vec::new(),
        read,
        fixed_bytes: 1 << 20,
        bytes_per_byte: 1,
    };
    std::panic::set_hook(Box::new(|_| {}));
    assert!(failure(&kind(|_| Ok(())), &[]).is_none());
    assert!(failure(&kind(|_| panic!("no")), &[]).is_some());
    assert!(failure(&kind(|_| Err("two\nlines".into())), &[]).is_some());
    let wasteful = kind(|_| {
        drop(std::hint::black_box(vec![1u8; 64 << 20]));
        Ok(())
    });
    assert!(failure(&wasteful, &[]).is_some());
    let _ = std::panic::take_hook();
}
