//! Teachers without a golden case against transformers and timm (tests/fixtures/make_vit.py), several
//! teachers in one run, and LPIPS from people's files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use std::path::Path;
use std::sync::Arc;

use support::formula::Formula;
use support::{Golden, devices, golden_dir};
use tandem_core::align::vit::{Family, Vit, VitSettings, Weights};
use tandem_core::config::Config;
use tandem_core::data::{DataSource, Dataset};
use tandem_core::params::{self, TensorSource};
use tandem_core::train::open;
use tandem_core::train::trainer::Trainer;
use tandem_core::vae::perceptual::{Backbone, InputRange, Lpips};

#[test]
fn every_layout_gives_the_features_of_transformers_and_timm() {
    let case = Golden::fixture("vit.safetensors");
    let cases = case.at("/cases").as_object().unwrap();
    assert!(cases.len() > 8, "few cases");
    for (device_name, device) in devices() {
        for (name, about) in cases {
            // One of each network is enough where every shape costs a compilation.
            if device_name != "cpu" && !matches!(name.as_str(), "dinov3" | "dinov3_gated") {
                continue;
            }
            let tensor = |name: &str| about["tensors"].get(name);
            let shape_of =
                |name: &str| -> Option<Vec<usize>> { serde_json::from_value(tensor(name)?[0].clone()).ok() };
            let scale_of = |name: &str, _: &[usize]| {
                let at = |i: usize| tensor(name).unwrap()[i].as_f64().unwrap();
                (at(1), at(2))
            };
            let source = Formula { shape_of, scale_of };
            let names = about["tensors"].as_object().unwrap().keys();
            let tensors = names.map(|name| (name.clone(), shape_of(name).unwrap()));
            let weights = Weights::find(&source, tensors).unwrap();
            let settings = VitSettings { heads: Some(case.usize_at("/heads")), ..VitSettings::default() };
            let family = Family::named(about["family"].as_str().unwrap()).unwrap();
            let vit = Vit::load(family, &weights, settings, case.usize_at("/grid"), &device).unwrap();
            case.check(&format!("{name}.tokens"), vit.features(case.images("images", &device)), 1.0);
        }
    }
}

#[test]
fn golden_several_teachers_train_together_each_with_its_loss() {
    let teachers = format!("efficientnet-lite0,dinov2={}", golden_dir().join("dinov2_hf").display());
    let settings: Vec<String> = [
        format!("align.teacher={teachers}"),
        "train.batch=2".into(),
        "vae.channels=[8,8,8]".into(),
        "vae.groups=4".into(),
        "sit.width=32".into(),
        "sit.depth=2".into(),
        "sit.heads=2".into(),
        "align.depth=1".into(),
        "align.projector=16".into(),
        "discriminator.width=4".into(),
    ]
    .into();
    let config = Config::load("nano", &settings).unwrap();
    let dataset = Arc::new(Dataset::open(&DataSource::Embedded, config.data.image_px).unwrap());
    let chosen = tandem_core::device::choose(tandem_core::device::DeviceChoice::Cpu).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(config, dataset, &chosen, None, folder.path(), 0).unwrap();
    let names: Vec<_> = params::named(&trainer.networks.sit).into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().any(|name| name == "projectors.1.4.weight"), "two projectors");
    let report = trainer.step().unwrap().remove(0);
    let value =
        |name: &str| report.values.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no {name}")).1;
    for pass in ["align_loss", "vae_align_loss"] {
        let each = ["efficientnet-lite0", "dinov2"].map(|teacher| value(&format!("{pass}.{teacher}")));
        assert!(each.iter().all(|loss| (-1.0..=1.0).contains(loss)) && each[0] != each[1], "{each:?}");
        let mean = (each[0] + each[1]) / 2.0;
        assert!((value(pass) - mean).abs() < 1e-6, "{pass}: {} is not the mean {mean}", value(pass));
    }
    assert!(trainer.batches().describe().iter().any(|line| line.contains("dinov2 at 112 px")));
}

/// Writes the tensors of a golden LPIPS whose name `keep` renames.
fn write(case: &Golden, path: &Path, keep: impl Fn(&str) -> Option<String>) {
    let kept = case.file.names().filter_map(|name| Some((name, keep(name.strip_prefix("w.")?)?)));
    let views: Vec<_> = kept
        .map(|(stored, name)| {
            let bytes: Vec<u8> = case.values(stored).iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, case.shape(stored).to_vec(), bytes)
        })
        .collect();
    let views = views.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name.as_str(), view.unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// `net.slice2.5.weight` to `features.5.weight`, heads left out.
fn torchvision(name: &str) -> Option<String> {
    let rest = name.strip_prefix("net.slice")?;
    Some(format!("features.{}", rest.split_once('.')?.1))
}

#[test]
fn golden_lpips_loads_from_torchvision_and_lpips_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let device = tandem_core::device::cpu();
    for (file, net) in [("lpips_vgg", Backbone::Vgg), ("lpips_alex", Backbone::Alex)] {
        let case = Golden::open(&format!("{file}.safetensors"));
        write(&case, Path::new(&path("backbone.safetensors")), torchvision);
        write(&case, Path::new(&path("heads.safetensors")), |name| {
            name.starts_with("lin").then(|| name.into())
        });
        let check = |lpips: &Lpips| {
            let features = |name: &str| lpips.features(case.images(name, &device), InputRange::Sound);
            let distance = lpips.distance(&features("image1"), features("image0"));
            case.check("plain.distance", distance, 1.0);
        };
        let load = |places: String| open::perceptual(net, &places, &device);
        let (backbone, heads) = (path("backbone.safetensors"), path("heads.safetensors"));
        check(&load(format!("{backbone}+{heads}")).unwrap());
        // The package's own file has each head under a second name.
        write(&case, Path::new(&heads), |name| {
            let (number, rest) = name.strip_prefix("lin")?.split_once('.')?;
            Some(format!("lins.{number}.{rest}"))
        });
        check(&load(format!("{heads}+{backbone}")).unwrap());
        let error = load(backbone).unwrap_err().to_string();
        assert!(error.contains("lin0.model.1.weight") && error.contains("without heads"), "{error}");
    }
    let error = open::perceptual(Backbone::Vgg, "", &device).unwrap_err().to_string();
    assert!(error.contains("BACKBONE+HEADS"), "{error}");
}

#[test]
fn a_file_without_a_transformer_is_told() {
    let source: std::collections::BTreeMap<String, (Vec<usize>, Vec<f32>)> =
        [("conv1.weight".to_string(), (vec![64, 3, 7, 7], vec![0.0; 64 * 3 * 49]))].into();
    let tensors = source.iter().map(|(name, (shape, _))| (name.clone(), shape.clone()));
    let error = Weights::find(&source as &dyn TensorSource, tensors).err().unwrap().to_string();
    assert!(error.contains("no vision transformer"), "{error}");
}
