// Gradient of convolution to its weight, and to its bias where asked for, as an implicit product:
//
//   dW[o, (i, ky, kx)] = sum_k dy[o, k] x[i, row(k) s + ky - top, column(k) s + kx - left]
//   dbias[o] = sum_k dy[o, k]
//
// with k = (b, p), m = o, n = (i, ky, kx). Few tiles and a long k: `splits` workgroups share a tile, and
// column_sum adds their parts. With `up` = 2 the input is read as in conv.wgsl.
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

@group(0) @binding(_) var<storage, read_write> x: array<f32>; // [B, I, H, W]
@group(0) @binding(_) var<storage, read_write> grad: array<f32>; // [B, O, H', W']
@group(0) @binding(_) var<storage, read_write> parts: array<f32>; // [splits, O, I, kh, kw]
#if row_sums_1
@group(0) @binding(_) var<storage, read_write> sums: array<f32>; // [splits, O]
#end
@group(0) @binding(_) var<uniform> info: Info;

const KH: u32 = {{ kh }}u;
const KW: u32 = {{ kw }}u;
const STRIDE: u32 = {{ stride }}u;
const UP: u32 = {{ up }}u;

fn begin(n0: u32) {}

fn m_size() -> u32 { return info.outputs; }
fn n_size() -> u32 { return info.inputs * KH * KW; }
fn k_size() -> u32 { return info.batch * info.out_height * info.out_width; }

// A position of the output; past the last picture for k too large.
struct Position {
    b: u32,
    row: u32,
    column: u32,
}

fn position_of(k: u32) -> Position {
    let area = info.out_height * info.out_width;
    let p = k % area;
    return Position(k / area, p / info.out_width, p % info.out_width);
}

// The position of k + 1.
fn next(at: Position) -> Position {
    let wraps = at.column + 1u >= info.out_width;
    let row = at.row + select(0u, 1u, wraps);
    let ends = row >= info.out_height;
    return Position(at.b + select(0u, 1u, ends), select(row, 0u, ends), select(at.column + 1u, 0u, wraps));
}

fn load_a(m: u32, k: u32) -> Block {
    let area = info.out_height * info.out_width;
    var block: Block;
    var position = position_of(k);
    for (var j = 0u; j < 4u; j++) {
        let at = (position.b * info.outputs + m) * area + position.row * info.out_width + position.column;
        let exists = position.b < info.batch;
        block[j] = vec4<f32>(
            grad_at(at, exists & (m < info.outputs)),
            grad_at(at + area, exists & (m + 1u < info.outputs)),
            grad_at(at + 2u * area, exists & (m + 2u < info.outputs)),
            grad_at(at + 3u * area, exists & (m + 3u < info.outputs)),
        );
        position = next(position);
    }
    return block;
}

fn grad_at(at: u32, exists: bool) -> f32 {
    return select(0.0, grad[select(0u, at, exists)], exists);
}

// The tap of column n: input channel and offset in the window.
struct Tap {
    i: u32,
    row: u32,
    column: u32,
}

fn tap_of(n: u32) -> Tap {
    return Tap(n / (KH * KW), n % (KH * KW) / KW, n % KW);
}

// The first value of the window of position k, in padded coordinates.
struct Window {
    plane: u32, // b I
    row: u32,
    column: u32,
    exists: bool,
}

fn x_at(window: Window, tap: Tap) -> f32 {
    // Below zero wraps to a huge number, which is outside as well.
    let row = window.row + tap.row - info.top;
    let column = window.column + tap.column - info.left;
    let within = (row < info.height * UP) & (column < info.width * UP);
    let inside = window.exists & (tap.i < info.inputs) & within;
    let at = ((window.plane + tap.i) * info.height + row / UP) * info.width + column / UP;
    return select(0.0, x[select(0u, at, inside)], inside);
}

fn load_b(n: u32, k: u32) -> Block {
    let t0 = tap_of(n);
    let t1 = tap_of(n + 1u);
    let t2 = tap_of(n + 2u);
    let t3 = tap_of(n + 3u);
    var block: Block;
    var at = position_of(k);
    for (var j = 0u; j < 4u; j++) {
        let window = Window(at.b * info.inputs, at.row * STRIDE, at.column * STRIDE, at.b < info.batch);
        block[j] = vec4<f32>(x_at(window, t0), x_at(window, t1), x_at(window, t2), x_at(window, t3));
        at = next(at);
    }
    return block;
}

fn store(split: u32, m: u32, n: u32, c: vec4<f32>) {
    if (m >= info.outputs) {
        return;
    }
    let at = (split * info.outputs + m) * n_size() + n;
    if (n < n_size()) { parts[at] = c.x; }
    if (n + 1u < n_size()) { parts[at + 1u] = c.y; }
    if (n + 2u < n_size()) { parts[at + 2u] = c.z; }
    if (n + 3u < n_size()) { parts[at + 3u] = c.w; }
}

#if row_sums_1
fn store_row_sums(split: u32, m: u32, s: vec4<f32>) {
    let at = split * info.outputs + m;
    if (m < info.outputs) { sums[at] = s.x; }
    if (m + 1u < info.outputs) { sums[at + 1u] = s.y; }
    if (m + 2u < info.outputs) { sums[at + 2u] = s.z; }
    if (m + 3u < info.outputs) { sums[at + 3u] = s.w; }
}
#end
