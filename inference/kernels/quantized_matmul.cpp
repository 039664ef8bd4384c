// How: sixteen rows of weights are a panel. A panel's quants are unpacked to unsigned bytes, four neighbours of each of
// the sixteen rows in one vector, and multiplied with four bytes of an activation row by one instruction (vpdpbusd).
// Unpacking costs about as much as multiplying one row and is shared by all rows, so that a batch costs little more
// than a single row as long as memory is what limits both. Activations are rounded to eight bits by blocks of 32, as
// llama.cpp does it for these types.

#include "quantized_matmul.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the "undefined" halves in its own intrinsics for a mistake of whoever uses them.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>
#include <omp.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,f16c,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

namespace {

constexpr int PANEL = 16;        // rows of weights in a vector
constexpr int BLOCK = 32;        // elements that share a scale of x
constexpr int TILE = 8;          // rows of x that are multiplied with a block while it is in registers
constexpr int QUANT_BYTES = PANEL * BLOCK;
constexpr int SEGMENT = 16;      // blocks of a panel that are unpacked before they are multiplied; they fit into L1
constexpr int64_t RUNS = 8;       // of neighbouring panels, for each thread: enough that no one waits long for the last
constexpr size_t ASKED_BYTES = 32 * 1024;
constexpr int64_t CHUNK_ROWS = 512; // rows of x that are multiplied with a segment, at most
constexpr int64_t CHUNK_BYTES = 640 * 1024;  // of rounded x that should stay in a core's second-level cache

// ---- Activations: for each tile and block, TILE rows of 32 bytes, then their scales and corrections.

struct XBlock {
    int8_t q[TILE][BLOCK];
    float scale[TILE];
    float scaled_sum[TILE];     // scale * sum of q, for types with a minimum
    int32_t offset[2][TILE];    // -(weights' offset) * sum of q, of each half; both in [0] for types with one scale
};

INLINE float largest(__m512 v) { return _mm512_reduce_max_ps(v); }

INLINE void round_block(const float * x, int row, int weight_offset, bool halves, XBlock * out) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
    const float top = largest(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    const __m512 inverse = _mm512_set1_ps(top > 0 ? 127.0f / top : 0.0f);
    const __m512i ia = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
    const __m512i ib = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
    _mm_storeu_si128((__m128i *) out->q[row], _mm512_cvtsepi32_epi8(ia));
    _mm_storeu_si128((__m128i *) (out->q[row] + 16), _mm512_cvtsepi32_epi8(ib));
    const int sum_a = _mm512_reduce_add_epi32(ia), sum_b = _mm512_reduce_add_epi32(ib);
    const float scale = top / 127.0f;
    out->scale[row] = scale;
    out->scaled_sum[row] = scale * (float) (sum_a + sum_b);
    out->offset[0][row] = -weight_offset * (halves ? sum_a : sum_a + sum_b);
    out->offset[1][row] = -weight_offset * sum_b;
}

// ---- Panels: what a kind of weights has for each block of 32, in this order.

struct Plain { // one scale
    alignas(64) uint8_t q[QUANT_BYTES];
    float scale[PANEL];
};
struct WithMinimum {
    alignas(64) uint8_t q[QUANT_BYTES];
    float scale[PANEL];
    float minimum[PANEL];
};
struct Halved { // a scale for each half
    alignas(64) uint8_t q[QUANT_BYTES];
    float scale[2][PANEL];
};

constexpr size_t LARGEST_BLOCK = sizeof(WithMinimum);
constexpr size_t SCRATCH_BYTES = SEGMENT * LARGEST_BLOCK + CHUNK_ROWS * PANEL * sizeof(float); // of a thread

// Sixteen rows of eight dwords, given as pairs (i, i+4) and (8+i, 12+i), to eight vectors of one dword of each row.
INLINE void transpose(const __m512i z[8], __m512i out[8]) {
    const __m512i t0 = _mm512_unpacklo_epi32(z[0], z[1]), t1 = _mm512_unpackhi_epi32(z[0], z[1]);
    const __m512i t2 = _mm512_unpacklo_epi32(z[2], z[3]), t3 = _mm512_unpackhi_epi32(z[2], z[3]);
    const __m512i t4 = _mm512_unpacklo_epi32(z[4], z[5]), t5 = _mm512_unpackhi_epi32(z[4], z[5]);
    const __m512i t6 = _mm512_unpacklo_epi32(z[6], z[7]), t7 = _mm512_unpackhi_epi32(z[6], z[7]);
    const __m512i u0 = _mm512_unpacklo_epi64(t0, t2), u1 = _mm512_unpackhi_epi64(t0, t2);
    const __m512i u2 = _mm512_unpacklo_epi64(t1, t3), u3 = _mm512_unpackhi_epi64(t1, t3);
    const __m512i u4 = _mm512_unpacklo_epi64(t4, t6), u5 = _mm512_unpackhi_epi64(t4, t6);
    const __m512i u6 = _mm512_unpacklo_epi64(t5, t7), u7 = _mm512_unpackhi_epi64(t5, t7);
    out[0] = _mm512_shuffle_i32x4(u0, u4, 0x88), out[4] = _mm512_shuffle_i32x4(u0, u4, 0xDD);
    out[1] = _mm512_shuffle_i32x4(u1, u5, 0x88), out[5] = _mm512_shuffle_i32x4(u1, u5, 0xDD);
    out[2] = _mm512_shuffle_i32x4(u2, u6, 0x88), out[6] = _mm512_shuffle_i32x4(u2, u6, 0xDD);
    out[3] = _mm512_shuffle_i32x4(u3, u7, 0x88), out[7] = _mm512_shuffle_i32x4(u3, u7, 0xDD);
}

INLINE int first_of(int i) { return i < 4 ? i : i + 4; } // of the pair (i, i+4) or (8+i, 12+i)

INLINE __m512i pair(const uint8_t * low, const uint8_t * high) {
    const __m256i a = _mm256_loadu_si256((const __m256i *) low), b = _mm256_loadu_si256((const __m256i *) high);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

// 32 bytes of each of sixteen rows, transposed.
INLINE void load_32(const uint8_t * rows, size_t row_bytes, __m512i out[8]) {
    __m512i z[8];
    for (int i = 0; i < 8; i++) {
        const uint8_t * row = rows + (size_t) first_of(i) * row_bytes;
        z[i] = pair(row, row + 4 * row_bytes);
    }
    transpose(z, out);
}

// 16 bytes of each of sixteen rows: rows i, i+4, i+8 and i+12.
INLINE __m512i four_rows(const uint8_t * row, size_t row_bytes) {
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *) row));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *) (row + 4 * row_bytes)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *) (row + 8 * row_bytes)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *) (row + 12 * row_bytes)), 3);
}

