// AVX2: 8 lanes, four instructions for what AVX-VNNI does in one. Nearly all processors since 2013.
#pragma once

#include "vectors.h"

#include <immintrin.h>

namespace {

struct Avx2 {
    typedef __m256i V;
    typedef __m256 F;
    static constexpr int LANES = 8;
    static constexpr int TILE = 4;
    static constexpr int ROWS = 4;
    static constexpr bool SIGNED = true; // a product of unsigned bytes up to 255 would not fit into 16 bits

#define OP static inline __attribute__((always_inline))

    OP V bit_and(V a, V b) { return _mm256_and_si256(a, b); }
    OP V bit_or(V a, V b) { return _mm256_or_si256(a, b); }
    OP V bit_xor(V a, V b) { return _mm256_xor_si256(a, b); }
    OP V bytes(char c) { return _mm256_set1_epi8(c); }
    OP V dwords(int32_t d) { return _mm256_set1_epi32(d); }
    template <int n> OP V srl16(V v) { return _mm256_srli_epi16(v, n); }
    template <int n> OP V sll16(V v) { return _mm256_slli_epi16(v, n); }
    template <int n> OP V srl32(V v) { return _mm256_srli_epi32(v, n); }
    template <int n> OP V sll32(V v) { return _mm256_slli_epi32(v, n); }
    template <int n> OP V sra32(V v) { return _mm256_srai_epi32(v, n); }
    OP V low_nibble(V v) { return bit_and(v, bytes(0x0F)); }
    OP V low_nibble_or(V v, V other) { return bit_or(low_nibble(v), other); }
    OP V low_dwords(V a, V b) { return _mm256_unpacklo_epi32(a, b); }
    OP V high_dwords(V a, V b) { return _mm256_unpackhi_epi32(a, b); }
    OP V low_qwords(V a, V b) { return _mm256_unpacklo_epi64(a, b); }
    OP V high_qwords(V a, V b) { return _mm256_unpackhi_epi64(a, b); }
    OP V load(const void * from) { return _mm256_load_si256((const V *) from); }
    OP void store(void * to, V v) { _mm256_store_si256((V *) to, v); }

    OP F floats(float f) { return _mm256_set1_ps(f); }
    OP F load_floats(const float * from) { return _mm256_loadu_ps(from); }
    OP void store(float * to, F f) { _mm256_storeu_ps(to, f); }
    OP F to_float(V v) { return _mm256_cvtepi32_ps(v); }
    OP F mul(F a, F b) { return _mm256_mul_ps(a, b); }
    OP F fma(F a, F b, F sum) { return _mm256_fmadd_ps(a, b, sum); }
    OP F larger(F a, F b) { return _mm256_max_ps(a, b); } // b where a is no number
    OP F minus_product(F a, F b, F sum) { return _mm256_fnmadd_ps(a, b, sum); }

    // The low half of each dword, which is a float of 16 bits.
    OP F halves(V v) {
        const V low = bit_and(v, dwords(0xFFFF));
        const V packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
        return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
    }

    OP F load_bytes(const void * from) { return to_float(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) from))); }
    OP F load_halves(const void * from) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) from)); }

    // Bits 4j to 4j+3 of each dword become bit 4 of the four bytes of out[j].
    OP void fifth_bits(V v, V out[8]) {
        for (int j = 0; j < 8; j++) {
            const V byte = _mm256_shuffle_epi8(v, bit_or(dwords(0x01010101 * (j / 2)), every_dword()));
            const V bit = dwords(j % 2 ? (int32_t) 0x80402010 : 0x08040201);
            out[j] = bit_and(_mm256_cmpeq_epi8(bit_and(byte, bit), bit), bytes(0x10));
        }
    }

    // 32 bytes of each of eight rows; out[j] has dword j of each.
    OP void load_32(const uint8_t * rows, size_t row_bytes, V out[8]) {
        V z[8], u[8];
        for (int i = 0; i < 8; i++) {
            z[i] = _mm256_loadu_si256((const V *) (rows + (size_t) i * row_bytes));
        }
        interleave<Avx2, 8>(z, u);
        for (int i = 0; i < 4; i++) {
            out[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
            out[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
        }
    }

    // The first n dwords of each of eight rows, of which 16 bytes are read.
    template <int n>
    OP void load_16(const uint8_t * rows, size_t row_bytes, V out[n]) {
        V z[4]; // rows i and i+4
        for (int i = 0; i < 4; i++) {
            const uint8_t * row = rows + (size_t) i * row_bytes;
            const __m128i upper = _mm_loadu_si128((const __m128i *) (row + 4 * row_bytes));
            z[i] = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *) row));
            z[i] = _mm256_inserti128_si256(z[i], upper, 1);
        }
        V all[4];
        interleave<Avx2, 4>(z, all);
        for (int i = 0; i < n; i++) {
            out[i] = all[i];
        }
    }

    // Add the products of quads `from` to `to` of a panel's block and of `rows` rows of x.
    template <int rows, int from, int to, int top>
    OP void dots(const uint8_t * w, const int8_t (*q)[32], V sum[rows]) {
        // So many pairs of products fit into 16 bits together.
        constexpr int most = 32767 / (2 * 127 * (top == 255 ? 128 : top));
        constexpr int group = most >= to - from ? to - from : most >= 4 ? 4 : most >= 2 ? 2 : 1;
        for (int first = from; first < to; first += group) {
            V pairs[rows];
            for (int j = first; j < first + group; j++) {
                const V four = load(w + 32 * j);
                const V size = top == 255 ? _mm256_abs_epi8(four) : four;
                for (int r = 0; r < rows; r++) {
                    V x = four_bytes<Avx2>(q[r] + 4 * j);
                    x = top == 255 ? _mm256_sign_epi8(x, four) : x;
                    const V product = _mm256_maddubs_epi16(size, x);
                    pairs[r] = j == first ? product : _mm256_add_epi16(pairs[r], product);
                }
            }
            for (int r = 0; r < rows; r++) {
                sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(pairs[r], _mm256_set1_epi16(1)));
            }
        }
    }

    OP float total(F f) {
        __m128 sum = _mm_add_ps(_mm256_castps256_ps128(f), _mm256_extractf128_ps(f, 1));
        sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
        return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
    }

    OP float largest(const float * x) {
        const F sign = floats(-0.0f);
        F top = _mm256_andnot_ps(sign, load_floats(x));
        for (int i = 8; i < 32; i += 8) {
            top = _mm256_max_ps(top, _mm256_andnot_ps(sign, load_floats(x + i)));
        }
        __m128 four = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
        four = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    }

    OP void round_bytes(const float * x, float inverse, int8_t * q, int sums[2]) {
        for (int half = 0; half < 2; half++) {
            const V a = _mm256_cvtps_epi32(mul(load_floats(x + 16 * half), floats(inverse)));
            const V b = _mm256_cvtps_epi32(mul(load_floats(x + 16 * half + 8), floats(inverse)));
            const V words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
            const __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
            _mm_storeu_si128((__m128i *) (q + 16 * half), _mm_packs_epi16(low, high));
            sums[half] = sum_of(_mm256_add_epi32(a, b));
        }
    }

  private:
    OP V every_dword() { return _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404, 0x08080808, 0x0C0C0C0C); }

    OP int sum_of(V v) {
        __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
        return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
    }
#undef OP
};

} // namespace
