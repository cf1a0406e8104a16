//! A data set encoded once: posterior mean and deviation of every training picture and its mirror
//! image, as sharded safetensors. What the second stage of two-stage training learns from.
//!
//! ```text
//! DIR/cache.json               what was encoded by what; each shard's size and SHA-256
//! DIR/shard-00000.safetensors  mean, std, mean_flipped, std_flipped, [n, z, h, w] each
//! ```
//!
//! Encoding goes on where it was interrupted: a shard is written whole or not at all, and noted in
//! `cache.json` after that. Shards are checked against their hashes when the cache is opened.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::batches::pictures;
use super::evaluate::{BATCH, Progress};
pub use super::latent_index::{CacheIndex, INDEX};
use super::latent_index::{Shard, fingerprint, header, hex, verify};
use crate::data::pixels::planar_from_hwc;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::params::host;
use crate::run::disk::write_atomically;
use crate::vae::Vae;

/// The pictures that a run's `data.source` stands for: itself, or what its encoded latents were made of.
///
/// # Errors
/// A folder of encoded latents whose description cannot be read.
pub fn pictures_of(source: &str) -> Result<String> {
    let index = LatentStore::index_in(Path::new(source))?;
    Ok(index.map_or_else(|| source.to_string(), |index| index.source))
}

/// Encodes all training pictures of `dataset` with `vae` into `folder`, or goes on with that.
///
/// # Errors
/// A folder that holds a cache of other pictures or another autoencoder, a disk that refuses, or
/// when `progress` (over pictures) breaks off.
pub fn encode(
    dataset: &Dataset,
    vae: &Vae,
    (source, model): (String, String),
    folder: &Path,
    device: &Device,
    progress: Progress,
) -> Result<CacheIndex> {
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let fresh = CacheIndex::of(dataset, vae, source, model);
    let mut index = if folder.join(INDEX).exists() { CacheIndex::read(folder)? } else { fresh.clone() };
    if !index.same_job(&fresh) {
        let reason = "holds a cache of other pictures or of another autoencoder; name another --out";
        return Err(Error::file(folder, reason));
    }
    // What was damaged since is encoded anew, and all after it.
    let whole = (0..index.shards.len()).take_while(|i| verify(&index, folder, *i).is_ok()).count();
    index.shards.truncate(whole);
    for number in whole..index.num_shards() {
        let (shard, bytes) = encode_shard(dataset, vae, &index, number, device, progress)?;
        write_atomically(&folder.join(&shard.file), &bytes)?;
        index.shards.push(shard);
        index.write(folder)?;
    }
    index.write(folder)?;
    Ok(index)
}

fn encode_shard(
    dataset: &Dataset,
    vae: &Vae,
    index: &CacheIndex,
    number: usize,
    device: &Device,
    progress: Progress,
) -> Result<(Shard, Vec<u8>)> {
    let (px, values, plane) = (dataset.image_px(), index.values(), index.shape[1] * index.shape[2]);
    let mut parts: [Vec<f32>; 4] = Default::default(); // in the order of NAMES
    let mut sums = vec![[0.0; 3]; index.shape[0]];
    let all: Vec<usize> = index.range(number).collect();
    for chunk in all.chunks(BATCH) {
        for (flip, to) in [(false, [0, 2]), (true, [1, 3])] {
            let mut planar = vec![0; chunk.len() * 3 * px * px];
            for (planar, &picture) in planar.chunks_exact_mut(3 * px * px).zip(chunk) {
                planar_from_hwc(&dataset.image(Split::Train, picture), px, flip, planar);
            }
            let posterior = vae.encode(pictures(&planar, chunk.len(), px, device));
            let (mean, std) = (host(posterior.mean.clone()), host(posterior.std()));
            if mean.len() != chunk.len() * values || std.len() != mean.len() {
                return Err(Error::Device("the device failed while encoding".into()));
            }
            if !flip {
                let planes = mean.chunks_exact(plane).zip(std.chunks_exact(plane)).enumerate();
                for (at, (mean, std)) in planes {
                    let to = &mut sums[at % index.shape[0]];
                    to[0] += mean.iter().map(|v| f64::from(*v)).sum::<f64>();
                    to[1] += mean.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                    to[2] += std.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
                }
            }
            parts[to[0]].extend(mean);
            parts[to[1]].extend(std);
        }
        if progress((chunk[chunk.len() - 1] + 1) as u64).is_break() {
            return Err(Error::Stopped);
        }
    }
    let header = header(index, number);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(bytemuck::cast_slice(part)));
    let file = format!("shard-{number:05}.safetensors");
    Ok((Shard { file, sha256: hex(&bytes), sums }, bytes))
}

/// An opened cache.
#[derive(Debug)]
pub struct LatentStore {
    index: CacheIndex,
    folder: PathBuf,
    files: Vec<Option<File>>,
}

