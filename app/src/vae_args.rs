//! What the commands that run an autoencoder have in common: model, device, size, tiles.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use tandem_core::data::Picture;
use tandem_core::device::{self, Chosen, DeviceChoice};
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

/// The pictures named, each cut to what the autoencoder takes.
pub fn pictures(paths: &[PathBuf], size: Option<usize>, vae: &Vae) -> Result<Vec<Picture>> {
    let factor = vae.config().downsampling();
    if let Some(size) = size
        && (size == 0 || !size.is_multiple_of(factor))
    {
        anyhow::bail!("--size {size} is not a multiple of the autoencoder's factor {factor}");
    }
    paths.iter().map(|path| Ok(Picture::open(path, size, factor)?)).collect()
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
