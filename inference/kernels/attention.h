// Attention over a KV memory: softmax(scale * q k^T + mask) v, without the whole of q k^T in memory.
//
// The way of FlashAttention (Dao et al., 2022): the memory is taken in stretches, and the sums so far are made smaller
// whenever a larger score turns up. Lanes are queries: all heads that share keys and values, and neighbouring positions.
// So keys and values are used in the order in which they stand, and no number is summed up across lanes. Of a few queries
// one is taken after the other, and lanes are numbers of a head.
#pragma once

#include "quantized_matmul.h"
#include "vectors.h"

#include <math.h>
#include <omp.h>

namespace {

constexpr int64_t STRETCH = 64;        // positions of the KV memory that are taken at once
constexpr int64_t QUERIES = 128;       // lanes' worth of queries for which a stretch is converted once
constexpr int64_t LONG_HEAD = 256;     // with longer heads half of them, which fit into a second-level cache
constexpr int64_t LEAST_PART = 256;    // positions that are worth a thread of their own
constexpr uint16_t MASKED = 0xFC00;    // minus infinity in 16 bits
constexpr float LOWEST = -1e30f;       // less than any score, and its exponential is 0 without being no number

// e^x for x of 0 and less.
INLINE float weight_of(float x) {
    const float power = power_of_e(x > -87.0f ? x : -87.0f);
    return x > -87.0f ? power : x == x ? 0.0f : x; // what is no number stays none
}

// c[i][lane] = first[lane] * c[i][lane] + sum over k of a[i * a_row + k * a_step] * b[k][lane], for I::ROWS rows of c and
// VECTORS vectors of lanes; with `first` null c begins at 0.
template <class I, int VECTORS>
INLINE void multiply_block(const float * a, int64_t a_row, int64_t a_step, const float * b, float * c, int64_t length,
                           const float * first) {
    constexpr int WIDTH = VECTORS * I::LANES;
    typename I::F sum[I::ROWS][VECTORS];
    for (int i = 0; i < I::ROWS; i++) {
        for (int v = 0; v < VECTORS; v++) {
            sum[i][v] = first ? I::mul(I::load_floats(c + i * WIDTH + v * I::LANES), I::load_floats(first + v * I::LANES))
                              : I::floats(0.0f);
        }
    }
    for (int64_t k = 0; k < length; k++) {
        typename I::F lanes[VECTORS];
        for (int v = 0; v < VECTORS; v++) {
            lanes[v] = I::load_floats(b + k * WIDTH + v * I::LANES);
        }
        for (int i = 0; i < I::ROWS; i++) {
            const typename I::F one = I::floats(a[i * a_row + k * a_step]);
            for (int v = 0; v < VECTORS; v++) {
                sum[i][v] = I::fma(one, lanes[v], sum[i][v]);
            }
        }
    }
    for (int i = 0; i < I::ROWS; i++) {
        for (int v = 0; v < VECTORS; v++) {
            I::store(c + i * WIDTH + v * I::LANES, sum[i][v]);
        }
    }
}

// All rows of c, a multiple of I::ROWS.
template <class I, int VECTORS>
INLINE void multiply_floats(const float * a, int64_t a_row, int64_t a_step, const float * b, float * c, int64_t rows,
                            int64_t length, const float * first) {
    for (int64_t row = 0; row < rows; row += I::ROWS) {
        multiply_block<I, VECTORS>(a + row * a_row, a_row, a_step, b, c + row * VECTORS * I::LANES, length, first);
    }
}

// A job's queries in blocks of one or two vectors of lanes, one behind the other: what a block needs of a stretch fits into
// the first-level cache.
struct Block {
    int64_t first, width; // lanes
    float * q;            // [d_k][width]
    float * values;       // [d_v][width]: sums so far, and of each lane the sum of its weights and its largest score
    float * weights, * tops;
};

// How an attention is divided: into jobs of some queries of a group of heads, and these into parts of the KV memory.
struct Division {
    int64_t group;     // heads that share keys and values
    int64_t positions; // of queries in a job
    int64_t lanes;     // group * positions, and what fills the last vector
    int64_t tiles, jobs, parts, part; // `part` positions of the KV memory each

