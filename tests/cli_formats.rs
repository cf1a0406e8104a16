//! The commands on models of other programs, as a person or a script calls them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    let folder = std::env::var_os("TANDEM_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden"), PathBuf::from);
    folder.join(name)
}

fn tandem(args: &[&str]) -> Output {
    // Vulkan's loader complains where the variable is not set.
    let command = &mut Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(args).env("XDG_RUNTIME_DIR", std::env::temp_dir()).output().unwrap()
}

/// The one JSON object that a command answers with.
fn answer(args: &[&str]) -> Value {
    let output = tandem(&[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one line that a command fails with.
fn complaint(args: &[&str]) -> String {
    let output = tandem(args);
    assert!(!output.status.success(), "{args:?} went well");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    lines[0].to_string()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A picture with structure.
fn picture(path: &Path, width: u32, height: u32) {
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 5 % 256) as u8, (y * 3 % 256) as u8, ((x + y) * 2 % 256) as u8])
    });
    image.save(path).unwrap();
}

#[test]
fn golden_folders_are_told_apart() {
    for (name, word, latent) in [
        ("vae_kl_plain", "AutoencoderKL", "4 channels"),
        ("vae_kl_attn", "attention on 2 levels", "8 channels"),
        ("vae_kl_noquant", "without quant convs", "16 channels"),
        ("vae_kl_legacy", "AutoencoderKL", "4 channels"),
        ("vae_qwen", "AutoencoderKLQwenImage", "4 channels"),
        ("vae_compvis.pt", "AutoencoderKL", "4 channels"),
    ] {
        let found = answer(&["inspect", text(&golden(name))]);
        let words = found["architecture"].to_string();
        assert!(words.contains(word) && words.contains(latent), "{name}: {words}");
        for list in ["missing", "unknown", "problems"] {
            assert_eq!(found[list].as_array().unwrap().len(), 0, "{name}: {list} {}", found[list]);
        }
        assert!(found["parameters"].as_u64().unwrap() > 10_000);
    }
    let found = answer(&["inspect", text(&golden("repae_checkpoint.pt"))]);
    assert!(
        found["what"].as_str().unwrap().contains("complete REPA-E training checkpoint after 2 steps"),
        "{found}"
    );
    for (name, word) in [("dinov2_hf", "DINOv2"), ("mocov3.pth", "MoCo-v3")] {
        let found = answer(&["inspect", text(&golden(name))]);
        assert!(found["what"].as_str().unwrap().contains(word), "{name}: {}", found["what"]);
    }
}

#[test]
fn golden_pictures_go_through_an_autoencoder_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    picture(&at("a.png"), 70, 50);
    let model = golden("vae_kl_plain");
    let (model, out) = (text(&model), at("r"));
    let found = answer(&["reconstruct", model, text(&at("a.png")), "--out", text(&out), "--device", "cpu"]);
    let first = &found["pictures"][0];
    assert_eq!((first["width"].as_u64(), first["height"].as_u64()), (Some(68), Some(48)), "a multiple of 4");
    assert!(first["psnr"].as_f64().unwrap() > 0.0 && first["ssim"].is_f64() && first["lpips"].is_f64());
    let sheet = image::open(out.join("a.png")).unwrap();
    assert!(sheet.width() > 136 && sheet.height() > 48);

    for file in ["z.npz", "z.safetensors"] {
        let latents = at(file);
        let encoded = answer(&["encode", model, text(&at("a.png")), "--out", text(&latents), "--normalize"]);
        assert_eq!(encoded["shape"], serde_json::json!([1, 4, 12, 17]));
        let decoded = answer(&["decode", model, text(&latents), "--out", text(&at("d"))]);
        let picture = image::open(decoded["files"][0].as_str().unwrap()).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (68, 48));
        // The sheet's right half is the same reconstruction.
        let sheet = sheet.to_rgb8();
        let right = image::imageops::crop_imm(&sheet, 4 + 68 + 4, 4, 68, 48).to_image();
        let worst = picture.iter().zip(right.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 1, "{worst}");
    }
    let map = at("pca.png");
    let found = answer(&["pca", model, text(&at("a.png")), "--size", "32", "--out", text(&map)]);
    assert_eq!(found["explained_variance_ratio"].as_array().unwrap().len(), 3);
    assert!(map.is_file());
}

