// The products, written once for all instruction sets; `I` says what a vector is and does (isa_*.h). Every instruction
// set includes this file in a source file of its own, because it is compiled with other instructions there.
//
// How: as many rows of weights as a vector has lanes are a panel. A panel's quants are unpacked to bytes, four neighbours
// of each row in one vector, and multiplied with four bytes of an activation row. Unpacking costs about as much as
// multiplying one row and is shared by all rows, so that a batch costs little more than a single row as long as memory is
// what limits both. Activations are rounded to eight bits by blocks of 32, as llama.cpp does it for some types (for the
// K types it rounds by blocks of 256, which loses more).
#pragma once

#include "attention.h"
#include "pool.h"
#include "quantized_matmul.h"

#include <math.h>
#include <omp.h>
#include <string.h>

namespace {


constexpr int BLOCK = 32;            // elements that share a scale of x
constexpr int SEGMENT = 16;          // blocks of a panel that are unpacked before they are multiplied; they fit into L1
constexpr int64_t CHUNK_ROWS = 512;  // rows of x that are multiplied with a segment, at most
constexpr int64_t CHUNK_BYTES = 640 * 1024; // of rounded x that should stay in a core's second-level cache
constexpr int MOST_FOLLOWING = 8;    // steps that are done with a product's elements while they are in the cache
constexpr int64_t RUNS = 8;          // of neighbouring panels, for each thread: no one waits long for the last
constexpr size_t ASKED_BYTES = 32 * 1024; // of the largest panel that is asked for ahead

// ---- Activations: for each tile and block, its rows of 32 bytes, then their scales and corrections.

template <class I>
struct XBlock {
    int8_t q[I::TILE][BLOCK];
    float scale[I::TILE];
    float scaled_sum[I::TILE];     // scale * sum of q, for types with a minimum
    int32_t offset[2][I::TILE];    // -(weights' offset) * sum of q, of each half; both in [0] for types with one scale
};

template <class I>
INLINE void round_block(const float * x, int row, int weight_offset, bool halves, XBlock<I> * out) {
    int sums[2];
    const float top = I::largest(x);
    I::round_bytes(x, top > 0 ? 127.0f / top : 0.0f, out->q[row], sums);
    const float scale = top / 127.0f;
    out->scale[row] = scale;
    out->scaled_sum[row] = scale * (float) (sums[0] + sums[1]);
    out->offset[0][row] = -weight_offset * (halves ? sums[0] : sums[0] + sums[1]);
    out->offset[1][row] = -weight_offset * sums[1];
}

// ---- Panels: what a kind of weights has for each block of 32.

template <class I>
struct Plain { // one scale
    static constexpr bool halves = false;
    alignas(64) uint8_t q[I::LANES * BLOCK];
    float scale[I::LANES];
};

template <class I>
struct WithMinimum {
    static constexpr bool halves = false;
    alignas(64) uint8_t q[I::LANES * BLOCK];
    float scale[I::LANES];
    float minimum[I::LANES];
};

template <class I>
struct Halved { // a scale for each half
    static constexpr bool halves = true;
    alignas(64) uint8_t q[I::LANES * BLOCK];
    float scale[2][I::LANES];
};

template <class I>
INLINE uint8_t * quad(uint8_t * q, int j) { return q + 4 * I::LANES * j; }

// ---- Formats: how a file keeps weights (ggml-common.h of llama.cpp). `unpack` turns `elements` of each row of a panel
// into blocks of unsigned bytes from 0 to `top`, which are `offset` too large.

template <class I>
struct Q4_0 {
    typedef Plain<I> Panel;
    static constexpr int elements = 32, bytes = 18, offset = 8, top = 15;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        typename I::V q[4], head[1];
        I::template load_16<1>(rows, row_bytes, head);
        I::template load_16<4>(rows + 2, row_bytes, q);
        for (int j = 0; j < 4; j++) {
            I::store(quad<I>(out->q, j), I::low_nibble(q[j]));
            I::store(quad<I>(out->q, j + 4), I::low_nibble(I::template srl16<4>(q[j])));
        }
        I::store(out->scale, I::halves(head[0]));
    }
};

