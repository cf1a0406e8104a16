// Convolution as a product whose second matrix is never written (implicit GEMM):
//
//   y[b, o, p] = act(sum_k W[o, k] x[b, i, row(p) s + ky - top, column(p) s + kx - left] + bias[o])
//
// with k = (i, ky, kx), m = o, n = (b, p). With `up` = 2 the input is read as if every pixel were a
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
    let inside = m < info.outputs && k < k_size();
    return select(0.0, weight[select(0u, m * k_size() + k, inside)], inside);
}

fn weights_at(m: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(weight_at(m, k), weight_at(m + 1u, k), weight_at(m + 2u, k), weight_at(m + 3u, k));
}

fn load_a(m: u32, k: u32) -> Block {
    return Block(weights_at(m, k), weights_at(m, k + 1u), weights_at(m, k + 2u), weights_at(m, k + 3u));
}

// Where the window of a position begins, in padded coordinates; outside the picture for n too large.
struct Place {
    plane: u32, // b I
    row: u32,
    column: u32,
    exists: bool,
}

fn place_of(n: u32) -> Place {
    let area = info.out_height * info.out_width;
    let b = n / area;
    let p = n % area;
    let row = p / info.out_width * STRIDE;
    return Place(b * info.inputs, row, p % info.out_width * STRIDE, n < info.batch * area);
}

fn x_at(place: Place, i: u32, ky: u32, kx: u32) -> f32 {
    // Below zero wraps to a huge number, which is outside as well.
    let row = place.row + ky - info.top;
    let column = place.column + kx - info.left;
    let inside = place.exists && i < info.inputs && row < info.height * UP && column < info.width * UP;
    let at = ((place.plane + i) * info.height + row / UP) * info.width + column / UP;
    return select(0.0, x[select(0u, at, inside)], inside);
}

fn load_b(n: u32, k: u32) -> Block {
    let p0 = place_of(n);
    let p1 = place_of(n + 1u);
    let p2 = place_of(n + 2u);
    let p3 = place_of(n + 3u);
    var block: Block;
    for (var j = 0u; j < 4u; j++) {
        let i = (k + j) / (KH * KW);
        let ky = (k + j) % (KH * KW) / KW;
        let kx = (k + j) % KW;
        block[j] = vec4<f32>(
            x_at(p0, i, ky, kx),
            x_at(p1, i, ky, kx),
            x_at(p2, i, ky, kx),
            x_at(p3, i, ky, kx),
        );
    }
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
