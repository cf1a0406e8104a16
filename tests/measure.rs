//! `sample`, `eval`, `cache` and `compare` on runs of the smallest kind, as a new user would call them,
//! with interruptions.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail loudly")]

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use program::{Running, fail, pictures, succeed, tandem, train};
use serde_json::Value;
use tandem_core::data::npz::NpzFile;
use tandem_core::run::metrics;

/// A folder with pictures, and a run of three steps on them.
fn trained(settings: &[&str]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data, 12);
    let settings = [&["train.steps=3", "preview.every=2", "eval.every=2"], settings].concat();
    succeed(&mut train(&data, &run, &settings));
    (folder, data, run)
}

fn sample(run: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = tandem(["sample", "--device", "cpu", "--json"]);
    if !more.contains(&"--steps") {
        command.args(["--steps", "2"]);
    }
    command.arg(run).arg("--out").arg(out).args(more);
    command
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bytes_of(npz: &Path) -> (Vec<usize>, Vec<u8>) {
    let (mut shape, mut bytes) = (Vec::new(), Vec::new());
    let mut file = NpzFile::open(npz).unwrap();
    file.each_row("arr_0", 100, |header, rows| {
        shape.clone_from(&header.shape);
        bytes.extend_from_slice(rows);
        Ok(())
    })
    .unwrap();
    (shape, bytes)
}

#[test]
fn samples_go_to_a_grid_a_folder_and_an_array_of_the_same_pictures() {
    let (folder, _data, run) = trained(&[]);
    let place = |name: &str| folder.path().join(name);
    let told = json(&succeed(&mut sample(&run, &place("grid.png"), &["--num", "5"])));
    assert_eq!((&told["num"], &told["step"]), (&5.into(), &3.into()));
    assert!(image::open(place("grid.png")).unwrap().width() > 3 * 16);
    succeed(&mut sample(&run, &place("all.npz"), &["--num", "5", "--labels", "random"]));
    succeed(&mut sample(&run, &place("all"), &["--num", "5", "--labels", "random"]));
    let (shape, bytes) = bytes_of(&place("all.npz"));
    assert_eq!(shape, [5, 16, 16, 3]);
    for (index, picture) in bytes.chunks_exact(768).enumerate() {
        let png = image::open(place("all").join(format!("{index:06}.png"))).unwrap().to_rgb8();
        assert_eq!(png.as_raw().as_slice(), picture, "picture {index}");
    }
    // Classes by name are those of the pictures; another seed gives other pictures.
    succeed(&mut sample(&run, &place("b.npz"), &["--num", "5", "--classes", "B", "--seed", "1"]));
    assert_ne!(bytes_of(&place("b.npz")).1, bytes);
    let error = fail(&mut sample(&run, &place("c.npz"), &["--classes", "zebra"]));
    assert!(error.contains("no class is called zebra; there are a, b"), "{error}");
    assert!(fail(&mut sample(&run, &place("c.npz"), &["--classes", "2"])).contains("classes 0 to 1"));
    assert!(fail(&mut sample(&run, &place("c.npz"), &["--interval", "0.9,0.1"])).contains("--interval"));
    assert!(fail(&mut sample(&run, &place("c.npz"), &["--step", "2"])).contains("no checkpoint of step 2"));
    assert!(fail(&mut sample(&run, &place("all"), &[])).contains("holds pictures already"));
}

#[test]
fn an_interrupted_sampling_job_goes_on_to_the_same_result() {
    let (folder, _data, run) = trained(&[]);
    let job = ["--num", "96", "--solver", "sde", "--steps", "40"];
    let (whole, cut) = (folder.path().join("whole.npz"), folder.path().join("cut.npz"));
    succeed(&mut sample(&run, &whole, &job));
    let partial = folder.path().join("cut.npz.partial");
    let running = Running::start(&mut sample(&run, &cut, &job));
    let begun = std::time::Instant::now();
    while !partial.exists() && begun.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    running.kill();
    assert!(partial.exists() && !cut.exists(), "killed in the middle");
    let other = fail(&mut sample(&run, &cut, &["--num", "96", "--seed", "3"]));
    assert!(other.contains("other settings"), "{other}");
    succeed(&mut sample(&run, &cut, &job));
    assert_eq!(fs::read(&whole).unwrap(), fs::read(&cut).unwrap());
    assert!(!partial.exists());
}

#[test]
fn latents_and_transformer_are_compared_with_a_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data.join("train"), 12);
    pictures(&data.join("test"), 12);
    succeed(&mut train(&data, &run, &["train.steps=3"]));
    let mut eval = tandem(["eval", "--device", "cpu", "--steps", "2", "--num", "12", "--json"]);
    eval.env("XDG_CACHE_HOME", folder.path().join("cache")).arg(&run);
    let likeness = json(&succeed(&mut eval))["likeness"].clone();
    assert_eq!(likeness["teacher"], "efficientnet-lite0");
    assert!(likeness["num"].as_u64().unwrap() > 10);
    let noted = metrics::read(&run.join("evaluations.jsonl")).unwrap();
    for part in ["latents", "transformer"] {
        let cka = likeness[part]["cka"].as_f64().unwrap();
        assert!(
            cka > 0.0 && cka < 1.0 && likeness[part]["cknna"].as_f64().unwrap().is_finite(),
            "{likeness}"
        );
        assert_eq!(noted[0].values[&format!("{part} cka [efficientnet-lite0]")], cka);
    }
}