    template <class I>
    static Division of(const kernel_attention * a, int64_t n_threads) {
        Division d;
        const int64_t room = a->d_k > LONG_HEAD || a->d_v > LONG_HEAD ? QUERIES / 2 : QUERIES;
        d.group = a->heads / a->kv_heads;
        d.positions = room / d.group < 1 ? 1 : room / d.group;
        d.positions = d.positions < a->n_q ? d.positions : a->n_q;
        d.lanes = (d.group * d.positions + I::LANES - 1) / I::LANES * I::LANES;
        d.tiles = (a->n_q + d.positions - 1) / d.positions;
        d.jobs = d.tiles * a->kv_heads * a->streams;
        d.parts = d.jobs >= 2 * n_threads ? 1 : (2 * n_threads + d.jobs - 1) / d.jobs;
        d.part = (a->n_kv + d.parts - 1) / d.parts;
        d.part = n_threads == 1 ? a->n_kv : d.part < LEAST_PART ? LEAST_PART : d.part;
        d.part = (d.part + STRETCH - 1) / STRETCH * STRETCH;
        d.parts = (a->n_kv + d.part - 1) / d.part;
        return d;
    }

    int64_t sums(const kernel_attention * a) const { return lanes * (a->d_v + 2); } // of a part: values, weight, top
    size_t shared_bytes(const kernel_attention * a) const {
        return parts > 1 ? (size_t) (jobs * parts * sums(a)) * sizeof(float) : 0;
    }

    template <class I>
    size_t thread_bytes(const kernel_attention * a) const {
        return (size_t) (sums(a) + lanes * a->d_k + STRETCH * (a->d_k + a->d_v + 2 * I::LANES)) * sizeof(float);
    }

