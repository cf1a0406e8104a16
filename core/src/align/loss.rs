//! The alignment loss: minus the mean cosine similarity, averaged over teachers.

use burn::tensor::Tensor;

use crate::kernel::cosine_similarity;

/// `−mean cos(projected, features)` in [−1, 1], a scalar `[1]`; lower is better aligned.
///
/// # Shapes
/// For each teacher `projected[k] [B, N, D_k]` and the constant `features[k]` of the same shape.
pub fn alignment_loss(projected: Vec<Tensor<3>>, features: &[Tensor<3>]) -> Tensor<1> {
    assert_eq!(projected.len(), features.len(), "one projection for each teacher");
    let teachers = features.len() as f64;
    let losses = projected.into_iter().zip(features).map(|(projected, target)| {
        let [b, n, d] = projected.dims();
        let target = target.clone().reshape([b * n, d]);
        cosine_similarity(projected.reshape([b * n, d]), target).mean().neg()
    });
    let sum = losses.reduce(|sum, loss| sum + loss);
    sum.unwrap_or_else(|| panic!("alignment needs a teacher")) / teachers
}
