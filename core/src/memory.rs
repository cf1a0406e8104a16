//! Memory of the machine and of this process.

use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// Memory of the machine, or of the container that this process is confined to, and how much of it is free, in bytes.
pub fn total_and_free_bytes() -> (u64, u64) {
    let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(wanted);
    let (total, free) = (system.total_memory(), system.available_memory());
    match system.cgroup_limits() {
        // What the container's files take in the page cache makes way.
        Some(limits) if limits.total_memory > 0 && limits.total_memory < total => {
            (limits.total_memory, free.min(limits.total_memory.saturating_sub(limits.rss)))
        }
        _ => (total, free),
    }
}

/// The most memory this process has held, in bytes: Linux counts it, elsewhere it is what is held
/// now.
pub fn peak_bytes() -> u64 {
    let counted = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
    });
    counted.unwrap_or_else(held_bytes)
}

fn held_bytes() -> u64 {
    let Ok(pid) = sysinfo::get_current_pid() else { return 0 };
    let mut system = System::new();
    let wanted = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, wanted);
    system.process(pid).map_or(0, sysinfo::Process::memory)
}

/// Tells the allocator to keep what is freed for the next step, instead of handing it back to the system and
/// having it cleared again: a step frees and takes the same hundreds of MiB, and the page faults were a twelfth
/// of its time. The peak does not change. Does nothing where the allocator is not glibc's.
///
/// Call it first thing, before other threads exist.
pub fn keep_freed_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MIB: i32 = 1 << 20;
        let settings = [
            (libc::M_MMAP_THRESHOLD, 32 * MIB), // the largest that glibc accepts
            (libc::M_TRIM_THRESHOLD, i32::MAX),
            (libc::M_TOP_PAD, 64 * MIB),
            // Arenas of other threads lie in heaps of 64 MiB that are given back when empty, whatever the threshold.
            (libc::M_ARENA_MAX, 1),
        ];
        for (setting, value) in settings {
            #[allow(
                unsafe_code,
                reason = "a C function without pointers; a setting it refuses changes nothing"
            )]
            // SAFETY: mallopt takes two integers and may be called at any time.
            unsafe {
                libc::mallopt(setting, value);
            }
        }
    }
}

/// Watches the memory of this process without asking the system more than twice a second.
#[derive(Debug, Default)]
pub struct Memory {
    last: Option<(std::time::Instant, u64)>,
}

impl Memory {
    /// Memory that this process holds, in bytes.
    pub fn held_bytes(&mut self) -> u64 {
        match self.last {
            Some((at, bytes)) if at.elapsed().as_millis() < 500 => bytes,
            _ => {
                let bytes = held_bytes();
                self.last = Some((std::time::Instant::now(), bytes));
                bytes
            }
        }
    }
}
