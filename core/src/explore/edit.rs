//! Changes of latents on the host: between pictures, along directions, by regions. A latent is
//! `[z, h, w]`, row-major; a mask has a value for each of the `h · w` positions.

use super::ask::Blend;
use crate::eval::pca::PcaBasis;

/// `a` at `share` 0, `b` at 1, exactly; a straight line between.
pub fn lerp(a: &[f32], b: &[f32], share: f32) -> Vec<f32> {
    match share {
        s if s <= 0.0 => a.to_vec(),
        s if s >= 1.0 => b.to_vec(),
        s => a.iter().zip(b).map(|(x, y)| x + s * (y - x)).collect(),
    }
}

/// `a` at `share` 0, `b` at 1, exactly; between them the direction turns evenly and the norm changes
/// evenly. Latents without a direction, or of the same or opposite ones, go straight.
pub fn slerp(a: &[f32], b: &[f32], share: f32) -> Vec<f32> {
    let norm = |z: &[f32]| z.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let (na, nb) = (norm(a), norm(b));
    if share <= 0.0 || share >= 1.0 || na == 0.0 || nb == 0.0 {
        return lerp(a, b, share);
    }
    let dot: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    let angle = (dot / (na * nb)).clamp(-1.0, 1.0).acos();
    let sine = angle.sin();
    // Below this, the arc and its chord are the same to rounding (and at π there is no arc).
    if sine.is_nan() || sine <= 1e-4 {
        return lerp(a, b, share);
    }
    let s = f64::from(share);
    let length = na + s * (nb - na);
    let (wa, wb) = (((1.0 - s) * angle).sin() / sine / na, (s * angle).sin() / sine / nb);
    a.iter().zip(b).map(|(x, y)| (length * (wa * f64::from(*x) + wb * f64::from(*y))) as f32).collect()
}

/// Between two latents (left, right) or four (top left, top right, bottom left, bottom right), at a
/// place from the left and from the top.
///
/// # Panics
/// With another number of latents.
pub fn blend(corners: &[&[f32]], at: [f32; 2], way: Blend) -> Vec<f32> {
    let between = |a: &[f32], b: &[f32], share: f32| match way {
        Blend::Straight => lerp(a, b, share),
        Blend::Spherical => slerp(a, b, share),
    };
    match corners {
        [left, right] => between(left, right, at[0]),
        [a, b, c, d] => between(&between(a, b, at[0]), &between(c, d, at[0]), at[1]),
        other => panic!("a blend of {} latents", other.len()),
    }
}

/// Moves `z` along the directions of `basis` by `amounts` standard deviations of the data, at the
/// positions of `mask`.
///
/// # Panics
/// When latent and mask have not `shape`, or the basis other channels.
pub fn push(z: &mut [f32], shape: [usize; 3], basis: &PcaBasis, amounts: &[f32], mask: Option<&[bool]>) {
    let [channels, h, w] = shape;
    let plane = h * w;
    check(z, shape, mask);
    assert_eq!(basis.channels(), channels, "a basis of the latent's channels");
    let mut shift = vec![0.0f64; channels];
    for ((amount, direction), variance) in
        amounts.iter().zip(&basis.components).zip(&basis.explained_variance)
    {
        let by = f64::from(*amount) * f64::from(*variance).sqrt();
        shift.iter_mut().zip(direction).for_each(|(sum, x)| *sum += by * f64::from(*x));
    }
    for (plane, shift) in z.chunks_exact_mut(plane).zip(shift) {
        let there = |at: usize| mask.is_none_or(|mask| mask[at]);
        let moved = plane.iter_mut().enumerate().filter(|(at, _)| there(*at));
        moved.for_each(|(_, x)| *x = (f64::from(*x) + shift) as f32);
    }
}

/// Puts `from` into `z` at the positions of `mask`.
///
/// # Panics
/// When latents and mask have not `shape`.
pub fn swap(z: &mut [f32], from: &[f32], shape: [usize; 3], mask: Option<&[bool]>) {
    check(z, shape, mask);
    assert_eq!(z.len(), from.len(), "two latents of one shape");
    let plane = shape[1] * shape[2];
    for (at, (x, other)) in z.iter_mut().zip(from).enumerate() {
        if mask.is_none_or(|mask| mask[at % plane]) {
            *x = *other;
        }
    }
}

