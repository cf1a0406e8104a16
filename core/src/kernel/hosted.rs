//! A tensor of the CPU device in the hands of a kernel that reads or changes it where it lies.

use burn::backend::tensor::FloatTensor;
use burn::backend::{DispatchDevice, Flex};
use burn::tensor::{DType, Tensor};

use super::backend::contiguous;

/// A plain f32 tensor of the CPU device, read or changed where it lies.
#[derive(Debug)]
pub(super) struct Hosted(FloatTensor<Flex>);

impl Hosted {
    /// Whether `x` is such a tensor.
    pub fn holds(x: &Tensor<1>) -> bool {
        x.dtype() == DType::F32 && matches!(x.device().as_dispatch(), DispatchDevice::Flex(_))
    }

    /// Takes over `x`, for which [`holds`](Self::holds) is true.
    pub fn new(x: Tensor<1>) -> Self {
        match x.try_into_primitive::<Flex>() {
            Ok(tensor) => Self(contiguous(tensor)),
            Err(error) => unreachable!("asked for only where it holds: {error:?}"),
        }
    }

    /// The values.
    pub fn values(&self) -> &[f32] {
        self.0.as_slice::<f32>().unwrap_or(&[])
    }

    /// The values, to change; copied first if someone else holds them too.
    pub fn values_mut(&mut self) -> &mut [f32] {
        // A view of a part of a buffer becomes a buffer of its own.
        if self.0.storage::<f32>().len() != self.0.layout().num_elements() {
            self.0 = self.0.to_contiguous();
        }
        self.0.storage_mut::<f32>()
    }

    /// The tensor again.
    pub fn into_tensor(self) -> Tensor<1> {
        Tensor::from_primitive::<Flex>(self.0)
    }
}
