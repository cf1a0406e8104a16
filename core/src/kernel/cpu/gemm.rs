//! The matrix product: a safe face on the `gemm` crate. The only file here with an unsafe call; every index
//! the product can touch is checked against its slice first.
#![allow(unsafe_code, reason = "gemm::gemm takes raw pointers; bounds are asserted before the call")]

/// A matrix inside a slice: element (i, j) lies at `start + i · row + j · column`.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub start: usize,
    pub row: usize,
    pub column: usize,
}

impl Layout {
    /// Row-major with `row` elements from one row to the next, starting at `start`.
    pub fn rows(start: usize, row: usize) -> Self {
        Self { start, row, column: 1 }
    }

    /// The transpose of the same memory.
    pub fn transposed(self) -> Self {
        Self { start: self.start, row: self.column, column: self.row }
    }

    /// One past the last element touched by a `[rows, columns]` matrix (both at least 1).
    fn end(self, rows: usize, columns: usize) -> usize {
        let reach = |count: usize, stride: usize| (count - 1).checked_mul(stride);
        reach(rows, self.row)
            .zip(reach(columns, self.column))
            .and_then(|(r, c)| r.checked_add(c)?.checked_add(self.start)?.checked_add(1))
            .unwrap_or(usize::MAX)
    }
}

/// Threads inside one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// For products inside a parallel region.
    #[cfg_attr(not(test), allow(dead_code, reason = "the form a kernel with its own threads asks for"))]
    One,
    /// All of rayon's; rows and columns are shared out, the inner dimension never, so bits do not change.
    All,
}

/// What products are made of.
pub trait Number: Copy + 'static {
    /// 1.
    const ONE: Self;
}

impl Number for f32 {
    const ONE: Self = 1.0;
}

impl Number for f64 {
    const ONE: Self = 1.0;
}

/// `out = a · b`, or `out += a · b` when `add`; a is [m, k], b [k, n], out [m, n].
///
/// # Panics
/// When a layout reaches past its slice, or `out` could visit an element twice.
pub fn product<T: Number>(
    (m, n, k): (usize, usize, usize),
    (out, to): (&mut [T], Layout),
    (a, at): (&[T], Layout),
    (b, bt): (&[T], Layout),
    add: bool,
    threads: Threads,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(k > 0, "an empty inner dimension");
    assert!(to.end(m, n) <= out.len(), "out is too short");
    assert!(at.end(m, k) <= a.len() && bt.end(k, n) <= b.len(), "a factor is too short");
    let distinct = |wide: usize, narrow: usize, count: usize| narrow > 0 && wide > narrow * (count - 1);
    assert!(
        m == 1 && to.column > 0
            || n == 1 && to.row > 0
            || distinct(to.row, to.column, n)
            || distinct(to.column, to.row, m),
        "out overlaps itself"
    );
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the asserts above bound every offset (they are sums of non-negative terms, largest at the last
    // row and column) by the slice lengths, which fit isize; `out` is borrowed mutably, so it aliases neither
    // factor.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr().add(to.start),
            to.column as isize,
            to.row as isize,
            add,
            a.as_ptr().add(at.start),
            at.column as isize,
            at.row as isize,
            b.as_ptr().add(bt.start),
            bt.column as isize,
            bt.row as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, values, wide};
    use super::*;

    #[test]
    fn strided_product_agrees_with_sums() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 33, 65)] {
            let (a, b) = (values(1, m * k + 3), values(2, n * k));
            let mut out = values(3, m * n);
            let mut want = wide(&out);
            for (i, row) in want.chunks_exact_mut(n).enumerate() {
                for (j, w) in row.iter_mut().enumerate() {
                    *w += (0..k).map(|l| f64::from(a[3 + i * k + l]) * f64::from(b[j * k + l])).sum::<f64>();
                }
            }
            let bt = Layout::rows(0, k).transposed();
            let shape = (m, n, k);
            product(
                shape,
                (&mut out, Layout::rows(0, n)),
                (&a, Layout::rows(3, k)),
                (&b, bt),
                true,
                Threads::All,
            );
            assert_close("product", &out, &want, 1e-6);
        }
    }

    #[test]
    #[should_panic(expected = "out is too short")]
    fn a_short_output_is_refused() {
        let l = Layout::rows(0, 2);
        product((2, 2, 2), (&mut [0.0; 3], l), (&[0.0; 4], l), (&[0.0; 4], l), false, Threads::One);
    }

    #[test]
    #[should_panic(expected = "a factor is too short")]
    fn a_short_factor_is_refused() {
        let l = Layout::rows(0, 2);
        product(
            (2, 2, 2),
            (&mut [0.0; 4], l),
            (&[0.0; 4], Layout::rows(1, 2)),
            (&[0.0; 4], l),
            false,
            Threads::One,
        );
    }
}
