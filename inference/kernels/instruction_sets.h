// The products for each instruction set that they are compiled for; without functions where the compiler knows it not.
#pragma once

#include "quantized_matmul.h"

struct InstructionSet {
    int (*takes)(int type, int64_t n, int64_t k);
    int (*attends)(const kernel_attention * attention);
    int (*compute)(kernel_pool * pool, const kernel_step * steps, int count, int n_threads, kernel_best * best);
};

extern const InstructionSet kernel_avx512, kernel_avx_vnni, kernel_avx2;
