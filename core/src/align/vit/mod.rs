//! Vision transformers as teachers: one network for every published family, and a
//! [`Family`] that says what sets each apart.
//!
//! How pictures and position tables reach another grid follows REPA-E (`repae/utils.py`,
//! `train_repae.py`): the table is resampled once, antialiased, as timm does; pictures are resized
//! bicubically without antialiasing, so that a patch falls on each of the transformer's tokens.
//! Nothing here is on the tape.

mod block;
mod family;
mod names;
mod rope;

use burn::tensor::{Device, Tensor, TensorData};

use block::{Block, BlockConfig, norm};
pub use family::{Activation, FAMILIES, Family};
pub use names::Weights;
use names::{CLASS, NORM, PATCH, POSITIONS, PRE_NORM, REGISTERS};
use rope::Rope;

use crate::data::interpolate::resample_pos_embed;
use crate::error::{Error, Result};
use crate::kernel::{self, Conv};
use crate::layers::LayerNorm;
use crate::params::Param;

/// Pictures that go through the network together: attention scores of more would fill memory.
const CHUNK: usize = 16;
/// Largest number of blocks and of tokens along a side that is believed of a file.
const MAX_DEPTH: usize = 128;
const MAX_GRID: usize = 512;

/// What a configuration beside the weights says; the family's own rule where it says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct VitSettings {
    /// Attention heads.
    pub heads: Option<usize>,
    /// Epsilon of the layer norms.
    pub eps: Option<f32>,
}

/// A frozen vision transformer for one token grid.
#[derive(Clone, Debug)]
pub struct Vit {
    family: &'static Family,
    patch: (Param, Param),
    /// Class and register tokens, with the class token's position added, `[1, P, C]`.
    prefix: Option<Tensor<3>>,
    /// Resampled to the grid, `[1, N, C]`.
    positions: Option<Tensor<3>>,
    pre_norm: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: Option<LayerNorm>,
    rope: Option<Rope>,
    registers: usize,
    grid: usize,
}

impl Vit {
    /// Loads a transformer of `family` for `grid` × `grid` patches.
    ///
    /// # Errors
    /// A tensor that is missing or of the wrong shape, or a geometry that cannot be.
    pub fn load(
        family: &'static Family,
        weights: &Weights,
        settings: VitSettings,
        grid: usize,
        device: &Device,
    ) -> Result<Self> {
        let outer = weights.outer();
        let &[width, _, px, other] = outer.shape(PATCH, ".weight").unwrap_or_default() else {
            return Err(Error::MissingTensor { name: format!("{}.weight", PATCH[0]), hint: String::new() });
        };
        let depth = weights.depth();
        let heads = settings.heads.unwrap_or_else(|| (family.heads)(width));
        let eps = settings.eps.unwrap_or(family.eps);
        check_geometry([width, px, other], depth, heads, grid, family)?;
        let buffer = |(shape, values): (Vec<usize>, Vec<f32>)| Param::buffer(values, &shape, device);
        let weight = outer.part(PATCH, ".weight", &[width, 3, px, px])?;
        let bias =
            outer.optional(PATCH, ".bias", &[width])?.unwrap_or_else(|| (vec![width], vec![0.0; width]));
        let (prefix, table) = tokens(family, weights, width, grid)?;
        let config = BlockConfig { width, heads, eps, activation: family.activation };
        let blocks = (0..depth).map(|i| Block::load(&weights.block(i), config, device));
        let num_prefix = prefix.len() / width;
        let tensor = |values: Vec<f32>| {
            let shape = [1, values.len() / width, width];
            (!values.is_empty()).then(|| Tensor::from_data(TensorData::new(values, shape), device))
        };
        let outer_norm = |part, wanted: bool| -> Result<Option<LayerNorm>> {
            if wanted { norm(&outer, part, (width, eps), device).map(Some) } else { Ok(None) }
        };
        Ok(Self {
            family,
            patch: (buffer(weight), buffer(bias)),
            prefix: tensor(prefix),
            positions: tensor(table),
            pre_norm: outer_norm(PRE_NORM, family.pre_norm)?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: outer_norm(NORM, family.final_norm)?,
            rope: family.rope.then(|| Rope::new(num_prefix, grid, width / heads, device)),
            registers: num_prefix - usize::from(family.class_token),
            grid,
        })
    }

