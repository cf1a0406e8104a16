//! Figures of sets against golden `metrics.safetensors`: Fréchet distance, KID, inception score,
//! precision and recall, CKA, CKNNA. All in f64, so the bound is 1e-6 of the value: tighter than the
//! file's, which are for f32.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use support::{Golden, compare};
use tandem_core::eval::{
    Coverage, Gaussian, InceptionScore, Moments, cknna, frechet_distance, kid, linear_cka,
};

/// Compares to 1e-6 of the largest value, or the file's own bound where that is tighter.
fn check(golden: &Golden, name: &str, actual: &[f64]) {
    let expected = golden.values(name);
    let scale = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let bound = (1e-6 * scale).min(golden.tolerance(name)).max(1e-9);
    let actual: Vec<f32> = actual.iter().map(|x| *x as f32).collect();
    compare(&format!("{}: {name}", golden.name), &actual, expected, bound);
}

fn features(golden: &Golden) -> (&[f32], &[f32], usize) {
    (golden.values("features_a"), golden.values("features_b"), golden.shape("features_a")[1])
}

#[test]
fn golden_moments_and_frechet_distance() {
    let golden = Golden::open("metrics.safetensors");
    let (a, b, width) = features(&golden);
    let gaussian = |rows: &[f32]| Gaussian::from(&Moments::of(rows, width));
    let (ga, gb) = (gaussian(a), gaussian(b));
    check(&golden, "mu_a", &ga.mean);
    check(&golden, "sigma_a", &ga.covariance);
    for name in ["frechet", "frechet_symmetric"] {
        check(&golden, name, &[frechet_distance(&ga, &gb).unwrap()]);
        check(&golden, name, &[frechet_distance(&gb, &ga).unwrap()]);
    }
    // Fewer rows than features: both covariances are singular.
    let few = width / 2 * width;
    let distance = frechet_distance(&gaussian(&a[..few]), &gaussian(&b[..few])).unwrap();
    check(&golden, "frechet_singular", &[distance]);
}

#[test]
fn golden_kid() {
    let golden = Golden::open("metrics.safetensors");
    let (a, b, width) = features(&golden);
    check(&golden, "kid", &[kid(a, b, width).unwrap()]);
}

#[test]
fn golden_inception_score() {
    let golden = Golden::open("metrics.safetensors");
    let [count, classes] = golden.shape("logits").try_into().unwrap();
    let score = |splits| {
        let mut score = InceptionScore::new(count, classes, splits).unwrap();
        // In batches that do not end where splits do.
        golden.values("logits").chunks(7 * classes).for_each(|part| score.add(part));
        score.finish().unwrap()
    };
    let (one, ten) = (score(1), score(10));
    check(&golden, "inception_score", &[one.mean]);
    check(&golden, "inception_score_std", &[one.std]);
    check(&golden, "inception_score_10", &[ten.mean]);
    check(&golden, "inception_score_10_std", &[ten.std]);
}

#[test]
fn golden_precision_and_recall() {
    let golden = Golden::open("metrics.safetensors");
    let (a, b, width) = features(&golden);
    let found = Coverage::measure(a, b, width).unwrap();
    check(&golden, "precision", &[found.precision()]);
    check(&golden, "recall", &[found.recall()]);
}

#[test]
fn golden_cka_and_cknna() {
    let golden = Golden::open("metrics.safetensors");
    let (a, b) = (golden.values("cka_a"), golden.values("cka_b"));
    let widths = (golden.shape("cka_a")[1], golden.shape("cka_b")[1]);
    let neighbours = golden.usize_at("/geometry/topk");
    check(&golden, "linear_cka", &[linear_cka(a, b, widths).unwrap()]);
    check(&golden, "cknna", &[cknna(a, b, widths, neighbours).unwrap()]);
    let same = (widths.0, widths.0);
    check(&golden, "cknna_self", &[cknna(a, a, same, neighbours).unwrap()]);
}
