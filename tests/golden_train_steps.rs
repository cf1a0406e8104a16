//! Whole training steps against the original program: losses, gradient norms, latents, weights
//! after each recorded step; for repa-e, naive and repa.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;
#[path = "support/trained.rs"]
mod trained;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use support::{Golden, compare, devices};
use tandem_core::formats::compvis;
use tandem_core::kernel::optimizer::AdamW;
use tandem_core::params;
use tandem_core::sit::{Path, Sit};
use tandem_core::train::draws::Draws;
use tandem_core::train::ema::Ema;
use tandem_core::train::optim::OptimizerState;
use tandem_core::train::outcome::StepOutcome;
use tandem_core::train::step::{self, Examples, LossWeights, Method, Networks, StepContext};
use tandem_core::vae::discriminator::Discriminator;
use tandem_core::vae::loss::{PerceptualInput, VaeLossWeights};
use tandem_core::vae::perceptual::{Backbone, InputRange, Lpips};
use tandem_core::vae::{Vae, VaeConfig};
use trained::{check_model, check_trained};

fn vae_config(case: &Golden) -> VaeConfig {
    let at = |key: &str| case.usize_at(&format!("/geometry/vae/{key}"));
    let multiples = case.usizes_at("/geometry/vae/ch_mult");
    let channels: Vec<_> = multiples.iter().map(|m| m * at("ch")).collect();
    let mut config =
        VaeConfig::plain(&channels, at("num_res_blocks"), at("z_channels"), at("groups"), at("resolution"));
    let levels = channels.len();
    for level in 0..levels {
        let side = at("resolution") >> level;
        if case.usizes_at("/geometry/vae/attn_resolutions").contains(&side) {
            config.down_block_types[level] = "AttnDownEncoderBlock2D".into();
            config.up_block_types[levels - 1 - level] = "AttnUpDecoderBlock2D".into();
        }
    }
    config
}

