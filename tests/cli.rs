//! The program from outside: what goes wrong is one clear line and a code that is not zero, and loses
//! nothing; what goes well answers as it promises.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

mod program;

use std::fs;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, RgbImage};
use program::{TINY, fail, pictures, resume, succeed, tandem, train};
use serde_json::Value;
use tandem_core::run::Checkpoint;

fn error_of(args: &[&str]) -> String {
    fail(&mut tandem(args))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts that `text` holds every one of `words`.
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

/// The one line on standard output, as JSON.
fn json_of(output: &std::process::Output) -> Value {
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn wrong_flags_are_one_line_that_helps() {
    assert_says(&error_of(&["train", "--preste", "nano"]), &["'--preste'", "'--preset'", "--help"]);
    assert_says(&error_of(&["train", "--steps", "many"]), &["'many'", "--steps"]);
    assert_says(&error_of(&["frobnicate"]), &["'frobnicate'"]);
    assert_says(&error_of(&["sample"]), &["required", "RUN"]);
    assert_says(&error_of(&["bench", "--mode", "fly"]), &["'fly'", "train, sample, encode"]);
    assert_says(&error_of(&["train", "--resume", "x", "--seed", "1"]), &["--resume", "--seed"]);
    assert_says(&error_of(&["train", "--device", "tpu"]), &["unknown device tpu", "software"]);
    assert_says(&error_of(&["train", "--preset", "huge"]), &["unknown preset huge", "base256"]);
    assert_says(&error_of(&["train", "--preset", "no.toml"]), &["cannot read no.toml"]);
}

#[test]
fn configuration_errors_name_the_key() {
    let set = |setting: &str| error_of(&["train", "--set", setting]);
    assert_says(&set("optim.vae_rl=1"), &["unknown configuration key optim.vae_rl", "optim.vae_lr"]);
    assert_says(&set("train.batch=0"), &["train.batch"]);
    assert_says(&set("train.batch=lots"), &["train.batch", "whole number"]);
    assert_says(&set("train.batch"), &["key=value"]);
    assert_says(&set("method=magic"), &["magic", "repa-e"]);
    assert_says(&set("sit.heads=7"), &["heads"]);
    assert_says(&error_of(&["train", "--steps", "0"]), &["train.steps"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.toml");
    fs::write(&file, "[train\nsteps = 3").unwrap();
    assert_says(&error_of(&["train", "--preset", file.to_str().unwrap()]), &["broken.toml"]);
}

#[test]
fn data_that_is_no_data_is_one_line_and_leaves_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["empty", "texts", "bomb"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("texts").join("a.txt"), "not a picture").unwrap();
    fs::write(at("texts").join("b.md"), "nor this").unwrap();
    fs::write(at("not.zip"), "nor a zip").unwrap();
    GrayImage::new(20_000, 20_000).save(at("bomb").join("bomb.png")).unwrap();
    let cases = [
        ("empty", "no images found"),
        ("texts", "2 other files"),
        ("not.zip", "expected a folder or a zip"),
        ("missing", "cannot read"),
        ("bomb", "20000 x 20000"),
    ];
    for (name, words) in cases {
        let told = fail(&mut train(&at(name), &at("runs/x"), &[]));
        assert_says(&told, &[name, words]);
        assert!(!at("runs").exists(), "{name} left a run behind");
    }
}

#[test]
fn broken_pictures_in_a_good_folder_are_skipped_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 8);
    let mut jpeg = Vec::new();
    let busy = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y) as u8, (x * 7) as u8, (y * 5) as u8]));
    JpegEncoder::new(&mut jpeg).encode_image(&busy).unwrap();
    fs::write(data.join("a/half.jpg"), &jpeg[..jpeg.len() * 3 / 4]).unwrap();
    GrayImage::new(20_000, 20_000).save(data.join("b/bomb.png")).unwrap();
    let output = succeed(train(&data, &run, &[]).args(["--steps", "1"]));
    let told = text(&output.stderr);
    assert_says(&told, &["skipped a/half.jpg: truncated JPEG", "skipped b/bomb.png: 20000 x 20000"]);
    assert_says(&told, &["2 classes", "2 broken and skipped"]);
    assert_eq!(fs::read_to_string(run.join("skipped.txt")).unwrap().lines().count(), 2);
    for i in 0..20 {
        fs::write(data.join(format!("a/text{i}.png")), "text").unwrap();
    }
    let output = succeed(train(&data, &folder.path().join("many"), &[]).args(["--steps", "1"]));
    let told = text(&output.stderr);
    assert_eq!(told.matches("skipped a/").count() + told.matches("skipped b/").count(), 5, "{told}");
    assert_says(&told, &["skipped 17 more, all named in"]);
}

