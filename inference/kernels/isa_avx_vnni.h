// AVX2 with the integer dot product of AVX-VNNI: 8 lanes. Intel since Alder Lake, AMD since Zen 5.
#pragma once

#include "isa_avx2.h"

namespace {

struct AvxVnni : Avx2 {
    static constexpr bool SIGNED = false;

    template <int rows, int from, int to, int top>
    static inline __attribute__((always_inline)) void dots(const uint8_t * w, const int8_t (*q)[32], V sum[rows]) {
        for (int j = from; j < to; j++) {
            const V four = _mm256_load_si256((const V *) (w + 32 * j));
            for (int r = 0; r < rows; r++) {
                sum[r] = _mm256_dpbusd_avx_epi32(sum[r], four, four_bytes(q[r] + 4 * j));
            }
        }
    }
};

} // namespace
