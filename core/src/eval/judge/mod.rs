//! The network whose features judge pictures: a small classifier that comes with the program, or
//! weights from a file (Inception, VGG16, AlexNet).
//! Only figures by Inception may be called FID.
//!
//! A network that a run was trained against is no judge of it: [`Judge::check_independent`].

mod small;

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::inception::{Inception, Preparation};
use crate::error::{Error, Result};
use crate::files::TensorFile;
use crate::kernel::resample::{Filter, resize};
use crate::params::{TensorSource, host};
use crate::vae::perceptual::{Backbone, InputRange, Lpips};
use crate::weights;
use small::SmallClassifier;

/// The judge that is taken when none is named.
pub const DEFAULT: &str = "tandem-judge";
/// Pictures smaller than this are enlarged for VGG16 and AlexNet, which halve them up to 32 times.
const BACKBONE_PX: usize = 64;
/// Channels of the spatial features, as the ADM suite takes them of Inception.
const SPATIAL_CHANNELS: usize = 7;

#[allow(clippy::large_enum_variant, reason = "there is one of it in a program")]
enum Network {
    Small(Box<SmallClassifier>),
    Backbone(Backbone, Box<Lpips>),
    Inception(Box<Inception>),
}

/// What the judge says about a batch of pictures.
#[derive(Debug, Clone)]
pub struct Features {
    /// `[B, width]`: Fréchet distance, KID, precision and recall.
    pub pooled: Vec<f32>,
    /// Values of one picture in `pooled`.
    pub width: usize,
    /// `[B, spatial width]`: sFID, which looks at where things are.
    pub spatial: Vec<f32>,
    /// Class scores `[B, classes]`: inception score.
    pub logits: Option<Vec<f32>>,
}

/// A loaded judge.
pub struct Judge {
    network: Network,
    name: String,
    device: Device,
}

impl Judge {
    /// The judge called `name` (tandem-judge, lpips-alex), or the one whose
    /// weights are in the file of that path.
    ///
    /// # Errors
    /// An unknown name, or a file that holds no network that is known here.
    pub fn open(name: &str, device: &Device) -> Result<Self> {
        let network = match name {
            DEFAULT => Network::Small(Box::new(SmallClassifier::load(&weights::judge()?, device)?)),
            "lpips-alex" => Self::backbone(Backbone::Alex, &weights::lpips_alex()?, device)?,
            path if Path::new(path).is_file() => return Self::from_file(Path::new(path), device),
            other => {
                return Err(Error::Config(format!(
                    "no judge is called {other}, and no such file exists; known are {DEFAULT}, \
                     lpips-alex, or a file of Inception, VGG16 or AlexNet weights"
                )));
            }
        };
        Ok(Self { network, name: name.into(), device: device.clone() })
    }

    fn from_file(path: &Path, device: &Device) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let has = |names: [&str; 2]| names.iter().any(|name| file.tensor(name).is_ok_and(|t| t.is_some()));
        let (network, name) = if has(["Mixed_6d.branch1x1.conv.weight"; 2]) {
            (Network::Inception(Box::new(Inception::load(&file, device)?)), "inception")
        } else if has(["net.slice5.28.weight", "features.28.weight"]) {
            (Self::backbone(Backbone::Vgg, &file, device)?, "lpips-vgg16")
        } else if has(["net.slice5.10.weight", "features.10.weight"]) {
            (Self::backbone(Backbone::Alex, &file, device)?, "lpips-alex")
        } else {
            return Err(Error::file(path, "holds no network that can judge (Inception, VGG16 or AlexNet)"));
        };
        Ok(Self { network, name: name.into(), device: device.clone() })
    }

    fn backbone(kind: Backbone, source: &dyn TensorSource, device: &Device) -> Result<Network> {
        Ok(Network::Backbone(kind, Box::new(Lpips::load(kind, source, device)?)))
    }

    /// What the features are called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the network of published figures.
    pub fn is_inception(&self) -> bool {
        matches!(self.network, Network::Inception(_))
    }

    /// What a Fréchet distance by this judge may be called.
    pub fn distance_name(&self) -> String {
        if self.is_inception() { "FID".into() } else { format!("Frechet distance ({} features)", self.name) }
    }

    /// Refuses to judge a run that was trained against this network: against the backbone of its
    /// perceptual loss. (Teachers are no judges.)
    ///
    /// # Errors
    /// [`Error::Config`] that names another judge.
    pub fn check_independent(&self, perceptual: Backbone) -> Result<()> {
        let trained_against = match &self.network {
            Network::Backbone(kind, _) => perceptual == *kind,
            Network::Small(_) | Network::Inception(_) => false,
        };
        if trained_against {
            return Err(Error::Config(format!(
                "the run was trained against {}, which therefore cannot judge it; take --features {DEFAULT}, or a file",
                self.name
            )));
        }
        Ok(())
    }

    /// Features of planar bytes `[B, 3, px, px]`.
    pub fn features(&self, planar: &[u8], px: usize) -> Features {
        let count = planar.len() / (3 * px * px).max(1);
        let values: Vec<f32> = planar.iter().map(|byte| f32::from(*byte)).collect();
        let data = burn::tensor::TensorData::new(values, [count, 3, px, px]);
        let bytes = Tensor::<4>::from_data(data, &self.device);
        let x = bytes.clone() / 127.5 - 1.0;
        let (grid, deep, logits) = match &self.network {
            Network::Inception(net) => {
                // As torch-fidelity and the ADM suite bring pictures to 299 px.
                let found = net.features(bytes, Preparation::TorchFidelity);
                let width = found.pool.dims()[1];
                let logits = Some(host(found.logits));
                return Features { pooled: host(found.pool), width, spatial: host(found.spatial), logits };
            }
            Network::Small(net) => net.forward(x),
            Network::Backbone(_, net) => {
                let side = px.max(BACKBONE_PX);
                let mut taps = net.features(resize(x, side, Filter::Bilinear), InputRange::Sound);
                let deep = taps.remove(4);
                (taps.remove(3), deep, None)
            }
        };
        let [_, channels, height, width] = grid.dims();
        let spatial = grid.narrow(1, 0, SPATIAL_CHANNELS.min(channels)).permute([0, 2, 3, 1]);
        let spatial = host(spatial.reshape([count, height * width * SPATIAL_CHANNELS.min(channels)]));
        let width = deep.dims()[1];
        Features { pooled: host(means(deep)), width, spatial, logits: logits.map(host) }
    }
}

/// Mean over positions, `[B, C, H, W]` → `[B, C]`.
fn means(x: Tensor<4>) -> Tensor<2> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h * w]).mean_dim(2).reshape([b, c])
}