#[test]
fn an_output_folder_that_cannot_be_written_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    pictures(&at("data"), 4);
    fs::write(at("file"), "precious").unwrap();
    assert_says(&fail(&mut train(&at("data"), &at("file"), &[])), &["is a file; a run needs a folder"]);
    assert_says(&fail(&mut train(&at("data"), &at("file/run"), &[])), &["cannot create", "file"]);
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "precious");
    if cfg!(target_os = "linux") {
        // Nobody can write there, not even root.
        assert_says(&fail(&mut train(&at("data"), Path::new("/proc/tandem"), &[])), &["/proc/tandem"]);
    }
}

#[test]
fn a_finished_run_is_not_overwritten_and_not_trained_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 4);
    let output = succeed(train(&data, &run, &[]).args(["--steps", "2", "--json"]));
    let answer = json_of(&output);
    assert_eq!(
        (&answer["step"], &answer["steps"], &answer["stopped"]),
        (&2.into(), &2.into(), &false.into())
    );
    assert!(
        answer["psnr_held_out"].is_f64() && answer["images_per_s"].is_f64() && answer["waited_s"].is_f64()
    );
    assert_eq!(answer["run"], run.to_str().unwrap());
    let before = fs::read(run.join("checkpoints/step-00000002/SHA256SUMS")).unwrap();
    let metrics = fs::read(run.join("metrics.jsonl")).unwrap();
    assert_says(&fail(&mut train(&data, &run, &[])), &["already holds a run", "--resume"]);
    assert_says(&fail(resume(&run).args(["--steps", "1"])), &["has done 2 steps"]);
    let again = json_of(&succeed(resume(&run).arg("--json")));
    assert_eq!(again["step"], 2);
    assert_eq!(fs::read(run.join("checkpoints/step-00000002/SHA256SUMS")).unwrap(), before);
    assert_eq!(fs::read(run.join("metrics.jsonl")).unwrap(), metrics);
}

#[test]
fn a_run_that_cannot_start_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (data, work) = (folder.path().join("data"), folder.path().join("work"));
    pictures(&data, 4);
    fs::create_dir(&work).unwrap();
    let told = fail(
        tandem(["train", "--device", "cpu", "--method", "vanilla", "--data"]).arg(&data).current_dir(&work),
    );
    assert_says(&told, &["vanilla", "--vae MODEL"]);
    // No teacher says anything about four tokens.
    let told = fail(
        tandem(["train", "--device", "cpu", "--set", "sit.patch=4", "--data"]).arg(&data).current_dir(&work),
    );
    assert_says(&told, &["2 x 2 tokens", "data.image_px = 64", "sit.patch = 1 or 2"]);
    let told = fail(tandem(["train", "--device", "cpu", "--out", "a/b", "--data", "no"]).current_dir(&work));
    assert_says(&told, &["cannot read", "no"]);
    assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
}

#[test]
fn without_an_adapter_gpu_is_an_error_and_auto_is_the_cpu() {
    let bare = |args: &[&str]| {
        let mut command = tandem(args);
        for name in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
            command.env(name, "/nowhere.json");
        }
        command
    };
    assert_says(&fail(&mut bare(&["train", "--device", "gpu"])), &["no hardware GPU", "--device cpu"]);
    assert_says(&fail(&mut bare(&["train", "--device", "gpu:3"])), &["no adapter 3"]);
    assert_says(&fail(&mut bare(&["bench", "--device", "software"])), &["software"]);
    let report = json_of(&succeed(&mut bare(&["doctor", "--json"])));
    assert_eq!(report["adapters"], Value::Array(Vec::new()));
    assert_says(report["reason"].as_str().unwrap(), &["no graphics adapter"]);
    let failed = bare(&["doctor", "--device", "gpu", "--json"]).output().unwrap();
    assert!(!failed.status.success());
    assert!(json_of(&failed)["chosen"].is_null());
    assert_says(&text(&failed.stderr), &["error: no hardware GPU"]);
}

