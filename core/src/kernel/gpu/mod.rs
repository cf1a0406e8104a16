//! GPU forms: each launches the WGSL file of its name in `shaders/`.
//!
//! `template` builds a text from its parts, `launch` sends it to the device, `meter` counts.
//! The files beside them hold one kernel each: shape guard, template values, forward and backward.

pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod cosine;
pub(crate) mod gemm;
pub(crate) mod half;
pub mod launch;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod loss;
pub mod meter;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod perceptual;
pub(crate) mod pointwise;
pub(crate) mod screen;
pub(crate) mod template;

use burn::backend::DispatchDevice;
use burn::cubecl::device::WgpuDeviceKind;
use burn::cubecl::{Device as CubeDevice, MemoryScope};
use burn::tensor::Device;

use super::form::untracked;

/// Whether hand-written shaders run on `device`: through wgpu, and compiled from WGSL.
pub fn speaks_wgsl(device: &CubeDevice) -> bool {
    matches!(device, CubeDevice::Wgpu(_)) && device.client().name() == "wgpu<wgsl>"
}

/// Whether `device` is a software adapter, where an invocation is a lane of a CPU's vector and a
/// barrier costs much.
pub fn is_software(device: &CubeDevice) -> bool {
    matches!(device, CubeDevice::Wgpu(wgpu) if wgpu.kind == WgpuDeviceKind::Cpu)
}

/// Memory of a wgpu device, in bytes: what tensors use now, and what is reserved for them. Buffers that were
/// freed stay reserved, so the second number is the most that was needed, rounded up to pages. `None` for other
/// devices.
pub fn memory_bytes(device: &Device) -> Option<(u64, u64)> {
    let DispatchDevice::Cube(device) = untracked(device.as_dispatch()) else { return None };
    let usage = device.client().memory_report(MemoryScope::Device).usage();
    Some((usage.bytes_in_use, usage.bytes_reserved))
}

/// Every text that can be launched, with template values that cover its variants: what a test has naga
/// validate without a device.
pub fn variants() -> Vec<launch::Program> {
    let mut all = norm::variants();
    all.extend(layer_norm::variants());
    all.extend(pointwise::variants());
    all.extend(half::variants());
    all.extend(attention::variants());
    all.extend(cosine::variants());
    all.extend(perceptual::variants());
    all.extend(loss::variants());
    all.extend(optimizer::variants());
    all.extend(screen::variants());
    all.extend(gemm::variants());
    all
}
