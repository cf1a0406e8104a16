//! From a WGSL text to a launch: template values, workgroups, buffers, numbers.
//!
//! What the shader may rely on: buffers are contiguous f32, all bound `read_write` (pooled buffers
//! share pages), numbered as in the text, followed by one uniform of numbers, which cubecl keeps on the
//! device while they repeat: no upload and no flush for each launch. Nothing is checked for bounds and
//! workgroup memory is not zeroed: shaders do both. More than 65 535 workgroups take a second dimension.

use burn::backend::wgpu::{CubeDim, CubeTensor};
use burn::cubecl::ir::UIntKind;
use burn::cubecl::ir::metadata::Info;
use burn::cubecl::prelude::{
    AddressType, ElemType, ExecutionMode, KernelDefinition, KernelId, KernelMetadata, KernelSettings, Scope,
};
use burn::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn::cubecl::{CubeCount, CubeKernel, PrecompiledSource};
use burn::tensor::{DType, Shape};

use super::meter;
use super::template::{Values, expand};

/// Most workgroups in one dimension.
const MAX_DIMENSION: usize = 65_535;

/// A WGSL file and the shared pieces it stands on.
#[derive(Debug)]
pub struct Shader {
    /// Name of the file, which is the name in profiles.
    pub name: &'static str,
    text: &'static str,
    /// Of the text: tells an edited shader from what was compiled before.
    hash: u64,
}

impl Shader {
    /// A shader from its text.
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        let bytes = text.as_bytes();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        Self { name, text, hash }
    }
}

/// The [`Shader`] of `shaders/NAME.wgsl` followed by pieces of `shaders/shared/`.
macro_rules! shader {
    ($name:literal $(, $shared:literal)*) => {
        $crate::kernel::gpu::launch::Shader::new(
            $name,
            concat!(
                include_str!(concat!("../../../../shaders/", $name, ".wgsl")),
                $(include_str!(concat!("../../../../shaders/shared/", $shared, ".wgsl"))),*
            ),
        )
    };
}
pub(crate) use shader;

/// A shader with its template values, `wg` among them: what is compiled once.
#[derive(Clone, Debug)]
pub struct Program {
    shader: &'static Shader,
    values: Values,
}

impl Program {
    /// `shader` with `values`; `wg`, the number of invocations of a workgroup, is one of them.
    pub fn new(shader: &'static Shader, values: &[(&'static str, u32)]) -> Self {
        Self { shader, values: values.to_vec() }
    }

    /// Name of the shader's file.
    pub fn shader_name(&self) -> &'static str {
        self.shader.name
    }

    /// The values the text is built with.
    pub fn values(&self) -> &[(&'static str, u32)] {
        &self.values
    }

    /// The WGSL that the device compiles.
    pub fn text(&self) -> String {
        expand(self.shader.text, &self.values)
    }

    fn dim(&self) -> CubeDim {
        let wg = self.values.iter().find(|(name, _)| *name == "wg").map_or(1, |(_, wg)| *wg);
        CubeDim::new_1d(wg)
    }

    /// Runs `groups` workgroups on `buffers`, with `numbers` (see [`Number`]) as the uniform.
    pub fn launch(self, groups: usize, buffers: &[&CubeTensor], numbers: &[Number]) {
        let Some(first) = buffers.first() else { return };
        let bytes = buffers.iter().map(|b| b.handle.size_in_used()).sum();
        meter::launched(self.shader.name, bytes);
        let rows = groups.div_ceil(MAX_DIMENSION).max(1);
        let count = CubeCount::Static(word(groups.div_ceil(rows)), word(rows), 1);
        let bindings = buffers.iter().map(|b| b.handle.clone().binding()).collect();
        let arguments = KernelArguments::new().with_buffers(bindings).with_info(packed(numbers));
        first.client.launch(Box::new(self), count, arguments);
    }
}

impl KernelMetadata for Program {
    fn name(&self) -> &'static str {
        self.shader.name
    }

    fn id(&self) -> KernelId {
        let info = (self.shader.name, self.shader.hash, self.values.clone());
        // Unchecked: naga would count the turns of every loop. Ours end by construction.
        KernelId::new::<Self>().info(info).cube_dim(self.dim().0).mode(ExecutionMode::Unchecked)
    }

    fn address_type(&self) -> ElemType {
        UIntKind::U32.into()
    }
}

impl CubeKernel for Program {
    fn define(&self) -> KernelDefinition {
        let settings = KernelSettings::new(self.dim().0, ExecutionMode::Unchecked, AddressType::U32);
        KernelDefinition { body: Scope::root(settings.clone()), settings, info: Info::default() }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        Some(PrecompiledSource { source: self.text(), entrypoint_name: "main".into(), lang: "wgsl" })
    }
}

/// A member of the uniform: one 32-bit word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// `u32`
    Count(usize),
    /// `f32`
    Real(f32),
}

impl From<usize> for Number {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<f32> for Number {
    fn from(real: f32) -> Self {
        Self::Real(real)
    }
}

/// The uniform as cubecl takes it, filled up to whole 16-byte rows.
fn packed(numbers: &[Number]) -> MetadataBindingInfo {
    let mut words: Vec<u32> = numbers
        .iter()
        .map(|n| match n {
            Number::Count(count) => word(*count),
            Number::Real(real) => real.to_bits(),
        })
        .collect();
    words.resize(words.len().next_multiple_of(4), 0);
    let pairs = words.as_chunks::<2>().0.iter();
    MetadataBindingInfo::custom(pairs.map(|pair| bytemuck::cast(*pair)).collect())
}

/// `n` as a shader counts.
///
/// # Panics
/// Above 2³² − 1, which no buffer of f32 on a device reaches.
pub fn word(n: usize) -> u32 {
    u32::try_from(n).unwrap_or_else(|_| panic!("{n} values are more than a shader counts"))
}

/// A tensor of `shape` beside `like`, its values not set.
pub fn empty(like: &CubeTensor, shape: &[usize]) -> CubeTensor {
    let handle = like.client.empty(shape.iter().product::<usize>() * size_of::<f32>());
    let (client, device) = (like.client.clone(), like.device.clone());
    CubeTensor::new_contiguous(client, device, Shape::from(shape.to_vec()), handle, DType::F32)
}

/// Axis lengths of a tensor of `D` axes.
///
/// # Panics
/// When it has another number of axes: kernels are called on checked shapes.
pub fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    let shape: Vec<usize> = tensor.meta.shape().iter().copied().collect();
    shape.try_into().unwrap_or_else(|s| panic!("a tensor of {D} axes was expected, not {s:?}"))
}

/// Number of values.
pub fn len(tensor: &CubeTensor) -> usize {
    tensor.meta.shape().iter().product()
}