#[test]
fn golden_tiles_reconstruct_a_picture_larger_than_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    picture(&path, 96, 80);
    let model = golden("vae_kl_plain");
    let whole = folder.path().join("whole.npz");
    let tiled = folder.path().join("tiled.npz");
    let encode = |out: &Path, more: &[&str]| {
        answer(&[&["encode", text(&model), text(&path), "--out", text(out)], more].concat())["shape"].clone()
    };
    assert_eq!(encode(&whole, &[]), encode(&tiled, &["--tile", "32"]));
    assert_ne!(std::fs::read(&whole).unwrap(), std::fs::read(&tiled).unwrap());
    let error = complaint(&["encode", text(&model), text(&path), "--out", text(&tiled), "--tile", "18"]);
    assert!(error.contains("tiles of 18"), "{error}");
}

#[test]
fn golden_autoencoder_of_any_kind_is_trained_on_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    for (model, words) in [("vae_qwen", "AutoencoderKLQwenImage"), ("vae_kl_noquant", "without quant convs")]
    {
        let (run, out) = (folder.path().join(model), folder.path().join(format!("{model}-out")));
        let from = format!("vae.init_from={}", golden(model).display());
        let start = ["--method", "vae", "--set", &from, "--set", "train.batch=2", "--steps", "1"];
        answer(&[&["train", "--device", "cpu", "--out", text(&run)], &start[..]].concat());
        let more = answer(&["train", "--resume", text(&run), "--steps", "2", "--device", "cpu"]);
        assert_eq!(more["step"], 2);
        assert!(answer(&["inspect", text(&run)])["architecture"].to_string().contains(words));
        answer(&["export", text(&run), "--format", "diffusers", "--out", text(&out)]);
        let found = answer(&["inspect", text(&out)]);
        assert!(found["architecture"].to_string().contains(words), "{found}");
        let before = answer(&["inspect", text(&golden(model))]);
        assert_eq!(found["parameters"], before["parameters"], "full kernels are kept");
        assert_ne!(found["parts"], before["parts"], "training changed something");
    }
}

#[test]
fn golden_checkpoint_becomes_a_run_and_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    let source = golden("repae_checkpoint.pt");
    let error = complaint(&["import", text(&source), "--out", text(&run)]);
    assert!(error.contains("sit.heads"), "{error}");
    assert!(!run.exists(), "what fails leaves no run behind");
    let made = answer(&["import", text(&source), "--out", text(&run), "--set", "sit.heads=2"]);
    assert_eq!(made["step"], 2);
    assert!(answer(&["inspect", text(&run)])["what"].as_str().unwrap().contains("run folder: 2 of 3 steps"));
    let done = answer(&["export", text(&run), "--format", "repa-e", "--out", text(&out)]);
    assert_eq!(done["files"].as_array().unwrap().len(), 6);
    assert!(answer(&["inspect", text(&out.join("vae.pt"))])["problems"].as_array().unwrap().is_empty());
    let diffusers = folder.path().join("diffusers");
    answer(&["export", text(&run), "--format", "diffusers", "--out", text(&diffusers), "--dtype", "bf16"]);
    let found = answer(&["inspect", text(&diffusers)]);
    assert!(found["dtypes"]["BF16"].is_u64(), "{found}");
}

#[test]
fn golden_what_is_no_model_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.pt");
    std::fs::write(&junk, b"PK\x03\x04 not a zip at all").unwrap();
    let empty = folder.path().join("empty.safetensors");
    std::fs::write(&empty, b"").unwrap();
    let out = folder.path().join("o");
    for (path, word) in [
        (text(&junk), "junk.pt"),
        (text(&empty), "empty"),
        (text(folder.path()), "no model"),
        ("no/such/thing", "no such file"),
        (text(&golden("dinov2_hf")), "no weights"),
    ] {
        let error = complaint(&["export", path, "--format", "diffusers", "--out", text(&out)]);
        assert!(error.contains(word), "{path}: {error}");
    }
    let model = golden("vae_kl_plain");
    let error = complaint(&["encode", text(&model), text(&junk), "--out", "z.npz"]);
    assert!(error.contains("not a picture"), "{error}");
    let error =
        complaint(&["export", text(&model), "--format", "diffusers", "--out", text(&out), "--dtype", "f8"]);
    assert!(error.contains("f8"), "{error}");
}