struct Run {
    case: Golden,
    method: Method,
    networks: Networks,
    ema: [(&'static str, Ema, f64); 2],
    optimizers: [OptimizerState; 3],
    context: StepContext,
    levels: usize,
    device: Device,
}

impl Run {
    fn open(file: &str, method: Method, device: &Device) -> Self {
        let case = Golden::open(&format!("{file}.safetensors"));
        let below = |part: &str| case.below(&format!("init.{part}"));
        let mut sit = Sit::new(&case.sit_config("/geometry/sit"), 0, device).unwrap();
        sit.train_positions(method == Method::RepaE);
        params::load(&mut sit, &below("sit"), str::to_string, device).unwrap();
        let vae_config = vae_config(&case);
        let levels = vae_config.num_levels();
        let mut vae = Vae::new(&vae_config, 0, device).unwrap();
        let mut discriminator = Discriminator::new(case.usize_at("/geometry/ndf"), 3, 0, device);
        // The case of the transformer alone has no autoencoder; any LPIPS does for it.
        let joint = method.trains_vae();
        if joint {
            params::load(&mut vae, &below("vae"), |n| compvis::from_diffusers(n, levels), device).unwrap();
            params::load(&mut discriminator, &below("disc"), str::to_string, device).unwrap();
        }
        let full = Golden::open("train_steps.safetensors");
        let lpips = Lpips::load(Backbone::Vgg, &full.below("lpips"), device).unwrap();
        let hyper = |key: &str| case.at(&format!("/hyper/{key}")).as_f64().unwrap();
        let loss = |key: &str| case.at(&format!("/loss/losses/{key}")).as_f64().unwrap();
        let context = StepContext {
            method,
            path: serde_json::from_value::<Path>(case.at("/geometry/path_type").clone()).unwrap(),
            weights: LossWeights {
                vae: VaeLossWeights {
                    reconstruction: loss("reconstruction_weight"),
                    perceptual: loss("perceptual_weight"),
                    kl: loss("kl_weight"),
                    adversarial: loss("discriminator_weight"),
                },
                vae_align: hyper("vae_align_proj_coeff"),
                sit_align: hyper("proj_coeff"),
            },
            lpips: (lpips, PerceptualInput { px: case.usize_at("/geometry/px"), range: InputRange::Quirk }),
            counts_frozen_pass: true,
            teachers: Vec::new(),
        };
        let networks = Networks { vae, sit, discriminator };
        let optimizers = [
            OptimizerState::new(&networks.vae),
            OptimizerState::new(&networks.discriminator),
            OptimizerState::new(&networks.sit),
        ];
        let ema = [("ema", hyper("ema_decay")), ("ema_fast", hyper("ema_fast_decay"))]
            .map(|(name, decay)| (name, Ema::new(&networks.sit), decay));
        Self { method, networks, ema, optimizers, context, levels, device: device.clone(), case }
    }

    fn examples(&self, k: usize) -> (Examples, Draws) {
        let (case, device) = (&self.case, &self.device);
        let name = |part: &str| format!("s{k}.in.{part}");
        let moments = case.has(&name("moments")).then(|| {
            let both = case.tensor::<4>(&name("moments"), device);
            let z = both.dims()[1] / 2;
            (both.clone().narrow(1, 0, z), both.narrow(1, z, z))
        });
        let features = (0..)
            .map_while(|i| {
                case.has(&name(&format!("zs.{i}"))).then(|| case.tensor(&name(&format!("zs.{i}")), device))
            })
            .collect();
        let images = case.images(&name("image"), device);
        let examples = Examples { images, moments, labels: case.labels(&name("labels")), features };
        let draws = Draws {
            posterior_noise: case.tensor(&name("posterior_noise"), device),
            noise: case.tensor(&name("noise"), device),
            time: case.values(&name("time_draw")).to_vec(),
            drop_label: case.values(&name("drop_ids")).iter().map(|&d| d != 0.0).collect(),
        };
        (examples, draws)
    }

    /// Compares what the step found with what the reference logged.
    fn check_losses(&self, k: usize, outcome: &StepOutcome) {
        let weights = self.context.weights;
        let mut by_name: BTreeMap<&str, f32> = BTreeMap::new();
        for (name, value) in &outcome.losses {
            by_name.insert(name, value.clone().into_scalar::<f32>());
        }
        let mut seen = 0;
        let mut check = |stored: &str, ours: &str, factor: f64| {
            let stored = format!("s{k}.{stored}");
            if self.case.has(&stored) {
                self.case.check_values(&stored, &[(f64::from(by_name[ours]) * factor) as f32], 1.0);
                seen += 1;
            }
        };
        check("reconstruction_loss", "reconstruction_loss", weights.vae.reconstruction);
        check("perceptual_loss", "perceptual_loss", weights.vae.perceptual);
        check("kl_loss", "kl_loss", weights.vae.kl);
        check("gan_loss", "adversarial_loss", 1.0);
        check("weighted_gan_loss", "adversarial_loss", weights.vae.adversarial);
        check("vae_align_loss", "vae_align_loss", 1.0);
        check("logits_real", "logits_real", 1.0);
        check("logits_fake", "logits_fake", 1.0);
        check("d_loss", "discriminator_loss", 1.0);
        check("denoising_loss", "denoising_loss", 1.0);
        check("proj_loss", "align_loss", 1.0);
        check("sit_loss", "sit_loss", 1.0);
        assert!(seen >= 3, "step {k}: only {seen} losses to compare");
    }

    fn step(&mut self, k: usize, check: bool) {
        let (examples, draws) = self.examples(k);
        let mut outcome = step::run(&self.networks, &self.context, &examples, &draws);
        if check && self.case.has(&format!("s{k}.z")) {
            self.check_losses(k, &outcome);
            self.case.check(&format!("s{k}.z"), outcome.z.clone().unwrap(), 1.0);
        }
        let hyper = |key: &str| self.case.at(&format!("/hyper/{key}")).as_f64().unwrap();
        let betas = self.case.at("/hyper/betas");
        let adamw = AdamW {
            lr: hyper("lr"),
            betas: (betas[0].as_f64().unwrap(), betas[1].as_f64().unwrap()),
            eps: hyper("eps"),
            weight_decay: hyper("weight_decay"),
        };
        let max_norm = hyper("max_grad_norm");
        let Networks { vae, sit, discriminator } = &mut self.networks;
        let [vae_state, disc_state, sit_state] = &mut self.optimizers;
        let case = &self.case;
        let norm_of = |grads: &tandem_core::train::optim::Gradients, name: &str| -> Tensor<1> {
            let norm = grads.norm();
            let stored = format!("s{k}.grad_norm_{name}");
            if check && case.has(&stored) {
                case.check(&stored, norm.clone(), 1.0);
            }
            norm
        };
        if let Some(grads) = outcome.vae.take() {
            let norm = norm_of(&grads, "vae");
            vae_state.update(vae, grads, norm, (max_norm, adamw), &None);
        }
        if let Some(grads) = outcome.discriminator.take() {
            let norm = norm_of(&grads, "disc");
            disc_state.update(discriminator, grads, norm, (max_norm, adamw), &None);
        }
        if let Some(grads) = outcome.sit.take() {
            let norm = norm_of(&grads, "sit");
            sit_state.update(sit, grads, norm, (max_norm, adamw), &None);
        }
        outcome.absorb(&mut self.networks, &None);
        for (_, ema, decay) in &mut self.ema {
            ema.update(&self.networks.sit, *decay, &None);
        }
    }

    /// Compares all weights and buffers with `after{k}.*`.
    fn check_after(&self, k: usize) {
        let levels = self.levels;
        if self.method.trains_vae() {
            check_model(&self.case, "vae", k, &self.networks.vae, |n| compvis::from_diffusers(n, levels));
            check_model(&self.case, "disc", k, &self.networks.discriminator, str::to_string);
        }
        check_model(&self.case, "sit", k, &self.networks.sit, str::to_string);
        let recorded =
            |part: &str| self.case.file.names().any(|n| n.starts_with(&format!("after{k}.{part}.")));
        for (name, ema, _) in self.ema.iter().filter(|(name, ..)| *name == "ema" || recorded(name)) {
            check_model(&self.case, name, k, ema.model(), str::to_string);
        }
    }
}

fn follow(file: &str, method: Method) {
    for (device_name, device) in devices() {
        eprintln!("{file} on {device_name}");
        let mut run = Run::open(file, method, &device);
        check_first_gradients(&run, file);
        for k in 1..=run.case.usize_at("/geometry/steps") {
            run.step(k, true);
            if run.case.file.names().any(|n| n.starts_with(&format!("after{k}."))) {
                run.check_after(k);
            }
        }
    }
}

/// The gradients of step 1 before clipping.
fn check_first_gradients(run: &Run, file: &str) {
    let grads = Golden::open(&format!("{file}_grads.safetensors"));
    let (examples, draws) = run.examples(1);
    let outcome = step::run(&run.networks, &run.context, &examples, &draws);
    let levels = run.levels;
    let mut seen = 0;
    let mut check = |part: &str, names: Vec<String>, found: &tandem_core::train::optim::Gradients| {
        for (name, grad) in names.iter().zip(found.tensors()) {
            let stored = format!("g.{part}.{name}");
            if let (true, Some(grad)) = (grads.has(&stored), grad) {
                grads.check(&stored, grad.clone(), 1.0);
                seen += 1;
            }
        }
    };
    let weights = |named: Vec<(String, params::Param)>| -> Vec<String> {
        named.into_iter().filter(|(_, p)| p.role() == params::Role::Weight).map(|(n, _)| n).collect()
    };
    if let Some(found) = &outcome.vae {
        let names = weights(params::named(&run.networks.vae));
        check("vae", names.iter().map(|n| compvis::from_diffusers(n, levels)).collect(), found);
    }
    if let Some(found) = &outcome.discriminator {
        check("disc", weights(params::named(&run.networks.discriminator)), found);
    }
    if let Some(found) = &outcome.sit {
        check("sit", weights(params::named(&run.networks.sit)), found);
    }
    assert_eq!(
        seen,
        grads.file.names().filter(|n| n.starts_with("g.")).count(),
        "{file}: gradients of step 1"
    );
}

#[test]
fn golden_train_steps_repa_e() {
    follow("train_steps", Method::RepaE);
}

#[test]
fn golden_train_steps_naive() {
    follow("train_steps_naive", Method::Naive);
}

#[test]
fn golden_train_steps_repa() {
    follow("train_steps_repa", Method::Repa);
}

#[test]
fn golden_trained_weights_are_compared_strictly() {
    let fails = |actual: &[f32]| {
        let actual = actual.to_vec();
        std::panic::catch_unwind(move || check_trained("x", &actual, &[0.0; 1000], 1e-6, 1e-4, None)).is_err()
    };
    assert!(!fails(&[1e-7; 1000]));
    assert!(fails(&[2e-6; 1000]), "a shift of the whole tensor");
    let mut one = [0.0; 1000];
    one[3] = 5e-5;
    assert!(!fails(&one), "one value a step away");
    one[3] = 5e-4;
    assert!(fails(&one), "one value far away");
    compare("exact", &[1.0], &[1.0], 1e-6);
}
