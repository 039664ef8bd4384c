// Chooses the instructions. Compiled for every processor: what needs more stands in products_*.cpp.

#include "quantized_matmul.h"

#include "instruction_sets.h"
#include "pool.h"

#include <stdlib.h>

static const InstructionSet * const SETS[KERNEL_SETS] = {&kernel_avx512, &kernel_avx_vnni, &kernel_avx2};

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>

// Whether the processor has AVX-VNNI: leaf 7, subleaf 1, bit 4 of EAX (older compilers have no name for it).
static bool has_avx_vnni() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

static bool processor_has(int set) {
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    switch (set) {
        case KERNEL_AVX512:
            return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
                && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                && __builtin_cpu_supports("avx512vnni");
        case KERNEL_AVX_VNNI: return avx2 && has_avx_vnni();
        default: return avx2;
    }
}

#else
static bool processor_has(int) { return false; }
#endif

bool kernel_pool::grow(size_t for_x, size_t for_scratch) {
    struct {
        uint8_t ** memory;
        size_t * have;
        size_t want;
    } const parts[] = {{&x, &x_bytes, for_x}, {&scratch, &scratch_bytes, for_scratch}};
    for (const auto & part : parts) {
        if (*part.have < part.want) {
            free(*part.memory);
            const size_t rounded = (part.want + 4095) & ~(size_t) 4095;
            *part.memory = (uint8_t *) aligned_alloc(4096, rounded);
            *part.have = *part.memory ? rounded : 0;
        }
        if (part.want && !*part.memory) {
            return false;
        }
    }
    return true;
}

int kernel_supported(int set) { return set >= 0 && set < KERNEL_SETS && SETS[set]->compute && processor_has(set); }

int kernel_takes(int set, int type, int64_t n, int64_t k) { return SETS[set]->takes(type, n, k); }

int kernel_attends(int set, const kernel_attention * attention) { return SETS[set]->attends(attention); }

kernel_pool * kernel_pool_new(void) { return (kernel_pool *) calloc(1, sizeof(kernel_pool)); }

void kernel_pool_free(kernel_pool * pool) {
    if (pool) {
        free(pool->x);
        free(pool->scratch);
        free(pool);
    }
}

int kernel_compute(int set, kernel_pool * pool, const kernel_step * steps, int count, int n_threads, kernel_best * best) {
    return SETS[set]->compute(pool, steps, count, n_threads, best);
}