impl LatentStore {
    /// What a folder's `cache.json` says, or `None` when it has none.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn index_in(folder: &Path) -> Result<Option<CacheIndex>> {
        if folder.join(INDEX).is_file() { CacheIndex::read(folder).map(Some) } else { Ok(None) }
    }

    /// Opens the cache in `folder`, reading every shard once to check it.
    ///
    /// # Errors
    /// A cache that is not complete, or has changed.
    pub fn open(folder: &Path) -> Result<Self> {
        let index = CacheIndex::read(folder)?;
        (0..index.num_shards()).try_for_each(|number| verify(&index, folder, number))?;
        let files = (0..index.num_shards()).map(|_| None).collect();
        Ok(Self { index, folder: folder.to_path_buf(), files })
    }

    /// What it holds.
    pub fn index(&self) -> &CacheIndex {
        &self.index
    }

    /// Checks that it was made of these pictures by this autoencoder.
    ///
    /// # Errors
    /// [`Error::Config`] when it was not.
    pub fn check(&self, dataset: &Dataset, vae: &Vae) -> Result<()> {
        let folder = self.folder.display();
        if self.index.data != dataset.fingerprint() {
            let source = &self.index.source;
            return Err(Error::Config(format!(
                "{folder} was encoded of other pictures than {source} now holds, or of another size"
            )));
        }
        if self.index.vae != fingerprint(vae) {
            let model = &self.index.model;
            return Err(Error::Config(format!(
                "{folder} was encoded by another autoencoder: name {model} as --vae, or encode anew"
            )));
        }
        Ok(())
    }

    /// Mean, then deviation, of a picture's posterior, `[2z, h, w]`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn get(&mut self, picture: usize, flipped: bool) -> Result<Vec<f32>> {
        let (number, values) = (picture / self.index.per_shard, self.index.values());
        let path = self.folder.join(&self.index.shards[number].file);
        let failed = |e| Error::io("read", &path, e);
        let slot = &mut self.files[number];
        let file = match slot {
            Some(file) => file,
            None => slot.insert(File::open(&path).map_err(failed)?),
        };
        let count = self.index.range(number).len();
        let data = 8 + header(&self.index, number).len();
        let within = picture - number * self.index.per_shard;
        let mut bytes = vec![0; 2 * values * size_of::<f32>()];
        let (mean, std) = bytes.split_at_mut(values * size_of::<f32>());
        for (part, to) in [(usize::from(flipped), mean), (2 + usize::from(flipped), std)] {
            let at = data + (part * count + within) * values * size_of::<f32>();
            file.seek(SeekFrom::Start(at as u64)).and_then(|_| file.read_exact(to)).map_err(failed)?;
        }
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vae::VaeConfig;
    use burn::tensor::Tensor;
    use std::ops::ControlFlow;

    fn vae(seed: u64) -> Vae {
        Vae::new(&VaeConfig::plain(&[8, 8], 1, 2, 4, 8), seed, &crate::device::cpu()).unwrap()
    }

    fn encode_into(folder: &Path, dataset: &Dataset, vae: &Vae, stop_at: u64) -> Result<CacheIndex> {
        let names = ("pictures".to_string(), "model".to_string());
        encode(dataset, vae, names, folder, &crate::device::cpu(), &mut |done| {
            if done >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    #[test]
    fn records_are_what_the_autoencoder_says_of_pictures_and_mirror_images() {
        let dir = tempfile::tempdir().unwrap();
        let (dataset, vae, device) = (Dataset::of_shades(5, 8), vae(1), crate::device::cpu());
        assert!(LatentStore::index_in(dir.path()).unwrap().is_none());
        let index = encode_into(dir.path(), &dataset, &vae, 99).unwrap();
        assert_eq!((index.num, index.shape), (5, [2, 4, 4]));
        let mut store = LatentStore::open(dir.path()).unwrap();
        store.check(&dataset, &vae).unwrap();
        for flip in [false, true] {
            let mut planar = vec![0; 192];
            planar_from_hwc(&dataset.image(Split::Train, 3), 8, flip, &mut planar);
            let posterior = vae.encode(pictures(&planar, 1, 8, &device));
            let expected = host(Tensor::cat(vec![posterior.mean.clone(), posterior.std()], 1));
            let found = store.get(3, flip).unwrap();
            let apart =
                |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(apart(&found, &expected) < 1e-5);
            assert!(apart(&found, &store.get(2, flip).unwrap()) > 1e-4);
        }
        let (mean, std) = index.stats();
        assert!(mean.iter().all(|m| m.is_finite()) && std.iter().all(|s| *s > 0.0));
        let file = fs::read(dir.path().join("shard-00000.safetensors")).unwrap();
        let read = safetensors::SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.tensor("std_flipped").unwrap().shape(), [5, 2, 4, 4]);
    }

    #[test]
    fn an_interrupted_or_damaged_cache_is_completed_and_a_foreign_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (dataset, vae1) = (Dataset::of_shades(5, 8), vae(1));
        assert!(matches!(encode_into(dir.path(), &dataset, &vae1, 1), Err(Error::Stopped)));
        let first = encode_into(dir.path(), &dataset, &vae1, 99).unwrap();
        let shard = dir.path().join("shard-00000.safetensors");
        let mut bytes = fs::read(&shard).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&shard, &bytes).unwrap();
        let error = LatentStore::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has changed"), "{error}");
        assert_eq!(encode_into(dir.path(), &dataset, &vae1, 99).unwrap(), first);
        let store = LatentStore::open(dir.path()).unwrap();
        assert!(store.check(&dataset, &vae(2)).unwrap_err().to_string().contains("another autoencoder"));
        assert!(
            store.check(&Dataset::of_shades(4, 8), &vae1).unwrap_err().to_string().contains("other pictures")
        );
        assert!(encode_into(dir.path(), &dataset, &vae(2), 99).is_err());
        fs::write(dir.path().join(INDEX), "{}").unwrap();
        assert!(LatentStore::open(dir.path()).unwrap_err().to_string().contains("not a latent cache"));
    }
}