// The first `n` dwords of sixteen rows, transposed; 16 bytes of each row are read.
template <int n>
INLINE void load_16(const uint8_t * rows, size_t row_bytes, __m512i out[n]) {
    __m512i z[4];
    for (int i = 0; i < 4; i++) {
        z[i] = four_rows(rows + (size_t) i * row_bytes, row_bytes);
    }
    const __m512i t0 = _mm512_unpacklo_epi32(z[0], z[1]), t1 = _mm512_unpackhi_epi32(z[0], z[1]);
    const __m512i t2 = _mm512_unpacklo_epi32(z[2], z[3]), t3 = _mm512_unpackhi_epi32(z[2], z[3]);
    const __m512i all[4] = {_mm512_unpacklo_epi64(t0, t2), _mm512_unpackhi_epi64(t0, t2),
                            _mm512_unpacklo_epi64(t1, t3), _mm512_unpackhi_epi64(t1, t3)};
    for (int i = 0; i < n; i++) {
        out[i] = all[i];
    }
}

// The low half of each dword as a float.
INLINE __m512 from_halves(__m512i dwords) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(dwords)); }

INLINE __m512i nibbles() { return _mm512_set1_epi8(0x0F); }

// (v & 0x0F) | other
INLINE __m512i low_nibble_or(__m512i v, __m512i other) { return _mm512_ternarylogic_epi32(v, nibbles(), other, 0xEA); }

