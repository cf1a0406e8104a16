//! Vision transformers against the original code: every family, every layout of names, on the CPU
//! and on a software adapter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::{Device, Tensor};
use support::{Golden, compare, devices, golden_dir, largest_difference};
use tandem_core::align::vit::{Family, Vit, VitSettings, Weights};
use tandem_core::align::{TeacherSpec, TokenGrid};
use tandem_core::files::TensorFile;
use tandem_core::params::host;
use tandem_core::train::open;

/// The transformer of a case with weights `w.*`, for `grid` × `grid` patches.
fn vit(case: &Golden, family: &str, grid: usize, device: &Device) -> Vit {
    let source = case.below("w");
    let names = case.file.names().filter_map(|name| name.strip_prefix("w."));
    let tensors = names.map(|name| (name.to_string(), case.shape(&format!("w.{name}")).to_vec()));
    let weights = Weights::find(&source, tensors).unwrap();
    // Fixtures are narrower than any published model, so their heads follow no rule.
    let settings = VitSettings { heads: Some(case.usize_at("/heads")), ..VitSettings::default() };
    Vit::load(Family::named(family).unwrap(), &weights, settings, grid, device).unwrap()
}

/// What the network was given, against the stored pixels or their corner.
fn check_pixels(case: &Golden, prefix: &str, pixels: Tensor<4>) {
    if case.has(&format!("{prefix}pixels")) {
        return case.check(&format!("{prefix}pixels"), pixels, 1.0);
    }
    let name = format!("{prefix}pixels_corner");
    let side = case.shape(&name)[2];
    case.check(&name, pixels.slice([0..1, 0..3, 0..side, 0..side]), 1.0);
}

/// The table of the patches, against the stored one without its class row.
fn check_positions(case: &Golden, name: &str, vit: &Vit) {
    let (ours, stored) = (host(vit.positions().unwrap()), case.values(name));
    let own = stored.len() - ours.len();
    // Tables without a bound of their own take the rule of the golden README.
    let scale = stored.iter().fold(0.0f32, |scale, v| scale.max(v.abs()));
    let bound = if case.has_tolerance(name) { case.tolerance(name) } else { 2e-6 * scale.max(1.0) };
    compare(name, &ours, &stored[own..], bound);
}

fn grid_of(case: &Golden, tokens: &str) -> usize {
    case.shape(tokens)[1].isqrt()
}

#[test]
fn golden_dinov2_under_its_own_names() {
    for (_, device) in devices() {
        for file in ["dinov2_hub", "dinov2_reg_hub", "dinov2_swiglu_hub"] {
            let case = Golden::open(&format!("{file}.safetensors"));
            for part in ["small.", "full."] {
                let tokens = format!("{part}tokens");
                let net = vit(&case, "dinov2", grid_of(&case, &tokens), &device);
                assert_eq!(net.registers(), case.usize_at("/register_tokens"));
                let images = case.images(&format!("{part}image"), &device);
                check_pixels(&case, part, net.pixels(images.clone()));
                check_positions(&case, &format!("{part}pos_embed"), &net);
                let ours = net.features(images);
                case.check(&tokens, ours.clone(), 1.0);
                // The library's own resampling of the table is another answer.
                let other = format!("{tokens}_other_interpolation");
                if case.has(&other) {
                    let apart = largest_difference(&host(ours), case.values(&other));
                    assert!(apart > 2.0 * case.tolerance(&other), "{other}: {apart}");
                }
            }
        }
    }
}

#[test]
fn golden_other_teachers_under_their_own_names() {
    for (_, device) in devices() {
        for family in ["clip", "mae", "mocov3", "ijepa"] {
            let case = Golden::open(&format!("{family}.safetensors"));
            let net = vit(&case, family, grid_of(&case, "tokens"), &device);
            let images = case.images("image", &device);
            check_pixels(&case, "", net.pixels(images.clone()));
            if case.has("pos_embed_resampled") {
                check_positions(&case, "pos_embed_resampled", &net);
            }
            case.check("tokens", net.features(images), 1.0);
        }
    }
}

