//! The transformer and its tables against the reference: alignment only, evaluation, training,
//! the sampler's entry; values and gradients, on the CPU and on a software adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::{Device, Tensor};
use support::{Golden, compare, devices, golden_dir};
use tandem_core::align::alignment_loss;
use tandem_core::params;
use tandem_core::sit::{Path, Sit, SitOutput, Weighting, position_table, time_table};
use tandem_core::train::optim::Gradients;

struct Case {
    golden: Golden,
    sit: Sit,
    path: Path,
    t: Vec<f32>,
    labels: Vec<usize>,
    dropped: Vec<usize>,
    features: Vec<Tensor<3>>,
    device: Device,
}

impl Case {
    fn open(file: &str, device: &Device) -> Self {
        let golden = Golden::open(file);
        let mut sit = Sit::new(&golden.sit_config("/geometry"), 0, device).unwrap();
        params::load(&mut sit, &golden.below("w"), str::to_string, device).unwrap();
        let path: Path = serde_json::from_value(golden.at("/geometry/path_type").clone()).unwrap();
        let weighting: Weighting = serde_json::from_value(golden.at("/geometry/weighting").clone()).unwrap();
        let t: Vec<f32> = golden.values("time_draw").iter().map(|&d| path.time(d, weighting)).collect();
        golden.check_values("time_input", &t, 1.0);
        let labels = golden.labels("y");
        let null = sit.config().null_label();
        let rate = golden.at("/class_dropout_prob").as_f64().unwrap() as f32;
        let drops: Vec<bool> = golden.values("drop_draw").iter().map(|&d| d < rate).collect();
        let stored: Vec<bool> = golden.values("drop_ids").iter().map(|&d| d != 0.0).collect();
        assert_eq!(drops, stored);
        let dropped = labels.iter().zip(drops).map(|(&y, drop)| if drop { null } else { y }).collect();
        let features = (0..)
            .map_while(|k| golden.has(&format!("zs.{k}")).then(|| golden.tensor(&format!("zs.{k}"), device)));
        let features = features.collect();
        Self { sit, path, t, labels, dropped, features, device: device.clone(), golden }
    }

    fn x(&self) -> Tensor<4> {
        self.golden.tensor("x", &self.device)
    }

    fn noise(&self) -> Tensor<4> {
        self.golden.tensor("noise", &self.device)
    }
}

fn cases() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("sit_") && name.ends_with(".safetensors"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no sit_* cases");
    names
}

fn each_case(run: impl Fn(&Case)) {
    for (device_name, device) in devices() {
        for name in cases() {
            eprintln!("{name} on {device_name}");
            run(&Case::open(&name, &device));
        }
    }
}

/// Mean over everything but the batch.
fn per_sample(x: Tensor<4>) -> Tensor<1> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c * h * w]).mean_dim(1).reshape([b])
}

#[test]
fn golden_sit_aligns_as_the_reference() {
    each_case(|case| {
        let x = case.x().autodiff().require_grad();
        let x_t =
            case.path.interpolate(case.sit.latent_norm.normalize_running(x.clone()), case.noise(), &case.t);
        let early = case.sit.velocity_at_align_depth(x_t.clone().without_autodiff(), &case.t, &case.labels);
        case.golden.check("align.model_output", early, 1.0);
        let projected = case.sit.project(x_t, &case.t, &case.labels);
        for (k, tokens) in projected.iter().enumerate() {
            case.golden.check(&format!("align.zs_tilde.{k}"), tokens.clone(), 1.0);
        }
        let loss = alignment_loss(projected, &case.features);
        case.golden.check("align.proj_loss", loss.clone(), 1.0);
        case.golden.check("align.gx", x.grad(&loss.backward()).unwrap(), 1.0);
    });
}

