//! How a hand-written operation becomes part of burn's automatic differentiation.
//!
//! An operation is one [`Kernel`]: a forward and a backward on CPU slices and, where it has
//! WGSL, the same on the GPU. [`apply1`] (and its sisters) runs it on the device of its inputs; when no gradient
//! is asked for, nothing is kept. An operation whose device has no hand-written form is not
//! brought here: its public function calls its `x_reference` in plain tensor operations instead
//! ([`runs_on`](super::form::runs_on) decides).
//!
//! One mechanism serves every kernel, so a new one writes arithmetic only: no trait per
//! operation, no tape code.

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::{CubeBackend, CubeTensor};
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::backend::KernelBackend;
use super::kept::Kept;
use super::profile::{self, Operation};

/// A contiguous f32 tensor in host memory, lent to a kernel.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Row-major values.
    pub values: &'a [f32],
    /// Axis lengths.
    pub shape: &'a [usize],
}

/// A contiguous f32 tensor in host memory, made by a kernel.
#[derive(Clone, Debug)]
pub struct Array {
    /// Row-major values.
    pub values: Vec<f32>,
    /// Axis lengths.
    pub shape: Vec<usize>,
}

impl Array {
    /// `values` seen as `shape`.
    pub fn new(values: Vec<f32>, shape: &[usize]) -> Self {
        debug_assert_eq!(values.len(), shape.iter().product::<usize>());
        Self { values, shape: shape.to_vec() }
    }
}

/// One hand-written operation with `inputs` in a fixed order and one output.
pub trait Kernel: Debug + Send + Sync + 'static {
    /// What a profile calls it: the name of its type, unless one type does different things.
    fn name(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        path.rsplit("::").next().unwrap_or(path)
    }

    /// Floating-point operations of forward for inputs of these `shapes`, where they are worth
    /// counting; a profile shows GFLOP/s by it.
    fn flops(&self, _shapes: &[Vec<usize>]) -> u64 {
        0
    }

    /// Floating-point operations of backward when forward has `forward`: the first two inputs, data
    /// and weight, cost as much as forward each.
    fn backward_flops(&self, forward: u64, wanted: &[bool]) -> u64 {
        forward * wanted.iter().take(2).filter(|wanted| **wanted).count() as u64
    }

    /// CPU forward: the output, and what backward needs beyond the inputs (statistics, say).
    fn cpu_forward(&self, _inputs: &[View]) -> (Array, Vec<Array>) {
        unreachable!("{self:?} has no CPU form")
    }

    /// CPU backward: for each input with `wanted`, its gradient in the input's shape.
    /// `saved` is what forward saved; an input not [kept](Kernel::keeps) is empty.
    fn cpu_backward(
        &self,
        _inputs: &[View],
        _saved: &[View],
        _grad: View,
        _wanted: &[bool],
    ) -> Vec<Option<Array>> {
        unreachable!("{self:?} has no CPU form")
    }

    /// Whether backward reads input `index`; what it does not read is freed after forward.
    fn keeps(&self, _index: usize) -> bool {
        true
    }

    /// Whether backward reads input `index` when only the `wanted` inputs can ask for a gradient: a
    /// frozen weight needs no input kept for it.
    fn keeps_for(&self, index: usize, _wanted: &[bool]) -> bool {
        self.keeps(index)
    }

    /// Whether input `index` is an activation that may wait for backward in half precision.
    fn halves(&self, _index: usize) -> bool {
        false
    }

    /// Whether the gradient of input `index` is the output's own (a sum's): it is then passed on as it
    /// is, and backward gives `None` for it.
    fn passes(&self, _index: usize) -> bool {
        false
    }

    /// GPU forward on contiguous f32 tensors of a `wgpu<wgsl>` client.
    fn gpu_forward(&self, _inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        unreachable!("{self:?} has no WGSL form")
    }

    /// GPU backward; see [`Kernel::cpu_backward`].
    fn gpu_backward(
        &self,
        _inputs: &[Option<CubeTensor>],
        _saved: &[CubeTensor],
        _grad: CubeTensor,
        _wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        unreachable!("{self:?} has no WGSL form")
    }
}

