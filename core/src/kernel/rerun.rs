//! Gradient checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost"): a stretch of a network
//! keeps its inputs alone, and backward runs it again on a tape of its own.
//!
//! burn's own checkpointing strategies know burn's operations only. Here the stretch is one step of the outer tape;
//! its backward records the stretch anew and runs a backward inside the backward, which burn allows as long as the
//! inner tape shares no node with the outer one: weights are tracked afresh, and their gradients are handed to the
//! nodes of the outer weights. The inner tape begins at the very gradient that arrives, so that a
//! stretch gives the gradients that it would give without, to the bit.

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::CubeBackend;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchKindConversion, DispatchTensor, Flex, TensorMetadata,
    backend_extension,
};
use burn::tensor::{Shape, Tensor};

use super::backend::KernelBackend;

/// What is run again.
pub trait Stretch: Debug + Send + Sync + 'static {
    /// Gradients of inputs and weights for the gradient `grad` of the output.
    fn pull(&self, grad: DispatchTensor) -> Pulled;
}

/// What a stretch found.
#[derive(Debug)]
pub struct Pulled {
    /// Gradients of the inputs, in order; plain tensors.
    pub inputs: Vec<Option<DispatchTensor>>,
    /// Gradients of weights, each for a node of the outer tape.
    pub weights: Vec<(NodeId, Tensor<1>)>,
}

/// The node of a tracked weight; nothing for a tensor that asks for no gradient.
pub fn node_of(weight: &Tensor<1>) -> Option<NodeId> {
    if !weight.is_require_grad() {
        return None;
    }
    let on_cpu = weight.clone().try_into_primitive::<Autodiff<Flex>>().map(|weight| weight.id());
    on_cpu
        .or_else(|_| weight.clone().try_into_primitive::<Autodiff<CubeBackend>>().map(|weight| weight.id()))
        .ok()
}

/// The output `y` of a stretch of one input, on the tape of `x`.
pub fn rerun1<const A: usize, const O: usize>(
    x: Tensor<A>,
    y: Tensor<O>,
    stretch: Arc<dyn Stretch>,
) -> Tensor<O> {
    Tensor::from_dispatch(<Dispatch as Rerun>::rerun1(x.into_dispatch(), y.into_dispatch(), stretch))
}

/// The output `y` of a stretch of two inputs, on the tape of both.
pub fn rerun2<const A: usize, const B: usize, const O: usize>(
    a: Tensor<A>,
    b: Tensor<B>,
    y: Tensor<O>,
    stretch: Arc<dyn Stretch>,
) -> Tensor<O> {
    let (a, b, y) = (a.into_dispatch(), b.into_dispatch(), y.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Rerun>::rerun2(a, b, y, stretch))
}

/// A scalar whose backward gives the tracked `y` the gradient `grad`.
pub fn seeded<const D: usize>(y: Tensor<D>, grad: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as Rerun>::seeded(y.into_dispatch(), grad.into_dispatch()))
}

/// The operations of this file on each backend.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait Rerun: Backend {
    /// `y`, a function of `x` that `stretch` knows.
    fn rerun1(x: FloatTensor<Self>, y: FloatTensor<Self>, stretch: Arc<dyn Stretch>) -> FloatTensor<Self>;
    /// `y`, a function of `a` and `b` that `stretch` knows.
    fn rerun2(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        y: FloatTensor<Self>,
        stretch: Arc<dyn Stretch>,
    ) -> FloatTensor<Self>;
    /// A scalar whose gradient in `y` is `grad`.
    fn seeded(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Without a tape there is nothing to run again.
macro_rules! untaped {
    ($backend:ty) => {
        impl Rerun for $backend {
            fn rerun1(_: FloatTensor<Self>, y: FloatTensor<Self>, _: Arc<dyn Stretch>) -> FloatTensor<Self> {
                y
            }

            fn rerun2(
                _: FloatTensor<Self>,
                _: FloatTensor<Self>,
                y: FloatTensor<Self>,
                _: Arc<dyn Stretch>,
            ) -> FloatTensor<Self> {
                y
            }

            fn seeded(y: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::float_zeros(Shape::new([1]), &y.device(), y.dtype().into())
            }
        }
    };
}

untaped!(Flex);
untaped!(CubeBackend);

impl<B: KernelBackend, C: CheckpointStrategy> Rerun for Autodiff<B, C>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    fn rerun1(x: FloatTensor<Self>, y: FloatTensor<Self>, stretch: Arc<dyn Stretch>) -> FloatTensor<Self> {
        taped::<B, C, 1>([x], y, stretch)
    }

    fn rerun2(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        y: FloatTensor<Self>,
        stretch: Arc<dyn Stretch>,
    ) -> FloatTensor<Self> {
        taped::<B, C, 2>([a, b], y, stretch)
    }

    fn seeded(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (y, node) = y.into_parts();
        let scalar = B::float_zeros(Shape::new([1]), &y.device(), y.dtype().into());
        match Backward::<B, 1>::prepare::<C>(Seed, [node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(grad.into_primitive(), scalar),
            OpsKind::UnTracked(prep) => prep.finish(scalar),
        }
    }
}

/// Writes `stretch` on the tape of `inputs`, which are freed: what it needs of them it holds itself.
fn taped<B, C, const N: usize>(
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    y: FloatTensor<Autodiff<B, C>>,
    stretch: Arc<dyn Stretch>,
) -> FloatTensor<Autodiff<B, C>>
where
    B: KernelBackend,
    C: CheckpointStrategy,
    DispatchTensor: DispatchKindConversion<B>,
{
    let nodes = inputs.map(|input| input.into_parts().1);
    let y = y.into_primitive();
    match Backward::<B, N>::prepare::<C>(Again, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(stretch, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

/// The tape's step for a stretch of `N` inputs.
#[derive(Debug)]
struct Again;

impl<B: KernelBackend, const N: usize> Backward<B, N> for Again
where
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = Arc<dyn Stretch>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let grad = Tensor::<1>::from_primitive::<B>(grad).into_dispatch();
        let Pulled { inputs, weights } = ops.state.pull(grad);
        drop(ops.state);
        for (parent, grad) in ops.parents.into_iter().zip(inputs) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<B>(parent.id, primitive(Tensor::<1>::from_dispatch(grad)));
            }
        }
        for (node, grad) in weights {
            grads.register::<B>(node, primitive(grad));
        }
    }
}

/// `tensor` of the device that runs this backward.
fn primitive<B: Backend>(tensor: Tensor<1>) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    match tensor.try_into_primitive::<B>() {
        Ok(primitive) => primitive,
        Err(error) => unreachable!("a stretch stays on its device, off the tape: {error:?}"),
    }
}

/// The end of an inner tape.
#[derive(Debug)]
struct Seed;

impl<B: KernelBackend> Backward<B, 1> for Seed {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let _one = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, ops.state);
        }
    }
}
