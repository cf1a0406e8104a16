//! Work of the CPU device on the threads that its kernels share.
//!
//! A thread of that pool goes on by itself where another one would hand over every operation and wait for it to
//! be woken; and where two stretches of work do not need each other, running them beside each other fills the
//! moments in which one of them has a single thing to do. Neither changes a bit of any result.
//!
//! On a GPU device everything stays on the calling thread (burn keeps a stream for each), and so it does while a
//! profile is recorded, which watches one thread.

use burn::tensor::Device;

use super::cpu::pool;
use super::profile;

/// Whether work on `device` may move to other threads.
fn may_move(device: &Device) -> bool {
    super::form::is_host(device) && !profile::is_recording()
}

/// Runs `work`, which is done again and again, on `device`: on one of the kernels' threads where that is allowed.
pub fn inside<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    let _kept = pool::repeats();
    if may_move(device) { rayon::scope(|_| work()) } else { work() }
}

/// Runs `a` and `b` on `device`, beside each other where that is allowed; they must not wait for each other.
pub fn both<A: Send, B: Send>(
    device: &Device,
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    if may_move(device) {
        rayon::join(a, b)
    } else {
        let a = a();
        (a, b())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu;

    #[test]
    fn work_moves_to_the_pool_unless_it_is_watched() {
        let on_pool = || rayon::current_thread_index().is_some();
        assert!(inside(&cpu(), on_pool));
        assert_eq!(both(&cpu(), on_pool, on_pool), (true, true));
        assert!(inside(&cpu().autodiff(), on_pool), "tracked tensors are on the same device");
        let (here, _) = profile::record(|| (inside(&cpu(), on_pool), both(&cpu(), on_pool, || 1)));
        assert_eq!(here, (false, (false, 1)));
    }
}
