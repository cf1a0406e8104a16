//! A whole training checkpoint of the reference: every tensor is read, its networks give its outputs,
//! training goes on from it as it does there, and it is written again tensor for tensor.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;
#[path = "support/torch.rs"]
mod torch;
#[path = "support/trained.rs"]
mod trained;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use support::{Golden, devices, golden_dir};
use tandem_core::files::TensorFile;
use tandem_core::formats::repae::{Imported, RepaeFile, export_run, import};
use tandem_core::formats::{compvis, open_vae};
use tandem_core::params::TensorSource;
use tandem_core::sit::Sit;
use tandem_core::train::draws::Draws;
use tandem_core::train::ema::Ema;
use tandem_core::train::optim::OptimizerState;
use tandem_core::train::restored::{sit_geometry, vae_of_checkpoint};
use tandem_core::train::state::{TrainerState, restore};
use tandem_core::train::step::{self, Examples, Method, Networks, StepContext};
use tandem_core::vae::discriminator::Discriminator;
use tandem_core::vae::loss::PerceptualInput;
use tandem_core::vae::perceptual::{Backbone, InputRange, Lpips};
use trained::check_model;

fn checkpoint_file() -> TensorFile {
    TensorFile::open(&golden_dir().join("repae_checkpoint.pt")).unwrap()
}

fn imported(case: &Golden, device: &Device) -> Imported {
    let file = checkpoint_file();
    // The transformer's name is none of the published ones, so its heads have to be told.
    let heads = format!("sit.heads={}", case.usize_at("/geometry/sit/num_heads"));
    let repae = RepaeFile::of(&file).unwrap();
    assert!(repae.is_complete());
    let untold = import(&repae, None, &[], device).err().unwrap().to_string();
    assert!(untold.contains("sit.heads"), "{untold}");
    import(&repae, None, &[heads], device).unwrap()
}

/// What a run resumes with.
struct Run {
    networks: Networks,
    ema: Ema,
    optimizers: [OptimizerState; 3],
}

impl Run {
    fn new(Imported { config, checkpoint, .. }: &Imported, device: &Device) -> Self {
        let file = |name: &str| checkpoint.files[name].as_slice();
        let vae = vae_of_checkpoint(checkpoint, config, device).unwrap();
        let load_sit = |name: &str| {
            let mut sit = Sit::unset(&sit_geometry(config, file(name)).unwrap(), device).unwrap();
            sit.train_positions(config.sit.train_positions);
            restore(&mut sit, file(name), device).unwrap();
            sit
        };
        let (sit, averaged) = (load_sit("sit"), load_sit("ema"));
        let size = &config.discriminator;
        let mut discriminator = Discriminator::new(size.width, size.layers, 0, device);
        restore(&mut discriminator, file("discriminator"), device).unwrap();
        let mut optimizers =
            [OptimizerState::new(&vae), OptimizerState::new(&sit), OptimizerState::new(&discriminator)];
        let state: TrainerState = serde_json::from_value(checkpoint.state["trainer"].clone()).unwrap();
        let names = ["optimizer_vae", "optimizer_sit", "optimizer_discriminator"];
        for ((optimizer, name), steps) in optimizers.iter_mut().zip(names).zip(state.optimizer_steps) {
            restore(optimizer, file(name), device).unwrap();
            optimizer.set_step(steps);
            assert_eq!(steps, checkpoint.step, "{name}");
        }
        Self { networks: Networks { vae, sit, discriminator }, ema: Ema::new(&averaged), optimizers }
    }
}