struct Q4_0 {
    typedef Plain Panel;
    static constexpr int elements = 32, bytes = 18, offset = 8;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        __m512i q[4], head[1];
        load_16<1>(rows, row_bytes, head);
        load_16<4>(rows + 2, row_bytes, q);
        for (int j = 0; j < 4; j++) {
            _mm512_store_si512(out->q + 64 * j, _mm512_and_si512(q[j], nibbles()));
            _mm512_store_si512(out->q + 64 * (j + 4), _mm512_and_si512(_mm512_srli_epi16(q[j], 4), nibbles()));
        }
        _mm512_store_ps(out->scale, from_halves(head[0]));
    }
};

struct Q5_0 {
    typedef Plain Panel;
    static constexpr int elements = 32, bytes = 22, offset = 16;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        // Four bits to bit 4 of four bytes.
        const __m512i spread = _mm512_setr_epi32(
            0x00000000, 0x00000010, 0x00001000, 0x00001010, 0x00100000, 0x00100010, 0x00101000, 0x00101010,
            0x10000000, 0x10000010, 0x10001000, 0x10001010, 0x10100000, 0x10100010, 0x10101000, 0x10101010);
        __m512i q[4], head[2];
        load_16<2>(rows, row_bytes, head);
        load_16<4>(rows + 6, row_bytes, q);
        __m512i fifth = _mm512_or_si512(_mm512_srli_epi32(head[0], 16), _mm512_slli_epi32(head[1], 16));
        __m512i upper = _mm512_srli_epi32(fifth, 16);
        for (int j = 0; j < 4; j++) {
            const __m512i low = _mm512_permutexvar_epi32(fifth, spread), high = _mm512_permutexvar_epi32(upper, spread);
            _mm512_store_si512(out->q + 64 * j, low_nibble_or(q[j], low));
            _mm512_store_si512(out->q + 64 * (j + 4), low_nibble_or(_mm512_srli_epi16(q[j], 4), high));
            fifth = _mm512_srli_epi32(fifth, 4);
            upper = _mm512_srli_epi32(upper, 4);
        }
        _mm512_store_ps(out->scale, from_halves(head[0]));
    }
};

struct Q8_0 {
    typedef Plain Panel;
    static constexpr int elements = 32, bytes = 34, offset = 128;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        __m512i q[8], head[1];
        load_16<1>(rows, row_bytes, head);
        load_32(rows + 2, row_bytes, q);
        for (int j = 0; j < 8; j++) {
            _mm512_store_si512(out->q + 64 * j, _mm512_xor_si512(q[j], _mm512_set1_epi8((char) 0x80)));
        }
        _mm512_store_ps(out->scale, from_halves(head[0]));
    }
};

// Byte number `i` of each dword.
INLINE __m512i byte_of(__m512i dwords, int i) {
    return _mm512_and_si512(_mm512_srli_epi32(dwords, 8 * i), _mm512_set1_epi32(0xFF));
}

// The eight 6-bit scales and minimums of a K block, each times a factor of the row, to the panel's eight blocks.
INLINE void unpack_scales(const uint8_t * rows, size_t row_bytes, WithMinimum * out) {
    const __m512i six = _mm512_set1_epi32(0x3F3F3F3F), four = _mm512_set1_epi32(0x0F0F0F0F);
    const __m512i two = _mm512_set1_epi32(0x30303030);
    __m512i w[4];
    load_16<4>(rows, row_bytes, w);
    const __m512 factor = from_halves(w[0]), factor_of_minimum = from_halves(_mm512_srli_epi32(w[0], 16));
    const __m512i scales[2] = {
        _mm512_and_si512(w[1], six),
        _mm512_or_si512(_mm512_and_si512(w[3], four), _mm512_and_si512(_mm512_srli_epi32(w[1], 2), two))};
    const __m512i minimums[2] = {
        _mm512_and_si512(w[2], six),
        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(w[3], 4), four),
                        _mm512_and_si512(_mm512_srli_epi32(w[2], 2), two))};
    for (int b = 0; b < 8; b++) {
        const __m512 scale = _mm512_cvtepi32_ps(byte_of(scales[b / 4], b % 4));
        const __m512 minimum = _mm512_cvtepi32_ps(byte_of(minimums[b / 4], b % 4));
        _mm512_store_ps(out[b].scale, _mm512_mul_ps(scale, factor));
        _mm512_store_ps(out[b].minimum, _mm512_mul_ps(minimum, factor_of_minimum));
    }
}

