// Convolution as a product whose second matrix is never written (implicit GEMM):
//
//   y[b, o, p] = act(sum_k W[o, k] x[b, i, row(p) s + ky - top, column(p) s + kx - left] + bias[o])
//
// with m = o, n = (b, p), and k = (i, ky, kx), or (ky, kx, i) where channels come in fours (`taps_outer`): four
// terms then share their place in the picture. With `up` = 2 the input is read as if every pixel were a
// 2 x 2 square (nearest x2 in front of the convolution, never written). Kernel size and stride are
// template values, so that k splits by constants. shared/gemm.wgsl is the machine.
// {{ wg }} invocations, {{ bm }} x {{ bn }} tile, {{ bk }} deep.
struct Info {
    batch: u32,
    inputs: u32, // I
    outputs: u32, // O
    height: u32, // of x as stored
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
@group(0) @binding(_) var<storage, read_write> weight: array<f32>; // [O, I, kh, kw]
#if bias_1
@group(0) @binding(_) var<storage, read_write> bias: array<f32>; // [O]
#end
@group(0) @binding(_) var<storage, read_write> y: array<f32>; // [B, O, H', W']
@group(0) @binding(_) var<uniform> info: Info;

const KH: u32 = {{ kh }}u;
const KW: u32 = {{ kw }}u;
const STRIDE: u32 = {{ stride }}u;
const UP: u32 = {{ up }}u;

fn begin(n0: u32) {}

fn m_size() -> u32 { return info.outputs; }
fn n_size() -> u32 { return info.batch * info.out_height * info.out_width; }
fn k_size() -> u32 { return info.inputs * KH * KW; }

fn weight_at(m: u32, k: u32) -> f32 {
    let inside = (m < info.outputs) & (k < k_size());
#if taps_outer_1
    let at = (m * info.inputs + k % info.inputs) * (KH * KW) + k / info.inputs;
#else
    let at = m * k_size() + k;
#end
    return select(0.0, weight[select(0u, at, inside)], inside);
}

fn weights_at(m: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(weight_at(m, k), weight_at(m + 1u, k), weight_at(m + 2u, k), weight_at(m + 3u, k));
}

fn load_a(m: u32, k: u32) -> Block {
    return Block(weights_at(m, k), weights_at(m, k + 1u), weights_at(m, k + 2u), weights_at(m, k + 3u));
}

// Where the window of a position begins, in padded coordinates; past the last plane for n too large.
struct Place {
    plane: u32, // b I
    row: u32,
    column: u32,
}

fn place_of(n: u32) -> Place {
    let area = info.out_height * info.out_width;
    let p = n % area;
    return Place(n / area * info.inputs, p / info.out_width * STRIDE, p % info.out_width * STRIDE);
}

// The place of n + 1.
fn next(place: Place) -> Place {
    let wraps = place.column + STRIDE >= info.out_width * STRIDE;
    let row = place.row + select(0u, STRIDE, wraps);
    let ends = row >= info.out_height * STRIDE;
    return Place(
        place.plane + select(0u, info.inputs, ends),
        select(row, 0u, ends),
        select(place.column + STRIDE, 0u, wraps),
    );
}

#if fixed_1
var<private> held: array<Place, 4>;

fn hold(n: u32) {
    held[0] = place_of(n);
    held[1] = next(held[0]);
    held[2] = next(held[1]);
    held[3] = next(held[2]);
}
#end

const OUTSIDE: u32 = 0xffffffffu;

// Where channel `i` of a place's tap lies in x.
fn address(place: Place, i: u32, ky: u32, kx: u32) -> u32 {
    // Below zero wraps to a huge number, which is outside as well.
    let row = place.row + ky - info.top;
    let column = place.column + kx - info.left;
    let exists = (place.plane < info.batch * info.inputs) & (i < info.inputs) & (ky < KH);
    let inside = exists & (row < info.height * UP) & (column < info.width * UP);
    return select(OUTSIDE, ((place.plane + i) * info.height + row / UP) * info.width + column / UP, inside);
}

fn x_at(at: u32, step: u32) -> f32 {
    let inside = at != OUTSIDE;
    return select(0.0, x[select(0u, at + step, inside)], inside);
}

fn load_b(n: u32, k: u32) -> Block {
#if fixed_1
    let p0 = held[0];
    let p1 = held[1];
    let p2 = held[2];
    let p3 = held[3];
#else
    let p0 = place_of(n);
    let p1 = next(p0);
    let p2 = next(p1);
    let p3 = next(p2);
#end
    var block: Block;
#if taps_outer_1
    let tap = k / info.inputs;
    let i = k % info.inputs;
    let a0 = address(p0, i, tap / KW, tap % KW);
    let a1 = address(p1, i, tap / KW, tap % KW);
    let a2 = address(p2, i, tap / KW, tap % KW);
    let a3 = address(p3, i, tap / KW, tap % KW);
    let plane = info.height * info.width;
    block[0] = vec4<f32>(x_at(a0, 0u), x_at(a1, 0u), x_at(a2, 0u), x_at(a3, 0u));
    block[1] = vec4<f32>(x_at(a0, plane), x_at(a1, plane), x_at(a2, plane), x_at(a3, plane));
    block[2] = vec4<f32>(x_at(a0, 2u * plane), x_at(a1, 2u * plane), x_at(a2, 2u * plane), x_at(a3, 2u * plane));
    block[3] = vec4<f32>(x_at(a0, 3u * plane), x_at(a1, 3u * plane), x_at(a2, 3u * plane), x_at(a3, 3u * plane));
#else
    for (var j = 0u; j < 4u; j++) {
        let i = (k + j) / (KH * KW);
        let ky = (k + j) % (KH * KW) / KW;
        let kx = (k + j) % KW;
        block[j] = vec4<f32>(
            x_at(address(p0, i, ky, kx), 0u),
            x_at(address(p1, i, ky, kx), 0u),
            x_at(address(p2, i, ky, kx), 0u),
            x_at(address(p3, i, ky, kx), 0u),
        );
    }
#end
    return block;
}

fn store_one(m: u32, n: u32, value: f32) {
    let area = info.out_height * info.out_width;
    if (n < info.batch * area) {
        var v = value;
#if bias_1
        v += bias[m];
#end
        y[(n / area * info.outputs + m) * area + n % area] = activate(v, info.slope);
    }
}

fn store(split: u32, m: u32, n: u32, c: vec4<f32>) {
    if (m >= info.outputs) {
        return;
    }
    store_one(m, n, c.x);
    store_one(m, n + 1u, c.y);
    store_one(m, n + 2u, c.z);
    store_one(m, n + 3u, c.w);
}
