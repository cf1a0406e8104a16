//! What `cache.json` of encoded latents says: what was encoded by what, and each shard's hash.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::state::tensors;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::run::disk::write_atomically;
use crate::vae::Vae;

/// The description of a cache.
pub const INDEX: &str = "cache.json";
const FORMAT: u32 = 1;
/// A shard holds about so many bytes.
const SHARD_BYTES: usize = 64 << 20;
/// Tensors of a shard, in file order (by name), and where a record's halves lie.
const NAMES: [&str; 4] = ["mean", "mean_flipped", "std", "std_flipped"];

/// What `cache.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheIndex {
    format: u32,
    /// What `--data` named, absolute; the teacher still looks at the pictures.
    pub source: String,
    /// The model whose autoencoder encoded, absolute.
    pub model: String,
    /// Fingerprints of pictures and autoencoder.
    pub(super) data: String,
    pub(super) vae: String,
    /// Pictures.
    pub num: usize,
    pub(super) per_shard: usize,
    /// Channels, height and width of a latent.
    pub shape: [usize; 3],
    pub(super) shards: Vec<Shard>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shard {
    pub file: String,
    pub sha256: String,
    /// Sums over the shard's latents for each channel: of means, their squares, variances.
    pub sums: Vec<[f64; 3]>,
}

impl CacheIndex {
    pub(super) fn of(dataset: &Dataset, vae: &Vae, source: String, model: String) -> Self {
        let side = dataset.image_px() / vae.config().downsampling();
        let shape = [vae.config().latent_channels, side, side];
        let record = 4 * shape.iter().product::<usize>() * size_of::<f32>();
        Self {
            format: FORMAT,
            source,
            model,
            data: dataset.fingerprint(),
            vae: fingerprint(vae),
            num: dataset.len(Split::Train),
            per_shard: (SHARD_BYTES / record).max(1),
            shape,
            shards: Vec::new(),
        }
    }

    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(INDEX);
        let text = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
        let index: Self = serde_json::from_str(&text)
            .map_err(|e| Error::file(&path, format!("not a latent cache: {e}")))?;
        let sane = index.format == FORMAT
            && (1..=1 << 32).contains(&index.per_shard)
            && index.num <= 1 << 40
            && index.shape.iter().all(|n| (1..=65536).contains(n));
        if !sane {
            return Err(Error::file(
                &path,
                format!("is a latent cache of format {}; {FORMAT} is read", index.format),
            ));
        }
        Ok(index)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(INDEX);
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::file(&path, e.to_string()))?;
        write_atomically(&path, &text)
    }

    pub(super) fn same_job(&self, other: &Self) -> bool {
        let job = |index: &Self| Self {
            shards: Vec::new(),
            source: String::new(),
            model: String::new(),
            ..index.clone()
        };
        job(self) == job(other)
    }

    pub(super) fn num_shards(&self) -> usize {
        self.num.div_ceil(self.per_shard)
    }

    pub(super) fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Pictures of shard `number`.
    pub(super) fn range(&self, number: usize) -> std::ops::Range<usize> {
        number * self.per_shard..((number + 1) * self.per_shard).min(self.num)
    }

    /// Mean and deviation of each channel of the *samples* of all posteriors.
    pub fn stats(&self) -> (Vec<f32>, Vec<f32>) {
        let count = (self.num * self.shape[1] * self.shape[2]) as f64;
        let sum = |channel: usize, which: usize| {
            self.shards
                .iter()
                .filter_map(|shard| shard.sums.get(channel))
                .map(|sums| sums[which])
                .sum::<f64>()
                / count
        };
        (0..self.shape[0])
            .map(|channel| {
                let mean = sum(channel, 0);
                let variance = sum(channel, 1) - mean * mean + sum(channel, 2);
                (mean as f32, variance.max(1e-12).sqrt() as f32)
            })
            .unzip()
    }
}

/// A shard's safetensors header: it follows from the index, so reading needs no parser.
pub(super) fn header(index: &CacheIndex, number: usize) -> String {
    let count = index.range(number).len();
    let [z, h, w] = index.shape;
    let bytes = count * index.values() * size_of::<f32>();
    let entries: Vec<String> = NAMES
        .iter()
        .enumerate()
        .map(|(k, name)| {
            let (start, end) = (k * bytes, (k + 1) * bytes);
            format!(
                r#""{name}":{{"dtype":"F32","shape":[{count},{z},{h},{w}],"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let text = format!("{{{}}}", entries.join(","));
    let padding = text.len().next_multiple_of(8) - text.len();
    text + &" ".repeat(padding)
}

pub(super) fn verify(index: &CacheIndex, folder: &Path, number: usize) -> Result<()> {
    let Some(shard) = index.shards.get(number) else {
        return Err(Error::file(
            folder,
            "the cache is not complete; the same tandem cache command goes on with it",
        ));
    };
    let plain = !shard.file.contains(['/', '\\']) && shard.sums.len() == index.shape[0];
    let path = folder.join(&shard.file);
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    if !plain
        || hex(&bytes) != shard.sha256
        || !bytes.get(8..).is_some_and(|rest| rest.starts_with(header(index, number).as_bytes()))
    {
        return Err(Error::file(
            &path,
            "has changed since it was encoded; the same tandem cache command repairs it",
        ));
    }
    Ok(())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 over all tensors of an autoencoder.
pub(super) fn fingerprint(vae: &Vae) -> String {
    let mut hash = Sha256::new();
    for tensor in tensors(vae) {
        hash.update(tensor.name.as_bytes());
        hash.update(bytemuck::cast_slice::<f32, u8>(&tensor.values));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