template <class I>
struct Q5_0 {
    typedef Plain<I> Panel;
    static constexpr int elements = 32, bytes = 22, offset = 16, top = 31;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        typename I::V q[4], head[2], fifth[8];
        I::template load_16<2>(rows, row_bytes, head);
        I::template load_16<4>(rows + 6, row_bytes, q);
        I::fifth_bits(I::bit_or(I::template srl32<16>(head[0]), I::template sll32<16>(head[1])), fifth);
        for (int j = 0; j < 4; j++) {
            I::store(quad<I>(out->q, j), I::low_nibble_or(q[j], fifth[j]));
            I::store(quad<I>(out->q, j + 4), I::low_nibble_or(I::template srl16<4>(q[j]), fifth[j + 4]));
        }
        I::store(out->scale, I::halves(head[0]));
    }
};

template <class I>
struct Q8_0 {
    typedef Plain<I> Panel;
    // Where bytes of either sign are multiplied in another way, they stay as they are.
    static constexpr int elements = 32, bytes = 34, offset = I::SIGNED ? 0 : 128, top = 255;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        typename I::V q[8], head[1];
        I::template load_16<1>(rows, row_bytes, head);
        I::load_32(rows + 2, row_bytes, q);
        for (int j = 0; j < 8; j++) {
            I::store(quad<I>(out->q, j), I::SIGNED ? q[j] : I::bit_xor(q[j], I::bytes((char) 0x80)));
        }
        I::store(out->scale, I::halves(head[0]));
    }
};

// The eight 6-bit scales and minimums of a K block, each times a factor of the row, to the panel's eight blocks.
template <class I>
INLINE void unpack_scales(const uint8_t * rows, size_t row_bytes, WithMinimum<I> * out) {
    typedef typename I::V V;
    const V six = I::bytes(0x3F), four = I::bytes(0x0F), two = I::bytes(0x30), byte = I::dwords(0xFF);
    V w[4];
    I::template load_16<4>(rows, row_bytes, w);
    const typename I::F factor = I::halves(w[0]), factor_of_minimum = I::halves(I::template srl32<16>(w[0]));
    V scales[2] = {
        I::bit_and(w[1], six),
        I::bit_or(I::bit_and(w[3], four), I::bit_and(I::template srl32<2>(w[1]), two))};
    V minimums[2] = {
        I::bit_and(w[2], six),
        I::bit_or(I::bit_and(I::template srl32<4>(w[3]), four), I::bit_and(I::template srl32<2>(w[2]), two))};
    for (int b = 0; b < 8; b++) {
        I::store(out[b].scale, I::mul(I::to_float(I::bit_and(scales[b / 4], byte)), factor));
        I::store(out[b].minimum, I::mul(I::to_float(I::bit_and(minimums[b / 4], byte)), factor_of_minimum));
        scales[b / 4] = I::template srl32<8>(scales[b / 4]);
        minimums[b / 4] = I::template srl32<8>(minimums[b / 4]);
    }
}

template <class I>
struct Q4_K {
    typedef WithMinimum<I> Panel;
    static constexpr int elements = 256, bytes = 144, offset = 0, top = 15;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        unpack_scales<I>(rows, row_bytes, out);
        for (int g = 0; g < 4; g++) {
            typename I::V q[8];
            I::load_32(rows + 16 + 32 * g, row_bytes, q);
            for (int j = 0; j < 8; j++) {
                I::store(quad<I>(out[2 * g].q, j), I::low_nibble(q[j]));
                I::store(quad<I>(out[2 * g + 1].q, j), I::low_nibble(I::template srl16<4>(q[j])));
            }
        }
    }
};

