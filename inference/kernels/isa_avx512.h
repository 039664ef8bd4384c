// AVX-512 with its integer dot products (VNNI): 16 lanes. Intel since Ice Lake's servers and laptops, AMD since Zen 4.
#pragma once

#include "vectors.h"

#include <immintrin.h>

namespace {

struct Avx512 {
    typedef __m512i V;
    typedef __m512 F;
    static constexpr int LANES = 16;
    static constexpr int TILE = 8; // sums of so many rows stay in registers
    static constexpr int ROWS = 8; // of two vectors of sums each in a product of floats
    static constexpr bool SIGNED = false;

#define OP static inline __attribute__((always_inline))

    OP V bit_and(V a, V b) { return _mm512_and_si512(a, b); }
    OP V bit_or(V a, V b) { return _mm512_or_si512(a, b); }
    OP V bit_xor(V a, V b) { return _mm512_xor_si512(a, b); }
    OP V bytes(char c) { return _mm512_set1_epi8(c); }
    OP V dwords(int32_t d) { return _mm512_set1_epi32(d); }
    template <int n> OP V srl16(V v) { return _mm512_srli_epi16(v, n); }
    template <int n> OP V sll16(V v) { return _mm512_slli_epi16(v, n); }
    template <int n> OP V srl32(V v) { return _mm512_srli_epi32(v, n); }
    template <int n> OP V sll32(V v) { return _mm512_slli_epi32(v, n); }
    template <int n> OP V sra32(V v) { return _mm512_srai_epi32(v, n); }
    OP V low_nibble(V v) { return bit_and(v, bytes(0x0F)); }
    OP V low_nibble_or(V v, V other) { return _mm512_ternarylogic_epi32(v, bytes(0x0F), other, 0xEA); }
    OP V low_dwords(V a, V b) { return _mm512_unpacklo_epi32(a, b); }
    OP V high_dwords(V a, V b) { return _mm512_unpackhi_epi32(a, b); }
    OP V low_qwords(V a, V b) { return _mm512_unpacklo_epi64(a, b); }
    OP V high_qwords(V a, V b) { return _mm512_unpackhi_epi64(a, b); }
    OP V add_dot(V sum, V unsigned_bytes, V signed_bytes) { return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes); }
    OP V load(const void * from) { return _mm512_load_si512(from); }
    OP void store(void * to, V v) { _mm512_store_si512(to, v); }

    OP F floats(float f) { return _mm512_set1_ps(f); }
    OP F load_floats(const float * from) { return _mm512_loadu_ps(from); }
    OP void store(float * to, F f) { _mm512_storeu_ps(to, f); }
    OP F to_float(V v) { return _mm512_cvtepi32_ps(v); }
    OP F mul(F a, F b) { return _mm512_mul_ps(a, b); }
    OP F fma(F a, F b, F sum) { return _mm512_fmadd_ps(a, b, sum); }
    OP F larger(F a, F b) { return _mm512_max_ps(a, b); } // b where a is no number
    OP F minus_product(F a, F b, F sum) { return _mm512_fnmadd_ps(a, b, sum); }

    // The low half of each dword, which is a float of 16 bits.
    OP F halves(V v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }

    OP F load_bytes(const void * from) { return to_float(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *) from))); }
    OP F load_halves(const void * from) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) from)); }

    // Bits 4j to 4j+3 of each dword become bit 4 of the four bytes of out[j].
    OP void fifth_bits(V v, V out[8]) {
        const V spread = _mm512_setr_epi32(
            0x00000000, 0x00000010, 0x00001000, 0x00001010, 0x00100000, 0x00100010, 0x00101000, 0x00101010,
            0x10000000, 0x10000010, 0x10001000, 0x10001010, 0x10100000, 0x10100010, 0x10101000, 0x10101010);
        for (int j = 0; j < 8; j++) {
            out[j] = _mm512_permutexvar_epi32(v, spread);
            v = srl32<4>(v);
        }
    }

    // 32 bytes of each of sixteen rows; out[j] has dword j of each.
    OP void load_32(const uint8_t * rows, size_t row_bytes, V out[8]) {
        V z[8]; // rows 0 to 3 with 4 to 7, then 8 to 11 with 12 to 15
        for (int i = 0; i < 8; i++) {
            const uint8_t * row = rows + (size_t) (i < 4 ? i : i + 4) * row_bytes;
            const __m256i a = _mm256_loadu_si256((const __m256i *) row);
            const __m256i b = _mm256_loadu_si256((const __m256i *) (row + 4 * row_bytes));
            z[i] = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
        }
        V u[8];
        interleave<Avx512, 8>(z, u);
        for (int i = 0; i < 4; i++) {
            out[i] = _mm512_shuffle_i32x4(u[i], u[i + 4], 0x88);
            out[i + 4] = _mm512_shuffle_i32x4(u[i], u[i + 4], 0xDD);
        }
    }

    // The first n dwords of each of sixteen rows, of which 16 bytes are read.
    template <int n>
    OP void load_16(const uint8_t * rows, size_t row_bytes, V out[n]) {
        V z[4]; // rows i, i+4, i+8 and i+12
        for (int i = 0; i < 4; i++) {
            const uint8_t * row = rows + (size_t) i * row_bytes;
            z[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *) row));
            z[i] = _mm512_inserti32x4(z[i], _mm_loadu_si128((const __m128i *) (row + 4 * row_bytes)), 1);
            z[i] = _mm512_inserti32x4(z[i], _mm_loadu_si128((const __m128i *) (row + 8 * row_bytes)), 2);
            z[i] = _mm512_inserti32x4(z[i], _mm_loadu_si128((const __m128i *) (row + 12 * row_bytes)), 3);
        }
        V all[4];
        interleave<Avx512, 4>(z, all);
        for (int i = 0; i < n; i++) {
            out[i] = all[i];
        }
    }

    // Add the products of quads `from` to `to` of a panel's block and of `rows` rows of x.
    template <int rows, int from, int to, int top>
    OP void dots(const uint8_t * w, const int8_t (*q)[32], V sum[rows]) {
        dots_at_once<Avx512, rows, from, to>(w, q, sum);
    }

    OP float total(F f) { return _mm512_reduce_add_ps(f); }

    OP float largest(const float * x) {
        const F a = load_floats(x), b = load_floats(x + 16);
        return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    }

    OP void round_bytes(const float * x, float inverse, int8_t * q, int sums[2]) {
        for (int half = 0; half < 2; half++) {
            const V v = _mm512_cvtps_epi32(mul(load_floats(x + 16 * half), floats(inverse)));
            _mm_storeu_si128((__m128i *) (q + 16 * half), _mm512_cvtsepi32_epi8(v));
            sums[half] = _mm512_reduce_add_epi32(v);
        }
    }
#undef OP
};

} // namespace