    // The block whose first lane is `first`, a multiple of two vectors.
    template <class I>
    Block block(const kernel_attention * a, int64_t first, float * q, float * sums) const {
        const int64_t width = lanes - first < 2 * I::LANES ? I::LANES : 2 * I::LANES;
        float * values = sums + first * (a->d_v + 2), * weights = values + width * a->d_v;
        return {first, width, q + first * a->d_k, values, weights, weights + width};
    }
};

// What of a stretch the queries of a job may see.
enum Sight { ALL, NOTHING, SOME };

Sight sight(const kernel_attention * a, const char * mask, int64_t queries, int64_t from, int64_t count) {
    bool all = count == STRETCH, nothing = true;
    for (int64_t i = 0; i < queries; i++) {
        const uint16_t * row = (const uint16_t *) (mask + i * a->mask_row) + from;
        uint16_t any = 0, every = 0;
        for (int64_t p = 0; p < count; p++) {
            any |= row[p];
            every |= row[p] ^ MASKED;
        }
        all &= any == 0;
        nothing &= every == 0;
    }
    return nothing ? NOTHING : all ? ALL : SOME;
}

// LANES numbers of a row from the i-th on, as floats. Q8_0 has blocks of a factor in 16 bits and 32 bytes.
template <class I, kernel_type TYPE>
INLINE typename I::F numbers(const char * row, int64_t i) {
    if (TYPE == KERNEL_F16) {
        return I::load_halves(row + 2 * i);
    }
    const char * block = row + i / 32 * 34;
    return I::mul(I::floats(half_at(block)), I::load_bytes(block + 2 + i % 32));
}

// Rows of a type, `bytes` apart, one behind the other as floats; zeros up to STRETCH rows.
template <class I>
void convert(kernel_type type, const char * from, size_t bytes, int64_t rows, int64_t length, float * to) {
    for (int64_t row = 0; row < rows; row++, from += bytes, to += length) {
        for (int64_t i = 0; i < length; i += I::LANES) {
            I::store(to + i, type == KERNEL_F16 ? numbers<I, KERNEL_F16>(from, i) : numbers<I, KERNEL_Q8_0>(from, i));
        }
    }
    memset(to, 0, (size_t) ((STRETCH - rows) * length) * sizeof(float));
}

// A score of position p with what a query's row of the mask, where there is one, adds; next to nothing where that is hidden,
// and behind the end.
INLINE float masked(float score, const char * row, int64_t p, int64_t count) {
    const float shown = p < count ? score + (row ? half_at(row + 2 * p) : 0.0f) : -INFINITY;
    return shown < LOWEST ? 2 * LOWEST : shown;
}

// A block's scores of a stretch with the mask, and with what is hidden behind the end. Lanes of a position are neighbours.
inline void hide(const kernel_attention * a, const Division & d, const Block & block, const char * mask, int64_t queries,
                 int64_t from, int64_t count, float * scores) {
    for (int64_t lane = 0; lane < block.width; lane++) {
        const int64_t query = (block.first + lane) / d.group;
        const char * row = mask && query < queries ? mask + query * a->mask_row + 2 * from : nullptr;
        for (int64_t p = 0; p < STRETCH; p++) {
            float * score = scores + p * block.width + lane;
            *score = masked(*score, row, p, count);
        }
    }
}

// Take a stretch of keys and values into account, in floats and with zeros behind `count`.
template <class I, int VECTORS>
void attend_stretch(const kernel_attention * a, const Division & d, const Block & block, const char * mask, int64_t queries,
                    int64_t from, int64_t count, const float * keys, const float * rows, float * scores) {
    constexpr int WIDTH = VECTORS * I::LANES;
    multiply_floats<I, VECTORS>(keys, a->d_k, 1, block.q, scores, STRETCH, a->d_k, nullptr);
    if (mask || count < STRETCH) {
        hide(a, d, block, mask, queries, from, count, scores);
    }
    float tops[WIDTH], sums[WIDTH], shrunk[WIDTH];
    for (int lane = 0; lane < WIDTH; lane++) {
        tops[lane] = block.tops[lane];
    }
    for (int64_t p = 0; p < STRETCH; p++) {
        for (int lane = 0; lane < WIDTH; lane++) {
            const float score = scores[p * WIDTH + lane];
            tops[lane] = score > tops[lane] ? score : tops[lane];
        }
    }
    for (int lane = 0; lane < WIDTH; lane++) {
        shrunk[lane] = weight_of(block.tops[lane] - tops[lane]);
        sums[lane] = block.weights[lane] * shrunk[lane];
        block.tops[lane] = tops[lane];
    }
    for (int64_t p = 0; p < STRETCH; p++) {
        for (int lane = 0; lane < WIDTH; lane++) {
            const float weight = weight_of(scores[p * WIDTH + lane] - tops[lane]);
            scores[p * WIDTH + lane] = weight;
            sums[lane] += weight;
        }
    }
    for (int lane = 0; lane < WIDTH; lane++) {
        block.weights[lane] = sums[lane];
    }
    multiply_floats<I, VECTORS>(rows, 1, a->d_v, scores, block.values, a->d_v, STRETCH, shrunk);
}

// The scores of one query for the first `count` of STRETCH keys, that of hidden ones and behind the end next to nothing;
// the largest of them, or `top`. Four keys at a time, so that one sum need not wait for the last.
template <class I, kernel_type TYPE>
float score_keys(const kernel_attention * a, const float * q, const char * keys, int64_t count, const char * mask,
                 float top, float * scores) {
    constexpr int AT_ONCE = 4;
    for (int64_t p = 0; p < count; p += AT_ONCE) {
        const char * row[AT_ONCE];
        typename I::F sum[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) {
            row[i] = keys + (size_t) (p + i < count ? p + i : p) * a->k_row;
            sum[i] = I::floats(0.0f);
        }
        for (int64_t n = 0; n < a->d_k; n += I::LANES) {
            const typename I::F part = I::load_floats(q + n);
            for (int i = 0; i < AT_ONCE; i++) {
                sum[i] = I::fma(part, numbers<I, TYPE>(row[i], n), sum[i]);
            }
        }
        for (int i = 0; i < AT_ONCE; i++) {
            scores[p + i] = I::total(sum[i]);
        }
    }
    for (int64_t p = 0; p < STRETCH; p++) {
        scores[p] = masked(scores[p], mask, p, count);
        top = scores[p] > top ? scores[p] : top;
    }
    return top;
}

// values = shrunk * values + the sum of `count` rows, each times its weight.
template <class I, kernel_type TYPE>
void add_rows(const kernel_attention * a, const float * weights, const char * rows, int64_t count, float shrunk,
              float * values) {
    constexpr int AT_ONCE = 8; // vectors that stay in registers
    for (int64_t from = 0; from < a->d_v; from += AT_ONCE * I::LANES) {
        const int64_t left = (a->d_v - from) / I::LANES, vectors = left < AT_ONCE ? left : AT_ONCE;
        typename I::F sum[AT_ONCE];
        for (int64_t n = 0; n < vectors; n++) {
            sum[n] = I::mul(I::floats(shrunk), I::load_floats(values + from + n * I::LANES));
        }
        for (int64_t p = 0; p < count; p++) {
            const typename I::F weight = I::floats(weights[p]);
            for (int64_t n = 0; n < vectors; n++) {
                sum[n] = I::fma(weight, numbers<I, TYPE>(rows + (size_t) p * a->v_row, from + n * I::LANES), sum[n]);
            }
        }
        for (int64_t n = 0; n < vectors; n++) {
            I::store(values + from + n * I::LANES, sum[n]);
        }
    }
}

// Whether queries are so few that as lanes they would leave most of a vector with nothing to do.
template <class I>
bool few(const kernel_attention * a) {
    return 4 * a->n_q * (a->heads / a->kv_heads) <= I::LANES;
}

// What `attend_stretch` does, for the one query of a lane; its sums are kept together in `values`, then weight and top.
template <class I>
void attend_alone(const kernel_attention * a, const float * q, const char * mask, int64_t count, const char * keys,
                  const char * rows, float * values) {
    float scores[STRETCH + 4];
    float * weight = values + a->d_v, * top = weight + 1;
    const auto score = a->k_type == KERNEL_F16 ? score_keys<I, KERNEL_F16> : score_keys<I, KERNEL_Q8_0>;
    const float largest = score(a, q, keys, count, mask, *top, scores);
    const float shrunk = weight_of(*top - largest);
    float sums[16] = {0};
    for (int64_t p = 0; p < STRETCH; p += 16) {
        for (int64_t lane = 0; lane < 16; lane++) {
            scores[p + lane] = weight_of(scores[p + lane] - largest);
            sums[lane] += scores[p + lane];
        }
    }
    *weight *= shrunk;
    for (int lane = 0; lane < 16; lane++) {
        *weight += sums[lane];
    }
    *top = largest;
    const auto add = a->v_type == KERNEL_F16 ? add_rows<I, KERNEL_F16> : add_rows<I, KERNEL_Q8_0>;
    add(a, scores, rows, count, shrunk, values);
}

// Which queries a job has: `count` positions from `first` on of the heads that share the KV head `head`.
struct Job {
    int64_t stream, head, first, count;