/// What backward of a kernel needs, on the tape.
#[derive(Clone, Debug)]
struct Taped<B: KernelBackend> {
    kernel: Arc<dyn Kernel>,
    inputs: Vec<Option<Kept<B>>>,
    saved: Vec<FloatTensor<B>>,
    /// Of forward, for profiles.
    phase: &'static str,
    flops: u64,
}

/// The tape's step for a kernel of `N` inputs.
#[derive(Debug)]
struct Step;

impl<B: KernelBackend, const N: usize> Backward<B, N> for Step {
    type State = Taped<B>;

    fn backward(self, ops: Ops<Taped<B>, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let Taped { kernel, inputs, saved, phase, flops } = ops.state;
        let inputs: Vec<_> = inputs.into_iter().map(|kept| kept.map(Kept::into_whole)).collect();
        let flops = kernel.backward_flops(flops, &wanted);
        let what = Operation { name: kernel.name(), phase: Some(phase), flops };
        let passed = (0..N).any(|index| kernel.passes(index)).then(|| grad.clone());
        let read = bytes::<B>([&grad].into_iter().chain(inputs.iter().flatten()).chain(&saved));
        let results = profile::operation(
            what,
            || B::backward(kernel.as_ref(), &inputs, &saved, grad, &wanted),
            |results| read + bytes::<B>(results.iter().flatten()),
        );
        for (index, (parent, result)) in ops.parents.into_iter().zip(results).enumerate() {
            let result = if kernel.passes(index) { passed.clone() } else { result };
            if let (Some(parent), Some(result)) = (parent, result) {
                grads.register::<B>(parent.id, result);
            }
        }
    }
}

/// Bytes of f32 tensors; 0 when nothing is recorded.
fn bytes<'a, B: KernelBackend>(tensors: impl Iterator<Item = &'a FloatTensor<B>>) -> u64 {
    if !profile::is_recording() {
        return 0;
    }
    tensors.map(|tensor| 4 * tensor.shape().num_elements() as u64).sum()
}

/// Output, saved tensors and inputs of `kernel`, and its floating-point operations.
type Forward<B> = (FloatTensor<B>, Vec<FloatTensor<B>>, Vec<FloatTensor<B>>);

/// Runs `kernel` forward, under the eyes of a profile; also tells its floating-point operations.
fn forward<B: KernelBackend>(kernel: &dyn Kernel, inputs: Vec<FloatTensor<B>>) -> (Forward<B>, u64) {
    let flops = if profile::is_recording() {
        kernel.flops(&inputs.iter().map(|tensor| tensor.shape().to_vec()).collect::<Vec<_>>())
    } else {
        0
    };
    let what = Operation { name: kernel.name(), phase: None, flops };
    let made = profile::operation(
        what,
        || B::forward(kernel, inputs),
        |(output, saved, inputs)| bytes::<B>([output].into_iter().chain(saved).chain(inputs)),
    );
    (made, flops)
}

/// Runs `kernel` on a backend without a tape.
fn untaped<B: KernelBackend>(kernel: &Arc<dyn Kernel>, inputs: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    forward::<B>(kernel.as_ref(), inputs).0.0
}

/// Runs `kernel` and writes its backward on the tape when any input is tracked. `on_tape` says which
/// inputs can be.
fn taped<B: KernelBackend, C: CheckpointStrategy, const N: usize>(
    kernel: Arc<dyn Kernel>,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    on_tape: OnTape,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes: [NodeGuard; N] = inputs.each_ref().map(|x| x.node());
    let primitives: Vec<_> = inputs.into_iter().map(|x| x.into_primitive()).collect();
    match Backward::<B, N>::prepare::<C>(Step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let ((output, saved, inputs), flops) = forward::<B>(kernel.as_ref(), primitives);
            let wanted = &on_tape[..N];
            let keep = |(i, x)| kernel.keeps_for(i, wanted).then(|| Kept::new(x, kernel.halves(i)));
            let inputs = inputs.into_iter().enumerate().map(keep).collect();
            let phase = profile::current_phase();
            prep.finish(Taped { kernel, inputs, saved, phase, flops }, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(untaped::<B>(&kernel, primitives)),
    }
}

/// Most inputs a kernel can have.
const MAX_INPUTS: usize = 5;

/// Which inputs are on the tape; a constant never asks for a gradient.
type OnTape = [bool; MAX_INPUTS];

fn is_on_tape<const D: usize>(x: &Tensor<D>) -> bool {
    matches!(x.device().as_dispatch(), DispatchDevice::Autodiff(_))
}

/// Routes a kernel to the backend of its inputs, one method per number of inputs.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait Routed: Backend {
    /// A kernel of one input.
    fn apply1(a: FloatTensor<Self>, kernel: Arc<dyn Kernel>, on_tape: OnTape) -> FloatTensor<Self>;
    /// A kernel of two inputs.
    fn apply2(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        kernel: Arc<dyn Kernel>,
        on_tape: OnTape,
    ) -> FloatTensor<Self>;
    /// A kernel of three inputs.
    fn apply3(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        kernel: Arc<dyn Kernel>,
        on_tape: OnTape,
    ) -> FloatTensor<Self>;
    /// A kernel of four inputs.
    fn apply4(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        kernel: Arc<dyn Kernel>,
        on_tape: OnTape,
    ) -> FloatTensor<Self>;
    /// A kernel of five inputs.
    fn apply5(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        kernel: Arc<dyn Kernel>,
        on_tape: OnTape,
    ) -> FloatTensor<Self>;
}

