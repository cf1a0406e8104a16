//! How work is cut for the threads: by shape only, never by the number of threads.

use std::cell::RefCell;

use rayon::prelude::*;

/// Below this many elements a parallel region costs more than it saves.
const SMALL: usize = 32 * 1024;
/// Elements in a part of an elementwise operation.
pub const PART: usize = 16 * 1024;

/// Runs `work` on each item, over the threads when there are `elements` enough to pay for it.
pub fn each<T: Send>(elements: usize, items: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if elements < SMALL || items.len() < 2 {
        items.into_iter().for_each(work);
    } else {
        items.into_par_iter().with_max_len(1).for_each(work);
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends `work` this thread's scratch memory, `len` values that hold anything; it is kept for the next.
pub fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken, not borrowed: work that waits for other threads may run another task here meanwhile.
    let mut scratch = SCRATCH.take();
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    let result = work(&mut scratch[..len]);
    SCRATCH.set(scratch);
    result
}

/// Cuts `slice` into consecutive parts of the given lengths, which must not exceed it.
pub fn cut(slice: &mut [f32], lengths: impl IntoIterator<Item = usize>) -> Vec<&mut [f32]> {
    let mut rest = slice;
    let mut parts = Vec::new();
    for length in lengths {
        let (part, after) = rest.split_at_mut(length);
        parts.push(part);
        rest = after;
    }
    parts
}

/// Adds rows `[parts, width]` into one row, in order.
pub fn sum_rows(rows: &[f32], width: usize) -> Vec<f32> {
    let mut total = vec![0.0_f64; width];
    for row in rows.chunks_exact(width.max(1)) {
        for (sum, &value) in total.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    total.into_iter().map(|sum| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_slice_in_order() {
        let mut x = [1.0, 2.0, 3.0, 4.0, 5.0];
        let parts = cut(&mut x, [2, 0, 3]);
        assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [2, 0, 3]);
        assert_eq!(parts[2], [3.0, 4.0, 5.0]);
    }

    #[test]
    fn scratch_is_lent_also_within_itself() {
        with_scratch(3, |outer| {
            outer.fill(1.0);
            with_scratch(5, |inner| inner.fill(2.0));
            assert_eq!(outer, [1.0; 3]);
        });
        with_scratch(2, |again| assert_eq!(again.len(), 2));
    }

    #[test]
    fn rows_are_added() {
        assert_eq!(sum_rows(&[1.0, 2.0, 3.0, 4.0], 2), [4.0, 6.0]);
    }
}
