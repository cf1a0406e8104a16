//! What is looked at between two steps: samples on request, the way of one sample from noise, and
//! how far a step moved the weights.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};

use super::message::{Answer, Question};
use crate::kernel::optimizer::global_norm;
use crate::params::{Parameters, host, named};
use crate::sit::Sit;
use crate::train::preview::{draw_path, draw_samples};
use crate::train::step::Networks;
use crate::vae::Vae;

/// Pictures that one question may ask for.
const MAX_PICTURES: usize = 64;
/// Steps that one question may ask for.
const MAX_STEPS: usize = 1000;

/// What questions are put to.
pub struct Models<'a> {
    /// The autoencoder.
    pub vae: &'a Vae,
    /// The averaged transformer, if the run has one.
    pub sit: Option<&'a Sit>,
    /// Where they live.
    pub device: &'a Device,
    /// Steps done.
    pub step: u64,
}

/// Answers `question`. Never fails: a question that cannot be answered comes back with its problem.
pub fn answer(models: &Models<'_>, question: &Question) -> Answer {
    let problem = match models.sit {
        None => Some("this run trains no transformer, so there is nothing to sample".into()),
        Some(sit) => problem(sit.config().num_classes, question),
    };
    let mut answer =
        Answer { id: question.id, step: models.step, pictures: Vec::new(), states: Vec::new(), problem };
    let Some(sit) = models.sit.filter(|_| answer.problem.is_none()) else { return answer };
    let Question { labels, seed, config, path_of, .. } = question;
    // A device that fails here must not end training; it will fail there by itself if it must.
    let drawn = catch_unwind(AssertUnwindSafe(|| match path_of {
        Some(index) => draw_path(models.vae, sit, labels[*index], (*seed, *index), *config, models.device),
        None => (draw_samples(models.vae, sit, labels, *seed, *config, models.device), Vec::new()),
    }));
    match drawn {
        Ok(drawn) => (answer.pictures, answer.states) = drawn,
        Err(_) => answer.problem = Some("the device failed while sampling".into()),
    }
    answer
}

fn problem(classes: usize, question: &Question) -> Option<String> {
    let Question { labels, config, path_of, .. } = question;
    if labels.is_empty() || labels.len() > MAX_PICTURES {
        return Some(format!("1 to {MAX_PICTURES} pictures can be asked for"));
    }
    if let Some(wrong) = labels.iter().find(|l| **l > classes) {
        return Some(format!("class {wrong} does not exist: the run has {classes}"));
    }
    if config.steps == 0 || config.steps > MAX_STEPS {
        return Some(format!("the solver takes 1 to {MAX_STEPS} steps"));
    }
    if path_of.is_some_and(|index| index >= labels.len()) {
        return Some("there is no such picture".into());
    }
    None
}

/// Norm of the change over norm of the weights, for each network that changed. Read back from the
/// device, once per preview.
pub fn update_ratios(before: &Networks, after: &Networks) -> Vec<(&'static str, f64)> {
    let all = [
        ("vae", ratio(&before.vae, &after.vae)),
        ("sit", ratio(&before.sit, &after.sit)),
        ("discriminator", ratio(&before.discriminator, &after.discriminator)),
    ];
    all.into_iter().filter(|(_, ratio)| *ratio > 0.0).collect()
}

fn ratio<P: Parameters + Clone>(before: &P, after: &P) -> f64 {
    let flat =
        |model: &P| named(model).into_iter().map(|(_, p)| p.flat().clone()).collect::<Vec<Tensor<1>>>();
    let (old, new) = (flat(before), flat(after));
    let change: Vec<_> = new.into_iter().zip(&old).map(|(new, old)| new - old.clone()).collect();
    let read = |tensors: &[Tensor<1>]| host(global_norm(tensors)).first().map_or(0.0, |n| f64::from(*n));
    let weight = read(&old);
    if weight > 0.0 { read(&change) / weight } else { 0.0 }
}