#[test]
fn golden_sit_evaluates_as_the_reference() {
    each_case(|case| {
        let normal = case.sit.latent_norm.normalize_running(case.x());
        let x_t = case.path.interpolate(normal.clone(), case.noise(), &case.t);
        let SitOutput { velocity, projected } = case.sit.forward(x_t, &case.t, &case.labels);
        let target = case.path.velocity(normal, case.noise(), &case.t);
        case.golden.check("eval.model_output", velocity.clone(), 1.0);
        case.golden.check("eval.denoising_loss", per_sample((velocity - target).square()), 1.0);
        case.golden.check("eval.proj_loss", alignment_loss(projected, &case.features), 1.0);

        let (x_t, t, y) =
            (case.golden.tensor("x_t", &case.device), case.golden.values("t"), case.golden.labels("y"));
        case.golden.check("infer.model_output", case.sit.velocity(x_t.clone(), t, &y), 1.0);
        let depth = case.golden.usize_at("/feats_depth");
        case.golden.check("infer.feats", case.sit.features(x_t, t, &y, depth), 1.0);
    });
}

#[test]
fn golden_sit_trains_as_the_reference() {
    each_case(|case| {
        let mut sit = case.sit.clone();
        sit.train_positions(case.golden.has("g.pos_embed"));
        let mut tracked = params::tracked(&sit);
        let x = case.x().autodiff().require_grad();
        let (normal, stats) = case.sit.latent_norm.normalize_batch(x.clone());
        let x_t = case.path.interpolate(normal.clone(), case.noise(), &case.t);
        let target = case.path.velocity(normal, case.noise(), &case.t);
        let SitOutput { velocity, projected } = tracked.forward(x_t, &case.t, &case.dropped);
        case.golden.check("train.model_output", velocity.clone(), 1.0);
        for (k, tokens) in projected.iter().enumerate() {
            case.golden.check(&format!("train.zs_tilde.{k}"), tokens.clone(), 1.0);
        }
        let denoising = per_sample((velocity - target).square());
        case.golden.check("train.denoising_loss", denoising.clone(), 1.0);
        let align = alignment_loss(projected, &case.features);
        case.golden.check("train.proj_loss", align.clone(), 1.0);
        // One backward gives both: the tape is consumed, so the latent's gradient comes first.
        let loss = denoising.mean() + align * 0.5;
        let grads = loss.clone().backward();
        case.golden.check("train.gx", x.grad(&grads).unwrap(), 1.0);
        let mut found = 0;
        params::visit(&mut tracked, |name, param| {
            if param.role() == params::Role::Weight {
                let grad = param.flat().grad(&grads).unwrap_or_else(|| panic!("{name}: no gradient"));
                case.golden.check(&format!("g.{name}"), grad, 1.0);
                found += 1;
            }
        });
        assert_eq!(found, case.golden.file.names().filter(|n| n.starts_with("g.")).count());
        sit.latent_norm.absorb(stats, &None);
        let named = params::named(&sit.latent_norm);
        case.golden.check_values("train.bn_running_mean", &named[0].1.to_vec(), 1.0);
        case.golden.check_values("train.bn_running_var", &named[1].1.to_vec(), 1.0);
    });
}

#[test]
fn golden_tables_of_positions_and_times() {
    let case = Golden::open("tables.safetensors");
    let t = case.values("t").to_vec();
    let mut seen = 0;
    for name in case.file.names().filter(|n| n.contains(".d")) {
        let number = |prefix: char| -> usize {
            let part = name.split('.').find(|p| p.starts_with(prefix) && p[1..].parse::<usize>().is_ok());
            part.unwrap()[1..].parse().unwrap()
        };
        let actual = if name.starts_with("pos_embed") {
            position_table(number('g'), number('d'))
        } else {
            time_table(&t, number('d'))
        };
        case.check_values(name, &actual, 1.0);
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn golden_one_backward_reaches_several_models() {
    let device = tandem_core::device::cpu();
    let case = Case::open(&cases()[0], &device);
    let mut tracked = params::tracked(&case.sit);
    let projected = tracked.project(case.x(), &case.t, &case.labels);
    let loss = alignment_loss(projected, &case.features);
    let [grads] = Gradients::of(loss, [&mut tracked]);
    let reached = grads.tensors().iter().filter(|g| g.is_some()).count();
    assert!(reached > 0 && reached < grads.tensors().len(), "alignment stops at its depth");
    compare("norm", &[grads.norm().into_scalar::<f32>()], &[grads.norm().into_scalar::<f32>()], 1e-6);
}
