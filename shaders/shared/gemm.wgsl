// The tiled product C[m, n] = sum_k A[m, k] B[k, n] that matrix product and convolution share. What A
// and B are, and where C goes, is said by the file this is appended to:
//
//   load_a(m, k), load_b(n, k) -> Block: four values along m (or n) for each of k..k+3, zeros outside;
//   conditions joined by `&`, because `&&` is a branch, and a hundred branches take SwiftShader's compiler
//   minutes and all memory
//   store(m, n, c): the values (m, n..n+3), checked for bounds
//   m_size(), n_size(), k_size(); begin(n0): told the tile's first column before anything is loaded
//   hold(n), where `fixed`: told the one n at which this invocation will call load_b
//
// A workgroup owns a tile of BM x BN and walks k in steps of BK through workgroup memory; an
// invocation owns TM x TN values in registers: (TM + TN) / 4 vector reads for TM TN multiply-adds.
// Its rows and columns are four wide pieces spread over the tile, so that neighbours read
// neighbouring vectors. The inner loops are written out when the shader is built.
// `splits` workgroups share the k of one tile where there are few tiles; each stores its part.
alias Block = array<vec4<f32>, 4>;

const BM: u32 = {{ bm }}u;
const BN: u32 = {{ bn }}u;
const BK: u32 = {{ bk }}u;
const M4: u32 = {{ bm4 }}u; // BM / 4
const N4: u32 = {{ bn4 }}u; // BN / 4
const K4: u32 = {{ bk4 }}u; // BK / 4
const ROWS: u32 = {{ rows }}u; // BM / TM: invocations along m
const COLUMNS: u32 = {{ columns }}u; // BN / TN: invocations along n
const TN4: u32 = {{ tn4 }}u; // TN / 4
const WG: u32 = {{ wg }}u; // ROWS COLUMNS

var<workgroup> tile_a: array<vec4<f32>, BK * M4>;
var<workgroup> tile_b: array<vec4<f32>, BK * N4>;

fn fill_a(e: u32, m0: u32, k0: u32) {
#if a_along_k_1
    let m = e / K4;
    let k = e % K4 * 4u;
#else
    let m = e % M4;
    let k = e / M4 * 4u;
#end
    let block = load_a(m0 + 4u * m, k0 + k);
    tile_a[k * M4 + m] = block[0];
    tile_a[(k + 1u) * M4 + m] = block[1];
    tile_a[(k + 2u) * M4 + m] = block[2];
    tile_a[(k + 3u) * M4 + m] = block[3];
}

fn fill_b(e: u32, n0: u32, k0: u32) {
#if b_along_k_1
    let n = e / K4;
    let k = e % K4 * 4u;
#else
    let n = e % N4;
    let k = e / N4 * 4u;
#end
    let block = load_b(n0 + 4u * n, k0 + k);
    tile_b[k * N4 + n] = block[0];
    tile_b[(k + 1u) * N4 + n] = block[1];
    tile_b[(k + 2u) * N4 + n] = block[2];
    tile_b[(k + 3u) * N4 + n] = block[3];
}

@compute @workgroup_size({{ wg }}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = workgroup.y * workgroups.x + workgroup.x;
    let n_tiles = (n_size() + BN - 1u) / BN;
    let m_tiles = (m_size() + BM - 1u) / BM;
    if (group >= n_tiles * m_tiles * info.splits) {
        return;
    }
    // Tiles of the same columns follow each other: what they read of B is in cache.
    let split = group / (n_tiles * m_tiles);
    let tile = group % (n_tiles * m_tiles);
    let m0 = tile % m_tiles * BM;
    let n0 = tile / m_tiles * BN;
    begin(n0);
    let k_end = min(k_size(), (split + 1u) * info.k_split);
#if fixed_1
    hold(n0 + 4u * (local % N4));
#end
    let row = local / COLUMNS;
    let column = local % COLUMNS;
#for i in tm4
#for j in tn4
    var c{{ i }}_{{ j }}_0 = vec4<f32>(0.0);
    var c{{ i }}_{{ j }}_1 = vec4<f32>(0.0);
    var c{{ i }}_{{ j }}_2 = vec4<f32>(0.0);
    var c{{ i }}_{{ j }}_3 = vec4<f32>(0.0);
#end
#if row_sums_1
    var s{{ i }} = vec4<f32>(0.0);
#end
#end
    for (var k0 = split * info.k_split; k0 < k_end; k0 += BK) {
        for (var e = local; e < M4 * K4; e += WG) {
            fill_a(e, m0, k0);
        }
        for (var e = local; e < N4 * K4; e += WG) {
            fill_b(e, n0, k0);
        }
        workgroupBarrier();
        for (var k = 0u; k < BK; k++) {
#for j in tn4
            let b{{ j }} = tile_b[k * N4 + column + {{ j }}u * COLUMNS];
#end
#for i in tm4
            let a{{ i }} = tile_a[k * M4 + row + {{ i }}u * ROWS];
#for j in tn4
            c{{ i }}_{{ j }}_0 = fma(vec4<f32>(a{{ i }}.x), b{{ j }}, c{{ i }}_{{ j }}_0);
            c{{ i }}_{{ j }}_1 = fma(vec4<f32>(a{{ i }}.y), b{{ j }}, c{{ i }}_{{ j }}_1);
            c{{ i }}_{{ j }}_2 = fma(vec4<f32>(a{{ i }}.z), b{{ j }}, c{{ i }}_{{ j }}_2);
            c{{ i }}_{{ j }}_3 = fma(vec4<f32>(a{{ i }}.w), b{{ j }}, c{{ i }}_{{ j }}_3);
#end
#if row_sums_1
            s{{ i }} += a{{ i }};
#end
#end
        }
        workgroupBarrier();
    }
    // Stored in a loop: written out, this would be most of the shader.
    var c: array<vec4<f32>, {{ pieces }}>;
#for i in tm4
#for j in tn4
    c[({{ i }}u * TN4 + {{ j }}u) * 4u] = c{{ i }}_{{ j }}_0;
    c[({{ i }}u * TN4 + {{ j }}u) * 4u + 1u] = c{{ i }}_{{ j }}_1;
    c[({{ i }}u * TN4 + {{ j }}u) * 4u + 2u] = c{{ i }}_{{ j }}_2;
    c[({{ i }}u * TN4 + {{ j }}u) * 4u + 3u] = c{{ i }}_{{ j }}_3;
#end
#end
    for (var piece = 0u; piece < {{ pieces }}u; piece++) {
        let m = m0 + 4u * (row + piece / (4u * TN4) * ROWS) + piece % 4u;
        let n = n0 + 4u * (column + piece / 4u % TN4 * COLUMNS);
        store(split, m, n, c[piece]);
    }
#if row_sums_1
    if (n0 == 0u && column == 0u) {
#for i in tm4
        store_row_sums(split, m0 + 4u * (row + {{ i }}u * ROWS), s{{ i }});
#end
    }
#end
}