#[test]
fn a_run_and_pictures_are_measured_and_noted() {
    let (folder, data, run) = trained(&[]);
    let mut eval = tandem(["eval", "--device", "cpu", "--steps", "2", "--num", "12", "--json"]);
    eval.env("XDG_CACHE_HOME", folder.path().join("cache")).arg(&run);
    let found = json(&succeed(&mut eval));
    assert_eq!((&found["features"], &found["is_fid"]), (&"tandem-judge".into(), &false.into()));
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} in {found}"));
    assert!(number(&found["figures"]["frechet"]["value"]) > 0.0);
    assert!(number(&found["reconstruction"]["psnr"]["value"]) > 3.0);
    assert!(found["likeness"].is_null(), "there are no eleven held-out pictures to compare with a teacher");
    assert!(found["figures"]["warnings"][0].as_str().unwrap().contains("singular"));
    let again = json(&succeed(&mut eval));
    assert_eq!(found["figures"], again["figures"], "the cached reference gives the same");
    let noted = metrics::read(&run.join("evaluations.jsonl")).unwrap();
    assert_eq!(noted.len(), 2);
    let name = "frechet [tandem-judge, 12 samples, 2 euler steps, cfg 2.0]";
    assert_eq!(noted[0].values[name], number(&found["figures"]["frechet"]["value"]));
    // Pictures against themselves, by way of a file of statistics.
    let statistics = folder.path().join("data.npz");
    let mut of_pictures = tandem(["eval", "--device", "cpu", "--json"]);
    succeed(of_pictures.arg(&data).arg("--save-statistics").arg(&statistics));
    assert_eq!(NpzFile::open(&statistics).unwrap().floats("mu").unwrap().unwrap().0, [192]);
    let mut same = tandem(["eval", "--device", "cpu", "--json"]);
    let same = json(&succeed(same.arg(&data).arg("--reference").arg(&statistics)));
    assert!(number(&same["figures"]["frechet"]["value"]) < 1e-6);
    assert_eq!(number(&same["figures"]["precision"]["value"]), 1.0);
    let mut trained_against = tandem(["eval", "--device", "cpu", "--features", "lpips-alex"]);
    let output = trained_against.arg(&run).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("cannot judge it"), "{told}");
}

#[test]
fn a_finished_autoencoder_is_trained_on_from_its_cache() {
    let (folder, data, vae) = trained(&["method=vae"]);
    let cache = folder.path().join("latents");
    let mut encode = tandem(["cache", "--device", "cpu", "--json"]);
    encode.arg(&vae).arg("--data").arg(&data).arg("--out").arg(&cache);
    let told = json(&succeed(&mut encode));
    assert_eq!((&told["shape"][0], told["mean"].as_array().unwrap().len()), (&4.into(), 4));
    let before = fs::read(cache.join("shard-00000.safetensors")).unwrap();
    succeed(&mut encode);
    assert_eq!(fs::read(cache.join("shard-00000.safetensors")).unwrap(), before);
    let settings = ["method=vanilla", "train.steps=2"];
    let losses = |run: &Path| -> Vec<f64> {
        let rows = metrics::read(&run.join("metrics.jsonl")).unwrap();
        rows.iter().filter_map(|row| row.values.get("denoising_loss").copied()).collect()
    };
    let (computed, cached) = (folder.path().join("computed"), folder.path().join("cached"));
    succeed(train(&data, &computed, &settings).arg("--vae").arg(&vae));
    succeed(&mut train(&cache, &cached, &settings));
    let (a, b) = (losses(&computed), losses(&cached));
    assert!(a.len() == 2 && a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-5), "{a:?} {b:?}");
    // A run on a cache is measured on the pictures that it was made of.
    let mut eval = tandem(["eval", "--device", "cpu", "--steps", "2", "--num", "12", "--json"]);
    let found = json(&succeed(eval.env("XDG_CACHE_HOME", folder.path().join("stats")).arg(&cached)));
    assert_eq!(found["reference"], data.to_str().unwrap());
    assert!(found["figures"]["frechet"]["value"].as_f64().unwrap() > 0.0);
    // A cache of another autoencoder, or for a method that trains its own, is refused.
    let (_other_folder, _, other) = trained(&["method=vae", "train.seed=9"]);
    let mut wrong = train(&cache, &folder.path().join("wrong"), &settings);
    let output = wrong.arg("--vae").arg(&other).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("another autoencoder"), "{output:?}");
    let output = train(&cache, &folder.path().join("wrong"), &["train.steps=2"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("keep the autoencoder"), "{output:?}");
}

#[test]
fn runs_are_compared_on_one_page_and_one_picture() {
    let (folder, _data, one) = trained(&[]);
    let (_other_folder, _, two) = trained(&["method=naive"]);
    let out = folder.path().join("page.html");
    let mut compare = tandem(["compare", "--json"]);
    let told = json(&succeed(compare.arg(&one).arg(&two).arg("--out").arg(&out)));
    assert!(told["differences"].as_str().unwrap().contains("method (repa-e, naive)"), "{told}");
    assert_eq!(told["figures"]["held-out effective rank"].as_array().unwrap().len(), 2);
    assert!(fs::read_to_string(&out).unwrap().contains("At equal training time"));
    assert!(image::open(out.with_extension("png")).unwrap().height() > 600);
    assert!(fail(tandem(["compare"]).arg(folder.path().join("none"))).contains("no such run folder"));
}
