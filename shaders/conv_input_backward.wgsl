// Gradient of convolution to its input, as an implicit product:
//
//   dx[b, i, q] = sum_k W[o, i, ky, kx] dy[b, o, (row(q) + top - ky) / s, (column(q) + left - kx) / s]
//
// with m = i, n = (b, q), and k = (o, ky, kx), or (ky, kx, o) where channels come in fours (`taps_outer`): four terms
// then share their place in the picture. A term counts only where the division leaves no rest, so pixels are
// taken by phases, those whose padded row and column have the same rests: each phase meets its own taps only, one
// in s^2 of them, and no product with zero is made. A tile lies in one phase.
// Kernel size and stride are template values. shared/gemm.wgsl is the machine.
// {{ wg }} invocations, {{ bm }} x {{ bn }} tile, {{ bk }} deep.
struct Info {
    batch: u32,
    inputs: u32,
    outputs: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    top: u32,
    left: u32,
    splits: u32,
    k_split: u32,
    slope: f32,
}

@group(0) @binding(_) var<storage, read_write> grad: array<f32>; // [B, O, H', W']
@group(0) @binding(_) var<storage, read_write> weight: array<f32>; // [O, I, kh, kw]
@group(0) @binding(_) var<storage, read_write> dx: array<f32>; // [B, I, H, W]
@group(0) @binding(_) var<uniform> info: Info;

const KH: u32 = {{ kh }}u;
const KW: u32 = {{ kw }}u;
const STRIDE: u32 = {{ stride }}u;

const TAPS_H: u32 = (KH + STRIDE - 1u) / STRIDE; // of a phase
const TAPS_W: u32 = (KW + STRIDE - 1u) / STRIDE;

var<private> phase_row: u32;
var<private> phase_column: u32;

fn phase_height() -> u32 { return (info.height + STRIDE - 1u) / STRIDE; }
fn phase_width() -> u32 { return (info.width + STRIDE - 1u) / STRIDE; }
// Columns of a phase, and the same in whole tiles.
fn phase_size() -> u32 { return info.batch * phase_height() * phase_width(); }
fn phase_tiles() -> u32 { return (phase_size() + BN - 1u) / BN; }

fn begin(n0: u32) {
    let phase = n0 / (phase_tiles() * BN);
    phase_row = phase / STRIDE;
    phase_column = phase % STRIDE;
}

fn m_size() -> u32 { return info.inputs; }
fn n_size() -> u32 { return STRIDE * STRIDE * phase_tiles() * BN; }
fn k_size() -> u32 { return info.outputs * TAPS_H * TAPS_W; }

// Output channel and tap of the phase, in its row and column.
struct Term {
    o: u32,
    row: u32,
    column: u32,
}

fn term_of(k: u32) -> Term {
#if taps_outer_1
    let tap = k / info.outputs;
    return Term(k % info.outputs, tap / TAPS_W, tap % TAPS_W);
#else
    return Term(k / (TAPS_H * TAPS_W), k % (TAPS_H * TAPS_W) / TAPS_W, k % TAPS_W);
#end
}

fn weight_at(m: u32, k: u32) -> f32 {
    let term = term_of(k);
    let ky = phase_row + term.row * STRIDE;
    let kx = phase_column + term.column * STRIDE;
    let inside = (m < info.inputs) & (term.o < info.outputs) & (ky < KH) & (kx < KW);
    let at = ((term.o * info.inputs + m) * KH + ky) * KW + kx;
    return select(0.0, weight[select(0u, at, inside)], inside);
}

fn weights_at(m: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(weight_at(m, k), weight_at(m + 1u, k), weight_at(m + 2u, k), weight_at(m + 3u, k));
}

fn load_a(m: u32, k: u32) -> Block {
    return Block(weights_at(m, k), weights_at(m, k + 1u), weights_at(m, k + 2u), weights_at(m, k + 3u));
}

struct Place {
    sample: u32,
    row: u32,
    column: u32,
    exists: bool,
}