#[test]
fn golden_repae_checkpoint_is_read_to_the_last_tensor() {
    let file = checkpoint_file();
    let text = std::fs::read_to_string(golden_dir().join("repae_checkpoint.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sums = expected["sums"].as_object().unwrap();
    for (path, sum) in sums {
        let (_, values) = file.tensor(path).unwrap().unwrap_or_else(|| panic!("{path} is missing"));
        let (s, q) =
            values.iter().fold((0.0f64, 0.0f64), |(s, q), &v| (s + f64::from(v), q + f64::from(v).powi(2)));
        let (es, eq) = (sum[0].as_f64().unwrap(), sum[1].as_f64().unwrap());
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs() + 1e-9 * values.len() as f64;
        assert!(near(q, eq) && near(s, es), "{path}: {s} {q}, expected {es} {eq}");
        assert!(!near(q * 1.001 + 1e-3, eq), "{path}: the comparison cannot fail");
    }
    assert_eq!(file.len(), sums.len());
    let repae = RepaeFile::of(&file).unwrap();
    assert_eq!(repae.steps(), Some(2));
    assert_eq!(repae.arg_text("model"), Some("SiT-T/2"));
    assert_eq!(repae.arg("learning_rate").unwrap().as_f64(), Some(1e-4));
}

#[test]
fn golden_repae_checkpoint_gives_its_outputs() {
    let case = Golden::open("repae_checkpoint.io.safetensors");
    for (_, device) in devices() {
        let run = Run::new(&imported(&case, &device), &device);
        let Networks { vae, sit, discriminator } = &run.networks;
        let x = case.tensor::<4>("x", &device);
        let posterior = vae.encode(x.clone());
        case.check("vae.mean", posterior.mean.clone(), 1.0);
        case.check("vae.logvar", posterior.logvar.clone(), 1.0);
        case.check("vae.recon", vae.decode(posterior.mode()), 1.0);
        let x_t = case.tensor::<4>("x_t", &device);
        let (t, y) = (case.values("t"), case.labels("y"));
        case.check("sit.model", sit.velocity(x_t.clone(), t, &y), 1.0);
        case.check("sit.ema", run.ema.model().velocity(x_t, t, &y), 1.0);
        case.check("disc.logits", discriminator.forward_running(x), 1.0);
    }
}

#[test]
fn golden_repae_checkpoint_opens_as_an_autoencoder_with_its_statistics() {
    let case = Golden::open("repae_checkpoint.io.safetensors");
    let device = tandem_core::device::cpu();
    let opened = open_vae(&golden_dir().join("repae_checkpoint.pt"), &device).unwrap();
    let config = opened.vae.config();
    let narrow =
        |values: &Option<Vec<f64>>| values.as_ref().unwrap().iter().map(|&v| v as f32).collect::<Vec<_>>();
    let scale: Vec<f32> = narrow(&config.latents_std).iter().map(|s| 1.0 / s).collect();
    case.check_values("latents_bias", &narrow(&config.latents_mean), 1.0);
    case.check_values("latents_scale", &scale, 4.0);
    case.check("vae.mean", opened.vae.encode(case.tensor("x", &device)).mean, 1.0);
    assert_eq!(opened.step, Some(2));
}

fn draws(case: &Golden, device: &Device) -> (Examples, Draws) {
    let name = |part: &str| format!("s3.in.{part}");
    let examples = Examples {
        images: case.images(&name("image"), device),
        moments: None,
        labels: case.labels(&name("labels")),
        features: vec![case.tensor(&name("zs.0"), device)],
    };
    let draws = Draws {
        posterior_noise: case.tensor(&name("posterior_noise"), device),
        noise: case.tensor(&name("noise"), device),
        time: case.values(&name("time_draw")).to_vec(),
        drop_label: case.values(&name("drop_ids")).iter().map(|&d| d != 0.0).collect(),
    };
    (examples, draws)
}

#[test]
fn golden_repae_checkpoint_trains_on_as_the_reference_does() {
    let case = Golden::open("repae_checkpoint.io.safetensors");
    for (device_name, device) in devices() {
        eprintln!("step 3 on {device_name}");
        let imported = imported(&case, &device);
        let config = &imported.config;
        assert_eq!(config.method, Method::RepaE);
        let Run { mut networks, mut ema, optimizers } = Run::new(&imported, &device);
        let [mut vae_state, mut sit_state, mut critic_state] = optimizers;
        let lpips = Lpips::load(Backbone::Vgg, &case.below("lpips"), &device).unwrap();
        let context = StepContext {
            method: config.method,
            path: config.sit.path,
            weights: config.loss_weights(),
            lpips: (lpips, PerceptualInput { px: case.usize_at("/geometry/px"), range: InputRange::Quirk }),
            counts_frozen_pass: true,
            teachers: Vec::new(),
        };
        let (examples, draws) = draws(&case, &device);
        let mut outcome = step::run(&networks, &context, &examples, &draws);
        let by_name: BTreeMap<_, Tensor<1>> = outcome.losses.iter().cloned().collect();
        for (stored, ours) in
            [("denoising_loss", "denoising_loss"), ("d_loss", "discriminator_loss"), ("sit_loss", "sit_loss")]
        {
            case.check(&format!("s3.{stored}"), by_name[ours].clone(), 1.0);
        }
        let rule = |lr: f64| (config.optim.max_grad_norm, config.adamw(lr));
        let Networks { vae, sit, discriminator } = &mut networks;
        let grads = outcome.vae.take().unwrap();
        vae_state.update(vae, grads.clone(), grads.norm(), rule(config.optim.vae_lr), &None);
        let grads = outcome.discriminator.take().unwrap();
        critic_state.update(
            discriminator,
            grads.clone(),
            grads.norm(),
            rule(config.optim.discriminator_lr),
            &None,
        );
        let grads = outcome.sit.take().unwrap();
        sit_state.update(sit, grads.clone(), grads.norm(), rule(config.optim.sit_lr), &None);
        outcome.absorb(&mut networks, &None);
        ema.update(&networks.sit, config.ema_decay(2), &None);
        let levels = networks.vae.config().num_levels();
        check_model(&case, "vae", 3, &networks.vae, |n| compvis::from_diffusers(n, levels));
        check_model(&case, "disc", 3, &networks.discriminator, str::to_string);
        check_model(&case, "sit", 3, &networks.sit, str::to_string);
        check_model(&case, "ema", 3, ema.model(), str::to_string);
    }
}

#[test]
fn golden_repae_checkpoint_is_written_again_tensor_for_tensor() {
    let case = Golden::open("repae_checkpoint.io.safetensors");
    let device = tandem_core::device::cpu();
    let imported = imported(&case, &device);
    let vae = vae_of_checkpoint(&imported.checkpoint, &imported.config, &device).unwrap();
    let file = checkpoint_file();
    let out = tempfile::tempdir().unwrap();
    let done = export_run(&imported.config, &imported.checkpoint, &vae, out.path()).unwrap();
    assert!(done.notes.iter().any(|note| note.contains("SiT")), "{:?}", done.notes);
    let written = TensorFile::open(&out.path().join("checkpoints/0000002.pt")).unwrap();
    assert_eq!(written.len(), file.len());
    for (ours, theirs) in written.tensors().zip(file.tensors()) {
        // The same names in the same order: an optimizer knows parameters by their number.
        assert_eq!(ours, theirs);
        assert_eq!(written.raw(&ours.name), file.raw(&ours.name), "{}", ours.name);
    }
    let (a, b) = (RepaeFile::of(&written).unwrap(), RepaeFile::of(&file).unwrap());
    assert_eq!(a.steps(), b.steps());
    for name in [
        "num_classes",
        "encoder_depth",
        "resolution",
        "batch_size",
        "learning_rate",
        "cfg_prob",
        "proj_coeff",
    ] {
        assert_eq!(a.arg(name).unwrap().as_f64(), b.arg(name).unwrap().as_f64(), "{name}");
    }
    for name in ["path_type", "weighting", "enc_type", "vae", "prediction"] {
        assert_eq!(a.arg_text(name), b.arg_text(name), "{name}");
    }
    // The autoencoder's own files open too, with the statistics beside.
    let opened = open_vae(&out.path().join("vae.pt"), &device).unwrap();
    case.check("vae.mean", opened.vae.encode(case.tensor("x", &device)).mean, 1.0);
    let stats = TensorFile::open(&out.path().join("vae-latents-stats.pt")).unwrap();
    for name in ["latents_bias", "latents_scale"] {
        case.check_values(name, &stats.tensor(name).unwrap().unwrap().1, 4.0);
    }
}

#[test]
fn golden_repae_transformer_alone_needs_its_autoencoder() {
    let case = Golden::open("repae_checkpoint.io.safetensors");
    let device = tandem_core::device::cpu();
    let whole = imported(&case, &device);
    let out = tempfile::tempdir().unwrap();
    let vae = vae_of_checkpoint(&whole.checkpoint, &whole.config, &device).unwrap();
    export_run(&whole.config, &whole.checkpoint, &vae, out.path()).unwrap();
    let alone = torch::without(
        &out.path().join("checkpoints/0000002.pt"),
        &["vae", "discriminator", "opt_vae", "opt_disc"],
    );
    let repae = RepaeFile::of(&alone).unwrap();
    let settings = ["sit.heads=2".to_string()];
    let error = import(&repae, None, &settings, &device).err().unwrap().to_string();
    assert!(error.contains("vae.pt") && error.contains("--vae"), "{error}");
    let imported = import(&repae, Some(vae), &settings, &device).unwrap();
    assert_eq!(imported.config.method, Method::Repa);
    assert_eq!(imported.checkpoint.files["sit"], whole.checkpoint.files["sit"]);
}
