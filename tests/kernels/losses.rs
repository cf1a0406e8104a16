//! Losses and distances.

use tandem_core::kernel;

use crate::parity::agree;

#[test]
fn cosine_of_rows() {
    for shape in [[1, 1], [7, 5], [3, 130], [300, 112]] {
        let [rows, _] = shape;
        agree(
            &format!("{shape:?}"),
            (shape, shape, [rows]),
            |f, t, g| kernel::cosine_similarity(f, t) * g,
            |f, t, g| kernel::cosine::cosine_similarity_reference(f, t) * g,
        );
    }
}

#[test]
fn perceptual_distance_of_a_layer() {
    use kernel::perceptual::{layer_distance, layer_distance_reference};
    for shape in [[1, 1, 1, 1], [2, 5, 3, 4], [3, 17, 9, 9]] {
        let c = shape[1];
        agree(&format!("{shape:?}"), (shape, shape, [c]), layer_distance, layer_distance_reference);
    }
}

#[test]
fn losses_that_end_as_a_number() {
    for shape in [[1, 1], [7, 5], [40, 1025]] {
        agree(
            &format!("{shape:?}"),
            (shape, shape, shape),
            |a, b, c| {
                let errors = kernel::loss::absolute_error(a.clone(), b.clone())
                    + kernel::loss::square_error(a.clone(), c.clone());
                errors + kernel::loss::hinge(b, -1.0) + kernel::loss::divergence(a, c)
            },
            |a, b, c| {
                let errors = (a.clone() - b.clone()).abs().mean() + (a.clone() - c.clone()).square().mean();
                let hinge = kernel::activation::relu((b * -1.0) + 1.0).mean();
                let rows = a.dims()[0] as f32;
                let divergence = (a.square() + c.clone().exp() - 1.0 - c).sum() * (0.5 / rows);
                errors + hinge + divergence
            },
        );
    }
}
