//! The alignment loss: minus the mean cosine similarity, averaged over teachers.

use burn::tensor::Tensor;

use crate::kernel::cosine_similarity;

/// `−mean cos(projected, features)` in [−1, 1] for each teacher, scalars `[1]`; lower is better aligned.
///
/// # Shapes
/// For each teacher `projected[k] [B, N, D_k]` and the constant `features[k]` of the same shape.
pub fn alignment_losses(projected: Vec<Tensor<3>>, features: &[Tensor<3>]) -> Vec<Tensor<1>> {
    assert_eq!(projected.len(), features.len(), "one projection for each teacher");
    let one = |(projected, target): (Tensor<3>, &Tensor<3>)| {
        let [b, n, d] = projected.dims();
        let target = target.clone().reshape([b * n, d]);
        cosine_similarity(projected.reshape([b * n, d]), target).mean().neg()
    };
    projected.into_iter().zip(features).map(one).collect()
}

/// The mean of [`alignment_losses`], a scalar `[1]`.
pub fn alignment_loss(projected: Vec<Tensor<3>>, features: &[Tensor<3>]) -> Tensor<1> {
    mean_of(&alignment_losses(projected, features))
}

/// The mean of the losses of at least one teacher.
pub fn mean_of(losses: &[Tensor<1>]) -> Tensor<1> {
    let sum = losses.iter().cloned().reduce(|sum, loss| sum + loss);
    sum.unwrap_or_else(|| panic!("alignment needs a teacher")) / losses.len() as f64
}
