//! From a loss to changed weights: gradients in walk order, clipping, AdamW with its state.

use burn::tensor::Tensor;

use crate::kernel::optimizer::{self, AdamW, Gate, Slot};
use crate::kernel::profile;
use crate::params::{self, Param, Parameters, Role, Walk};

/// Gradients of a model's weights in walk order; `None` where the loss does not reach.
#[derive(Clone, Debug)]
pub struct Gradients(Vec<Option<Tensor<1>>>);

impl Gradients {
    /// Runs `loss` backwards and collects the gradients of each tracked model in `models`.
    /// Consumes the tape, hence several models at once.
    pub fn of<const K: usize>(loss: Tensor<1>, models: [&mut dyn Parameters; K]) -> [Self; K] {
        let mut grads = profile::phase("losses", || loss.backward());
        models.map(|model| {
            let mut all = Vec::new();
            let mut collect = |_: &str, param: &mut Param| {
                if param.role() == Role::Weight {
                    all.push(param.flat().grad_remove(&mut grads).map(|g| g.without_autodiff()));
                }
            };
            model.walk(&mut Walk::new(&mut collect));
            Self(all)
        })
    }

    /// Adds the gradients of another micro-batch.
    pub fn add(&mut self, other: Self) {
        for (sum, new) in self.0.iter_mut().zip(other.0) {
            *sum = match (sum.take(), new) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        }
    }

    /// Multiplies all gradients (one over the number of micro-batches).
    pub fn scale(&mut self, factor: f64) {
        for grad in self.0.iter_mut().flatten() {
            *grad = grad.clone() * factor;
        }
    }

    /// The global norm, a scalar `[1]` on the device.
    pub fn norm(&self) -> Tensor<1> {
        optimizer::global_norm(&self.0.iter().flatten().cloned().collect::<Vec<_>>())
    }

    /// The gradients, in walk order of the weights.
    pub fn tensors(&self) -> &[Option<Tensor<1>>] {
        &self.0
    }
}

/// AdamW's memory for one model.
#[derive(Clone, Debug)]
pub struct OptimizerState {
    moments: Vec<(String, Param, Param)>,
    step: u64,
}

impl OptimizerState {
    /// Zero moments for every weight of `model`.
    pub fn new<P: Parameters + Clone>(model: &P) -> Self {
        let moments = params::named(model)
            .into_iter()
            .filter(|(_, param)| param.role() == Role::Weight)
            .map(|(name, param)| {
                let zeros = || Param::buffer(vec![0.0; param.len()], param.shape(), &param.flat().device());
                (name, zeros(), zeros())
            })
            .collect();
        Self { moments, step: 0 }
    }

    /// Steps taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Sets the number of steps taken (when resuming).
    pub fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    /// Clips `grads` (whose global norm is `norm`) to `max_norm` and takes one AdamW step on `model`,
    /// unless the gate is shut.
    pub fn update(
        &mut self,
        model: &mut impl Parameters,
        grads: Gradients,
        norm: Tensor<1>,
        (max_norm, config): (f64, AdamW),
        gate: &Gate,
    ) {
        self.step += 1;
        let clip = optimizer::clip_factor(norm, max_norm);
        let mut grads = grads.0.into_iter();
        let mut moments = self.moments.iter_mut();
        let mut slots = Vec::new();
        params::visit(model, |_, param| {
            if param.role() == Role::Weight
                && let (Some(grad), Some((_, m, v))) = (grads.next(), moments.next())
                && let Some(grad) = grad
            {
                slots.push(Slot { value: param.take(), grad, m: m.take(), v: v.take() });
            }
        });
        let mut slots = optimizer::adamw(slots, config, self.step, &clip, gate).into_iter();
        let mut moments = self.moments.iter_mut();
        params::visit(model, |_, param| {
            if param.role() == Role::Weight
                && let Some((_, m, v)) = moments.next()
                && param.flat().dims()[0] == 0
                && let Some(slot) = slots.next()
            {
                param.set(slot.value);
                m.set(slot.m);
                v.set(slot.v);
            }
        });
    }
}

impl Parameters for OptimizerState {
    fn walk(&mut self, walk: &mut Walk) {
        for (name, m, v) in &mut self.moments {
            walk.param(&format!("{name}.m"), m);
            walk.param(&format!("{name}.v"), v);
        }
    }
}