struct Q4_K {
    typedef WithMinimum Panel;
    static constexpr int elements = 256, bytes = 144, offset = 0;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        unpack_scales(rows, row_bytes, out);
        for (int g = 0; g < 4; g++) {
            __m512i q[8];
            load_32(rows + 16 + 32 * g, row_bytes, q);
            for (int j = 0; j < 8; j++) {
                _mm512_store_si512(out[2 * g].q + 64 * j, _mm512_and_si512(q[j], nibbles()));
                _mm512_store_si512(out[2 * g + 1].q + 64 * j, _mm512_and_si512(_mm512_srli_epi16(q[j], 4), nibbles()));
            }
        }
    }
};

struct Q5_K {
    typedef WithMinimum Panel;
    static constexpr int elements = 256, bytes = 176, offset = 0;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        const __m512i fifth = _mm512_set1_epi8(0x10);
        __m512i h[8];
        unpack_scales(rows, row_bytes, out);
        load_32(rows + 16, row_bytes, h);
        for (int g = 0; g < 4; g++) {
            __m512i q[8];
            load_32(rows + 48 + 32 * g, row_bytes, q);
            for (int j = 0; j < 8; j++) {
                // Bits 2g and 2g+1 of a byte, moved to bit 4; what comes over from a neighbour is masked.
                const __m512i even = g < 2 ? _mm512_slli_epi16(h[j], 4 - 2 * g) : _mm512_srli_epi16(h[j], 2 * g - 4);
                const __m512i odd = g < 2 ? _mm512_slli_epi16(h[j], 3 - 2 * g) : _mm512_srli_epi16(h[j], 2 * g - 3);
                _mm512_store_si512(out[2 * g].q + 64 * j, low_nibble_or(q[j], _mm512_and_si512(even, fifth)));
                _mm512_store_si512(out[2 * g + 1].q + 64 * j,
                                   low_nibble_or(_mm512_srli_epi16(q[j], 4), _mm512_and_si512(odd, fifth)));
            }
        }
    }
};

struct Q6_K {
    typedef Halved Panel;
    static constexpr int elements = 256, bytes = 210, offset = 32;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        const __m512i upper = _mm512_set1_epi8(0x30);
        for (int half = 0; half < 2; half++) {
            __m512i a[8], b[8], h[8];
            load_32(rows + 64 * half, row_bytes, a);
            load_32(rows + 64 * half + 32, row_bytes, b);
            load_32(rows + 128 + 32 * half, row_bytes, h);
            Panel * to = out + 4 * half;
            for (int j = 0; j < 8; j++) {
                const __m512i first = _mm512_and_si512(_mm512_slli_epi16(h[j], 4), upper);
                const __m512i second = _mm512_and_si512(_mm512_slli_epi16(h[j], 2), upper);
                const __m512i third = _mm512_and_si512(h[j], upper);
                const __m512i fourth = _mm512_and_si512(_mm512_srli_epi16(h[j], 2), upper);
                _mm512_store_si512(to[0].q + 64 * j, low_nibble_or(a[j], first));
                _mm512_store_si512(to[1].q + 64 * j, low_nibble_or(b[j], second));
                _mm512_store_si512(to[2].q + 64 * j, low_nibble_or(_mm512_srli_epi16(a[j], 4), third));
                _mm512_store_si512(to[3].q + 64 * j, low_nibble_or(_mm512_srli_epi16(b[j], 4), fourth));
            }
        }
        __m512i scales[4], tail[4];
        load_16<4>(rows + 192, row_bytes, scales);
        load_16<4>(rows + 194, row_bytes, tail);
        const __m512 factor = from_halves(_mm512_srli_epi32(tail[3], 16));
        for (int half = 0; half < 16; half++) {
            const __m512i scale = _mm512_srai_epi32(_mm512_slli_epi32(scales[half / 4], 24 - 8 * (half % 4)), 24);
            _mm512_store_ps(out[half / 2].scale[half % 2], _mm512_mul_ps(_mm512_cvtepi32_ps(scale), factor));
        }
    }
};

