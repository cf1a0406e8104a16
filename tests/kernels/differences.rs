//! Gradients against central differences, which know nothing of any reference.

use burn::tensor::{Tensor, TensorData};
use tandem_core::kernel::form::{Forms, set_forms};
use tandem_core::kernel::{self, Conv, GroupNormConfig};
use tandem_core::params::host;

use crate::parity::{leaf, values};
use crate::support::{self, compare};

/// Compares the gradient of `f` at a leaf of `shape` with central differences, on all devices.
fn differences_agree<const A: usize, const O: usize>(
    what: &str,
    shape: [usize; A],
    f: impl Fn(Tensor<A>) -> Tensor<O>,
) {
    const STEP: f32 = 1e-2;
    set_forms(Forms::All);
    for (name, device) in support::devices() {
        let point = values(1, shape.iter().product());
        let at = |values: Vec<f32>| Tensor::<A>::from_data(TensorData::new(values, shape), &device);
        let loss = |y: Tensor<O>| {
            let weights = leaf(4, y.dims(), &device).without_autodiff();
            (y * weights).sum()
        };
        let x = at(point.clone()).autodiff().require_grad();
        let gradient = host(x.grad(&loss(f(x.clone())).backward()).unwrap());
        let differences: Vec<f32> = (0..point.len())
            .map(|i| {
                let moved = |by: f32| {
                    let mut values = point.clone();
                    values[i] += by;
                    host(loss(f(at(values))))[0]
                };
                (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
            })
            .collect();
        let scale = differences.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        compare(&format!("{name}, {what}"), &gradient, &differences, 5e-3 * scale);
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let constant = |seed, shape: [usize; 2]| values(seed, shape[0] * shape[1]);
    let like = |x: &Tensor<2>, seed: u32| {
        let data = TensorData::new(constant(seed, x.dims()), x.dims());
        Tensor::<2>::from_data(data, &x.device().without_autodiff())
    };
    differences_agree("silu", [7], kernel::silu);
    differences_agree("gelu", [7], kernel::gelu_tanh);
    differences_agree("attention", [1, 3, 3, 1, 4], kernel::attention);
    differences_agree("cosine", [3, 5], |f| {
        let target = like(&f, 2);
        kernel::cosine_similarity(f, target)
    });
    differences_agree("square error", [3, 5], |a| {
        let b = like(&a, 2);
        kernel::loss::square_error(a, b)
    });
    differences_agree("divergence", [3, 5], |a| kernel::loss::divergence(a.clone(), a));
    differences_agree("linear with SiLU", [3, 5], |x| {
        let weight = like(&x, 2);
        let bias = weight.clone().sum_dim(1).reshape([3]);
        kernel::linear_activated(x, weight, bias, kernel::Activation::Silu)
    });
    differences_agree("layer norm", [3, 5], |x| {
        let row = like(&x, 2).narrow(0, 0, 1).reshape([5]);
        kernel::layer_norm(x, row.clone(), row, 1e-1)
    });
    differences_agree("group norm", [1, 4, 2, 2], |x| {
        let row = Tensor::<1>::ones([4], &x.device().without_autodiff());
        kernel::group_norm(x, row.clone(), row, GroupNormConfig { groups: 2, eps: 1e-1, silu: true })
    });
    differences_agree("convolution", [1, 2, 4, 3], |x| {
        let weight = Tensor::<4>::ones([2, 2, 3, 3], &x.device().without_autodiff());
        kernel::conv2d(x, weight, None, Conv::new(1, 1))
    });
}
