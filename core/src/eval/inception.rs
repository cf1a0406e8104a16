//! The Inception network of the Fréchet distance: `pt_inception-2015-12-05`, TensorFlow's graph of
//! 2015 under torchvision's names (pytorch-fid `inception.py`; torch-fidelity's file is the same).
//!
//! ```text
//! let network = Inception::load(&file, &device)?;          // any TensorSource: .pth or .safetensors
//! let found = network.features(pictures, Preparation::TorchFidelity);
//! found.pool      // [B, 2048]  FID, KID, precision and recall
//! found.spatial   // [B, 2023]  sFID
//! found.logits    // [B, 1008]  inception score: softmax of these
//! ```
//!
//! Pictures are `[B, 3, H, W]` with values 0..=255 (bytes as f32), at their own size. How they reach
//! 299 px decides which published numbers the features belong to: see [`Preparation`].
//!
//! Differences from torchvision that the 2015 graph demands: average pools do not count padding,
//! the last block pools by maximum, batch norm eps 1e-3. Logits leave the classifier's bias out, as
//! guided-diffusion's evaluator does; the spatial features are the first 7 channels of
//! `Mixed_6d.branch1x1` after its ReLU, in its (row, column, channel) order.

use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::kernel::resample::{Filter, resize};
use crate::kernel::{self, Conv};
use crate::layers::FoldedConv;
use crate::params::{Param, TensorSource};

/// Width of the pooled features.
pub const POOL: usize = 2048;
/// Width of the spatial features: 17 × 17 positions of 7 channels.
pub const SPATIAL: usize = 17 * 17 * SPATIAL_CHANNELS;
/// Classes of the 2015 graph.
pub const CLASSES: usize = 1008;

const INPUT_PX: usize = 299;
const BN_EPS: f32 = 1e-3;
const SPATIAL_CHANNELS: usize = 7;
/// The block whose first branch gives the spatial features.
const SPATIAL_BLOCK: &str = "Mixed_6d";

/// How pictures are brought to 299 px.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// pytorch-fid: half-pixel bilinear, `2x − 1` of [0, 1].
    PytorchFid,
    /// torch-fidelity, closest to guided-diffusion's evaluator: TensorFlow 1's bilinear,
    /// `(x − 128) / 128`.
    TorchFidelity,
}

impl Preparation {
    /// The network's input for pictures of values 0..=255.
    fn apply(self, pictures: Tensor<4>) -> Tensor<4> {
        match self {
            Self::PytorchFid => resize(pictures / 255.0, INPUT_PX, Filter::Bilinear) * 2.0 - 1.0,
            Self::TorchFidelity => (resize(pictures, INPUT_PX, Filter::BilinearCorner) - 128.0) / 128.0,
        }
    }
}

/// What the network says about pictures.
#[derive(Clone, Debug)]
pub struct InceptionFeatures {
    /// After the global average, `[B, 2048]`.
    pub pool: Tensor<2>,
    /// Of the 17 × 17 grid, `[B, 2023]`.
    pub spatial: Tensor<2>,
    /// Class scores without bias, `[B, 1008]`.
    pub logits: Tensor<2>,
}

/// One convolution with its norm: name, kernel height and width.
type Spec = (&'static str, usize, usize);

/// The pool in front of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pool {
    None,
    /// 3×3, stride 1, padding not counted.
    Average,
    /// 3×3, stride 1.
    Max,
    /// 3×3, stride 2, no padding.
    MaxHalf,
}

/// A branch: pool, convolutions in a row, and perhaps two side by side at the end.
struct BranchSpec {
    pool: Pool,
    chain: &'static [Spec],
    split: Option<[Spec; 2]>,
}

const fn branch(chain: &'static [Spec]) -> BranchSpec {
    BranchSpec { pool: Pool::None, chain, split: None }
}

const fn pooled(pool: Pool, chain: &'static [Spec]) -> BranchSpec {
    BranchSpec { pool, chain, split: None }
}

const fn split(chain: &'static [Spec], ends: [Spec; 2]) -> BranchSpec {
    BranchSpec { pool: Pool::None, chain, split: Some(ends) }
}

const POINT: Spec = ("branch1x1", 1, 1);
const POOL_POINT: &[Spec] = &[("branch_pool", 1, 1)];
const TRIPLE: &[Spec] = &[("branch3x3dbl_1", 1, 1), ("branch3x3dbl_2", 3, 3), ("branch3x3dbl_3", 3, 3)];