fn check(z: &[f32], [c, h, w]: [usize; 3], mask: Option<&[bool]>) {
    assert_eq!(z.len(), c * h * w, "a latent of {c} x {h} x {w}");
    assert!(mask.is_none_or(|mask| mask.len() == h * w), "a mask of {h} x {w}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latent(seed: usize, count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 29 + seed * 17) % 41) as f32 / 9.0 - 2.0).collect()
    }

    fn norm(z: &[f32]) -> f64 {
        z.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn corners_are_the_pictures_themselves_bit_by_bit() {
        let all: Vec<_> = (0..4).map(|seed| latent(seed, 48)).collect();
        let four: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
        for way in [Blend::Straight, Blend::Spherical] {
            for (corner, at) in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]].into_iter().enumerate() {
                assert_eq!(blend(&four, at, way), all[corner], "{way:?} {corner}");
                assert_eq!(blend(&four[..2], at, way), all[corner % 2]);
            }
            assert_ne!(blend(&four, [0.5, 0.5], way), all[0]);
        }
        let middle = blend(&four, [0.5, 0.5], Blend::Straight);
        let mean: Vec<f32> = (0..48).map(|i| all.iter().map(|z| z[i]).sum::<f32>() / 4.0).collect();
        assert!(middle.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn the_arc_keeps_norms_and_turns_evenly() {
        let (mut a, mut b) = (latent(1, 60), latent(2, 60));
        let (na, nb) = (norm(&a), norm(&b));
        a.iter_mut().for_each(|x| *x = (f64::from(*x) * 5.0 / na) as f32);
        b.iter_mut().for_each(|x| *x = (f64::from(*x) * 5.0 / nb) as f32);
        let angle = |p: &[f32], q: &[f32]| {
            let dot: f64 = p.iter().zip(q).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            (dot / norm(p) / norm(q)).acos()
        };
        for share in [0.1f32, 0.25, 0.5, 0.9] {
            let z = slerp(&a, &b, share);
            assert!((norm(&z) - 5.0).abs() < 1e-5, "{share}: norm {}", norm(&z));
            assert!((angle(&a, &z) - f64::from(share) * angle(&a, &b)).abs() < 1e-4);
            assert!(norm(&lerp(&a, &b, share)) < 4.99, "the chord is shorter, so the test can fail");
        }
        let longer: Vec<f32> = b.iter().map(|x| 3.0 * x).collect();
        assert!((norm(&slerp(&a, &longer, 0.5)) - 10.0).abs() < 1e-4, "norms change evenly");
        // No direction, the same one, the opposite one.
        let zero = vec![0.0; 60];
        let against: Vec<f32> = a.iter().map(|x| -x).collect();
        for other in [&zero, &a, &against] {
            assert!(slerp(&a, other, 0.3).iter().all(|x| x.is_finite()));
            assert_eq!(slerp(&a, other, 0.3), lerp(&a, other, 0.3));
        }
    }

    #[test]
    fn a_push_moves_one_coordinate_by_what_was_said_and_nothing_outside_the_mask() {
        let shape = [4, 3, 3];
        let rows = latent(3, 4 * 50);
        let basis = PcaBasis::fit(&rows, 4, 4).unwrap();
        let z = latent(5, 36);
        let along = |z: &[f32]| basis.project(z, [1, 4, 3, 3]).unwrap();
        let mut same = z.clone();
        push(&mut same, shape, &basis, &[0.0; 4], None);
        assert_eq!(same, z, "a push by nothing");
        for k in 0..4 {
            let mut amounts = [0.0; 4];
            amounts[k] = 1.5;
            let mut mask = vec![false; 9];
            mask[2] = true;
            mask[7] = true;
            let mut moved = z.clone();
            push(&mut moved, shape, &basis, &amounts, Some(&mask));
            let (before, after) = (along(&z), along(&moved));
            for direction in 0..4 {
                for at in 0..9 {
                    let expected = if direction == k && mask[at] {
                        1.5 * basis.explained_variance[k].sqrt()
                    } else {
                        0.0
                    };
                    let change = after[direction * 9 + at] - before[direction * 9 + at];
                    assert!(
                        (change - expected).abs() < 1e-4,
                        "push {k}: direction {direction} at {at}: {change}"
                    );
                }
            }
            let outside = |z: &[f32]| -> Vec<f32> {
                z.iter().enumerate().filter(|(i, _)| !mask[i % 9]).map(|(_, x)| *x).collect()
            };
            assert_eq!(outside(&moved), outside(&z));
        }
    }

    #[test]
    fn a_swap_of_everything_is_the_other_picture_and_of_nothing_the_same() {
        let shape = [2, 2, 3];
        let (a, b) = (latent(1, 12), latent(2, 12));
        let swapped = |mask: Option<&[bool]>| {
            let mut z = a.clone();
            swap(&mut z, &b, shape, mask);
            z
        };
        assert_eq!(swapped(None), b);
        assert_eq!(swapped(Some(&[true; 6])), b);
        assert_eq!(swapped(Some(&[false; 6])), a);
        let half = swapped(Some(&[true, false, false, false, false, false]));
        assert_eq!((half[0], half[6], &half[1..6], &half[7..]), (b[0], b[6], &a[1..6], &a[7..]));
    }
}