template <class I>
struct Q5_K {
    typedef WithMinimum<I> Panel;
    static constexpr int elements = 256, bytes = 176, offset = 0, top = 31;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        const typename I::V fifth = I::bytes(0x10);
        typename I::V h[8];
        unpack_scales<I>(rows, row_bytes, out);
        I::load_32(rows + 16, row_bytes, h);
        for (int g = 0; g < 4; g++) {
            typename I::V q[8];
            I::load_32(rows + 48 + 32 * g, row_bytes, q);
            for (int j = 0; j < 8; j++) {
                // The lowest two bits of each byte, moved to bit 4; what comes over from a neighbour is masked.
                const typename I::V even = I::bit_and(I::template sll16<4>(h[j]), fifth);
                const typename I::V odd = I::bit_and(I::template sll16<3>(h[j]), fifth);
                I::store(quad<I>(out[2 * g].q, j), I::low_nibble_or(q[j], even));
                I::store(quad<I>(out[2 * g + 1].q, j), I::low_nibble_or(I::template srl16<4>(q[j]), odd));
                h[j] = I::template srl16<2>(h[j]);
            }
        }
    }
};

template <class I>
struct Q6_K {
    typedef Halved<I> Panel;
    static constexpr int elements = 256, bytes = 210, offset = 32, top = 63;
    INLINE void unpack(const uint8_t * rows, size_t row_bytes, Panel * out) {
        typedef typename I::V V;
        const V upper = I::bytes(0x30);
        for (int half = 0; half < 2; half++) {
            V a[8], b[8], h[8];
            I::load_32(rows + 64 * half, row_bytes, a);
            I::load_32(rows + 64 * half + 32, row_bytes, b);
            I::load_32(rows + 128 + 32 * half, row_bytes, h);
            Panel * to = out + 4 * half;
            for (int j = 0; j < 8; j++) {
                const V first = I::bit_and(I::template sll16<4>(h[j]), upper);
                const V second = I::bit_and(I::template sll16<2>(h[j]), upper);
                const V third = I::bit_and(h[j], upper);
                const V fourth = I::bit_and(I::template srl16<2>(h[j]), upper);
                I::store(quad<I>(to[0].q, j), I::low_nibble_or(a[j], first));
                I::store(quad<I>(to[1].q, j), I::low_nibble_or(b[j], second));
                I::store(quad<I>(to[2].q, j), I::low_nibble_or(I::template srl16<4>(a[j]), third));
                I::store(quad<I>(to[3].q, j), I::low_nibble_or(I::template srl16<4>(b[j]), fourth));
            }
        }
        V scales[4], tail[4];
        I::template load_16<4>(rows + 192, row_bytes, scales);
        I::template load_16<4>(rows + 194, row_bytes, tail);
        const typename I::F factor = I::halves(I::template srl32<16>(tail[3]));
        for (int s = 0; s < 16; s++) {
            V & four = scales[s / 4];
            I::store(out[s / 2].scale[s % 2], I::mul(I::to_float(I::template sra32<24>(I::template sll32<24>(four))), factor));
            four = I::template srl32<8>(four);
        }
    }
};

// ---- Some rows of a tile times a block of a panel.

template <class I, int rows, int top>
INLINE void add(const Plain<I> * p, const XBlock<I> * x, typename I::F sum[rows]) {
    typename I::V s[rows];
    for (int r = 0; r < rows; r++) {
        s[r] = I::dwords(x->offset[0][r]);
    }
    I::template dots<rows, 0, 8, top>(p->q, x->q, s);
    const typename I::F scale = I::load_floats(p->scale);
    for (int r = 0; r < rows; r++) {
        sum[r] = I::fma(I::to_float(s[r]), I::mul(scale, I::floats(x->scale[r])), sum[r]);
    }
}

template <class I, int rows, int top>
INLINE void add(const WithMinimum<I> * p, const XBlock<I> * x, typename I::F sum[rows]) {
    typename I::V s[rows];
    for (int r = 0; r < rows; r++) {
        s[r] = I::dwords(0);
    }
    I::template dots<rows, 0, 8, top>(p->q, x->q, s);
    const typename I::F scale = I::load_floats(p->scale), minimum = I::load_floats(p->minimum);
    for (int r = 0; r < rows; r++) {
        sum[r] = I::fma(I::to_float(s[r]), I::mul(scale, I::floats(x->scale[r])), sum[r]);
        sum[r] = I::minus_product(minimum, I::floats(x->scaled_sum[r]), sum[r]);
    }
}

