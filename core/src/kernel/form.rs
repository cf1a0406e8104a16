//! Which form of an operation serves a device: slices, shader or reference.

use std::sync::atomic::{AtomicU8, Ordering};

use burn::backend::DispatchDevice;
use burn::cubecl::Device as CubeDevice;
use burn::tensor::{DType, Device, Tensor};

use super::gpu;

/// Which hand-written form serves the device of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Slices in host memory.
    Cpu,
    /// A WGSL compute shader.
    Wgsl,
    /// None: the reference in plain tensor operations.
    Reference,
}

/// Which hand-written forms are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Forms {
    /// Those that are faster on the device.
    Chosen,
    /// None: how a benchmark measures what they are worth.
    Plain,
    /// All: how a test reaches the ones that an adapter passes over.
    All,
}

static FORMS: AtomicU8 = AtomicU8::new(Forms::Chosen as u8);

/// Chooses the forms of the whole process.
pub fn set_forms(forms: Forms) {
    FORMS.store(forms as u8, Ordering::Relaxed);
}

fn forms_are(forms: Forms) -> bool {
    FORMS.load(Ordering::Relaxed) == forms as u8
}

/// `device` without its tape.
pub(super) fn untracked(device: &DispatchDevice) -> DispatchDevice {
    match device {
        DispatchDevice::Autodiff(inner) => untracked(&inner.clone().inner()),
        device => device.clone(),
    }
}

/// Whether a GPU form is used that is slower than plain operations on software adapters.
pub fn on_hardware<const D: usize>(x: &Tensor<D>) -> bool {
    match untracked(x.device().as_dispatch()) {
        DispatchDevice::Cube(device) => is_card(&device),
        _ => true,
    }
}

/// Whether `device` is treated as a graphics card: no software adapter, or all forms are wanted.
pub(super) fn is_card(device: &CubeDevice) -> bool {
    forms_are(Forms::All) || !gpu::is_software(device)
}

/// Whether `device` is the CPU device, tracked or not.
pub fn is_host(device: &Device) -> bool {
    matches!(untracked(device.as_dispatch()), DispatchDevice::Flex(_))
}

/// The form in which an operation runs for `x`: its CPU form on burn-flex, its WGSL form on a
/// wgpu device whose shaders are WGSL when it `has_wgsl`, else the reference.
pub fn runs_on<const D: usize>(x: &Tensor<D>, has_wgsl: bool) -> Form {
    if x.dtype() != DType::F32 || forms_are(Forms::Plain) {
        return Form::Reference;
    }
    match untracked(x.device().as_dispatch()) {
        DispatchDevice::Flex(_) => Form::Cpu,
        DispatchDevice::Cube(device) if has_wgsl && gpu::speaks_wgsl(&device) => Form::Wgsl,
        _ => Form::Reference,
    }
}
