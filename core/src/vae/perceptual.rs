//! LPIPS (Zhang et al. 2018, version 0.1 heads): a frozen AlexNet or VGG16 whose features are
//! compared layer by layer.
//!
//! Names are REPA-E's (`net.slice1.0.weight`, `lin0.model.1.weight`). The reference's training
//! loss computes 2x − 1 of pictures that already lie in [−1, 1] (repae/loss/lpips.py is written
//! for [0, 1]); [`InputRange::Quirk`] reproduces that, evaluation uses [`InputRange::Sound`].

use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::kernel::{self, Activation, Conv};
use crate::layers::Conv2d;
use crate::params::{Param, Parameters, TensorSource, Walk};

const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// The network whose features are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    /// AlexNet: small and fast; the laptop presets.
    Alex,
    /// VGG16: the reference.
    Vgg,
}

/// What happens to pictures in [−1, 1] before the network's own normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputRange {
    /// Nothing: LPIPS as it was calibrated.
    Sound,
    /// `2x − 1`, as the reference trains.
    Quirk,
}

/// One convolution of a backbone: index in `features`, input and output channels, kernel size, geometry.
struct Spec {
    index: usize,
    size: usize,
    conv: Conv,
}

const fn spec(index: usize, size: usize, conv: Conv) -> Spec {
    Spec { index, size, conv }
}

impl Backbone {
    /// Convolutions per slice; a slice ends at the tap after its last ReLU.
    fn slices(self) -> Vec<Vec<Spec>> {
        let same = |index| spec(index, 3, Conv::new(1, 1));
        match self {
            Self::Alex => vec![
                vec![spec(0, 11, Conv::new(4, 2))],
                vec![spec(3, 5, Conv::new(1, 2))],
                vec![same(6)],
                vec![same(8)],
                vec![same(10)],
            ],
            Self::Vgg => vec![
                vec![same(0), same(2)],
                vec![same(5), same(7)],
                vec![same(10), same(12), same(14)],
                vec![same(17), same(19), same(21)],
                vec![same(24), same(26), same(28)],
            ],
        }
    }

    /// Window of the max-pool (stride 2) in front of slice `slice`, if there is one.
    fn pool_before(self, slice: usize) -> Option<usize> {
        match self {
            Self::Alex => matches!(slice, 1 | 2).then_some(3),
            Self::Vgg => (slice > 0).then_some(2),
        }
    }
}

#[derive(Clone, Debug)]
struct Slice {
    convs: Vec<(usize, Conv2d)>,
    pool: Option<usize>,
    head: Param,
}

/// The frozen distance.
#[derive(Clone, Debug)]
pub struct Lpips {
    slices: Vec<Slice>,
    shift: Tensor<4>,
    scale: Tensor<4>,
}

impl Lpips {
    /// Reads backbone and heads from `source`; channel counts come from its tensors. Names may be
    /// REPA-E's (`net.slice1.0.weight`) or torchvision's (`features.0.weight`).
    ///
    /// # Errors
    /// A tensor that is missing or of the wrong shape.
    pub fn load(backbone: Backbone, source: &dyn TensorSource, device: &Device) -> Result<Self> {
        let mut slices = Vec::new();
        let mut from = 3;
        for (s, specs) in backbone.slices().into_iter().enumerate() {
            let mut convs = Vec::new();
            let mut channels = 0;
            for Spec { index, size, conv } in specs {
                let (weight, bias) = read_conv(source, s, index, (from, size), device)?;
                channels = weight.shape()[0];
                from = channels;
                convs.push((index, Conv2d::from_parts(weight, Some(bias), conv)));
            }
            // The lpips package saves its heads under a second name too.
            let names = [format!("lin{s}.model.1.weight"), format!("lins.{s}.model.1.weight")];
            let head = read(source, &names, device)?;
            if head.len() != channels {
                return Err(Error::Shape {
                    name: format!("lin{s}.model.1.weight"),
                    expected: vec![1, channels, 1, 1],
                    found: head.shape().to_vec(),
                });
            }
            slices.push(Slice { convs, pool: backbone.pool_before(s), head });
        }
        let row = |values: [f32; 3]| Tensor::<1>::from_floats(values, device).reshape([1, 3, 1, 1]);
        Ok(Self { slices, shift: row(SHIFT), scale: row(SCALE) })
    }

    /// Features after the last ReLU of each slice, for pictures `[B, 3, H, W]` in [−1, 1].
    pub fn features(&self, x: Tensor<4>, range: InputRange) -> Vec<Tensor<4>> {
        let x = match range {
            InputRange::Sound => x,
            InputRange::Quirk => x * 2.0 - 1.0,
        };
        let mut h = (x - self.shift.clone()) / self.scale.clone();
        let mut taps = Vec::new();
        for slice in &self.slices {
            if let Some(window) = slice.pool {
                let options = MaxPoolOptions::new([window; 2]).with_stride([2; 2]);
                h = burn::tensor::module::max_pool2d(h, options);
            }
            for (_, conv) in &slice.convs {
                h = conv.forward_activated(h, Activation::Relu);
            }
            taps.push(h.clone());
        }
        taps
    }

    /// Distance of each pair `[B]` from features; `a`'s are constants, the gradient goes to `b`.
    pub fn distance(&self, a: &[Tensor<4>], b: Vec<Tensor<4>>) -> Tensor<1> {
        let layers = self.slices.iter().zip(a).zip(b).map(|((slice, a), b)| {
            kernel::perceptual::layer_distance(a.clone(), b, slice.head.flat().clone())
        });
        layers.reduce(|sum, layer| sum + layer).unwrap_or_else(|| panic!("LPIPS has five slices"))
    }
}

impl Parameters for Lpips {
    fn walk(&mut self, walk: &mut Walk) {
        for (s, slice) in self.slices.iter_mut().enumerate() {
            for (index, conv) in &mut slice.convs {
                walk.part(&format!("net.slice{}.{index}", s + 1), conv);
            }
            walk.param(&format!("lin{s}.model.1.weight"), &mut slice.head);
        }
    }
}

fn read_conv(
    source: &dyn TensorSource,
    slice: usize,
    index: usize,
    (from, size): (usize, usize),
    device: &Device,
) -> Result<(Param, Param)> {
    let names =
        |what: &str| [format!("net.slice{}.{index}.{what}", slice + 1), format!("features.{index}.{what}")];
    let (weight, bias) = (read(source, &names("weight"), device)?, read(source, &names("bias"), device)?);
    let out = weight.shape().first().copied().unwrap_or(0);
    let wrong = |what: &str, expected: Vec<usize>, param: &Param| {
        let name = names(what)[0].clone();
        Err(Error::Shape { name, expected, found: param.shape().to_vec() })
    };
    if weight.is_empty() || weight.shape() != [out, from, size, size] {
        return wrong("weight", vec![out, from, size, size], &weight);
    }
    if bias.shape() != [out] {
        return wrong("bias", vec![out], &bias);
    }
    Ok((weight, bias))
}

/// The first of `names` that `source` has.
fn read(source: &dyn TensorSource, names: &[String], device: &Device) -> Result<Param> {
    for name in names {
        if let Some((shape, values)) = source.tensor(name)? {
            return Ok(Param::buffer(values, &shape, device));
        }
    }
    Err(Error::MissingTensor { name: names.join(" or "), hint: String::new() })
}