// ---- A tile of rows times a panel.

INLINE __m512i bytes_of(const int8_t * q) {
    int32_t four;
    memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
}

template <int from, int to>
INLINE __m512i dot(__m512i sum, const __m512i w[8], const int8_t * q) {
    for (int j = from; j < to; j++) {
        sum = _mm512_dpbusd_epi32(sum, w[j], bytes_of(q + 4 * j));
    }
    return sum;
}

INLINE void add(const Plain * p, const __m512i w[8], const XBlock * x, int r, __m512 * sum) {
    const __m512i s = dot<0, 8>(_mm512_set1_epi32(x->offset[0][r]), w, x->q[r]);
    const __m512 scale = _mm512_mul_ps(_mm512_load_ps(p->scale), _mm512_set1_ps(x->scale[r]));
    *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), scale, *sum);
}

INLINE void add(const WithMinimum * p, const __m512i w[8], const XBlock * x, int r, __m512 * sum) {
    const __m512i s = dot<0, 8>(_mm512_setzero_si512(), w, x->q[r]);
    const __m512 scale = _mm512_mul_ps(_mm512_load_ps(p->scale), _mm512_set1_ps(x->scale[r]));
    *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), scale, *sum);
    *sum = _mm512_fnmadd_ps(_mm512_load_ps(p->minimum), _mm512_set1_ps(x->scaled_sum[r]), *sum);
}

INLINE void add(const Halved * p, const __m512i w[8], const XBlock * x, int r, __m512 * sum) {
    const __m512i a = dot<0, 4>(_mm512_set1_epi32(x->offset[0][r]), w, x->q[r]);
    const __m512i b = dot<4, 8>(_mm512_set1_epi32(x->offset[1][r]), w, x->q[r]);
    __m512 both = _mm512_mul_ps(_mm512_cvtepi32_ps(a), _mm512_load_ps(p->scale[0]));
    both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(b), _mm512_load_ps(p->scale[1]), both);
    *sum = _mm512_fmadd_ps(both, _mm512_set1_ps(x->scale[r]), *sum);
}

// `sums` holds what comes from earlier blocks of the same panel, sixteen numbers for each row.
template <class Panel, int rows>
static TARGET __attribute__((noinline)) void multiply(const Panel * panel, const XBlock * x, int64_t blocks, float * sums) {
    __m512 sum[rows];
    for (int r = 0; r < rows; r++) {
        sum[r] = _mm512_load_ps(sums + PANEL * r);
    }
    for (int64_t b = 0; b < blocks; b++) {
        __m512i w[8];
        for (int j = 0; j < 8; j++) {
            w[j] = _mm512_load_si512(panel[b].q + 64 * j);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            add(panel + b, w, x + b, r, &sum[r]);
        }
    }
    for (int r = 0; r < rows; r++) {
        _mm512_store_ps(sums + PANEL * r, sum[r]);
    }
}

template <class Panel>
static void multiply_tile(const Panel * panel, const XBlock * x, int64_t blocks, float * sums, int64_t rows) {
    switch (rows) {
        case 1: return multiply<Panel, 1>(panel, x, blocks, sums);
        case 2: return multiply<Panel, 2>(panel, x, blocks, sums);
        case 3: return multiply<Panel, 3>(panel, x, blocks, sums);
        case 4: return multiply<Panel, 4>(panel, x, blocks, sums);
        case 5: return multiply<Panel, 5>(panel, x, blocks, sums);
        case 6: return multiply<Panel, 6>(panel, x, blocks, sums);
        case 7: return multiply<Panel, 7>(panel, x, blocks, sums);
        default: return multiply<Panel, 8>(panel, x, blocks, sums);
    }
}