template <class I, int rows, int top>
INLINE void add(const Halved<I> * p, const XBlock<I> * x, typename I::F sum[rows]) {
    typename I::V a[rows], b[rows];
    for (int r = 0; r < rows; r++) {
        a[r] = I::dwords(x->offset[0][r]);
        b[r] = I::dwords(x->offset[1][r]);
    }
    I::template dots<rows, 0, 4, top>(p->q, x->q, a);
    I::template dots<rows, 4, 8, top>(p->q, x->q, b);
    const typename I::F first = I::load_floats(p->scale[0]), second = I::load_floats(p->scale[1]);
    for (int r = 0; r < rows; r++) {
        const typename I::F both = I::fma(I::to_float(b[r]), second, I::mul(I::to_float(a[r]), first));
        sum[r] = I::fma(both, I::floats(x->scale[r]), sum[r]);
    }
}

// `sums` holds what comes from earlier blocks of the same panel, a vector for each row.
template <class I, class Panel, int rows, int top>
static __attribute__((noinline)) void multiply(const Panel * panel, const XBlock<I> * x, int64_t blocks, float * sums) {
    typename I::F sum[rows];
    for (int r = 0; r < rows; r++) {
        sum[r] = I::load_floats(sums + I::LANES * r);
    }
    for (int64_t b = 0; b < blocks; b++) {
        add<I, rows, top>(panel + b, x + b, sum);
    }
    for (int r = 0; r < rows; r++) {
        I::store(sums + I::LANES * r, sum[r]);
    }
}

template <class I, class Panel, int top, int rows = I::TILE>
INLINE void multiply_tile(const Panel * panel, const XBlock<I> * x, int64_t blocks, float * sums, int64_t n_rows) {
    if constexpr (rows > 1) {
        if (n_rows < rows) {
            return multiply_tile<I, Panel, top, rows - 1>(panel, x, blocks, sums, n_rows);
        }
    }
    multiply<I, Panel, rows, top>(panel, x, blocks, sums);
}

template <class I>
constexpr size_t segment_bytes = SEGMENT * sizeof(WithMinimum<I>); // the largest kind

template <class I>
constexpr size_t scratch_bytes = segment_bytes<I> + CHUNK_ROWS * I::LANES * sizeof(float); // of a thread

// Panel number `index` times the rows of x from `first` to `end`, segment by segment; `scratch` holds a segment and,
// behind it, the sums.
template <class I, class Format>
static __attribute__((noinline)) void compute_panel(
    const kernel_product * p, int64_t index, bool goes_on, int64_t first, int64_t end, const void * rounded,
    uint8_t * scratch) {
    typedef typename Format::Panel Panel;
    constexpr int per_unpack = Format::elements / BLOCK;
    const XBlock<I> * x = (const XBlock<I> *) rounded;
    const int64_t blocks = p->k / BLOCK, n0 = index * I::LANES;
    Panel * panel = (Panel *) scratch;
    float * sums = (float *) (scratch + segment_bytes<I>);
    memset(sums, 0, (size_t) (end - first) * I::LANES * sizeof(float));
    const uint8_t * rows = p->weights + (size_t) n0 * p->row_bytes;
    // The next panel's bytes lie behind these: they are asked for while this one is computed. Longer rows the processor
    // fetches ahead by itself.
    const size_t panel_bytes = I::LANES * p->row_bytes;
    const uint8_t * ask = rows + panel_bytes;
    const bool asks = goes_on && panel_bytes <= ASKED_BYTES;
    for (int64_t from = 0; from < blocks; from += SEGMENT) {
        const int64_t count = blocks - from < SEGMENT ? blocks - from : SEGMENT;
        for (int64_t b = 0; b < count; b += per_unpack) {
            if (asks) {
                for (const uint8_t * until = ask + I::LANES * Format::bytes; ask < until; ask += 64) {
                    __builtin_prefetch(ask, 0, 2);
                }
            }
            Format::unpack(rows + (size_t) ((from + b) / per_unpack) * Format::bytes, p->row_bytes, panel + b);
        }
        for (int64_t row = first; row < end; row += I::TILE) {
            const int64_t n_rows = end - row < I::TILE ? end - row : I::TILE;
            multiply_tile<I, Panel, Format::top>(panel, x + (row / I::TILE) * blocks + from, count,
                                                 sums + (row - first) * I::LANES, n_rows);
        }
    }
    for (int64_t row = first; row < end; row++) {
        I::store(p->out + row * p->n + n0, I::load_floats(sums + (row - first) * I::LANES));
    }
}

