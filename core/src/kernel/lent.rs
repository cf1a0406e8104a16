//! Tensors of the CPU device that live in buffers of the [`pool`]: dropped, their memory serves the next output.
#![allow(
    unsafe_code,
    reason = "burn's door for memory of one's own: views of one `Vec<f32>` as initialised bytes"
)]

use std::mem::MaybeUninit;

use burn::cubecl::bytes::{AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes};

use super::cpu::pool;

/// The memory of one tensor.
struct Lent(Vec<f32>);

impl Drop for Lent {
    fn drop(&mut self) {
        pool::ends(self.0.len());
        pool::give(std::mem::take(&mut self.0));
    }
}

impl AllocationController for Lent {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Native
    }

    // SAFETY of the contract: the caller writes initialised bytes only, and any four make an f32.
    unsafe fn memory_mut(&mut self, _: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let (start, bytes) = (self.0.as_mut_ptr(), size_of_val(self.0.as_slice()));
        // SAFETY: the values of the vector, borrowed mutably as long as the slice lives; a byte has no alignment.
        Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), bytes) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let (start, bytes) = (self.0.as_ptr(), size_of_val(self.0.as_slice()));
        // SAFETY: the values of the vector, borrowed as long as the slice lives; a byte has no alignment.
        Ok(unsafe { std::slice::from_raw_parts(start.cast(), bytes) })
    }
}

/// `values` as a tensor's bytes; the buffer goes to the pool when the tensor is dropped.
pub fn bytes(values: Vec<f32>) -> Bytes {
    let len = size_of_val(values.as_slice());
    pool::begins(values.len());
    // SAFETY: all `len` bytes of the controller's memory are those of initialised f32 values.
    unsafe { Bytes::from_controller(Box::new(Lent(values)), len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_values_and_can_be_changed_and_copied() {
        let mut made = bytes(vec![1.0, -2.5, 3.0]);
        assert_eq!(bytemuck::cast_slice::<u8, f32>(&made), [1.0, -2.5, 3.0]);
        bytemuck::cast_slice_mut::<u8, f32>(&mut made)[1] = 7.0;
        let copy = made.clone();
        drop(made);
        assert_eq!(bytemuck::cast_slice::<u8, f32>(&copy), [1.0, 7.0, 3.0]);
        assert!(bytes(Vec::new()).is_empty());
    }
}