// Panel number `index` times the rows of x from `first` to `end`, segment by segment; `scratch` holds a segment and,
// behind it, the sums.
template <class Format>
static TARGET __attribute__((noinline)) void compute_panel(
    const kernel_product * p, int64_t index, bool goes_on, int64_t first, int64_t end, const XBlock * x, uint8_t * scratch) {
    typedef typename Format::Panel Panel;
    constexpr int per_unpack = Format::elements / BLOCK;
    const int64_t blocks = p->k / BLOCK, n0 = index * PANEL;
    Panel * panel = (Panel *) scratch;
    float * sums = (float *) (scratch + SEGMENT * LARGEST_BLOCK);
    memset(sums, 0, (size_t) (end - first) * PANEL * sizeof(float));
    const uint8_t * rows = p->weights + (size_t) n0 * p->row_bytes;
    // The next panel's bytes lie behind these: they are asked for while this one is computed. Longer rows the processor
    // fetches ahead by itself.
    const size_t panel_bytes = PANEL * p->row_bytes;
    const uint8_t * ask = rows + panel_bytes;
    const bool asks = goes_on && panel_bytes <= ASKED_BYTES;
    for (int64_t from = 0; from < blocks; from += SEGMENT) {
        const int64_t count = blocks - from < SEGMENT ? blocks - from : SEGMENT;
        for (int64_t b = 0; b < count; b += per_unpack) {
            if (asks) {
                for (const uint8_t * until = ask + PANEL * Format::bytes; ask < until; ask += 64) {
                    _mm_prefetch((const char *) ask, _MM_HINT_T1);
                }
            }
            Format::unpack(rows + (size_t) ((from + b) / per_unpack) * Format::bytes, p->row_bytes, panel + b);
        }
        for (int64_t row = first; row < end; row += TILE) {
            const int64_t n_rows = end - row < TILE ? end - row : TILE;
            multiply_tile<Panel>(panel, x + (row / TILE) * blocks + from, count, sums + (row - first) * PANEL, n_rows);
        }
    }
    for (int64_t row = first; row < end; row++) {
        _mm512_storeu_ps(p->out + row * p->n + n0, _mm512_load_ps(sums + (row - first) * PANEL));
    }
}

typedef void (*compute_fn)(const kernel_product *, int64_t, bool, int64_t, int64_t, const XBlock *, uint8_t *);

struct FormatFacts {
    int type, elements, offset;
    bool halves;
    compute_fn compute;
};

template <class Format>
constexpr FormatFacts facts(int type) {
    return {type, Format::elements, Format::offset, sizeof(typename Format::Panel) == sizeof(Halved)
            && Format::offset == 32, compute_panel<Format>};
}

const FormatFacts FORMATS[] = {
    facts<Q4_0>(KERNEL_Q4_0), facts<Q5_0>(KERNEL_Q5_0), facts<Q8_0>(KERNEL_Q8_0),
    facts<Q4_K>(KERNEL_Q4_K), facts<Q5_K>(KERNEL_Q5_K), facts<Q6_K>(KERNEL_Q6_K),
};

const FormatFacts * facts_of(int type) {
    for (const FormatFacts & each : FORMATS) {
        if (each.type == type) {
            return &each;
        }
    }
    return nullptr;
}

TARGET void round_tile(const kernel_product * p, const FormatFacts * format, int64_t tile, XBlock * x) {
    const int64_t blocks = p->k / BLOCK;
    for (int64_t row = tile * TILE; row < p->m && row < (tile + 1) * TILE; row++) {
        for (int64_t b = 0; b < blocks; b++) {
            round_block(p->x + row * p->k + b * BLOCK, (int) (row % TILE), format->offset, format->halves,
                        x + tile * blocks + b);
        }
    }
}

} // namespace