const BLOCK_A: [BranchSpec; 4] = [
    branch(&[POINT]),
    branch(&[("branch5x5_1", 1, 1), ("branch5x5_2", 5, 5)]),
    branch(TRIPLE),
    pooled(Pool::Average, POOL_POINT),
];
const BLOCK_B: [BranchSpec; 3] = [branch(&[("branch3x3", 3, 3)]), branch(TRIPLE), pooled(Pool::MaxHalf, &[])];
const BLOCK_C: [BranchSpec; 4] = [
    branch(&[POINT]),
    branch(&[("branch7x7_1", 1, 1), ("branch7x7_2", 1, 7), ("branch7x7_3", 7, 1)]),
    branch(&[
        ("branch7x7dbl_1", 1, 1),
        ("branch7x7dbl_2", 7, 1),
        ("branch7x7dbl_3", 1, 7),
        ("branch7x7dbl_4", 7, 1),
        ("branch7x7dbl_5", 1, 7),
    ]),
    pooled(Pool::Average, POOL_POINT),
];
const BLOCK_D: [BranchSpec; 3] = [
    branch(&[("branch3x3_1", 1, 1), ("branch3x3_2", 3, 3)]),
    branch(&[
        ("branch7x7x3_1", 1, 1),
        ("branch7x7x3_2", 1, 7),
        ("branch7x7x3_3", 7, 1),
        ("branch7x7x3_4", 3, 3),
    ]),
    pooled(Pool::MaxHalf, &[]),
];
const fn block_e(pool: Pool) -> [BranchSpec; 4] {
    [
        branch(&[POINT]),
        split(&[("branch3x3_1", 1, 1)], [("branch3x3_2a", 1, 3), ("branch3x3_2b", 3, 1)]),
        split(
            &[("branch3x3dbl_1", 1, 1), ("branch3x3dbl_2", 3, 3)],
            [("branch3x3dbl_3a", 1, 3), ("branch3x3dbl_3b", 3, 1)],
        ),
        pooled(pool, POOL_POINT),
    ]
}
const BLOCK_E: [BranchSpec; 4] = block_e(Pool::Average);
const BLOCK_E_LAST: [BranchSpec; 4] = block_e(Pool::Max);

/// Blocks in order: name, branches, whether the block halves the grid.
const BLOCKS: [(&str, &[BranchSpec], bool); 11] = [
    ("Mixed_5b", &BLOCK_A, false),
    ("Mixed_5c", &BLOCK_A, false),
    ("Mixed_5d", &BLOCK_A, false),
    ("Mixed_6a", &BLOCK_B, true),
    ("Mixed_6b", &BLOCK_C, false),
    ("Mixed_6c", &BLOCK_C, false),
    (SPATIAL_BLOCK, &BLOCK_C, false),
    ("Mixed_6e", &BLOCK_C, false),
    ("Mixed_7a", &BLOCK_D, true),
    ("Mixed_7b", &BLOCK_E, false),
    ("Mixed_7c", &BLOCK_E_LAST, false),
];

/// Layers before the blocks: convolution, geometry, and whether a 3×3 pool of stride 2 follows.
const STEM: [(Spec, Conv, bool); 5] = [
    (("Conv2d_1a_3x3", 3, 3), Conv::new(2, 0), false),
    (("Conv2d_2a_3x3", 3, 3), Conv::new(1, 0), false),
    (("Conv2d_2b_3x3", 3, 3), Conv::new(1, 1), true),
    (("Conv2d_3b_1x1", 1, 1), Conv::new(1, 0), false),
    (("Conv2d_4a_3x3", 3, 3), Conv::new(1, 0), true),
];

/// Convolution, norm and ReLU.
#[derive(Clone, Debug)]
struct Unit {
    folded: FoldedConv,
    conv: Conv,
}

impl Unit {
    /// Reads the convolution `name`, which must take `from` channels. Returns its output channels too.
    fn load(
        source: &dyn TensorSource,
        name: &str,
        (_, height, width): Spec,
        from: usize,
        conv: Conv,
        device: &Device,
    ) -> Result<(Self, usize)> {
        let names = (format!("{name}.conv"), format!("{name}.bn"));
        let folded = FoldedConv::load(source, (&names.0, &names.1), BN_EPS, device)?;
        let shape = folded.shape();
        let (out, expected) = (shape[0], vec![shape[0], from, height, width]);
        if shape != expected {
            return Err(Error::Shape { name: names.0, expected, found: shape.to_vec() });
        }
        Ok((Self { folded, conv }, out))
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        kernel::relu(self.folded.forward(x, self.conv))
    }
}

#[derive(Clone, Debug)]
struct Branch {
    pool: Pool,
    chain: Vec<Unit>,
    split: Option<[Unit; 2]>,
}

