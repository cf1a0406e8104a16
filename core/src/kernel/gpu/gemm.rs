//! The tiled product that matrix product and convolution share (`shaders/shared/gemm.wgsl`): which
//! tile serves which shape.

use burn::backend::wgpu::CubeTensor;

use super::launch::{Program, Shader, shader};
use super::{conv, is_software};

pub(super) static MATMUL: Shader = shader!("matmul", "gemm", "activation");
pub(super) static CONV: Shader = shader!("conv", "gemm", "activation");
pub(super) static CONV_INPUT_BACKWARD: Shader = shader!("conv_input_backward", "gemm");
pub(super) static CONV_WEIGHT_BACKWARD: Shader = shader!("conv_weight_backward", "gemm");

/// A workgroup's tile `bm × bn`, `bk` deep, of which an invocation owns `tm × tn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    bm: u32,
    bn: u32,
    bk: u32,
    tm: u32,
    tn: u32,
}

const fn tile(bm: u32, bn: u32, bk: u32, tm: u32, tn: u32) -> Tile {
    Tile { bm, bn, bk, tm, tn }
}

/// Tiles to choose from. All fit 16 KiB of workgroup memory and 128 registers. The lowest are for few
/// rows: pictures of three channels, a discriminator's one logit.
const TILES: [Tile; 11] = [
    tile(64, 64, 16, 16, 8),
    tile(128, 64, 16, 8, 8),
    tile(64, 64, 16, 8, 8),
    tile(64, 64, 16, 4, 4),
    tile(32, 64, 16, 4, 4),
    tile(32, 64, 16, 8, 8),
    tile(16, 128, 16, 8, 8),
    tile(32, 64, 16, 4, 8),
    tile(16, 64, 16, 4, 4),
    tile(32, 32, 16, 4, 4),
    tile(4, 256, 8, 4, 8),
];

/// The size of a product `[m, k] · [k, n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub m: usize,
    /// Columns.
    pub n: usize,
    /// Terms of a sum.
    pub k: usize,
    /// How often `n` occurs: parts of the columns that share no tile.
    pub phases: usize,
}

/// How a product is cut: its tile, and how many workgroups share the `k` of one tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    tile: Tile,
    /// Workgroups that share a tile's `k`.
    pub splits: usize,
    /// `k` of each.
    pub k_split: usize,
    /// All workgroups.
    pub groups: usize,
}

/// What the cost model knows of an adapter.
struct Machine {
    /// Invocations that keep it busy: fewer leave it waiting for memory.
    busy: f64,
    /// Values of an invocation's tile that fit its registers.
    registers: u32,
    /// Cost of reading a vector from workgroup memory, in multiply-adds of a vector.
    read: f64,
    /// Cost of fetching a value into workgroup memory, its place in the picture included, in multiply-adds.
    fetch: f64,
}

impl Machine {
    const SOFTWARE: Self = Self { busy: 128.0, registers: 128, read: 8.0, fetch: 0.0 };
    // A large card runs 2048 invocations on each of some hundred units, a small one on a dozen: between the two.
    const HARDWARE: Self = Self { busy: 32_768.0, registers: 64, read: 1.5, fetch: 8.0 };

    fn of(like: &CubeTensor) -> Self {
        // Lavapipe and SwiftShader gather each lane's value on its own, on a few CPU threads.
        if is_software(&like.device) { Self::SOFTWARE } else { Self::HARDWARE }
    }
}

impl Plan {
    /// The cheapest plan for `size`; `split` allows several workgroups for one tile, whose parts the
    /// caller adds.
    pub fn new(size: Size, split: bool, like: &CubeTensor) -> Self {
        let machine = Machine::of(like);
        let plans = TILES.map(|tile| (tile, Self::with(tile, size, split, &machine)));
        let cheapest = plans
            .into_iter()
            .min_by(|(a, plan_a), (b, plan_b)| a.cost(plan_a, &machine).total_cmp(&b.cost(plan_b, &machine)))
            .map(|(_, plan)| plan);
        cheapest.unwrap_or_else(|| Self::with(TILES[0], size, split, &machine))
    }

    fn with(tile: Tile, size: Size, split: bool, machine: &Machine) -> Self {
        let tiles = size.phases * size.m.div_ceil(tile.bm as usize) * size.n.div_ceil(tile.bn as usize);
        // A split has at least 256 terms, or adding the parts costs more than it gains.
        let most = size.k.div_ceil(256).clamp(1, 64);
        let lanes = (tiles.max(1) * tile.invocations() as usize) as f64;
        let splits = if split { ((machine.busy / lanes).ceil() as usize).clamp(1, most) } else { 1 };
        let k_split = size.k.div_ceil(splits).next_multiple_of(tile.bk as usize).max(1);
        let splits = size.k.div_ceil(k_split).max(1);
        Self { tile, splits, k_split, groups: tiles * splits }
    }

    /// Whether an invocation fetches the same columns of B in every step, where they do not lie along k.
    pub fn is_fixed(&self) -> bool {
        self.tile.invocations().is_multiple_of(self.tile.bn / 4)
    }

