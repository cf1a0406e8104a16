//! The inner loops: register blocks of a product whose right side is read in place from a
//! [`layout`](super::layout).
//!
//! Their loads are unchecked, because a check of each (there are two to twelve multiply-adds) makes the compiler
//! spill the register block and halves the speed. Instead every distance is bounded once: [`Offsets`] knows its
//! largest, and a block asserts that base + largest + lanes lies inside the slice.
#![allow(unsafe_code, reason = "unchecked loads in two loops; the bounds of all of them are asserted before")]

use bytemuck::{Zeroable, cast_slice};
use pulp::Simd;

/// Output channels of a register block: with three vectors it fills AVX2's sixteen registers.
pub const CHANNELS: usize = 4;
/// Vectors of a register block.
pub const VECTORS: usize = 3;

/// Distances of taps from the base of a vector.
#[derive(Clone, Debug)]
pub struct Offsets {
    values: Vec<usize>,
    /// The largest of `values`.
    largest: usize,
}

impl Offsets {
    /// These distances.
    pub fn new(values: Vec<usize>) -> Self {
        let largest = values.iter().copied().max().unwrap_or(0);
        Self { values, largest }
    }

    /// The distances in order.
    pub fn values(&self) -> &[usize] {
        &self.values
    }
}

/// The lanes of `vector`.
#[inline(always)]
pub fn lanes<S: Simd>(vector: &S::f32s) -> &[f32] {
    cast_slice(std::slice::from_ref(vector))
}

/// Whether a vector read at any `base + offset` lies inside of `length` values.
fn inside(length: usize, bases: &[usize], largest: usize, lanes: usize) -> bool {
    let base = bases.iter().copied().max().unwrap_or(0);
    base.checked_add(largest).and_then(|end| end.checked_add(lanes)).is_some_and(|end| end <= length)
}

/// The vectors at `base` plus offsets number `first` to `first + K`.
///
/// # Panics
/// When a vector would reach past `x`, or there are fewer offsets.
#[inline(always)]
pub fn window<S: Simd, const K: usize>(
    x: &[f32],
    offsets: &Offsets,
    first: usize,
    base: usize,
) -> [S::f32s; K] {
    assert!(inside(x.len(), &[base], offsets.largest, S::F32_LANES), "a vector reaches past its layout");
    let x = x[base..].as_ptr();
    let mut vectors = [S::f32s::zeroed(); K];
    for (vector, &offset) in vectors.iter_mut().zip(&offsets.values[first..first + K]) {
        // SAFETY: `base + offset + lanes <= x.len()` by the assert, as `offset <= largest`; a vector is plain
        // old data of exactly `lanes` f32, read without alignment.
        *vector = unsafe { x.add(offset).cast::<S::f32s>().read_unaligned() };
    }
    vectors
}

/// `bias + Σ_k w_k x[base + offset_k]` for [`CHANNELS`] output channels and `V` vectors.
///
/// # Panics
/// When a vector would reach past `x`, or weights and offsets differ in number.
#[inline(always)]
pub fn block<S: Simd, const V: usize>(
    simd: S,
    (weights, bias): (&[[f32; CHANNELS]], [f32; CHANNELS]),
    offsets: &Offsets,
    x: &[f32],
    bases: [usize; V],
) -> [[S::f32s; V]; CHANNELS] {
    assert!(inside(x.len(), &bases, offsets.largest, S::F32_LANES), "a vector reaches past its layout");
    assert_eq!(weights.len(), offsets.values.len(), "one weight for each offset");
    // The caller reads the result lane by lane, from memory; sums of their own stay in registers until then.
    let mut sums = [[simd.splat_f32s(0.0); V]; CHANNELS];
    let starts = bases.map(|base| x[base..].as_ptr());
    for (w, &offset) in weights.iter().zip(&offsets.values) {
        // SAFETY: `base + offset + lanes <= x.len()` by the first assert, as `offset <= largest`; a vector is
        // plain old data of exactly `lanes` f32, read without alignment.
        let values = starts.map(|x| unsafe { x.add(offset).cast::<S::f32s>().read_unaligned() });
        for m in 0..CHANNELS {
            let factor = simd.splat_f32s(w[m]);
            for v in 0..V {
                sums[m][v] = simd.mul_add_e_f32s(factor, values[v], sums[m][v]);
            }
        }
    }
    let mut block = [[simd.splat_f32s(0.0); V]; CHANNELS];
    for m in 0..CHANNELS {
        for v in 0..V {
            block[m][v] = simd.add_f32s(sums[m][v], simd.splat_f32s(bias[m]));
        }
    }
    block
}

/// `Σ_v g_m[v] x[base_v + offset_t]`, still in lanes, for [`CHANNELS`] rows of `g` and `T` taps.
///
/// # Panics
/// When a vector would reach past `x`, or a row of `g` is shorter than `bases`.
#[inline(always)]
pub fn dots<S: Simd, const T: usize>(
    simd: S,
    g: [&[S::f32s]; CHANNELS],
    x: &[f32],
    bases: &Offsets,
    offsets: [usize; T],
) -> [[S::f32s; T]; CHANNELS] {
    assert!(inside(x.len(), &offsets, bases.largest, S::F32_LANES), "a vector reaches past its layout");
    let x = offsets.map(|offset| x[offset..].as_ptr());
    let g = g.map(|row| &row[..bases.values.len()]);
    let mut sums = [[simd.splat_f32s(0.0); T]; CHANNELS];
    for (i, &base) in bases.values.iter().enumerate() {
        // SAFETY: `offset + base + lanes <= x.len()` by the assert, as `base <= largest`; otherwise as above.
        let values = x.map(|x| unsafe { x.add(base).cast::<S::f32s>().read_unaligned() });
        for m in 0..CHANNELS {
            let factor = g[m][i];
            for t in 0..T {
                sums[m][t] = simd.mul_add_e_f32s(factor, values[t], sums[m][t]);
            }
        }
    }
    sums
}