impl Branch {
    /// Reads the branch of block `block`, which takes `from` channels. Returns its output channels too.
    fn load(
        source: &dyn TensorSource,
        (block, halves): (&str, bool),
        spec: &BranchSpec,
        from: usize,
        device: &Device,
    ) -> Result<(Self, usize)> {
        let unit = |spec: Spec, from, conv| {
            Unit::load(source, &format!("{block}.{}", spec.0), spec, from, conv, device)
        };
        let mut channels = from;
        let mut chain = Vec::new();
        for (i, &step) in spec.chain.iter().enumerate() {
            // A block that halves the grid does so in the last convolution of each branch.
            let conv = if halves && i + 1 == spec.chain.len() { Conv::new(2, 0) } else { same(step) };
            let (made, out) = unit(step, channels, conv)?;
            chain.push(made);
            channels = out;
        }
        let split = match spec.split {
            None => None,
            Some([a, b]) => {
                let ((a, wide_a), (b, wide_b)) = (unit(a, channels, same(a))?, unit(b, channels, same(b))?);
                channels = wide_a + wide_b;
                Some([a, b])
            }
        };
        Ok((Self { pool: spec.pool, chain, split }, channels))
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.chain.iter().fold(pool(x, self.pool), |x, unit| unit.forward(x));
        match &self.split {
            None => x,
            Some([a, b]) => Tensor::cat(vec![a.forward(x.clone()), b.forward(x)], 1),
        }
    }
}

/// Stride one and the padding that keeps the grid.
fn same((_, height, width): Spec) -> Conv {
    let (y, x) = (height / 2, width / 2);
    Conv { stride: 1, pad: [y, x, y, x], groups: 1 }
}

fn pool(x: Tensor<4>, pool: Pool) -> Tensor<4> {
    let max =
        |stride, padding| MaxPoolOptions::new([3; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
    match pool {
        Pool::None => x,
        Pool::Average => {
            let options = AvgPoolOptions::new([3; 2]).with_stride([1; 2]).with_padding([1; 2]);
            avg_pool2d(x, options.with_count_include_pad(false))
        }
        Pool::Max => max_pool2d(x, max(1, 1)),
        Pool::MaxHalf => max_pool2d(x, max(2, 0)),
    }
}

/// The frozen network.
#[derive(Clone, Debug)]
pub struct Inception {
    stem: Vec<(Unit, bool)>,
    blocks: Vec<(&'static str, Vec<Branch>)>,
    classifier: Param,
}

impl Inception {
    /// Reads the network. `num_batches_tracked` and the classifier's bias may be absent.
    ///
    /// # Errors
    /// A tensor that is missing or of the wrong shape: another network than the 2015 graph.
    pub fn load(source: &dyn TensorSource, device: &Device) -> Result<Self> {
        let mut channels = 3;
        let mut stem = Vec::new();
        for (spec, conv, pools) in STEM {
            let (unit, out) = Unit::load(source, spec.0, spec, channels, conv, device)?;
            stem.push((unit, pools));
            channels = out;
        }
        let mut blocks = Vec::new();
        for (name, specs, halves) in BLOCKS {
            let mut branches = Vec::new();
            let mut sum = 0;
            for spec in specs {
                let (branch, out) = Branch::load(source, (name, halves), spec, channels, device)?;
                if name == SPATIAL_BLOCK && out < SPATIAL_CHANNELS {
                    let (name, expected) = (format!("{name}.branch1x1.conv"), vec![192, channels, 1, 1]);
                    return Err(Error::Shape { name, expected, found: vec![out, channels, 1, 1] });
                }
                branches.push(branch);
                sum += out;
            }
            blocks.push((name, branches));
            channels = sum;
        }
        let name = "fc.weight";
        let Some((shape, values)) = source.tensor(name)? else {
            return Err(Error::MissingTensor { name: name.into(), hint: String::new() });
        };
        if shape != [CLASSES, POOL] || channels != POOL {
            return Err(Error::Shape { name: name.into(), expected: vec![CLASSES, POOL], found: shape });
        }
        Ok(Self { stem, blocks, classifier: Param::buffer(values, &shape, device) })
    }

    /// Features of pictures `[B, 3, H, W]` with values 0..=255.
    pub fn features(&self, pictures: Tensor<4>, preparation: Preparation) -> InceptionFeatures {
        let batch = pictures.dims()[0];
        let mut x = preparation.apply(pictures);
        for (unit, pools) in &self.stem {
            x = unit.forward(x);
            if *pools {
                x = pool(x, Pool::MaxHalf);
            }
        }
        let mut spatial = None;
        for (name, branches) in &self.blocks {
            let outputs: Vec<_> = branches.iter().map(|branch| branch.forward(x.clone())).collect();
            if *name == SPATIAL_BLOCK {
                let first = outputs[0].clone().narrow(1, 0, SPATIAL_CHANNELS); // [B, 7, 17, 17]
                spatial = Some(first.permute([0, 2, 3, 1]).reshape([batch, SPATIAL]));
            }
            x = Tensor::cat(outputs, 1);
        }
        let [_, channels, h, w] = x.dims(); // [B, 2048, 8, 8]
        let pool = x.reshape([batch, channels, h * w]).mean_dim(2).reshape([batch, channels]);
        let logits = kernel::linear(pool.clone(), self.classifier.get(), None);
        let spatial = spatial.unwrap_or_else(|| panic!("{SPATIAL_BLOCK} is one of the blocks"));
        InceptionFeatures { pool, spatial, logits }
    }
}
