//! AdamW's memory as PyTorch saves it: by parameter number, each with step, mean and mean square.

use super::file::RepaeFile;
use super::order::is_buffer;
use crate::error::{Error, Result};
use crate::files::NamedTensor;
use crate::params::TensorSource;

/// Moments by parameter name, and steps taken.
pub(super) struct Moments {
    /// `(name, mean, mean square)`.
    pub(super) all: Vec<(String, Vec<f32>, Vec<f32>)>,
    /// Steps taken.
    pub(super) steps: u64,
}

/// Reads the optimizer `section` of the parameters of `model` (names in the order of its state dict);
/// `skipped` parameters of something else stand before them.
pub(super) fn read(file: &RepaeFile, section: &str, model: &str, skipped: usize) -> Result<Moments> {
    let bad = |reason: String| Error::file(file.file().origin(), reason);
    let names: Vec<&str> =
        file.section(model).tensors().map(|(name, _)| name).filter(|name| !is_buffer(name)).collect();
    let numbers = file
        .parameter_numbers(section)
        .ok_or_else(|| bad(format!("{section} is not an optimizer's state")))?;
    let fits =
        if skipped == 0 { numbers.len() == names.len() } else { numbers.len() >= names.len() + skipped };
    if !fits {
        return Err(bad(format!(
            "{section} is of {} parameters, {model} has {}",
            numbers.len(),
            names.len() + skipped
        )));
    }
    let states = file.section(section).below("state/");
    let (mut all, mut steps) = (Vec::new(), 0u64);
    for (number, name) in numbers.iter().skip(skipped).zip(names) {
        let state = states.below(&format!("{number}/"));
        // A parameter that never had a gradient has no state.
        let (Some(mean), Some(square)) = (state.tensor("exp_avg")?, state.tensor("exp_avg_sq")?) else {
            continue;
        };
        let shape = file.section(model).info(name).map(|info| info.shape.clone()).unwrap_or_default();
        if mean.0 != shape || square.0 != shape {
            let reason =
                format!("{section}: the state of {name} is of shape {:?}, expected {shape:?}", mean.0);
            return Err(bad(reason));
        }
        if let Some((_, step)) = state.tensor("step")? {
            steps = steps.max(step.first().copied().unwrap_or(0.0) as u64);
        }
        all.push((name.to_string(), mean.1, square.1));
    }
    Ok(Moments { all, steps })
}

impl Moments {
    /// The tensors of this program's optimizer state for parameters of these names and shapes; a
    /// parameter without state has zeros.
    pub(super) fn named<'a>(
        mut self,
        weights: impl Iterator<Item = (String, &'a [usize])>,
        stored: impl Fn(&str) -> String,
    ) -> Vec<NamedTensor> {
        let mut out = Vec::new();
        for (name, shape) in weights {
            let count: usize = shape.iter().product();
            let at = self.all.iter().position(|(theirs, ..)| *theirs == stored(&name));
            let (mean, square) = match at {
                Some(at) => {
                    let (_, mean, square) = self.all.swap_remove(at);
                    (mean, square)
                }
                None => (vec![0.0; count], vec![0.0; count]),
            };
            for (end, values) in [("m", mean), ("v", square)] {
                out.push(NamedTensor { name: format!("{name}.{end}"), shape: shape.to_vec(), values });
            }
        }
        out
    }
}