/// One method of [`Routed`] that gives `[inputs]` to `$run`.
macro_rules! routed {
    ($method:ident($($input:ident),*), |$kernel:ident, $inputs:ident, $on_tape:ident| $run:expr) => {
        fn $method(
            $($input: FloatTensor<Self>,)*
            $kernel: Arc<dyn Kernel>,
            $on_tape: OnTape,
        ) -> FloatTensor<Self> {
            let $inputs = [$($input),*];
            $run
        }
    };
}

/// Implements [`Routed`] by `$run` with `[inputs]`.
macro_rules! routed_by {
    (|$kernel:ident, $inputs:ident, $on_tape:ident| $run:expr) => {
        routed!(apply1(a), |$kernel, $inputs, $on_tape| $run);
        routed!(apply2(a, b), |$kernel, $inputs, $on_tape| $run);
        routed!(apply3(a, b, c), |$kernel, $inputs, $on_tape| $run);
        routed!(apply4(a, b, c, d), |$kernel, $inputs, $on_tape| $run);
        routed!(apply5(a, b, c, d, e), |$kernel, $inputs, $on_tape| $run);
    };
}

impl Routed for Flex {
    routed_by!(|kernel, inputs, _on_tape| untaped::<Flex>(&kernel, inputs.into()));
}

impl Routed for CubeBackend {
    routed_by!(|kernel, inputs, _on_tape| untaped::<CubeBackend>(&kernel, inputs.into()));
}

impl<B: KernelBackend + Routed, C: CheckpointStrategy> Routed for Autodiff<B, C> {
    routed_by!(|kernel, inputs, on_tape| taped::<B, C, _>(kernel, inputs, on_tape));
}

/// A public function that runs a kernel of these inputs.
macro_rules! apply {
    ($(#[$doc:meta])* $method:ident($($input:ident: $rank:ident),*)) => {
        $(#[$doc])*
        pub fn $method<$(const $rank: usize,)* const OUT: usize>(
            kernel: impl Kernel,
            $($input: Tensor<$rank>),*
        ) -> Tensor<OUT> {
            let mut on_tape = [false; MAX_INPUTS];
            for (slot, on) in on_tape.iter_mut().zip([$(is_on_tape(&$input)),*]) {
                *slot = on;
            }
            let kernel = Arc::new(kernel);
            Tensor::from_dispatch(<Dispatch as Routed>::$method($($input.into_dispatch(),)* kernel, on_tape))
        }
    };
}

apply!(
    /// Runs a kernel of one input. The caller names the output's rank.
    apply1(a: A)
);
apply!(
    /// Runs a kernel of two inputs. The caller names the output's rank.
    apply2(a: A, b: B)
);
apply!(
    /// Runs a kernel of three inputs. The caller names the output's rank.
    apply3(a: A, b: B, c: C)
);
apply!(
    /// Runs a kernel of four inputs. The caller names the output's rank.
    apply4(a: A, b: B, c: C, d: D)
);
apply!(
    /// Runs a kernel of five inputs. The caller names the output's rank.
    apply5(a: A, b: B, c: C, d: D, e: E)
);
