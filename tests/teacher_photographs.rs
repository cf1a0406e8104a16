//! EfficientNet-Lite0 on real photographs: its features, carried on through the network's own later
//! blocks and classifier, name what is on them. Padding, normalisation or order gone wrong would not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use burn::tensor::Tensor;
use support::{largest_difference, shared};
use tandem_core::align::efficientnet::{EfficientNetLite0, INPUT_PX};
use tandem_core::data::{DataSource, Dataset, Split, pixels::planar_from_hwc};
use tandem_core::kernel::resample::{Filter, resize};
use tandem_core::params::{TensorSource, host};
use tandem_core::train::batches::pictures;
use tandem_core::{device, files::TensorFile, weights};

const PX: usize = 64;
const PER_CLASS: usize = 6;

/// Classes of the set and their numbers among the thousand of ImageNet.
const CLASSES: [(&str, usize); 10] = [
    ("goldfish", 1),
    ("jellyfish", 107),
    ("king_penguin", 145),
    ("ladybug", 301),
    ("monarch", 323),
    ("lesser_panda", 387),
    ("school_bus", 779),
    ("sports_car", 817),
    ("lemon", 951),
    ("espresso", 967),
];

/// Held-out photographs `[N, 3, 64, 64]` in [−1, 1] and the ImageNet class of each.
fn photographs() -> (Tensor<4>, Vec<usize>) {
    let set = Dataset::open(&DataSource::Path(shared("data/tinyimagenet10.zip")), PX).unwrap();
    let (mut planar, mut classes) = (Vec::new(), Vec::new());
    for (name, number) in CLASSES {
        let label = set.class_names().iter().position(|class| class == name).unwrap();
        let of_class = (0..set.len(Split::Held)).filter(|&i| set.label(Split::Held, i) == label);
        for index in of_class.take(PER_CLASS) {
            let mut picture = vec![0; 3 * PX * PX];
            planar_from_hwc(&set.image(Split::Held, index), PX, false, &mut picture);
            planar.extend(picture);
            classes.push(number);
        }
    }
    (pictures(&planar, classes.len(), PX, &device::cpu()), classes)
}

/// Share of `[N, 1000]` scores whose largest is of the right class.
fn accuracy(logits: Tensor<2>, classes: &[usize]) -> f64 {
    let scores = host(logits);
    let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    let right = scores.chunks_exact(1000).zip(classes).filter(|(row, class)| best(row) == **class);
    right.count() as f64 / classes.len() as f64
}

#[test]
fn features_name_what_is_on_photographs() {
    let (x, classes) = photographs();
    let published = TensorFile::open(&shared("weights/efficientnet_lite0.safetensors")).unwrap();
    let embedded = weights::efficientnet_lite0().unwrap();
    let sources: [(&str, &dyn TensorSource); 2] = [("published", &published), ("embedded", &embedded)];
    for (name, source) in sources {
        let net = EfficientNetLite0::load(source, true, &device::cpu()).unwrap();
        let carried = net.logits_of_features(net.features(x.clone())).unwrap();
        // The same network in one piece, on the same 128 px.
        let whole = net.logits(resize(x.clone(), INPUT_PX, Filter::Bicubic)).unwrap();
        assert!(largest_difference(&host(carried.clone()), &host(whole)) < 1e-3, "{name}");
        let right = accuracy(carried, &classes);
        // Enlarged from 64 px and against a thousand classes, of which chance would hit one in a thousand.
        assert!(right >= 0.4, "{name}: {right}");
        // The test can fail: the same features in another order are not recognised.
        let mixed = net.features(x.clone()).flip([2]);
        let mixed = accuracy(net.logits_of_features(mixed).unwrap(), &classes);
        assert!(mixed <= 0.1, "{name}: {mixed} with channels in reverse");
    }
}
