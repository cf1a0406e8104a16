//! What golden tests share: where the cases lie, how numbers are compared, on which devices.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod formula;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use tandem_core::device::{self, Chosen, DeviceChoice};
use tandem_core::error::Result;
use tandem_core::files::TensorFile;
use tandem_core::params::{TensorSource, host};
use tandem_core::sit::SitConfig;

/// The golden folder: `TANDEM_GOLDEN`, else the shared one.
pub fn golden_dir() -> PathBuf {
    std::env::var_os("TANDEM_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden"), PathBuf::from)
}

/// A file of the shared folder that is no golden case: published weights, pictures.
pub fn shared(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name)
}

/// The adapter that stands for a GPU: a software one, or what `TANDEM_ADAPTER` names (`gpu`, `gpu:1`).
/// A missing adapter fails, unless `TANDEM_NO_GPU=1` waives it.
pub fn adapter() -> Option<Chosen> {
    if std::env::var("TANDEM_NO_GPU").is_ok_and(|v| v == "1") {
        eprintln!("TANDEM_NO_GPU=1: the adapter is waived");
        return None;
    }
    let wanted = std::env::var("TANDEM_ADAPTER").unwrap_or_else(|_| DeviceChoice::Software.to_string());
    let choice = wanted.parse().expect("TANDEM_ADAPTER names a device");
    let chosen = device::choose(choice);
    Some(
        chosen.expect(
            "no such adapter (install mesa-vulkan-drivers for a software one, or set TANDEM_NO_GPU=1)",
        ),
    )
}

/// The devices on which a case runs: the CPU, and the [`adapter`].
pub fn devices() -> Vec<(&'static str, Device)> {
    let mut all = vec![("cpu", device::cpu())];
    all.extend(adapter().map(|chosen| ("adapter", chosen.device)));
    all
}

/// One golden file.
pub struct Golden {
    pub name: String,
    pub file: TensorFile,
    values: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    pub config: serde_json::Value,
    tolerance: serde_json::Value,
}

impl Golden {
    /// Opens `name` (relative to the golden folder, with its extension).
    pub fn open(name: &str) -> Self {
        Self::open_in(&golden_dir(), name)
    }

    /// Opens `name` of tests/fixtures.
    pub fn fixture(name: &str) -> Self {
        Self::open_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures"), name)
    }

    fn open_in(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let file = TensorFile::open(&path).unwrap_or_else(|e| panic!("{e}"));
        let json = |key: &str| {
            let text = file.metadata(key).unwrap_or_else(|| panic!("{name}: no {key} in the metadata"));
            serde_json::from_str(text).unwrap()
        };
        let values = file.names().map(|name| (name.to_string(), file.tensor(name).unwrap().unwrap()));
        Self {
            name: name.into(),
            config: json("config"),
            tolerance: json("tolerance"),
            values: values.collect(),
            file,
        }
    }

    /// Geometry value `config[a][b]…`.
    pub fn at(&self, pointer: &str) -> &serde_json::Value {
        self.config.pointer(pointer).unwrap_or_else(|| panic!("{}: no {pointer} in config", self.name))
    }

    pub fn usize_at(&self, pointer: &str) -> usize {
        self.at(pointer).as_u64().unwrap() as usize
    }

