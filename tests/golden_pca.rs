//! PCA of latents against scikit-learn (golden `pca.safetensors`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

#[path = "golden_reader/mod.rs"]
mod golden_reader;

use golden_reader::Golden;
use tandem_core::eval::PcaBasis;

#[test]
fn golden_pca_gives_components_ranges_and_colours() {
    let golden = Golden::open("pca.safetensors");
    let shape: [usize; 4] = golden.config_shape("shape");
    let latents = golden.f32("latents", &shape);
    let basis = PcaBasis::fit_latents(&latents, shape).unwrap();
    let [n, c, h, w] = shape;

    golden.compare("mean", &[c], &basis.mean);
    golden.compare("components", &[3, c], &basis.components.concat());
    golden.compare("singular_values", &[3], &basis.singular_values);
    golden.compare("explained_variance", &[3], &basis.explained_variance);
    golden.compare("explained_variance_ratio", &[3], &basis.explained_variance_ratio);
    golden.compare("low", &[3], &basis.low);
    golden.compare("high", &[3], &basis.high);
    golden.compare("projected", &[n, 3, h, w], &basis.project(&latents, shape).unwrap());
    golden.compare_u8("rgb", &[n, 3, h, w], &basis.rgb_from_latents(&latents, shape).unwrap());
}
