//! What the commands that run an autoencoder have in common: model, device, size, tiles.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use tandem_core::data::Picture;
use tandem_core::device::{self, Chosen, DeviceChoice};
use tandem_core::eval::roundtrip::encode;
use tandem_core::formats::latents::LatentFile;
use tandem_core::formats::{OpenedVae, open_vae};
use tandem_core::vae::{Tiling, Vae};

/// The autoencoder and how to run it.
#[derive(Args)]
pub struct VaeArgs {
    /// A run folder, a diffusers folder, a .safetensors or a .pt.
    model: PathBuf,
    /// Tiles of this many pixels for pictures larger than that: bounds memory, blends seams.
    #[arg(long, value_name = "PX")]
    tile: Option<usize>,
    /// Share of a tile that overlaps the next.
    #[arg(long, default_value_t = 0.25, requires = "tile")]
    tile_overlap: f64,
    /// auto, cpu, gpu, gpu:N or software.
    #[arg(long, default_value = "auto")]
    device: String,
}

impl VaeArgs {
    /// Opens the autoencoder on the device.
    pub fn open(&self) -> Result<(Vae, Chosen)> {
        let chosen = device::choose(self.device.parse::<DeviceChoice>()?)?;
        let OpenedVae { mut vae, .. } = open_vae(&self.model, &chosen.device)?;
        if let Some(px) = self.tile {
            vae.enable_tiling(Some(Tiling::new(px, self.tile_overlap, vae.config().downsampling())?));
        }
        Ok((vae, chosen))
    }
}

/// An autoencoder and the pictures that it is to see.
#[derive(Args)]
pub struct PictureArgs {
    #[command(flatten)]
    vae: VaeArgs,
    /// Picture files.
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// The middle square of each picture, brought to this side; default: whole pictures.
    #[arg(long, value_name = "PX")]
    size: Option<usize>,
}

impl PictureArgs {
    /// Opens the autoencoder, and the pictures, each cut to what it takes.
    pub fn open(&self) -> Result<(Vae, Chosen, Vec<Picture>)> {
        let (vae, chosen) = self.vae.open()?;
        let factor = vae.config().downsampling();
        if let Some(size) = self.size
            && (size == 0 || !size.is_multiple_of(factor))
        {
            bail!("--size {size} is not a multiple of the autoencoder's factor {factor}");
        }
        let pictures = self.images.iter().map(|path| Ok(Picture::open(path, self.size, factor)?));
        let pictures = pictures.collect::<Result<_>>()?;
        Ok((vae, chosen, pictures))
    }

    /// Latents of all pictures, which must be of one size: `[N, z, h, w]`, means and deviations; and
    /// the pictures.
    pub fn encode(&self, normalize: bool) -> Result<(LatentFile, Vec<Picture>)> {
        let (vae, chosen, pictures) = self.open()?;
        let (mut mean, mut std, mut shape) = (Vec::new(), Vec::new(), [0, 0, 0]);
        for (picture, path) in pictures.iter().zip(&self.images) {
            let encoded = encode(&vae, picture, normalize, &chosen.device);
            if shape != [0, 0, 0] && shape != encoded.shape {
                bail!("{} is of another size than the pictures before it; use --size", path.display());
            }
            shape = encoded.shape;
            mean.extend(encoded.mean);
            std.extend(encoded.std);
        }
        let [c, h, w] = shape;
        let shape = [pictures.len(), c, h, w];
        Ok((LatentFile { shape, latents: mean, std: Some(std), normalized: normalize }, pictures))
    }
}

/// `FOLDER/STEM.png` for each picture, with a number where two would be the same.
pub fn output_names(paths: &[PathBuf], folder: &Path) -> Vec<PathBuf> {
    let mut used = std::collections::HashSet::new();
    let name = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut name = format!("{stem}.png");
        let mut number = 2;
        while !used.insert(name.clone()) {
            name = format!("{stem}-{number}.png");
            number += 1;
        }
        folder.join(name)
    };
    paths.iter().map(name).collect()
}

/// Makes a folder.
pub fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_the_same_name_do_not_overwrite_each_other() {
        let paths = ["a/x.png", "b/x.jpg", "y.png"].map(PathBuf::from);
        let names = output_names(&paths, Path::new("out"));
        assert_eq!(names, ["out/x.png", "out/x-2.png", "out/y.png"].map(PathBuf::from));
    }
}
