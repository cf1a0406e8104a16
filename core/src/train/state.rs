//! The trainer as a checkpoint and back: every tensor and counter that the next step depends on.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::params::{self, Param, Parameters};
use crate::run::{Checkpoint, NamedTensor};

/// Counters that are not tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    /// Seed of the run.
    pub seed: u64,
    /// Optimizer steps of autoencoder, transformer and discriminator.
    pub optimizer_steps: [u64; 3],
    /// Identifies the data set.
    pub data: String,
}

/// The tensors of a model under their names.
pub fn tensors<P: Parameters + Clone>(model: &P) -> Vec<NamedTensor> {
    params::named(model)
        .into_iter()
        .map(|(name, param)| NamedTensor { name, shape: param.shape().to_vec(), values: param.to_vec() })
        .collect()
}

/// Puts `tensors` back into `model`, which must have the same names and shapes.
///
/// # Errors
/// The first tensor that is missing or of another shape.
pub fn restore(model: &mut impl Parameters, tensors: &[NamedTensor], device: &Device) -> Result<()> {
    let by_name: std::collections::HashMap<&str, &NamedTensor> =
        tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut outcome = Ok(());
    params::visit(model, |name, param: &mut Param| {
        let found = by_name.get(name).copied();
        match found {
            _ if outcome.is_err() => {}
            Some(tensor) if tensor.shape == param.shape() => {
                let data = TensorData::new(tensor.values.clone(), [param.len()]);
                param.set(Tensor::from_data(data, device));
            }
            Some(tensor) => {
                outcome = Err(Error::Shape {
                    name: name.into(),
                    expected: param.shape().to_vec(),
                    found: tensor.shape.clone(),
                });
            }
            None => outcome = Err(Error::MissingTensor { name: name.into(), hint: String::new() }),
        }
    });
    outcome
}

fn parsed(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|e| Error::Config(format!("configuration: {e}")))
}

impl Trainer {
    /// All that the next step depends on; `extra` is the caller's own state beside it.
    pub fn checkpoint(&self, extra: serde_json::Value) -> Checkpoint {
        let mut files = std::collections::BTreeMap::new();
        let mut put = |name: &str, tensors: Vec<NamedTensor>| files.insert(name.to_string(), tensors);
        put("vae", tensors(&self.networks.vae));
        put("sit", tensors(&self.networks.sit));
        put("ema", tensors(self.ema.model()));
        put("discriminator", tensors(&self.networks.discriminator));
        put("optimizer_vae", tensors(&self.optimizers.vae));
        put("optimizer_sit", tensors(&self.optimizers.sit));
        put("optimizer_discriminator", tensors(&self.optimizers.discriminator));
        let trainer = TrainerState {
            seed: self.config.train.seed,
            optimizer_steps: [
                self.optimizers.vae.step(),
                self.optimizers.sit.step(),
                self.optimizers.discriminator.step(),
            ],
            data: self.batches.dataset().fingerprint(),
        };
        // The run's configuration cannot say everything about an autoencoder that came from elsewhere.
        let vae: serde_json::Value =
            self.networks.vae.config().to_json().and_then(|text| parsed(&text)).unwrap_or_default();
        let state = serde_json::json!({ "trainer": trainer, "run": extra, "vae": vae });
        Checkpoint { step: self.step_number(), files, state }
    }

    /// Takes over the tensors and counters of `checkpoint`.
    ///
    /// # Errors
    /// A checkpoint of other networks or of other data.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let state: TrainerState = serde_json::from_value(checkpoint.state["trainer"].clone())
            .map_err(|e| Error::Config(format!("the checkpoint's state cannot be read: {e}")))?;
        // A checkpoint that was made elsewhere does not know the pictures.
        if !state.data.is_empty() && state.data != self.batches.dataset().fingerprint() {
            return Err(Error::Data(
                "the pictures are not those that this run was trained on: name the same --data, unchanged"
                    .into(),
            ));
        }
        let device = self.device().clone();
        let file = |name: &str| {
            checkpoint.files.get(name).map(Vec::as_slice).ok_or_else(|| Error::MissingTensor {
                name: format!("{name}.safetensors"),
                hint: "; the checkpoint is not complete".into(),
            })
        };
        restore(&mut self.networks.vae, file("vae")?, &device)?;
        restore(&mut self.networks.sit, file("sit")?, &device)?;
        restore(self.ema.model_mut(), file("ema")?, &device)?;
        restore(&mut self.networks.discriminator, file("discriminator")?, &device)?;
        restore(&mut self.optimizers.vae, file("optimizer_vae")?, &device)?;
        restore(&mut self.optimizers.sit, file("optimizer_sit")?, &device)?;
        restore(&mut self.optimizers.discriminator, file("optimizer_discriminator")?, &device)?;
        let [vae, sit, discriminator] = state.optimizer_steps;
        self.optimizers.vae.set_step(vae);
        self.optimizers.sit.set_step(sit);
        self.optimizers.discriminator.set_step(discriminator);
        Ok(())
    }
}
