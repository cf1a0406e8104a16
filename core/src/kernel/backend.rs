//! The backends on which kernels run: Flex through slices in host memory, wgpu through shaders.

use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::{CubeBackend, CubeTensor};
use burn::backend::{Backend, Flex, TensorMetadata};
use burn::tensor::{DType, TensorData};

use super::kept::Kept;
use super::op::{Array, Kernel, View};
use super::{gpu, lent};

/// A backend on which kernels run: Flex through slices, wgpu through shaders.
pub trait KernelBackend: Backend {
    /// Output and saved tensors of `kernel`; the inputs come back contiguous, as backward wants them.
    #[allow(clippy::type_complexity, reason = "output, saved, inputs: named in the sentence above")]
    fn forward(
        kernel: &dyn Kernel,
        inputs: Vec<FloatTensor<Self>>,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>, Vec<FloatTensor<Self>>);

    /// Gradients of the wanted inputs.
    fn backward(
        kernel: &dyn Kernel,
        inputs: &[Option<FloatTensor<Self>>],
        saved: &[FloatTensor<Self>],
        grad: FloatTensor<Self>,
        wanted: &[bool],
    ) -> Vec<Option<FloatTensor<Self>>>;

    /// `tensor` in half precision, where the backend can.
    fn halved(tensor: FloatTensor<Self>) -> Kept<Self> {
        Kept::Whole(tensor)
    }

    /// What [`halved`](Self::halved) packed, as it was.
    fn whole(packed: FloatTensor<Self>, _shape: &[usize]) -> FloatTensor<Self> {
        packed
    }
}

type FlexTensor = FloatTensor<Flex>;

/// `tensor` with its values in one contiguous stretch.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

fn flex_from(array: Array) -> FlexTensor {
    let Array { values, shape } = array;
    FlexTensor::from_data(TensorData::from_bytes(lent::bytes(values), shape, DType::F32))
}

fn view<'a>(tensor: &'a FlexTensor, shape: &'a [usize]) -> View<'a> {
    View { values: tensor.as_slice::<f32>().unwrap_or(&[]), shape }
}

fn shape_of(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().to_vec()
}

impl KernelBackend for Flex {
    fn forward(
        kernel: &dyn Kernel,
        inputs: Vec<FlexTensor>,
    ) -> (FlexTensor, Vec<FlexTensor>, Vec<FlexTensor>) {
        let inputs: Vec<_> = inputs.into_iter().map(contiguous).collect();
        let shapes: Vec<_> = inputs.iter().map(shape_of).collect();
        let views: Vec<_> = inputs.iter().zip(&shapes).map(|(t, s)| view(t, s)).collect();
        let (output, saved) = kernel.cpu_forward(&views);
        (flex_from(output), saved.into_iter().map(flex_from).collect(), inputs)
    }

    fn backward(
        kernel: &dyn Kernel,
        inputs: &[Option<FlexTensor>],
        saved: &[FlexTensor],
        grad: FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let grad = contiguous(grad);
        let grad_shape = shape_of(&grad);
        let shapes: Vec<_> = inputs.iter().map(|t| t.as_ref().map(shape_of).unwrap_or_default()).collect();
        let views: Vec<_> = inputs
            .iter()
            .zip(&shapes)
            .map(|(t, s)| t.as_ref().map_or(View { values: &[], shape: &[] }, |t| view(t, s)))
            .collect();
        let saved_shapes: Vec<_> = saved.iter().map(shape_of).collect();
        let saved: Vec<_> = saved.iter().zip(&saved_shapes).map(|(t, s)| view(t, s)).collect();
        let grads = kernel.cpu_backward(&views, &saved, view(&grad, &grad_shape), wanted);
        grads.into_iter().map(|g| g.map(flex_from)).collect()
    }
}

impl KernelBackend for CubeBackend {
    fn forward(
        kernel: &dyn Kernel,
        inputs: Vec<CubeTensor>,
    ) -> (CubeTensor, Vec<CubeTensor>, Vec<CubeTensor>) {
        let inputs: Vec<_> = inputs.into_iter().map(burn::backend::wgpu::into_contiguous).collect();
        let (output, saved) = kernel.gpu_forward(&inputs);
        (output, saved, inputs)
    }

    fn backward(
        kernel: &dyn Kernel,
        inputs: &[Option<CubeTensor>],
        saved: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        kernel.gpu_backward(inputs, saved, burn::backend::wgpu::into_contiguous(grad), wanted)
    }

    fn halved(tensor: CubeTensor) -> Kept<Self> {
        match gpu::half::pack(&tensor) {
            Some(packed) => Kept::Half(packed, tensor.shape().to_vec()),
            None => Kept::Whole(tensor),
        }
    }

    fn whole(packed: CubeTensor, shape: &[usize]) -> CubeTensor {
        gpu::half::unpack(&packed, shape)
    }
}