struct kernel_pool {
    XBlock * x;
    size_t x_bytes;
    uint8_t * panels;
    size_t panel_bytes;
};

static void * grown(void * old, size_t * have, size_t want) {
    if (*have >= want) {
        return old;
    }
    free(old);
    const size_t rounded = (want + 4095) & ~(size_t) 4095;
    void * memory = aligned_alloc(4096, rounded);
    *have = memory ? rounded : 0;
    return memory;
}

int kernel_supported(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

int kernel_takes(int type, int64_t n, int64_t k) {
    const FormatFacts * format = facts_of(type);
    return format && n > 0 && k > 0 && n % PANEL == 0 && k % format->elements == 0;
}

struct kernel_pool * kernel_pool_new(void) { return (kernel_pool *) calloc(1, sizeof(kernel_pool)); }

void kernel_pool_free(struct kernel_pool * pool) {
    if (pool) {
        free(pool->x);
        free(pool->panels);
        free(pool);
    }
}

int kernel_compute(struct kernel_pool * pool, const struct kernel_product * products, int count, int n_threads) {
    size_t x_bytes = 0;
    for (int i = 0; i < count; i++) {
        const size_t blocks = (size_t) (products[i].k / BLOCK), tiles = (size_t) ((products[i].m + TILE - 1) / TILE);
        x_bytes = tiles * blocks * sizeof(XBlock) > x_bytes ? tiles * blocks * sizeof(XBlock) : x_bytes;
    }
    pool->x = (XBlock *) grown(pool->x, &pool->x_bytes, x_bytes);
    pool->panels = (uint8_t *) grown(pool->panels, &pool->panel_bytes, SCRATCH_BYTES * (size_t) n_threads);
    if (!pool->x || !pool->panels) {
        return -1;
    }
    int64_t next = 0;
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
        const int team = omp_get_num_threads(), me = omp_get_thread_num();
        uint8_t * scratch = pool->panels + SCRATCH_BYTES * (size_t) me;
        for (int i = 0; i < count; i++) {
            const kernel_product * p = products + i;
            const FormatFacts * format = facts_of(p->type);
            const int64_t tiles = (p->m + TILE - 1) / TILE, panels = p->n / PANEL;
            const bool known = i > 0 && products[i - 1].x == p->x && products[i - 1].m == p->m
                && products[i - 1].k == p->k && facts_of(products[i - 1].type)->offset == format->offset;
            if (!known) {
                for (int64_t tile = me; tile < tiles; tile += team) {
                    round_tile(p, format, tile, pool->x);
                }
            }
#pragma omp single
            next = 0;
            // (the end of `single` is a barrier)
            int64_t chunk = CHUNK_BYTES / (p->k / BLOCK * (int64_t) sizeof(XBlock)) * TILE;
            chunk = chunk < TILE ? TILE : chunk > CHUNK_ROWS ? CHUNK_ROWS : chunk;
            const int64_t chunks = (p->m + chunk - 1) / chunk;
            int64_t run = panels / (team * RUNS);
            run = run < 1 ? 1 : run;
            const int64_t runs = (panels + run - 1) / run;
            for (;;) {
                int64_t job;
#pragma omp atomic capture
                job = next++;
                if (job >= runs * chunks) {
                    break;
                }
                const int64_t first = job / runs * chunk, begin = job % runs * run;
                const int64_t end = first + chunk < p->m ? first + chunk : p->m;
                const int64_t stop = begin + run < panels ? begin + run : panels;
                for (int64_t panel = begin; panel < stop; panel++) {
                    format->compute(p, panel, panel + 1 < stop, first, end, pool->x, scratch);
                }
            }
#pragma omp barrier
        }
    }
    return 0;
}

#else // another processor or system: nothing is taken

int kernel_supported(void) { return 0; }
int kernel_takes(int, int64_t, int64_t) { return 0; }
struct kernel_pool * kernel_pool_new(void) { return nullptr; }
void kernel_pool_free(struct kernel_pool *) {}
int kernel_compute(struct kernel_pool *, const struct kernel_product *, int, int) { return -1; }

#endif
