// AVX2 with the integer dot product of AVX-VNNI: 8 lanes. Intel since Alder Lake, AMD since Zen 5.
#pragma once

#include "isa_avx2.h"

namespace {

struct AvxVnni : Avx2 {
    static constexpr bool SIGNED = false;

    static inline __attribute__((always_inline)) V add_dot(V sum, V unsigned_bytes, V signed_bytes) {
        return _mm256_dpbusd_avx_epi32(sum, unsigned_bytes, signed_bytes);
    }

    template <int rows, int from, int to, int top>
    static inline __attribute__((always_inline)) void dots(const uint8_t * w, const int8_t (*q)[32], V sum[rows]) {
        dots_at_once<AvxVnni, rows, from, to>(w, q, sum);
    }
};

} // namespace