    /// The program of `shader` for this plan, with template values of its own.
    pub fn program(&self, shader: &'static Shader, values: &[(&'static str, u32)]) -> Program {
        let mut all = self.tile.values();
        all.extend_from_slice(values);
        Program::new(shader, &all)
    }
}

impl Tile {
    /// Estimated time of a plan: the work of all its tiles, edges included, over the share of the adapter that it
    /// keeps busy.
    fn cost(&self, plan: &Plan, machine: &Machine) -> f64 {
        let work = (plan.groups * plan.k_split) as f64 * f64::from(self.bm * self.bn);
        let reads = machine.read * (1.0 / f64::from(self.tm) + 1.0 / f64::from(self.tn));
        let fetches = machine.fetch * (1.0 / f64::from(self.bm) + 1.0 / f64::from(self.bn));
        // Many registers leave no room for another workgroup.
        let crowded = if self.tm * self.tn > machine.registers { 2.0 } else { 1.0 };
        let lanes = plan.groups as f64 * f64::from(self.invocations());
        work * (1.0 + reads + fetches) * crowded / (lanes / machine.busy).min(1.0)
    }

    fn invocations(&self) -> u32 {
        self.bm / self.tm * (self.bn / self.tn)
    }

    fn values(&self) -> Vec<(&'static str, u32)> {
        let Self { bm, bn, bk, tm, tn } = *self;
        vec![
            ("wg", self.invocations()),
            ("bm", bm),
            ("bn", bn),
            ("bk", bk),
            ("bm4", bm / 4),
            ("bn4", bn / 4),
            ("bk4", bk / 4),
            ("tm4", tm / 4),
            ("tn4", tn / 4),
            ("rows", bm / tm),
            ("columns", bn / tn),
            ("pieces", tm * tn / 4),
        ]
    }
}

/// Template values of a linear map's three products.
pub(super) const FORWARD: [(&str, u32); 2] = [("a_along_k", 1), ("b_along_k", 1)];
pub(super) const GRAD_INPUT: [(&str, u32); 2] = [("a_along_k", 1), ("b_along_k", 0)];
pub(super) const GRAD_WEIGHT: [(&str, u32); 2] = [("a_along_k", 0), ("b_along_k", 0)];

pub fn variants() -> Vec<Program> {
    let mut all = Vec::new();
    for tile in TILES {
        let plan = Plan { tile, splits: 1, k_split: 16, groups: 1 };
        for use_of in [FORWARD, GRAD_INPUT, GRAD_WEIGHT] {
            for vec in [0, 1] {
                let mut values = use_of.to_vec();
                values.extend([("vec", vec), ("row_sums", u32::from(use_of == GRAD_WEIGHT))]);
                all.push(plan.program(&MATMUL, &values));
            }
        }
        for act in 0..5 {
            let mut values = FORWARD.to_vec();
            values.extend([("bias", 1), ("act", act), ("saves", u32::from(act > 0))]);
            all.push(plan.program(&MATMUL, &values));
        }
        all.extend(conv::variants_of(&plan));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_workgroup_memory_and_divide_into_invocations() {
        for t in TILES {
            assert!((t.bm + t.bn) * t.bk * 4 <= 16 * 1024, "{t:?}");
            assert!(t.bm % t.tm == 0 && t.bn % t.tn == 0 && t.invocations() <= 256, "{t:?}");
            assert!([t.tm, t.tn, t.bk].iter().all(|v| v % 4 == 0), "{t:?}");
        }
    }

    #[test]
    fn few_rows_take_a_low_tile_and_hardware_no_crowded_one() {
        let best = |size, machine: &Machine| {
            let cost = |tile: &Tile| tile.cost(&Plan::with(*tile, size, false, machine), machine);
            TILES.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))
        };
        let pictures = Size { m: 3, n: 32_768, k: 144, phases: 1 };
        assert_eq!(best(pictures, &Machine::SOFTWARE).map(|t| t.bm), Some(4));
        // Here rows to spare are cheaper than lanes that wait.
        assert_eq!(best(pictures, &Machine::HARDWARE).map(|t| t.bm), Some(16));
        let large = best(Size { m: 2048, n: 2048, k: 512, phases: 1 }, &Machine::HARDWARE);
        assert!(large.is_some_and(|t| t.tm * t.tn <= 64));
    }

    #[test]
    fn splits_cover_k_once() {
        for machine in [Machine::SOFTWARE, Machine::HARDWARE] {
            for k in [1, 15, 16, 255, 257, 32_768] {
                for tile in TILES {
                    let size = Size { m: 16, n: 144, k, phases: 1 };
                    let plan = Plan::with(tile, size, true, &machine);
                    assert!(plan.k_split * plan.splits >= k, "{plan:?} leaves some of {k} out");
                    assert!(plan.k_split * (plan.splits - 1) < k, "{plan:?} has an empty split of {k}");
                    assert!(plan.k_split.is_multiple_of(tile.bk as usize));
                }
            }
        }
    }
}
