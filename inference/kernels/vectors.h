// What instruction sets do in the same order with vectors of different length.
#pragma once

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

namespace {

// `n` vectors of rows, four or eight, to as many in which four dwords of different rows are neighbours: vector 4g + d has
// dword d of every sixteen bytes of vectors 4g to 4g + 3.
template <class I, int n>
INLINE void interleave(const typename I::V z[n], typename I::V out[n]) {
    for (int g = 0; g < n; g += 4) {
        const typename I::V a = I::low_dwords(z[g], z[g + 1]), b = I::high_dwords(z[g], z[g + 1]);
        const typename I::V c = I::low_dwords(z[g + 2], z[g + 3]), d = I::high_dwords(z[g + 2], z[g + 3]);
        out[g] = I::low_qwords(a, c);
        out[g + 1] = I::high_qwords(a, c);
        out[g + 2] = I::low_qwords(b, d);
        out[g + 3] = I::high_qwords(b, d);
    }
}

// e^x for x of -87 to 88, to 2e-7, so written that a compiler can do several at once. The polynomial is that of the Cephes
// library (expf), whose order of operations it keeps.
INLINE float power_of_e(float x) {
    const float magic = 12582912.0f; // 1.5 * 2^23: what is added to it is rounded to a whole number
    const float n = (x * 1.44269504089f + magic) - magic;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float power = 1.9875691500e-4f * r + 1.3981999507e-3f;
    power = power * r + 8.3334519073e-3f;
    power = power * r + 4.1665795894e-2f;
    power = power * r + 1.6666665459e-1f;
    power = power * r + 5.0000001201e-1f;
    power = power * r * r + r + 1.0f;
    const int32_t bits = ((int32_t) n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    return power * scale;
}

// A float of 16 bits.
INLINE float half_at(const void * from) {
    uint16_t bits;
    memcpy(&bits, from, 2);
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

// Four bytes of a row of x in every lane.
template <class I>
INLINE typename I::V four_bytes(const int8_t * from) {
    int32_t d;
    memcpy(&d, from, 4);
    return I::dwords(d);
}

// Add the products of quads `from` to `to` of a panel's block and of `rows` rows of x, by an instruction for all four.
template <class I, int rows, int from, int to>
INLINE void dots_at_once(
    const uint8_t * w, const int8_t (*q)[32], typename I::V sum[rows]) {
    for (int j = from; j < to; j++) {
        const typename I::V quad = I::load(w + 4 * I::LANES * j);
        for (int r = 0; r < rows; r++) {
            sum[r] = I::add_dot(sum[r], quad, four_bytes<I>(q[r] + 4 * j));
        }
    }
}

} // namespace
