// What instruction sets do in the same order with vectors of different length.
#pragma once

#include <stdint.h>
#include <string.h>

namespace {

// `n` vectors of rows, four or eight, to as many in which four dwords of different rows are neighbours: vector 4g + d has
// dword d of every sixteen bytes of vectors 4g to 4g + 3.
template <class I, int n>
static inline __attribute__((always_inline)) void interleave(const typename I::V z[n], typename I::V out[n]) {
    for (int g = 0; g < n; g += 4) {
        const typename I::V a = I::low_dwords(z[g], z[g + 1]), b = I::high_dwords(z[g], z[g + 1]);
        const typename I::V c = I::low_dwords(z[g + 2], z[g + 3]), d = I::high_dwords(z[g + 2], z[g + 3]);
        out[g] = I::low_qwords(a, c);
        out[g + 1] = I::high_qwords(a, c);
        out[g + 2] = I::low_qwords(b, d);
        out[g + 3] = I::high_qwords(b, d);
    }
}

// Four bytes of a row of x in every lane.
template <class I>
static inline __attribute__((always_inline)) typename I::V four_bytes(const int8_t * from) {
    int32_t d;
    memcpy(&d, from, 4);
    return I::dwords(d);
}

// Add the products of quads `from` to `to` of a panel's block and of `rows` rows of x, by an instruction for all four.
template <class I, int rows, int from, int to>
static inline __attribute__((always_inline)) void dots_at_once(
    const uint8_t * w, const int8_t (*q)[32], typename I::V sum[rows]) {
    for (int j = from; j < to; j++) {
        const typename I::V quad = I::load(w + 4 * I::LANES * j);
        for (int r = 0; r < rows; r++) {
            sum[r] = I::add_dot(sum[r], quad, four_bytes<I>(q[r] + 4 * j));
        }
    }
}

} // namespace