    pub fn usizes_at(&self, pointer: &str) -> Vec<usize> {
        self.at(pointer).as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn values(&self, name: &str) -> &[f32] {
        &self.values.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name)).1
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.values.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name)).0
    }

    pub fn labels(&self, name: &str) -> Vec<usize> {
        self.values(name).iter().map(|&v| v as usize).collect()
    }

    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let shape: [usize; D] = self.shape(name).try_into().unwrap_or_else(|_| panic!("{name}: rank"));
        Tensor::from_data(TensorData::new(self.values(name).to_vec(), shape), device)
    }

    /// Pictures stored as u8, in [-1, 1].
    pub fn images(&self, name: &str, device: &Device) -> Tensor<4> {
        self.tensor::<4>(name, device) / 127.5 - 1.0
    }

    /// A tensor of bytes.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let values = self.values(name);
        assert!(values.iter().all(|v| v.fract() == 0.0 && (0.0..=255.0).contains(v)), "{name}: not bytes");
        values.iter().map(|&v| v as u8).collect()
    }

    /// The tensors below `prefix`, to load a model from.
    pub fn below(&self, prefix: &str) -> Below<'_> {
        Below { golden: self, prefix: prefix.into() }
    }

    /// The transformer's geometry below `pointer` in the configuration.
    pub fn sit_config(&self, pointer: &str) -> SitConfig {
        let at = |key: &str| self.usize_at(&format!("{pointer}/{key}"));
        SitConfig {
            input_size: at("input_size"),
            patch_size: at("patch_size"),
            in_channels: at("in_channels"),
            hidden_size: at("hidden_size"),
            depth: at("depth"),
            num_heads: at("num_heads"),
            mlp_ratio: self.config.get("mlp_ratio").map_or(4.0, |r| r.as_f64().unwrap()),
            num_classes: at("num_classes"),
            encoder_depth: at("encoder_depth"),
            z_dims: self.usizes_at(&format!("{pointer}/z_dims")),
            projector_dim: at("projector_dim"),
            qk_norm: self.at(&format!("{pointer}/qk_norm")).as_bool().unwrap(),
            bn_momentum: self.at(&format!("{pointer}/bn_momentum")).as_f64().unwrap() as f32,
        }
    }

    pub fn has_tolerance(&self, name: &str) -> bool {
        self.tolerance[name].is_number()
    }

    pub fn tolerance(&self, name: &str) -> f32 {
        self.tolerance[name].as_f64().unwrap_or_else(|| panic!("{}: no tolerance for {name}", self.name))
            as f32
    }

    /// Compares with the stored tensor `name`, on its own tolerance times `slack`.
    pub fn check<const D: usize>(&self, name: &str, actual: Tensor<D>, slack: f32) {
        self.check_values(name, &host(actual), slack);
    }

    /// Compares bytes: within the tolerance if the file has one, else exactly.
    pub fn check_bytes(&self, name: &str, actual: &[u8]) {
        let bound = self.tolerance[name].as_f64().unwrap_or(0.0) as f32;
        let actual: Vec<f32> = actual.iter().map(|&b| f32::from(b)).collect();
        compare(&format!("{}: {name}", self.name), &actual, self.values(name), bound);
    }

    pub fn check_values(&self, name: &str, actual: &[f32], slack: f32) {
        let bound = self.tolerance(name) * slack;
        compare(&format!("{}: {name}", self.name), actual, self.values(name), bound);
    }
}

/// Tensors of a golden file below a prefix, under their own names.
pub struct Below<'a> {
    golden: &'a Golden,
    prefix: String,
}

impl TensorSource for Below<'_> {
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        self.golden.file.tensor(&format!("{}.{name}", self.prefix))
    }
}

/// Asserts that no value differs by more than `bound`, after proving that the first or the last
/// value moved by twice the bound would be noticed.
pub fn compare(what: &str, actual: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of values");
    assert!(!actual.is_empty(), "{what}: nothing to compare");
    for at in [0, expected.len() - 1] {
        let mut moved = expected.to_vec();
        // Where f32 cannot show twice the bound, a little more than a rounding.
        moved[at] += (2.0 * bound + moved[at].abs() * 1e-6).max(1e-30);
        assert!(largest_difference(&moved, expected) > bound, "{what}: the comparison cannot fail");
    }
    let worst = largest_difference(actual, expected);
    assert!(worst <= bound, "{what}: differs by {worst:e}, allowed is {bound:e}");
}

/// The largest absolute difference; infinite when any value is not a number.
pub fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, |worst, d| if d.is_nan() { f32::INFINITY } else { worst.max(d) })
}
