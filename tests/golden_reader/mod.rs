//! Reads a golden file and compares with it, by the tolerances the file itself carries.
//!
//! The folder is `TANDEM_GOLDEN`, else `shared/golden` beside the repository.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests only")]

use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// One golden file.
pub struct Golden {
    name: String,
    bytes: Vec<u8>,
    config: Value,
    tolerance: Value,
}

impl Golden {
    /// Opens `name` in the golden folder.
    pub fn open(name: &str) -> Self {
        let folder = std::env::var_os("TANDEM_GOLDEN").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden")),
            PathBuf::from,
        );
        let path = folder.join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let texts = header.metadata().as_ref().unwrap();
        let json = |key: &str| serde_json::from_str(&texts[key]).unwrap();
        Self { name: name.into(), config: json("config"), tolerance: json("tolerance"), bytes }
    }

    /// A list of sizes in the file's `config`.
    pub fn config_shape<const D: usize>(&self, key: &str) -> [usize; D] {
        let sizes: Vec<usize> = serde_json::from_value(self.config[key].clone()).unwrap();
        sizes.try_into().unwrap()
    }

    /// The shape of a tensor.
    pub fn shape(&self, tensor: &str) -> Vec<usize> {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(tensor).unwrap().shape().to_vec()
    }

    fn data(&self, tensor: &str, shape: &[usize], dtype: Dtype) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(tensor).unwrap_or_else(|e| panic!("{} {tensor}: {e}", self.name));
        assert_eq!((view.shape(), view.dtype()), (shape, dtype), "{} {tensor}", self.name);
        view.data().to_vec()
    }

    /// The values of an F32 tensor, which must have `shape`.
    pub fn f32(&self, tensor: &str, shape: &[usize]) -> Vec<f32> {
        let bytes = self.data(tensor, shape, Dtype::F32);
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// The values of a U8 tensor, which must have `shape`.
    pub fn u8(&self, tensor: &str, shape: &[usize]) -> Vec<u8> {
        self.data(tensor, shape, Dtype::U8)
    }

    /// Demands that `found` is the F32 tensor within its tolerance, and that a changed copy is not.
    pub fn compare(&self, tensor: &str, shape: &[usize], found: &[f32]) {
        let bound = self.tolerance[tensor].as_f64().unwrap_or_else(|| panic!("no tolerance for {tensor}"));
        self.judge(tensor, &self.f32(tensor, shape), found, bound);
    }

    /// The same for a U8 tensor; without a tolerance it must be equal.
    pub fn compare_u8(&self, tensor: &str, shape: &[usize], found: &[u8]) {
        let wide = |values: &[u8]| values.iter().map(|x| f32::from(*x)).collect::<Vec<_>>();
        let bound = self.tolerance[tensor].as_f64().unwrap_or(0.0);
        self.judge(tensor, &wide(&self.u8(tensor, shape)), &wide(found), bound);
    }

    fn judge(&self, tensor: &str, expected: &[f32], found: &[f32], bound: f64) {
        for at in [0, expected.len() - 1] {
            let mut changed = expected.to_vec();
            // Twice the bound, or where f32 cannot show that, a little more than a rounding.
            changed[at] += (2.0 * bound).max(f64::from(changed[at].abs()) * 1e-6).max(1e-30) as f32;
            assert!(distance(expected, &changed) > bound, "{tensor}: a changed value {at} passes");
        }
        let far = distance(expected, found);
        assert!(far <= bound, "{} {tensor}: off by {far:e}, at most {bound:e}", self.name);
    }
}

/// The largest absolute difference; infinite for other lengths or NaN.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let differences = a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).abs());
    differences.fold(0.0, |worst, x| if x.is_nan() { f64::INFINITY } else { worst.max(x) })
}
