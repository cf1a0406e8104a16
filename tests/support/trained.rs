//! How weights after training are compared.

use tandem_core::params::{self, Parameters};

use crate::support::{Golden, largest_difference};

/// Compares a model's weights and buffers with `after{k}.{part}.*` of `case`.
pub fn check_model<P: Parameters + Clone>(
    case: &Golden,
    part: &str,
    k: usize,
    model: &P,
    rename: impl Fn(&str) -> String,
) {
    let prefix = format!("after{k}.{part}");
    let lr = case.at("/hyper/lr").as_f64().unwrap() as f32;
    let far = 2.0 * lr * k as f32;
    let mut seen = 0;
    for (name, param) in params::named(model) {
        let name = rename(&name);
        let stored = format!("{prefix}.{name}");
        if !case.has(&stored) || name.ends_with("num_batches_tracked") {
            continue;
        }
        seen += 1;
        let (actual, expected) = (param.to_vec(), case.values(&stored));
        let rounding = case.config["rounding_only"]
            [format!("{part}.{name}").replace("ema_fast.", "sit.").replace("ema.", "sit.")]
        .as_array();
        let range = rounding.map(|r| r[0].as_u64().unwrap() as usize..r[1].as_u64().unwrap() as usize);
        check_trained(&stored, &actual, expected, case.tolerance(&stored), far, range);
    }
    assert!(seen > 0, "no {prefix}");
}

/// The README's rule for trained weights: 0.2 % of the values (3 of a small tensor) may exceed the
/// bound, up to `far`; a range whose gradient is rounding alone may move by `far` freely.
pub fn check_trained(
    what: &str,
    actual: &[f32],
    expected: &[f32],
    bound: f32,
    far: f32,
    rounding: Option<std::ops::Range<usize>>,
) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let excess = |values: &[f32]| {
        let outside = |i: &usize| !rounding.as_ref().is_some_and(|r| r.contains(i));
        (0..values.len())
            .filter(outside)
            .filter(|&i| values[i].is_nan() || (values[i] - expected[i]).abs() > bound)
            .count()
    };
    let allowed = (expected.len() / 500).max(3);
    if expected.len() > 3 && rounding.is_none() {
        let moved: Vec<f32> = expected.iter().map(|v| v + 4.0 * bound + v.abs() * 1e-5).collect();
        assert!(excess(&moved) > allowed, "{what}: the comparison cannot fail");
    }
    let count = excess(actual);
    assert!(count <= allowed, "{what}: {count} of {} values beyond {bound:e}", expected.len());
    let worst = largest_difference(actual, expected);
    assert!(worst <= far.max(bound), "{what}: differs by {worst:e}");
}