    static Job of(const kernel_attention * a, const Division & d, int64_t job) {
        const int64_t first = job % d.tiles * d.positions;
        return {job / (d.tiles * a->kv_heads), job / d.tiles % a->kv_heads, first,
                first + d.positions < a->n_q ? d.positions : a->n_q - first};
    }

    // The numbers of a lane's query.
    const float * query(const kernel_attention * a, const Division & d, int64_t lane) const {
        const size_t position = (size_t) (first + lane / d.group), of_group = (size_t) (head * d.group + lane % d.group);
        return (const float *) (a->q + position * a->q_row + of_group * a->q_head + (size_t) stream * a->q_stream);
    }
};

// One job's part of the KV memory, whose queries are few: from position `begin` to `end`.
template <class I>
void attend_few(const kernel_attention * a, const Division & d, const Job & job, int64_t begin, int64_t end,
                const char * k, const char * v, const char * mask, float * sums, float * q) {
    const int64_t lanes = job.count * d.group;
    for (int64_t lane = 0; lane < lanes; lane++) {
        const float * from = job.query(a, d, lane);
        for (int64_t n = 0; n < a->d_k; n++) {
            q[lane * a->d_k + n] = from[n] * a->scale;
        }
        float * values = sums + lane * (a->d_v + 2);
        memset(values, 0, (size_t) (a->d_v + 1) * sizeof(float));
        values[a->d_v + 1] = LOWEST;
    }
    for (int64_t from = begin; from < end; from += STRETCH) {
        const int64_t count = end - from < STRETCH ? end - from : STRETCH;
        if (mask && sight(a, mask, job.count, from, count) == NOTHING) {
            continue;
        }
        for (int64_t lane = 0; lane < lanes; lane++) {
            const char * seen = mask ? mask + lane / d.group * a->mask_row + 2 * from : nullptr;
            attend_alone<I>(a, q + lane * a->d_k, seen, count, k + (size_t) from * a->k_row, v + (size_t) from * a->v_row,
                            sums + lane * (a->d_v + 2));
        }
    }
}

// One job's part of the KV memory.
template <class I>
void attend_part(const kernel_attention * a, const Division & d, int64_t number, int64_t part, float * sums, float * scratch) {
    const Job job = Job::of(a, d, number);
    const int64_t begin = part * d.part, end = begin + d.part < a->n_kv ? begin + d.part : a->n_kv;
    const char * k = a->k + (size_t) job.head * a->k_head + (size_t) job.stream * a->k_stream;
    const char * v = a->v + (size_t) job.head * a->v_head + (size_t) job.stream * a->v_stream;
    const char * mask =
        a->mask ? a->mask + (size_t) job.first * a->mask_row + (size_t) job.stream * a->mask_stream : nullptr;
    if (few<I>(a)) {
        attend_few<I>(a, d, job, begin, end, k, v, mask, sums, scratch);
        return;
    }
    float * keys = scratch, * rows = keys + STRETCH * a->d_k, * scores = rows + STRETCH * a->d_v;
    float * q = scores + STRETCH * 2 * I::LANES;

    for (int64_t lane = 0; lane < d.lanes; lane += 2 * I::LANES) {
        const Block block = d.block<I>(a, lane, q, sums);
        memset(block.q, 0, (size_t) (block.width * a->d_k) * sizeof(float));
        memset(block.values, 0, (size_t) (block.width * (a->d_v + 1)) * sizeof(float));
        for (int64_t i = 0; i < block.width; i++) {
            block.tops[i] = LOWEST;
            if (lane + i < job.count * d.group) {
                const float * from = job.query(a, d, lane + i);
                for (int64_t n = 0; n < a->d_k; n++) {
                    block.q[n * block.width + i] = from[n] * a->scale;
                }
            }
        }
    }
    for (int64_t from = begin; from < end; from += STRETCH) {
        const int64_t count = end - from < STRETCH ? end - from : STRETCH;
        const Sight seen = mask ? sight(a, mask, job.count, from, count) : ALL;
        if (seen == NOTHING) {
            continue;
        }
        convert<I>(a->k_type, k + (size_t) from * a->k_row, a->k_row, count, a->d_k, keys);
        convert<I>(a->v_type, v + (size_t) from * a->v_row, a->v_row, count, a->d_v, rows);
        for (int64_t lane = 0; lane < d.lanes; lane += 2 * I::LANES) {
            const Block block = d.block<I>(a, lane, q, sums);
            const auto attend = block.width > I::LANES ? attend_stretch<I, 2> : attend_stretch<I, 1>;
            attend(a, d, block, seen == SOME ? mask : nullptr, job.count, from, count, keys, rows, scores);
        }
    }
}

// Bring the parts of a job together, and write what its queries get.
template <class I>
void finish(const kernel_attention * a, const Division & d, int64_t number, float * sums) {
    const Job job = Job::of(a, d, number);
    const int64_t size = d.sums(a);
    for (int64_t lane = 0; lane < job.count * d.group; lane++) {
        const float * values = sums + lane * (a->d_v + 2), * weights = values + a->d_v, * tops = weights + 1;
        int64_t step = 1; // from one number of a lane to the next
        if (!few<I>(a)) {
            const Block block = d.block<I>(a, lane / (2 * I::LANES) * (2 * I::LANES), nullptr, sums);
            const int64_t in_block = lane - block.first;
            values = block.values + in_block, weights = block.weights + in_block, tops = block.tops + in_block;
            step = block.width;
        }
        float top = LOWEST, weight = 0.0f;
        for (int64_t part = 0; part < d.parts; part++) {
            top = tops[part * size] > top ? tops[part * size] : top;
        }
        const int64_t place =
            (job.stream * a->n_q + job.first + lane / d.group) * a->heads + job.head * d.group + lane % d.group;
        float * out = a->out + place * a->d_v;
        for (int64_t part = 0; part < d.parts; part++) {
            const float share = weight_of(tops[part * size] - top);
            weight += share * weights[part * size];
            for (int64_t i = 0; i < a->d_v; i++) {
                out[i] = (part ? out[i] : 0.0f) + share * values[part * size + i * step];
            }
        }
        const float inverse = weight > 0 ? 1 / weight : weight; // nothing to see gives 0, what is no number stays none
        for (int64_t i = 0; i < a->d_v; i++) {
            out[i] *= inverse;
        }
    }
}

inline bool reads(kernel_type type, int64_t length) {
    return (type == KERNEL_F16 && length % 16 == 0) || (type == KERNEL_Q8_0 && length % 32 == 0);
}

template <class I>
int attends(const kernel_attention * a) {
    return reads(a->k_type, a->d_k) && reads(a->v_type, a->d_v) && a->heads % a->kv_heads == 0;
}

// An attention with all threads of the team, of which there may be less than the `n_threads` that it is divided for.
template <class I>
void attend_all(const kernel_attention * a, int n_threads, float * shared, float * scratch, int64_t * next) {
    const Division d = Division::of<I>(a, n_threads);
#pragma omp single
    *next = 0;
    for (;;) {
        int64_t piece;
#pragma omp atomic capture
        piece = (*next)++;
        if (piece >= d.jobs * d.parts) {
            break;
        }
        float * sums = d.parts > 1 ? shared + piece * d.sums(a) : scratch;
        attend_part<I>(a, d, piece / d.parts, piece % d.parts, sums, scratch + d.sums(a));
        if (d.parts == 1) {
            finish<I>(a, d, piece, sums);
        }
    }
    if (d.parts > 1) {
#pragma omp barrier
        for (int64_t job = omp_get_thread_num(); job < d.jobs; job += omp_get_num_threads()) {
            finish<I>(a, d, job, shared + job * d.parts * d.sums(a));
        }
    }
}

} // namespace
