//! The exponential moving average of the transformer: parameters *and* running statistics, as
//! the reference averages float buffers too. It is what samples are drawn from.

use crate::kernel::optimizer::{self, Gate};
use crate::params::{self, Param};
use crate::sit::Sit;

/// A transformer whose every value is an average.
#[derive(Clone, Debug)]
pub struct Ema(Sit);

impl Ema {
    /// Starts as a copy.
    pub fn new(sit: &Sit) -> Self {
        Self(sit.clone())
    }

    /// `average = decay · average + (1 − decay) · value`, if the gate is open.
    pub fn update(&mut self, sit: &Sit, decay: f64, gate: &Gate) {
        let values = params::named(sit).into_iter().map(|(_, p)| p.flat().clone()).collect();
        let mut averages = Vec::new();
        params::visit(&mut self.0, |_, param: &mut Param| averages.push(param.take()));
        let mut updated = optimizer::ema(averages, values, decay, gate).into_iter();
        params::visit(&mut self.0, |_, param| {
            if let Some(value) = updated.next() {
                param.set(value);
            }
        });
    }

    /// The averaged transformer.
    pub fn model(&self) -> &Sit {
        &self.0
    }

    /// The averaged transformer, to load into.
    pub fn model_mut(&mut self) -> &mut Sit {
        &mut self.0
    }
}
