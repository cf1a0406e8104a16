//! Memory of the machine and of this process.

use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// Memory of the machine and how much of it is free, in bytes.
pub fn total_and_free_bytes() -> (u64, u64) {
    let wanted = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(wanted);
    (system.total_memory(), system.available_memory())
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