typedef void (*compute_fn)(const kernel_product *, int64_t, bool, int64_t, int64_t, const void *, uint8_t *);

struct FormatFacts {
    int type, elements, offset;
    bool halves;
    compute_fn compute;
};

template <class I, template <class> class Format>
constexpr FormatFacts facts(int type) {
    return {type, Format<I>::elements, Format<I>::offset, Format<I>::Panel::halves, compute_panel<I, Format<I>>};
}

template <class I>
const FormatFacts * facts_of(int type) {
    static const FormatFacts formats[] = {
        facts<I, Q4_0>(KERNEL_Q4_0), facts<I, Q5_0>(KERNEL_Q5_0), facts<I, Q8_0>(KERNEL_Q8_0),
        facts<I, Q4_K>(KERNEL_Q4_K), facts<I, Q5_K>(KERNEL_Q5_K), facts<I, Q6_K>(KERNEL_Q6_K),
    };
    for (const FormatFacts & each : formats) {
        if (each.type == type) {
            return &each;
        }
    }
    return nullptr;
}

template <class I>
void round_tile(const kernel_product * p, const FormatFacts * format, int64_t tile, XBlock<I> * x) {
    const int64_t blocks = p->k / BLOCK;
    for (int64_t row = tile * I::TILE; row < p->m && row < (tile + 1) * I::TILE; row++) {
        for (int64_t b = 0; b < blocks; b++) {
            round_block<I>(p->x + row * p->k + b * BLOCK, (int) (row % I::TILE), format->offset, format->halves,
                           x + tile * blocks + b);
        }
    }
}

template <class I>
int64_t tiles_of(const kernel_product * p) { return (p->m + I::TILE - 1) / I::TILE; }

// Whether two products read the same rows, rounded in the same way.
template <class I>
bool shares(const kernel_product * a, const kernel_product * b) {
    const FormatFacts * f = facts_of<I>(a->type), * g = facts_of<I>(b->type);
    return a->x == b->x && a->m == b->m && a->k == b->k && f->offset == g->offset && f->halves == g->halves;
}

template <class I>
int takes(int type, int64_t n, int64_t k) {
    const FormatFacts * format = facts_of<I>(type);
    return format && n > 0 && k > 0 && n % I::LANES == 0 && k % format->elements == 0;
}

// tanh to 1e-7, so written that a compiler can do several at once. The polynomial is that of the Cephes library
// (tanhf), whose order of operations it keeps.
INLINE float tanh_of(float x) {
    const float size = x < 0 ? -x : x;
    const float squared = x * x;
    float small = -5.70498872745e-3f * squared + 2.06390887954e-2f;
    small = small * squared - 5.37397155531e-2f;
    small = small * squared + 1.33314422036e-1f;
    small = small * squared - 3.33332819422e-1f;
    small = small * squared * x + x;
    // e^(2 size) = 2^n e^r; tanh is 1 in floats long before 2^n is too large.
    const float two = size >= 10.0f ? 20.0f : 2 * size; // what is no number stays none
    const float large = 1.0f - 2.0f / (power_of_e(two) + 1.0f);
    const float found = x < 0 ? -large : large;
    return size < 0.625f ? small : found;
}

