//! Full 3-D kernels of a file to acting slices and what is kept of them, and back.

use crate::error::Result;
use crate::params::TensorSource;

/// The name, beside `weight`, of a kernel's earlier time slices in this program's own checkpoints.
pub(super) const PAST: &str = "weight_past";
/// Frames of a kernel.
const FRAMES: usize = 3;

/// A file's tensors as this program's model names them: of a 3×3×3 kernel `x.weight` the last time
/// slice under `x.weight`, the others under `x.weight_past`.
pub struct ActingSlices<'a>(pub &'a dyn TensorSource);

impl TensorSource for ActingSlices<'_> {
    fn tensor(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let full = name.strip_suffix("_past").unwrap_or(name);
        let Some((shape, values)) = self.0.tensor(full)? else { return Ok(None) };
        let (out, from, h, w) = match *shape.as_slice() {
            [out, from, FRAMES, h, w] if h * w > 1 => (out, from, h, w),
            _ => return Ok((full == name).then_some((shape, values))),
        };
        let plane = h * w;
        let past = full != name;
        let frames = if past { 0..FRAMES - 1 } else { FRAMES - 1..FRAMES };
        let mut kept = Vec::with_capacity(out * from * frames.len() * plane);
        for kernel in values.chunks_exact(FRAMES * plane) {
            kept.extend_from_slice(&kernel[frames.start * plane..frames.end * plane]);
        }
        let shape = if past { vec![out, from, FRAMES - 1, h, w] } else { vec![out, from, h, w] };
        Ok(Some((shape, kept)))
    }
}

/// The full kernel of `acting` `[out, in, h, w]` and `past` `[out, in, 2, h, w]`.
pub fn join_slices(acting: &[f32], past: &[f32], plane: usize) -> Vec<f32> {
    let mut full = Vec::with_capacity(acting.len() + past.len());
    for (now, before) in acting.chunks_exact(plane).zip(past.chunks_exact((FRAMES - 1) * plane)) {
        full.extend_from_slice(before);
        full.extend_from_slice(now);
    }
    full
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_kernel_taken_apart_is_put_together_again() {
        let values: Vec<f32> = (0..2 * 27).map(|v| v as f32).collect();
        let file = BTreeMap::from([
            ("c.weight".to_string(), (vec![2, 1, 3, 3, 3], values.clone())),
            ("t.weight".to_string(), (vec![1, 1, 3, 1, 1], vec![1.0, 2.0, 3.0])),
        ]);
        let slices = ActingSlices(&file);
        let (shape, acting) = slices.tensor("c.weight").unwrap().unwrap();
        assert_eq!((shape, acting[0], acting[9]), (vec![2, 1, 3, 3], 18.0, 45.0));
        let (shape, past) = slices.tensor("c.weight_past").unwrap().unwrap();
        assert_eq!(shape, [2, 1, 2, 3, 3]);
        assert_eq!(join_slices(&acting, &past, 9), values);
        assert_eq!(slices.tensor("t.weight").unwrap().unwrap().1, [1.0, 2.0, 3.0]);
        assert!(slices.tensor("t.weight_past").unwrap().is_none());
        assert!(slices.tensor("missing").unwrap().is_none());
    }
}
