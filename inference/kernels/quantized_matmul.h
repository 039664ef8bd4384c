// Products of quantised weights and float rows, in integers, and what is done to a whole row of logits.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Numbers of ggml's types (ggml.h, enum ggml_type): they stand in every GGUF file and never change.
enum kernel_type {
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

enum kernel_kind { KERNEL_PRODUCT, KERNEL_SCALE, KERNEL_TANH };

// A product, or what is done with every element of `from`, which may be `to`.
struct kernel_step {
    enum kernel_kind kind;
    struct kernel_product product; // for KERNEL_PRODUCT, and nothing below
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

struct kernel_pool * kernel_pool_new(void);
void kernel_pool_free(struct kernel_pool * pool);

// Take `count` steps one after the other with `n_threads` threads; 0, or -1 when there is no memory.
// A row of `out` depends on its row of `x` alone, bit by bit: not on `m`, and not on the number of threads.
// With `best`, which has {-1, -infinity} for each row of the last product: where each row of the
// last result is largest, if the last steps are a product and what follows it; else `best` stays as it is.
int kernel_compute(int set, struct kernel_pool * pool, const struct kernel_step * steps, int count, int n_threads,
                   struct kernel_best * best);

#ifdef __cplusplus
}
#endif