// Elements `begin` to `end` of a step that takes element by element.
void each_element(const kernel_step * step, int64_t begin, int64_t end) {
    const float * from = step->from;
    float * to = step->to;
    if (step->kind == KERNEL_SCALE) {
        for (int64_t i = begin; i < end; i++) {
            to[i] = from[i] * step->factor + step->added;
        }
    } else {
        for (int64_t i = begin; i < end; i++) {
            to[i] = tanh_of(from[i]);
        }
    }
}

// How many of the steps behind a product do something with each of its elements, one after the other. They can be done
// while these are in the cache: the logits of a large vocabulary are not. Memory may be used again, but only as a whole:
// what begins elsewhere in it would be overwritten before it is read.
int following(const kernel_step * product, int left) {
    const float * parts[MOST_FOLLOWING + 1] = {product->product.out};
    const int64_t count = product->product.m * product->product.n;
    int found = 0;
    for (; found < left && found < MOST_FOLLOWING; found++) {
        const kernel_step * step = product + 1 + found;
        if ((step->kind != KERNEL_SCALE && step->kind != KERNEL_TANH) || step->from != parts[found] || step->count != count) {
            break;
        }
        bool clear = true;
        for (int i = 0; i <= found; i++) {
            const int64_t distance = step->to - parts[i];
            clear &= distance == 0 || distance >= count || -distance >= count;
        }
        if (!clear) {
            break;
        }
        parts[found + 1] = step->to;
    }
    return found;
}

// Where the largest of the numbers `begin` to `end` stands first, and which it is: -infinity when none is larger.
template <class I>
int64_t argmax_of(const float * row, int64_t begin, int64_t end, float * largest) {
    constexpr int LANES = I::LANES, SUMS = 8;
    constexpr int64_t STRETCH = 2048; // is in the first-level cache when its largest is looked for
    int64_t at = begin;
    float top = -INFINITY;
    for (int64_t start = begin; start < end; start += STRETCH) {
        const int64_t stop = start + STRETCH < end ? start + STRETCH : end;
        typename I::F tops[SUMS];
        for (int s = 0; s < SUMS; s++) {
            tops[s] = I::floats(top);
        }
        int64_t i = start;
        for (; i + SUMS * LANES <= stop; i += SUMS * LANES) {
            for (int s = 0; s < SUMS; s++) {
                tops[s] = I::larger(I::load_floats(row + i + s * LANES), tops[s]);
            }
        }
        float lanes[SUMS * LANES], found = top;
        for (int s = 0; s < SUMS; s++) {
            I::store(lanes + s * LANES, tops[s]);
        }
        for (float each : lanes) {
            found = each > found ? each : found;
        }
        for (; i < stop; i++) {
            found = row[i] > found ? row[i] : found;
        }
        if (found > top) {
            top = found;
            at = start;
            while (row[at] != found) {
                at++;
            }
        }
    }
    *largest = top;
    return at;
}

// Take what stands largest in a stretch of a row into account for the whole of it.
inline void improve(kernel_best * best, int64_t index, float value) {
    if (value > best->value || (value == best->value && index < best->index)) {
        best->value = value;
        best->index = index;
    }
}