fn place_of(n: u32) -> Place {
    let within = n % (phase_tiles() * BN);
    let area = phase_height() * phase_width();
    let q = within % area;
    let first_row = (phase_row + STRIDE - info.top % STRIDE) % STRIDE;
    let first_column = (phase_column + STRIDE - info.left % STRIDE) % STRIDE;
    let row = first_row + q / phase_width() * STRIDE;
    let column = first_column + q % phase_width() * STRIDE;
    let exists = (within < phase_size()) & (row < info.height) & (column < info.width);
    return Place(within / area, row, column, exists);
}

#if fixed_1
var<private> held: array<Place, 4>;

fn hold(n: u32) {
    held[0] = place_of(n);
    held[1] = place_of(n + 1u);
    held[2] = place_of(n + 2u);
    held[3] = place_of(n + 3u);
}
#end

const OUTSIDE: u32 = 0xffffffffu;

// Where the term of a place lies in grad.
fn address(place: Place, term: Term) -> u32 {
    // Below zero wraps to a huge number, which is outside as well.
    let padded_row = place.row + info.top;
    let padded_column = place.column + info.left;
    let row = (padded_row - phase_row) / STRIDE - term.row;
    let column = (padded_column - phase_column) / STRIDE - term.column;
    let reaches = (padded_row >= phase_row) & (padded_column >= phase_column) & (term.row < TAPS_H);
    let inside = reaches & (row < info.out_height) & (column < info.out_width);
    let reached = place.exists & (term.o < info.outputs) & inside;
    let line = (place.sample * info.outputs + term.o) * info.out_height + row;
    return select(OUTSIDE, line * info.out_width + column, reached);
}

fn grad_at(at: u32, step: u32) -> f32 {
    let inside = at != OUTSIDE;
    return select(0.0, grad[select(0u, at + step, inside)], inside);
}

fn load_b(n: u32, k: u32) -> Block {
#if fixed_1
    let p0 = held[0];
    let p1 = held[1];
    let p2 = held[2];
    let p3 = held[3];
#else
    let p0 = place_of(n);
    let p1 = place_of(n + 1u);
    let p2 = place_of(n + 2u);
    let p3 = place_of(n + 3u);
#end
    var block: Block;
#if taps_outer_1
    let term = term_of(k);
    let a0 = address(p0, term);
    let a1 = address(p1, term);
    let a2 = address(p2, term);
    let a3 = address(p3, term);
    let map = info.out_height * info.out_width;
    block[0] = vec4<f32>(grad_at(a0, 0u), grad_at(a1, 0u), grad_at(a2, 0u), grad_at(a3, 0u));
    block[1] = vec4<f32>(grad_at(a0, map), grad_at(a1, map), grad_at(a2, map), grad_at(a3, map));
    block[2] = vec4<f32>(grad_at(a0, 2u * map), grad_at(a1, 2u * map), grad_at(a2, 2u * map), grad_at(a3, 2u * map));
    block[3] = vec4<f32>(grad_at(a0, 3u * map), grad_at(a1, 3u * map), grad_at(a2, 3u * map), grad_at(a3, 3u * map));
#else
    for (var j = 0u; j < 4u; j++) {
        let term = term_of(k + j);
        block[j] = vec4<f32>(
            grad_at(address(p0, term), 0u),
            grad_at(address(p1, term), 0u),
            grad_at(address(p2, term), 0u),
            grad_at(address(p3, term), 0u),
        );
    }
#end
    return block;
}

fn store_one(m: u32, n: u32, value: f32) {
    let place = place_of(n);
    if (place.exists) {
        dx[((place.sample * info.inputs + m) * info.height + place.row) * info.width + place.column] = value;
    }
}

fn store(split: u32, m: u32, n: u32, c: vec4<f32>) {
    if (m >= info.inputs) {
        return;
    }
    store_one(m, n, c.x);
    store_one(m, n + 1u, c.y);
    store_one(m, n + 2u, c.z);
    store_one(m, n + 3u, c.w);
}
