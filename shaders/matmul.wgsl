// Matrix product of a linear map, in its three uses (shared/gemm.wgsl is the machine):
//
//   forward         y [M, O] = act(x [M, K] W [O, K]T + bias + residual)
//   data gradient  dx [M, K] = dy [M, O] W [O, K]
//   weight gradient dW [O, K] = dy [M, O]T x [M, K], and dbias = row sums of dyT, where asked for
//
// Whether A lies along k or along m, B along k or along n, are template values, as are tiles.
// `vec` reads four values at once: every row length is a multiple of 4.
// {{ wg }} invocations, {{ bm }} x {{ bn }} tile, {{ bk }} deep.
struct Info {
    m: u32,
    n: u32,
    k: u32,
    splits: u32,
    k_split: u32, // of one split, a multiple of BK
    slope: f32,   // of leaky ReLU
}

#if vec_1
@group(0) @binding(_) var<storage, read_write> a: array<vec4<f32>>; // [M, K] or [K, M]
@group(0) @binding(_) var<storage, read_write> b: array<vec4<f32>>; // [N, K] or [K, N]
#else
@group(0) @binding(_) var<storage, read_write> a: array<f32>; // [M, K] or [K, M]
@group(0) @binding(_) var<storage, read_write> b: array<f32>; // [N, K] or [K, N]
#end
#if bias_1
@group(0) @binding(_) var<storage, read_write> bias: array<f32>; // [N]
#end
@group(0) @binding(_) var<storage, read_write> y: array<f32>; // [splits, M, N]
#if saves_1
@group(0) @binding(_) var<storage, read_write> before: array<f32>; // [M, N] before the activation
#end
#if row_sums_1
@group(0) @binding(_) var<storage, read_write> sums: array<f32>; // [splits, M]
#end
@group(0) @binding(_) var<uniform> info: Info;

fn begin(n0: u32) {}

fn m_size() -> u32 { return info.m; }
fn n_size() -> u32 { return info.n; }
fn k_size() -> u32 { return info.k; }

fn transposed(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Block {
    return Block(
        vec4<f32>(a.x, b.x, c.x, d.x),
        vec4<f32>(a.y, b.y, c.y, d.y),
        vec4<f32>(a.z, b.z, c.z, d.z),
        vec4<f32>(a.w, b.w, c.w, d.w),
    );
}

// Four values of `a` at (row, column..), zeros outside [rows, columns].
fn a_at(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    let at = row * columns + column;
    let exists = (row < rows) & (column < columns);
#if vec_1
    return select(vec4<f32>(0.0), a[select(0u, at / 4u, exists)], exists);
#else
    return vec4<f32>(
        a_one(at, exists),
        a_one(at + 1u, exists & (column + 1u < columns)),
        a_one(at + 2u, exists & (column + 2u < columns)),
        a_one(at + 3u, exists & (column + 3u < columns)),
    );
#end
}

#if vec_0
fn a_one(at: u32, exists: bool) -> f32 {
    return select(0.0, a[select(0u, at, exists)], exists);
}
#end

fn b_at(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    let at = row * columns + column;
    let exists = (row < rows) & (column < columns);
#if vec_1
    return select(vec4<f32>(0.0), b[select(0u, at / 4u, exists)], exists);
#else
    return vec4<f32>(
        b_one(at, exists),
        b_one(at + 1u, exists & (column + 1u < columns)),
        b_one(at + 2u, exists & (column + 2u < columns)),
        b_one(at + 3u, exists & (column + 3u < columns)),
    );
#end
}

#if vec_0
fn b_one(at: u32, exists: bool) -> f32 {
    return select(0.0, b[select(0u, at, exists)], exists);
}
#end

fn load_a(m: u32, k: u32) -> Block {
#if a_along_k_1
    let r0 = a_at(m, k, info.m, info.k);
    let r1 = a_at(m + 1u, k, info.m, info.k);
    let r2 = a_at(m + 2u, k, info.m, info.k);
    let r3 = a_at(m + 3u, k, info.m, info.k);
    return transposed(r0, r1, r2, r3);
#else
    let r0 = a_at(k, m, info.k, info.m);
    let r1 = a_at(k + 1u, m, info.k, info.m);
    let r2 = a_at(k + 2u, m, info.k, info.m);
    let r3 = a_at(k + 3u, m, info.k, info.m);
    return Block(r0, r1, r2, r3);
#end
}

fn load_b(n: u32, k: u32) -> Block {
#if b_along_k_1
    let r0 = b_at(n, k, info.n, info.k);
    let r1 = b_at(n + 1u, k, info.n, info.k);
    let r2 = b_at(n + 2u, k, info.n, info.k);
    let r3 = b_at(n + 3u, k, info.n, info.k);
    return transposed(r0, r1, r2, r3);
#else
    let r0 = b_at(k, n, info.k, info.n);
    let r1 = b_at(k + 1u, n, info.k, info.n);
    let r2 = b_at(k + 2u, n, info.k, info.n);
    let r3 = b_at(k + 3u, n, info.k, info.n);
    return Block(r0, r1, r2, r3);
#end
}

fn store_one(at: u32, n: u32, value: f32) {
    var v = value;
#if bias_1
    v += bias[n];
#end
#if saves_1
    before[at] = v;
#end
    y[at] = activate(v, info.slope);
}

fn store(split: u32, m: u32, n: u32, c: vec4<f32>) {
    if (m >= info.m || n >= info.n) {
        return;
    }
    let at = (split * info.m + m) * info.n + n;
    store_one(at, n, c.x);
    if (n + 1u < info.n) { store_one(at + 1u, n + 1u, c.y); }
    if (n + 2u < info.n) { store_one(at + 2u, n + 2u, c.z); }
    if (n + 3u < info.n) { store_one(at + 3u, n + 3u, c.w); }
}

#if row_sums_1
fn store_row_sums(split: u32, m: u32, s: vec4<f32>) {
    let at = split * info.m + m;
    if (m < info.m) { sums[at] = s.x; }
    if (m + 1u < info.m) { sums[at + 1u] = s.y; }
    if (m + 2u < info.m) { sums[at + 2u] = s.z; }
    if (m + 3u < info.m) { sums[at + 3u] = s.w; }
}
#end
