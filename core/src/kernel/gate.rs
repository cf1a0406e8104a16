//! Gated residual `y = x + gate_b · h`, the way a SiT block adds its branches (adaLN-zero).

use burn::backend::wgpu::CubeTensor;
use burn::tensor::Tensor;

use super::cpu::gate as cpu;
use super::form::{Form, runs_on};
use super::gpu::launch::{dims, empty};
use super::gpu::pointwise as gpu;
use super::op::{Array, Kernel, View, apply3};

/// `x + gate · h`, one gate vector for each sample.
///
/// # Shapes
/// `x [B, N, D]`, `gate [B, D]`, `h [B, N, D]` → `[B, N, D]`.
pub fn gated_residual(x: Tensor<3>, gate: Tensor<2>, h: Tensor<3>) -> Tensor<3> {
    if runs_on(&h, true) == Form::Reference {
        gated_residual_reference(x, gate, h)
    } else {
        apply3(GatedResidual, x, gate, h)
    }
}

/// Inputs `x`, `gate`, `h`.
#[derive(Debug)]
struct GatedResidual;

impl Kernel for GatedResidual {
    fn cpu_forward(&self, inputs: &[View]) -> (Array, Vec<Array>) {
        let [x, gate, h] = [inputs[0], inputs[1], inputs[2]];
        (Array::new(cpu::forward(x.values, h.values, gate.values, gate.shape[1]), x.shape), Vec::new())
    }

    fn cpu_backward(&self, inputs: &[View], _: &[View], grad: View, wanted: &[bool]) -> Vec<Option<Array>> {
        let (gate, h) = (inputs[1], inputs[2]);
        let [batch, tokens, width] = [grad.shape[0], grad.shape[1], grad.shape[2]];
        let dgate = wanted[1]
            .then(|| Array::new(cpu::grad_gate(h.values, grad.values, tokens, width), &[batch, width]));
        let dh = wanted[2]
            .then(|| Array::new(cpu::grad_branch(gate.values, grad.values, tokens, width), grad.shape));
        vec![None, dgate, dh]
    }

    fn passes(&self, index: usize) -> bool {
        index == 0
    }

    fn gpu_forward(&self, inputs: &[CubeTensor]) -> (CubeTensor, Vec<CubeTensor>) {
        (gpu::gated_residual(&inputs[0], &inputs[1], &inputs[2]), Vec::new())
    }

    fn gpu_backward(
        &self,
        inputs: &[Option<CubeTensor>],
        _: &[CubeTensor],
        grad: CubeTensor,
        wanted: &[bool],
    ) -> Vec<Option<CubeTensor>> {
        // What serves no wanted gradient was not kept; something of its shape stands in for it.
        let [batch, _, width] = dims(&grad);
        let gate = inputs[1].clone().unwrap_or_else(|| empty(&grad, &[batch, width]));
        let (dgate, dh) = gpu::gated_residual_backward(&gate, inputs[2].as_ref().unwrap_or(&grad), &grad);
        vec![None, wanted[1].then_some(dgate), wanted[2].then_some(dh)]
    }

    fn halves(&self, index: usize) -> bool {
        index == 2
    }

    fn keeps(&self, index: usize) -> bool {
        index > 0
    }

    fn keeps_for(&self, index: usize, wanted: &[bool]) -> bool {
        // The gate serves the branch's gradient, the branch the gate's.
        [false, wanted[2], wanted[1]][index]
    }
}

/// [`gated_residual`] in plain tensor operations.
pub fn gated_residual_reference(x: Tensor<3>, gate: Tensor<2>, h: Tensor<3>) -> Tensor<3> {
    x + h * gate.unsqueeze_dim::<3>(1)
}