    /// Feature width.
    pub fn channels(&self) -> usize {
        self.patch.0.shape()[0]
    }

    /// Patches along one side.
    pub fn grid(&self) -> usize {
        self.grid
    }

    /// Side of the pictures that the network sees.
    pub fn input_px(&self) -> usize {
        self.grid * self.patch.0.shape()[2]
    }

    /// Number of register tokens.
    pub fn registers(&self) -> usize {
        self.registers
    }

    /// The position table as it is used, `[1, N, C]` of the patches; `None` for rotary positions.
    pub fn positions(&self) -> Option<Tensor<3>> {
        self.positions.clone()
    }

    /// What the network is given for pictures `[B, 3, H, W]` in [−1, 1].
    pub fn pixels(&self, images: Tensor<4>) -> Tensor<4> {
        self.family.pixels(images, self.input_px())
    }

    /// Patch features of pictures `[B, 3, H, W]` in [−1, 1] → `[B, grid², C]`.
    pub fn features(&self, images: Tensor<4>) -> Tensor<3> {
        let all: Vec<_> =
            images.split(CHUNK, 0).into_iter().map(|part| self.run(self.pixels(part))).collect();
        Tensor::cat(all, 0)
    }

    /// `[B, 3, input_px, input_px]` → `[B, grid², C]`.
    fn run(&self, pixels: Tensor<4>) -> Tensor<3> {
        let (b, stride) = (pixels.dims()[0], self.patch.0.shape()[2]);
        let x = kernel::conv2d(pixels, self.patch.0.get(), Some(self.patch.1.get()), Conv::new(stride, 0));
        let [_, c, h, w] = x.dims();
        let mut x = x.reshape([b, c, h * w]).swap_dims(1, 2); // [B, N, C]
        if let Some(positions) = &self.positions {
            x = x + positions.clone();
        }
        let mut first = 0;
        if let Some(prefix) = &self.prefix {
            first = prefix.dims()[1];
            x = Tensor::cat(vec![prefix.clone().expand([b, first, c]), x], 1);
        }
        if let Some(norm) = &self.pre_norm {
            x = norm.forward(x);
        }
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x, self.rope.as_ref()));
        let x = x.narrow(1, first, h * w);
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

fn check_geometry(
    [width, px, other]: [usize; 3],
    depth: usize,
    heads: usize,
    grid: usize,
    family: &Family,
) -> Result<()> {
    let fits =
        heads > 0 && width.is_multiple_of(heads) && (!family.rope || (width / heads).is_multiple_of(4));
    if width > 0
        && px > 0
        && px == other
        && fits
        && (1..=MAX_DEPTH).contains(&depth)
        && (1..=MAX_GRID).contains(&grid)
    {
        return Ok(());
    }
    Err(Error::Config(format!(
        "a {} of width {width}, {heads} heads, {depth} blocks and patches of {px} x {other} pixels for {grid} x {grid} \
         tokens cannot be",
        family.name
    )))
}

/// Class and register tokens `[P, C]` with the class token's position added, and the position table
/// of the patches `[grid², C]`, flat; the table is empty for rotary positions.
fn tokens(family: &Family, weights: &Weights, width: usize, grid: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let outer = weights.outer();
    let mut prefix = Vec::new();
    if family.class_token {
        prefix = outer.part(CLASS, "", &[1, 1, width])?.1;
    }
    let mut patches = Vec::new();
    if !family.rope {
        let prefix_rows = usize::from(family.class_token);
        let stored = outer.shape(POSITIONS, "").unwrap_or_default();
        let rows = stored.iter().product::<usize>() / width;
        let from = rows.saturating_sub(prefix_rows).isqrt();
        let table = outer.part(POSITIONS, "", &[1, prefix_rows + from * from, width])?.1;
        let table = resample_pos_embed(&table, from, grid, width, prefix_rows);
        let (own, rest) = table.split_at(prefix_rows * width);
        prefix.iter_mut().zip(own).for_each(|(token, position)| *token += position);
        patches = rest.to_vec();
    }
    // Registers stand between class token and patches and have no position.
    if let Some(shape) = outer.shape(REGISTERS, "") {
        let count = shape.iter().product::<usize>() / width;
        prefix.extend(outer.part(REGISTERS, "", &[1, count, width])?.1);
    }
    Ok((prefix, patches))
}
