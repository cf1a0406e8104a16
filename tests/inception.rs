//! The Inception network against pytorch-fid's code and torch-fidelity's resize, at its real size
//! with weights by a formula (tests/fixtures/make_inception.py).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use std::collections::BTreeMap;

use support::Golden;
use support::formula::Formula;
use tandem_core::eval::{Inception, Preparation};
use tandem_core::params::TensorSource;

type Shapes = BTreeMap<String, Vec<usize>>;

fn shapes(case: &Golden) -> Shapes {
    serde_json::from_value(case.at("/shapes").clone()).unwrap()
}

/// As `scale` in make_inception.py.
fn scale(name: &str, shape: &[usize]) -> (f64, f64) {
    if name.ends_with("running_var") {
        (1.0, 0.5)
    } else if name.ends_with(".bn.weight") {
        (1.0, 0.2)
    } else if name.ends_with("running_mean") || name.ends_with("bias") {
        (0.0, 0.1)
    } else {
        (0.0, (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt())
    }
}

fn weights(shapes: Shapes) -> impl TensorSource {
    Formula { shape_of: move |name: &str| shapes.get(name).cloned(), scale_of: scale }
}

#[test]
fn inception_equals_pytorch_fid_and_torch_fidelity() {
    let case = Golden::fixture("inception.safetensors");
    // Forty convolutions at 299 px would take minutes on a software adapter.
    let device = tandem_core::device::cpu();
    let network = Inception::load(&weights(shapes(&case)), &device).unwrap();
    for (name, preparation) in
        [("pytorch_fid", Preparation::PytorchFid), ("torch_fidelity", Preparation::TorchFidelity)]
    {
        let found = network.features(case.tensor::<4>("pictures", &device), preparation);
        case.check(&format!("{name}.pool"), found.pool, 1.0);
        case.check(&format!("{name}.spatial"), found.spatial, 1.0);
        case.check(&format!("{name}.logits"), found.logits, 1.0);
    }
}

#[test]
fn a_file_of_another_network_is_refused_by_name() {
    let case = Golden::fixture("inception.safetensors");
    let refused = |change: &dyn Fn(&mut Shapes)| {
        let mut shapes = shapes(&case);
        change(&mut shapes);
        Inception::load(&weights(shapes), &tandem_core::device::cpu()).unwrap_err().to_string()
    };
    let missing = refused(&|s| drop(s.remove("Mixed_6c.branch7x7_2.conv.weight")));
    assert!(missing.contains("Mixed_6c.branch7x7_2.conv.weight is missing"), "{missing}");
    let square = refused(&|s| s.get_mut("Mixed_6b.branch7x7_2.conv.weight").unwrap()[2] = 7);
    assert!(square.contains("Mixed_6b.branch7x7_2.conv: expected shape"), "{square}");
    let imagenet = refused(&|s| s.get_mut("fc.weight").unwrap()[0] = 1000);
    assert!(imagenet.contains("fc.weight: expected shape [1008, 2048]"), "{imagenet}");
}
