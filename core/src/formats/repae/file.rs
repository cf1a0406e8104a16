//! A view on a checkpoint file of the reference: its sections and arguments.

use crate::error::{Error, Result};
use crate::files::pickle::Item;
use crate::files::{Below, TensorFile};
use crate::formats::geometry;
use crate::formats::naming;
use crate::params::TensorSource;
use crate::vae::VaeConfig;

/// A checkpoint with a transformer in it.
#[derive(Clone, Debug)]
pub struct RepaeFile<'a> {
    file: &'a TensorFile,
}

impl<'a> RepaeFile<'a> {
    /// `file` as a checkpoint of the reference, if it is one.
    pub fn of(file: &'a TensorFile) -> Option<Self> {
        let is = file.info("model/x_embedder.proj.weight").is_some()
            || file.info("ema/x_embedder.proj.weight").is_some();
        is.then_some(Self { file })
    }

    /// The file.
    pub fn file(&self) -> &'a TensorFile {
        self.file
    }

    /// Whether the section `name` has any tensor.
    pub fn has(&self, name: &str) -> bool {
        self.section(name).tensors().next().is_some()
    }

    /// Tensors of a section: `model`, `ema`, `vae`, `discriminator`.
    pub fn section(&self, name: &str) -> Below<'a> {
        self.file.below(&format!("{name}/"))
    }

    /// Whether everything is there that training needs to go on.
    pub fn is_complete(&self) -> bool {
        ["model", "ema", "vae", "discriminator", "opt", "opt_vae", "opt_disc"]
            .iter()
            .all(|name| self.has(name))
    }

    /// A value at the top of the checkpoint.
    fn root(&self, key: &str) -> Option<Item<'a>> {
        self.file.pickle()?.root().get(key)
    }

    /// An optimizer's groups of parameter numbers.
    pub(super) fn parameter_numbers(&self, optimizer: &str) -> Option<Vec<usize>> {
        let groups = self.root(optimizer)?.get("param_groups")?;
        let mut all = Vec::new();
        for group in groups.items() {
            for number in group.get("params")?.items() {
                all.push(number.as_usize()?);
            }
        }
        Some(all)
    }

    /// Steps done.
    pub fn steps(&self) -> Option<u64> {
        self.root("steps")?.as_int().and_then(|steps| u64::try_from(steps).ok())
    }

    /// An argument that the training program was started with.
    pub fn arg(&self, name: &str) -> Option<Item<'a>> {
        let args = self.root("args")?;
        args.state().unwrap_or(args).get(name)
    }

    /// A text argument.
    pub fn arg_text(&self, name: &str) -> Option<&'a str> {
        self.arg(name)?.as_str()
    }

    /// The geometry of the autoencoder where the tensors alone do not tell it: the number of groups is
    /// written into the arguments by this program's export.
    pub fn vae_config(&self) -> Option<VaeConfig> {
        let groups = self.arg("norm_num_groups")?.as_usize()?;
        geometry::infer_with_groups(&naming::find(self.file)?, groups).ok()
    }

    /// Mean and deviation of each latent channel: the averaged running statistics, inverted as the
    /// reference inverts them (no eps).
    ///
    /// # Errors
    /// Statistics that cannot be read.
    pub fn latent_stats(&self) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
        let ema = self.section("ema");
        let values = |name: &str| Ok::<_, Error>(ema.tensor(name)?.map(|(_, values)| values));
        Ok(match (values("bn.running_mean")?, values("bn.running_var")?) {
            (Some(mean), Some(var)) => Some((mean, var.iter().map(|v| v.sqrt()).collect())),
            _ => None,
        })
    }
}
