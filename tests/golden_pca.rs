//! PCA of latents against scikit-learn (golden `pca.safetensors`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail loudly"
)]

mod support;

use support::Golden;
use tandem_core::eval::PcaBasis;

#[test]
fn golden_pca_gives_components_ranges_and_colours() {
    let golden = Golden::open("pca.safetensors");
    let shape: [usize; 4] = golden.usizes_at("/shape").try_into().unwrap();
    let latents = golden.values("latents").to_vec();
    let basis = PcaBasis::fit_latents(&latents, shape).unwrap();

    golden.check_values("mean", &basis.mean, 1.0);
    golden.check_values("components", &basis.components.concat(), 1.0);
    golden.check_values("singular_values", &basis.singular_values, 1.0);
    golden.check_values("explained_variance", &basis.explained_variance, 1.0);
    golden.check_values("explained_variance_ratio", &basis.explained_variance_ratio, 1.0);
    golden.check_values("low", &basis.low, 1.0);
    golden.check_values("high", &basis.high, 1.0);
    golden.check_values("projected", &basis.project(&latents, shape).unwrap(), 1.0);
    golden.check_bytes("rgb", &basis.rgb_from_latents(&latents, shape).unwrap());
}
