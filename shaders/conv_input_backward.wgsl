// Gradient of convolution to its input, as an implicit product:
//
//   dx[b, i, q] = sum_k W[o, i, ky, kx] dy[b, o, (row(q) + top - ky) / s, (column(q) + left - kx) / s]
//
// with k = (o, ky, kx), m = i, n = (b, q); terms whose division leaves a rest are zero. Kernel size
// and stride are template values. shared/gemm.wgsl is the machine.
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

fn m_size() -> u32 { return info.inputs; }
fn n_size() -> u32 { return info.batch * info.height * info.width; }
fn k_size() -> u32 { return info.outputs * KH * KW; }

fn weight_at(m: u32, k: u32) -> f32 {
    let inside = m < info.inputs && k < k_size();
    let at = (k / (KH * KW) * info.inputs + m) * (KH * KW) + k % (KH * KW);
    return select(0.0, weight[select(0u, at, inside)], inside);
}

fn weights_at(m: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(weight_at(m, k), weight_at(m + 1u, k), weight_at(m + 2u, k), weight_at(m + 3u, k));
}

fn load_a(m: u32, k: u32) -> Block {
    return Block(weights_at(m, k), weights_at(m, k + 1u), weights_at(m, k + 2u), weights_at(m, k + 3u));
}

struct Place {
    plane: u32, // b O
    row: u32, // padded
    column: u32,
    exists: bool,
}

fn place_of(n: u32) -> Place {
    let area = info.height * info.width;
    let b = n / area;
    let q = n % area;
    let row = q / info.width + info.top;
    return Place(b * info.outputs, row, q % info.width + info.left, n < info.batch * area);
}

fn grad_at(place: Place, o: u32, ky: u32, kx: u32) -> f32 {
    let row = place.row - ky;
    let column = place.column - kx;
    let whole = row % STRIDE == 0u && column % STRIDE == 0u;
    let inside = row / STRIDE < info.out_height && column / STRIDE < info.out_width;
    // Below zero wraps to a huge number, which is outside as well.
    let reached = place.exists && o < info.outputs && whole && inside;
    let line = (place.plane + o) * info.out_height + row / STRIDE;
    let at = select(0u, line * info.out_width + column / STRIDE, reached);
    return select(0.0, grad[at], reached);
}

fn load_b(n: u32, k: u32) -> Block {
    let p0 = place_of(n);
    let p1 = place_of(n + 1u);
    let p2 = place_of(n + 2u);
    let p3 = place_of(n + 3u);
    var block: Block;
    for (var j = 0u; j < 4u; j++) {
        let o = (k + j) / (KH * KW);
        let ky = (k + j) % (KH * KW) / KW;
        let kx = (k + j) % KW;
        block[j] = vec4<f32>(
            grad_at(p0, o, ky, kx),
            grad_at(p1, o, ky, kx),
            grad_at(p2, o, ky, kx),
            grad_at(p3, o, ky, kx),
        );
    }
    return block;
}

fn store_one(m: u32, n: u32, value: f32) {
    let area = info.height * info.width;
    if (n < info.batch * area) {
        dx[(n / area * info.inputs + m) * area + n % area] = value;
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