#[test]
fn doctor_answers_in_one_json_object_and_in_lines() {
    let report = json_of(&succeed(&mut tandem(["doctor", "--device", "cpu", "--json"])));
    assert_says(report["chosen"].as_str().unwrap(), &["CPU"]);
    assert!(report["memory_bytes"].as_u64().unwrap() > 0 && report["free_bytes"].as_u64().unwrap() > 0);
    assert!(report["assets"]["pictures_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(report["assets"]["weights"].as_array().unwrap().len() >= 2);
    for adapter in report["adapters"].as_array().unwrap() {
        for key in ["name", "kind", "api", "driver"] {
            assert!(adapter[key].is_string(), "{adapter}");
        }
        for key in ["max_buffer_bytes", "max_storage_buffers", "max_workgroup", "max_workgroups"] {
            assert!(adapter[key].as_u64().unwrap() > 0, "{adapter}");
        }
    }
    let lines = text(&succeed(&mut tandem(["doctor", "--device", "cpu"])).stdout);
    assert_says(&lines, &["tandem ", "device cpu: CPU", "memory: ", "embedded pictures: ", "lpips_alex"]);
}

#[test]
fn doctor_shows_what_of_a_preset_fits() {
    let of = |preset: &str| {
        let arguments = ["doctor", "--device", "cpu", "--json", "--preset", preset];
        json_of(&succeed(&mut tandem(arguments)))["step"].clone()
    };
    let nano = of("nano");
    let number = |key: &str| nano[key].as_f64().unwrap();
    let parts = ["weight_bytes", "moment_bytes", "gradient_bytes", "average_bytes"];
    assert_eq!(parts.map(number).iter().sum::<f64>(), number("fixed_bytes"));
    assert!(number("needed_bytes") > number("fixed_bytes") + 32.0 * number("picture_bytes"));
    assert_eq!(number("micro_batch"), 32.0, "nano fits anywhere: {nano}");
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge.toml");
    fs::write(&huge, "[data]\nimage_px = 1024\n[train]\nbatch = 4096\n").unwrap();
    let huge = huge.to_str().unwrap();
    let cut = of(huge)["micro_batch"].as_u64();
    assert!(cut.is_none_or(|cut| cut < 4096 && 4096 % cut == 0), "{cut:?}");
    let lines = text(&succeed(&mut tandem(["doctor", "--device", "cpu", "--preset", huge])).stdout);
    assert_says(
        &lines,
        &["GB weights", "moments", "gradients", "average", "kept for backward", "train.micro_batch ="],
    );
}

#[test]
fn what_cannot_be_resumed_says_why() {
    let folder = tempfile::tempdir().unwrap();
    assert_says(&fail(&mut resume(&folder.path().join("no"))), &["no such run folder"]);
    assert_says(&fail(&mut resume(folder.path())), &["not a run folder"]);
    assert_says(&fail(tandem(["sample"]).arg(folder.path())), &["not a run folder"]);
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 4);
    succeed(train(&data, &run, &[]).args(["--steps", "1"]));
    let whole = fs::read(run.join("checkpoints/step-00000001/vae.safetensors")).unwrap();
    fs::write(run.join("checkpoints/step-00000001/vae.safetensors"), &whole[..whole.len() / 2]).unwrap();
    let output = resume(&run).output().unwrap();
    assert!(!output.status.success());
    assert_says(
        &text(&output.stderr),
        &["passed over", "vae.safetensors: truncated", "no checkpoint in this run is whole"],
    );
}

#[test]
fn a_run_goes_on_from_anywhere_and_says_which_key_names_moved_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 4);
    // A relative --data, and then another working directory.
    succeed(
        train(Path::new("data"), Path::new("run"), &[]).args(["--steps", "1"]).current_dir(folder.path()),
    );
    succeed(resume(&run).args(["--steps", "2"]).current_dir("/"));
    let moved = folder.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    let config = run.join("config.toml");
    let told = fail(resume(&run).args(["--steps", "3"]));
    assert_says(&told, &["cannot read", "data.source", config.to_str().unwrap()]);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(data.to_str().unwrap(), moved.to_str().unwrap())).unwrap();
    succeed(resume(&run).args(["--steps", "3"]));
    fs::remove_file(moved.join("a/0.png")).unwrap();
    assert_says(&fail(resume(&run).args(["--steps", "4"])), &["not those that this run was trained on"]);
}