// The product `step` and the `n_following` steps behind it with all threads of the team; `known` says that x was rounded
// for it already. With `best` also where each row of the last result is largest.
template <class I>
void multiply_all(const kernel_step * step, int n_following, bool known, XBlock<I> * x, uint8_t * scratch, int64_t * next,
                  kernel_best * best) {
    const kernel_product * p = &step->product;
    const float * result = n_following ? step[n_following].to : p->out;
    const int team = omp_get_num_threads(), me = omp_get_thread_num();
    const FormatFacts * format = facts_of<I>(p->type);
    const int64_t panels = p->n / I::LANES;
    if (!known) {
        for (int64_t tile = me; tile < tiles_of<I>(p); tile += team) {
            round_tile<I>(p, format, tile, x);
        }
    }
#pragma omp single
    *next = 0;
    // The end of `single` is a barrier.
    int64_t chunk = CHUNK_BYTES / (p->k / BLOCK * (int64_t) sizeof(XBlock<I>)) * I::TILE;
    chunk = chunk < I::TILE ? I::TILE : chunk > CHUNK_ROWS ? CHUNK_ROWS : chunk;
    const int64_t chunks = (p->m + chunk - 1) / chunk;
    const int64_t run = panels < team * RUNS ? 1 : panels / (team * RUNS);
    const int64_t runs = (panels + run - 1) / run;
    for (;;) {
        int64_t job;
#pragma omp atomic capture
        job = (*next)++;
        if (job >= runs * chunks) {
            break;
        }
        const int64_t first = job / runs * chunk, begin = job % runs * run;
        const int64_t end = first + chunk < p->m ? first + chunk : p->m;
        const int64_t stop = begin + run < panels ? begin + run : panels;
        for (int64_t panel = begin; panel < stop; panel++) {
            format->compute(p, panel, panel + 1 < stop, first, end, x, scratch);
        }
        const int64_t from = begin * I::LANES, to = stop * I::LANES;
        for (int64_t row = first; row < end && (n_following || best); row++) {
            for (int i = 1; i <= n_following; i++) {
                each_element(step + i, row * p->n + from, row * p->n + to);
            }
            if (best) {
                float value;
                const int64_t index = argmax_of<I>(result + row * p->n, from, to, &value);
#pragma omp critical(best_of_a_row)
                improve(best + row, index, value);
            }
        }
    }
}

template <class I>
int compute(kernel_pool * pool, const kernel_step * steps, int count, int n_threads, kernel_best * best) {
    size_t x_bytes = 0, thread_bytes = scratch_bytes<I>;
    for (int i = 0; i < count; i++) {
        if (steps[i].kind == KERNEL_PRODUCT) {
            const kernel_product * p = &steps[i].product;
            const size_t wanted = (size_t) (tiles_of<I>(p) * (p->k / BLOCK)) * sizeof(XBlock<I>);
            x_bytes = wanted > x_bytes ? wanted : x_bytes;
        } else if (steps[i].kind == KERNEL_ATTENTION) {
            const Division d = Division::of<I>(&steps[i].attention, n_threads);
            const size_t shared = d.shared_bytes(&steps[i].attention), own = d.thread_bytes<I>(&steps[i].attention);
            x_bytes = shared > x_bytes ? shared : x_bytes;
            thread_bytes = own > thread_bytes ? own : thread_bytes;
        }
    }
    thread_bytes = (thread_bytes + 63) / 64 * 64;
    if (!pool->grow(x_bytes, thread_bytes * (size_t) n_threads)) {
        return -1;
    }
    XBlock<I> * x = (XBlock<I> *) pool->x;
    int64_t next = 0;
#pragma omp parallel num_threads(n_threads) if (n_threads > 1)
    {
        uint8_t * scratch = pool->scratch + thread_bytes * (size_t) omp_get_thread_num();
        const int64_t team = omp_get_num_threads(), me = omp_get_thread_num();
        for (int i = 0; i < count; i++) {
            const kernel_step * step = steps + i;
            if (step->kind == KERNEL_PRODUCT) {
                const bool known = i > 0 && step[-1].kind == KERNEL_PRODUCT && shares<I>(&step[-1].product, &step->product);
                const int n_following = following(step, count - i - 1);
                i += n_following;
                multiply_all<I>(step, n_following, known, x, scratch, &next, i == count - 1 ? best : nullptr);
            } else if (step->kind == KERNEL_ATTENTION) {
                attend_all<I>(&step->attention, n_threads, (float *) pool->x, (float *) scratch, &next);
            } else {
                each_element(step, step->count * me / team, step->count * (me + 1) / team);
            }
#pragma omp barrier
        }
    }
    return 0;
}

} // namespace
