//! Parts of a model that backward runs again instead of keeping what is inside them: see
//! [`kernel::rerun`](crate::kernel::rerun).

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use burn::backend::DispatchTensor;
use burn::backend::autodiff::NodeId;
use burn::tensor::{Gradients, Tensor};

use crate::kernel::profile::{current_phase, phase};
use crate::kernel::rerun::{Pulled, Stretch, node_of, rerun1, rerun2, seeded};
use crate::params::{self, Parameters};

/// What a part must be to be run again: named weights, shared with the tape.
pub trait Part: Parameters + Clone + Send + Sync + 'static {}

impl<P: Parameters + Clone + Send + Sync + 'static> Part for P {}

/// `run(part, x)`; only `x` is kept for backward, which runs it again. The gradients are the same, to the bit.
pub fn run_again<P: Part, const A: usize, const O: usize>(
    part: &P,
    x: Tensor<A>,
    run: fn(&P, Tensor<A>) -> Tensor<O>,
) -> Tensor<O> {
    if !x.is_tracked() {
        return run(part, x);
    }
    let (plain, nodes) = off_tape(part);
    let kept = Kept::of(&x);
    let y = run(&plain, kept.0.clone());
    rerun1(x, y, Arc::new(One { part: plain, nodes, x: kept, run, phase: current_phase() }))
}

/// `run(part, a, b)`; only `a` and `b` are kept for backward, which runs it again.
pub fn run_again2<P: Part, const A: usize, const B: usize, const O: usize>(
    part: &P,
    (a, b): (Tensor<A>, Tensor<B>),
    run: fn(&P, Tensor<A>, Tensor<B>) -> Tensor<O>,
) -> Tensor<O> {
    if !a.is_tracked() && !b.is_tracked() {
        return run(part, a, b);
    }
    let (plain, nodes) = off_tape(part);
    let kept = (Kept::of(&a), Kept::of(&b));
    let y = run(&plain, kept.0.0.clone(), kept.1.0.clone());
    rerun2(a, b, y, Arc::new(Two { part: plain, nodes, kept, run, phase: current_phase() }))
}

/// A copy of `part` off the tape, and the nodes of its weights in walk order.
fn off_tape<P: Part>(part: &P) -> (P, Vec<Option<NodeId>>) {
    let (mut plain, mut nodes) = (part.clone(), Vec::new());
    params::visit(&mut plain, |_, param| {
        nodes.push(node_of(param.flat()));
        let value = param.take();
        param.set(value.without_autodiff());
    });
    (plain, nodes)
}

/// A copy of the plain `part` whose weights record gradients where they have a node.
fn on_own_tape<P: Part>(part: &P, nodes: &[Option<NodeId>]) -> P {
    let (mut copy, mut nodes) = (part.clone(), nodes.iter());
    params::visit(&mut copy, |_, param| {
        if nodes.next().is_some_and(Option::is_some) {
            let value = param.take();
            param.set(value.autodiff().require_grad());
        }
    });
    copy
}

/// An input that was kept, off the tape, and whether its gradient is wanted.
struct Kept<const D: usize>(Tensor<D>, bool);

impl<const D: usize> Kept<D> {
    fn of(x: &Tensor<D>) -> Self {
        Self(x.clone().without_autodiff(), x.is_tracked())
    }

    /// A leaf of a new tape, or a constant.
    fn leaf(&self) -> Tensor<D> {
        let x = self.0.clone();
        if self.1 { x.autodiff().require_grad() } else { x }
    }
}

/// Runs the inner backward from `y`, whose gradient is `grad`, and takes out the gradients of `part`'s weights.
fn pull_weights<P: Part, const O: usize>(
    mut part: P,
    nodes: &[Option<NodeId>],
    y: Tensor<O>,
    grad: DispatchTensor,
) -> (Gradients, Vec<(NodeId, Tensor<1>)>) {
    let end = seeded(y, Tensor::from_dispatch(grad));
    let mut grads = end.backward();
    let (mut weights, mut nodes) = (Vec::new(), nodes.iter());
    params::visit(&mut part, |_, param| {
        if let Some(Some(node)) = nodes.next()
            && let Some(grad) = param.flat().grad_remove(&mut grads)
        {
            weights.push((*node, grad));
        }
    });
    (grads, weights)
}

/// A part of one input.
struct One<P, const A: usize, const O: usize> {
    part: P,
    nodes: Vec<Option<NodeId>>,
    x: Kept<A>,
    run: fn(&P, Tensor<A>) -> Tensor<O>,
    phase: &'static str,
}

impl<P: Part, const A: usize, const O: usize> Stretch for One<P, A, O> {
    fn pull(&self, grad: DispatchTensor) -> Pulled {
        phase(self.phase, || {
            let (part, x) = (on_own_tape(&self.part, &self.nodes), self.x.leaf());
            let y = (self.run)(&part, x.clone());
            let (mut grads, weights) = pull_weights(part, &self.nodes, y, grad);
            Pulled { inputs: vec![x.grad_remove(&mut grads).map(Tensor::into_dispatch)], weights }
        })
    }
}

/// A part of two inputs.
struct Two<P, const A: usize, const B: usize, const O: usize> {
    part: P,
    nodes: Vec<Option<NodeId>>,
    kept: (Kept<A>, Kept<B>),
    run: fn(&P, Tensor<A>, Tensor<B>) -> Tensor<O>,
    phase: &'static str,
}

impl<P: Part, const A: usize, const B: usize, const O: usize> Stretch for Two<P, A, B, O> {
    fn pull(&self, grad: DispatchTensor) -> Pulled {
        phase(self.phase, || {
            let part = on_own_tape(&self.part, &self.nodes);
            let (a, b) = (self.kept.0.leaf(), self.kept.1.leaf());
            let y = (self.run)(&part, a.clone(), b.clone());
            let (mut grads, weights) = pull_weights(part, &self.nodes, y, grad);
            let a = a.grad_remove(&mut grads).map(Tensor::into_dispatch);
            let b = b.grad_remove(&mut grads).map(Tensor::into_dispatch);
            Pulled { inputs: vec![a, b], weights }
        })
    }
}

impl<P, const A: usize, const O: usize> Debug for One<P, A, O> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} again, of {:?}", std::any::type_name::<P>(), self.x.0.dims())
    }
}

impl<P, const A: usize, const B: usize, const O: usize> Debug for Two<P, A, B, O> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} again, of {:?}", std::any::type_name::<P>(), self.kept.0.0.dims())
    }
}