#[test]
fn a_run_cut_off_before_its_first_checkpoint_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 4);
    succeed(train(&data, &run, &[]).args(["--steps", "2"]));
    let rows = || fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count();
    let before = rows();
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let output = succeed(resume(&run).arg("--json"));
    assert_says(&text(&output.stderr), &["no checkpoint yet"]);
    assert_eq!(json_of(&output)["step"], 2);
    assert_eq!(rows(), before, "no row twice");
}

#[test]
fn vgg_needs_its_file_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 4);
    let weights = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/weights").join(name);
        format!("loss.perceptual_weights={}", path.display())
    };
    let vgg = "loss.perceptual_network=vgg";
    assert_says(
        &fail(&mut train(&data, &run, &[vgg])),
        &["loss.perceptual_weights", "perceptual_network=alex"],
    );
    let told = fail(&mut train(&data, &run, &[vgg, "loss.perceptual_weights=no.safetensors"]));
    assert_says(&told, &["cannot read", "no.safetensors"]);
    let told = fail(&mut train(&data, &run, &[vgg, &weights("lpips_alex.safetensors")]));
    assert_says(&told, &["lpips_alex.safetensors", "loss.perceptual_network"]);
    assert!(!run.exists());
    succeed(train(&data, &run, &[vgg, &weights("lpips_vgg16.safetensors")]).args(["--steps", "1"]));
}

#[test]
fn values_that_are_not_finite_end_a_run_with_its_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 4);
    succeed(train(&data, &run, &[]).args(["--steps", "1"]));
    // A weight that is not a number, as a broken memory would leave it.
    let mut checkpoint = Checkpoint::load(&run.join("checkpoints/step-00000001")).unwrap();
    checkpoint.files.get_mut("vae").unwrap()[0].values[0] = f32::NAN;
    checkpoint.save(&run).unwrap();
    let output = resume(&run).args(["--steps", "1000", "--json"]).output().unwrap();
    let told = text(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{told}");
    assert_says(&told, &["step 2 was skipped", "step 3 was skipped", "not finite in 3 steps in a row"]);
    assert_says(&told, &["last checkpoint: step 1)"]);
    assert_eq!(fs::read_dir(run.join("checkpoints")).unwrap().count(), 1);
}

#[test]
fn help_lists_every_key_with_default_and_sentence() {
    let help = text(&succeed(&mut tandem(["train", "--help"])).stdout);
    for key in tandem_core::config::KEYS {
        assert_says(&help, &[&format!("  {} = ", key.name), key.sentence]);
    }
    assert!(!help.contains(" = \n"), "a default is missing");
    assert!(TINY.iter().all(|setting| help.contains(setting.split('=').next().unwrap())));
}

#[test]
fn fetch_offline_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let offline = |model: &str| {
        let mut command = tandem(["fetch", model]);
        command.env("HF_HOME", folder.path()).env("HF_HUB_OFFLINE", "1");
        fail(&mut command)
    };
    assert_says(&offline("some/model"), &["offline", "some/model is not in"]);
    assert_says(&offline("no model"), &["OWNER/NAME"]);
}

#[test]
fn teachers_that_cannot_be_are_one_line_and_leave_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 4);
    let told = |teacher: &str| {
        let mut command = train(&data, &run, &[&format!("align.teacher={teacher}")]);
        fail(command.env("HF_HOME", folder.path()))
    };
    assert_says(&told("resnet"), &["align.teacher = resnet", "dinov2=PATH"]);
    assert_says(&told("dinov2-b"), &["tandem fetch facebook/dinov2-base"]);
    assert_says(&told("dinov2=no.safetensors"), &["cannot read no.safetensors"]);
    assert!(!run.exists());
}
