// Products of quantised weights and float rows, in integers; attention; and what is done to a whole row of logits.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Numbers of ggml's types (ggml.h, enum ggml_type): they stand in every GGUF file and never change.
enum kernel_type {
    KERNEL_F16 = 1, // of a KV memory only
    KERNEL_Q4_0 = 2,
    KERNEL_Q5_0 = 6,
    KERNEL_Q8_0 = 8,
    KERNEL_Q4_K = 12,
    KERNEL_Q5_K = 13,
    KERNEL_Q6_K = 14,
};

// The instructions that are used, best first.
enum kernel_set { KERNEL_AVX512, KERNEL_AVX_VNNI, KERNEL_AVX2, KERNEL_SETS };

// One product: out[m][n] = x[m][k] * weights[n][k]^T. Rows of x and of out lie one behind the other.
struct kernel_product {
    enum kernel_type type;
    int64_t n;                // rows of weights, a multiple of 16 (8 without AVX-512)
    int64_t k;                // their length, a multiple of the type's block
    int64_t m;                // rows of x, at least 1
    const uint8_t * weights;
    size_t row_bytes;         // from one row of weights to the next
    const float * x;
    float * out;
};

// One attention: for each query, softmax(scale * q k^T + mask) v. Keys and values are KERNEL_F16 or KERNEL_Q8_0; q_row and
// the like are bytes from one row, head or stream to the next. Heads share keys and values.
struct kernel_attention {
    enum kernel_type k_type, v_type;
    int64_t d_k, d_v;              // lengths of a key and of a value, multiples of 16, of 32 for Q8_0
    int64_t n_q, n_kv;             // positions
    int64_t heads, kv_heads, streams;
    const char * q, * k, * v;      // q: floats of 32 bits
    const char * mask;             // [n_kv] halves for each query, for all heads; 0, or -infinity for what is not seen; or null
    size_t q_row, q_head, q_stream, k_row, k_head, k_stream, v_row, v_head, v_stream, mask_row, mask_stream;
    float * out;                   // [streams][n_q][heads][d_v]
    float scale;
};

enum kernel_kind { KERNEL_PRODUCT, KERNEL_SCALE, KERNEL_TANH, KERNEL_ATTENTION };

// A product, an attention, or what is done with every element of `from`, which may be `to`.
struct kernel_step {
    enum kernel_kind kind;
    struct kernel_product product; // for KERNEL_PRODUCT, and nothing below
    struct kernel_attention attention; // for KERNEL_ATTENTION, and nothing below
    const float * from;
    float * to;
    int64_t count;
    float factor, added;           // KERNEL_SCALE: to = factor * from + added
};

// The largest number of a row and where it stands first; what is no number is passed over.
struct kernel_best {
    int64_t index; // -1 where there is none
    float value;
};

struct kernel_pool;           // scratch memory

// Whether this processor has the instructions, and this library was compiled for them.
int kernel_supported(int set);

// Whether a product of this shape can be computed.
int kernel_takes(int set, int type, int64_t n, int64_t k);

// Whether an attention of this shape can be computed, and is better computed here.
int kernel_attends(int set, const struct kernel_attention * attention);

struct kernel_pool * kernel_pool_new(void);
void kernel_pool_free(struct kernel_pool * pool);

// Take `count` steps one after the other with `n_threads` threads; 0, or -1 when there is no memory.
// A row of a product depends on its row of `x` alone, bit by bit: not on `m`, and not on the number of threads. In an
// attention both decide how the KV memory is divided.
// With `best`, which has {-1, -infinity} for each row of the last product: where each row of the
// last result is largest, if the last steps are a product and what follows it; else `best` stays as it is.
int kernel_compute(int set, struct kernel_pool * pool, const struct kernel_step * steps, int count, int n_threads,
                   struct kernel_best * best);

#ifdef __cplusplus
}
#endif