#[test]
fn golden_mocov3_opens_from_its_training_checkpoint() {
    let case = Golden::open("mocov3.safetensors");
    let file = TensorFile::open(&golden_dir().join(case.at("/checkpoint").as_str().unwrap())).unwrap();
    let tensors = file.tensors().map(|info| (info.name.clone(), info.shape.clone()));
    let weights = Weights::find(&file, tensors).unwrap();
    let settings = VitSettings { heads: Some(case.usize_at("/heads")), ..VitSettings::default() };
    let device = tandem_core::device::cpu();
    let grid = grid_of(&case, "tokens");
    let net = Vit::load(Family::named("mocov3").unwrap(), &weights, settings, grid, &device).unwrap();
    case.check("tokens", net.features(case.images("image", &device)), 1.0);
}

/// Loads `spec` as a run does and compares what it sees of a case's picture.
fn check_opened(spec: &str, case: &Golden, prefix: &str) {
    let device = tandem_core::device::cpu();
    let tokens = format!("{prefix}tokens");
    let image = format!("{prefix}image");
    let image_px = case.shape(&image)[2];
    let grid = TokenGrid { image_px, factor: image_px / grid_of(case, &tokens), patch: 1 };
    let spec = &TeacherSpec::parse_all(spec).unwrap()[0];
    let teacher = open::teacher(spec, grid, &device).unwrap();
    assert_eq!((teacher.grid(), teacher.channels()), (grid.side(), case.shape(&tokens)[2]));
    case.check(&tokens, teacher.features(case.images(&image, &device)), 1.0);
}

#[test]
fn golden_teachers_open_from_transformers_folders() {
    for (folder, name) in
        [("dinov2_hf", "dinov2"), ("dinov2_reg_hf", "dinov2-reg"), ("dinov2_swiglu_hf", "dinov2")]
    {
        let case = Golden::open(&format!("{folder}/io.safetensors"));
        let spec = format!("{name}={}", golden_dir().join(folder).display());
        check_opened(&spec, &case, "small.");
        check_opened(&spec, &case, "full.");
    }
    let case = Golden::open("clip.safetensors");
    check_opened(&format!("clip={}", golden_dir().join("clip_hf").display()), &case, "");
}

#[test]
fn golden_teachers_are_told_when_the_name_does_not_fit() {
    let error = |spec: &str, folder: &str| {
        let spec = format!("{spec}={}", golden_dir().join(folder).display());
        let grid = TokenGrid { image_px: 64, factor: 16, patch: 1 };
        let spec = &TeacherSpec::parse_all(&spec).unwrap()[0];
        open::teacher(spec, grid, &tandem_core::device::cpu()).unwrap_err().to_string()
    };
    let text = error("dinov2-b", "dinov2_hf");
    assert!(text.contains("24 wide"), "{text}");
    let text = error("dinov2", "dinov2_reg_hf");
    assert!(text.contains("write dinov2-reg"), "{text}");
    let text = error("dinov2-reg", "dinov2_hf");
    assert!(text.contains("without register tokens"), "{text}");
    let text = error("mae", "dinov2_hf");
    assert!(text.contains("of type dinov2, which is not a mae"), "{text}");
    let text = error("dinov2", "vae_kl_plain");
    assert!(text.contains("vae_kl_plain"), "{text}");
}

#[test]
fn the_embedded_teacher_has_any_grid() {
    let spec = &TeacherSpec::parse_all("efficientnet-lite0").unwrap()[0];
    let device = tandem_core::device::cpu();
    for image_px in [20, 32] {
        let grid = TokenGrid { image_px, factor: 4, patch: 1 };
        let teacher = open::teacher(spec, grid, &device).unwrap();
        let images = Tensor::<4>::zeros([1, 3, image_px, image_px], &device);
        let side = image_px / 4;
        assert_eq!((teacher.grid(), teacher.input_px()), (side, 16 * side));
        assert_eq!(teacher.features(images).dims(), [1, side * side, teacher.channels()]);
    }
}
