//! Keeps a driver's chatter off standard error, where people and scripts read ours.

/// Outside a desktop session Mesa's device-select layer prints two lines that begin with "error" each
/// time adapters are listed. The layer only sorts the adapters, and knows this variable.
///
/// To be called first in `main`.
#[allow(unsafe_code, reason = "the environment is changed before any other thread exists to read it")]
pub fn silence_device_select() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: `main` calls this first, so no other thread runs.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
