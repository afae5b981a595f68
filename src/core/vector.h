/*
 * Integer vectors as wide as the instruction set, for the loops that compilers vectorise poorly. GCC and clang vector
 * extensions, with one intrinsic: the dot product of neighbouring 16-bit pairs, which neither recognises reliably.
 */
#ifndef STOPLINE_VECTOR_H
#define STOPLINE_VECTOR_H

#include <stdint.h>

#if defined(__AVX512BW__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define LANES16 (VECTOR_BYTES / 2)
#define LANES32 (VECTOR_BYTES / 4)
#define INLINE static inline __attribute__((always_inline))

typedef uint8_t u8v __attribute__((vector_size(VECTOR_BYTES)));
typedef int8_t i8v __attribute__((vector_size(VECTOR_BYTES)));
typedef uint8_t u8half __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef int16_t i16v __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t u16v __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t i32v __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t u32v __attribute__((vector_size(VECTOR_BYTES)));
typedef float f32v __attribute__((vector_size(VECTOR_BYTES)));

/* LANES16 bytes from any address, widened. */
INLINE i16v widen(const uint8_t *p) {
  u8half bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, i16v);
}

/* a[2i] b[2i] + a[2i+1] b[2i+1] */
INLINE i32v pair_dot(i16v a, i16v b) {
#if defined(__AVX512BW__)
  return (i32v)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (i32v)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (i32v)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif defined(__wasm_simd128__)
  return (i32v)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#else
  i32v sum;
  for (int i = 0; i < LANES32; i++) sum[i] = (int32_t)a[2 * i] * b[2 * i] + (int32_t)a[2 * i + 1] * b[2 * i + 1];
  return sum;
#endif
}

/* v times a constant, by a multiplication: GCC makes up to six shifts and sums of one. */
INLINE u16v times16(u16v v, uint16_t factor) {
  u16v factors = (u16v){0} + factor;
#if defined(__SSE2__) && defined(__GNUC__)
  __asm__("" : "+x"(factors));
#endif
  return v * factors;
}

INLINE u8v load8(const uint8_t *p) {
  u8v bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return bytes;
}

INLINE void store8(uint8_t *p, u8v bytes) { __builtin_memcpy(p, &bytes, sizeof bytes); }

/* Per byte: the smaller, the larger, and the difference that stops at 0. */
#if defined(__AVX512BW__)
INLINE u8v min8(u8v a, u8v b) { return (u8v)_mm512_min_epu8((__m512i)a, (__m512i)b); }
INLINE u8v max8(u8v a, u8v b) { return (u8v)_mm512_max_epu8((__m512i)a, (__m512i)b); }
INLINE u8v subs8(u8v a, u8v b) { return (u8v)_mm512_subs_epu8((__m512i)a, (__m512i)b); }
#elif defined(__AVX2__)
INLINE u8v min8(u8v a, u8v b) { return (u8v)_mm256_min_epu8((__m256i)a, (__m256i)b); }
INLINE u8v max8(u8v a, u8v b) { return (u8v)_mm256_max_epu8((__m256i)a, (__m256i)b); }
INLINE u8v subs8(u8v a, u8v b) { return (u8v)_mm256_subs_epu8((__m256i)a, (__m256i)b); }
#elif defined(__SSE2__)
INLINE u8v min8(u8v a, u8v b) { return (u8v)_mm_min_epu8((__m128i)a, (__m128i)b); }
INLINE u8v max8(u8v a, u8v b) { return (u8v)_mm_max_epu8((__m128i)a, (__m128i)b); }
INLINE u8v subs8(u8v a, u8v b) { return (u8v)_mm_subs_epu8((__m128i)a, (__m128i)b); }
#elif defined(__wasm_simd128__)
INLINE u8v min8(u8v a, u8v b) { return (u8v)wasm_u8x16_min((v128_t)a, (v128_t)b); }
INLINE u8v max8(u8v a, u8v b) { return (u8v)wasm_u8x16_max((v128_t)a, (v128_t)b); }
INLINE u8v subs8(u8v a, u8v b) { return (u8v)wasm_u8x16_sub_sat((v128_t)a, (v128_t)b); }
#else
INLINE u8v min8(u8v a, u8v b) { u8v m = (u8v)(a < b); return (a & m) | (b & ~m); }
INLINE u8v max8(u8v a, u8v b) { u8v m = (u8v)(a < b); return (b & m) | (a & ~m); }
INLINE u8v subs8(u8v a, u8v b) { return a - min8(a, b); }
#endif

/* Sixteen bytes, for blocks and patches of eight and fifteen pixels a row. */
typedef uint8_t u8x16 __attribute__((vector_size(16)));
#if defined(__SSE2__)
INLINE u8x16 min16(u8x16 a, u8x16 b) { return (u8x16)_mm_min_epu8((__m128i)a, (__m128i)b); }
INLINE u8x16 max16(u8x16 a, u8x16 b) { return (u8x16)_mm_max_epu8((__m128i)a, (__m128i)b); }
#elif defined(__wasm_simd128__)
INLINE u8x16 min16(u8x16 a, u8x16 b) { return (u8x16)wasm_u8x16_min((v128_t)a, (v128_t)b); }
INLINE u8x16 max16(u8x16 a, u8x16 b) { return (u8x16)wasm_u8x16_max((v128_t)a, (v128_t)b); }
#else
INLINE u8x16 min16(u8x16 a, u8x16 b) { u8x16 m = (u8x16)(a < b); return (a & m) | (b & ~m); }
INLINE u8x16 max16(u8x16 a, u8x16 b) { u8x16 m = (u8x16)(a < b); return (b & m) | (a & ~m); }
#endif

INLINE u8v distance8(u8v a, u8v b) { return max8(a, b) - min8(a, b); }

/* Per byte: (a + b + 1) / 2. */
INLINE u8v average8(u8v a, u8v b) {
#if defined(__AVX512BW__)
  return (u8v)_mm512_avg_epu8((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (u8v)_mm256_avg_epu8((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (u8v)_mm_avg_epu8((__m128i)a, (__m128i)b);
#elif defined(__wasm_simd128__)
  return (u8v)wasm_u8x16_avgr((v128_t)a, (v128_t)b);
#else
  return (a | b) - ((a ^ b) >> 1);
#endif
}

/* Per byte: one more, or one less, where a > b. */
#if defined(__AVX512BW__)
INLINE u8v add_above(u8v sum, u8v a, u8v b) {
  return (u8v)_mm512_mask_add_epi8((__m512i)sum, _mm512_cmpgt_epu8_mask((__m512i)a, (__m512i)b), (__m512i)sum,
                                   _mm512_set1_epi8(1));
}
INLINE u8v subtract_above(u8v sum, u8v a, u8v b) {
  return (u8v)_mm512_mask_sub_epi8((__m512i)sum, _mm512_cmpgt_epu8_mask((__m512i)a, (__m512i)b), (__m512i)sum,
                                   _mm512_set1_epi8(1));
}
#else
INLINE u8v add_above(u8v sum, u8v a, u8v b) { return sum + min8(subs8(a, b), (u8v){0} + 1); }
INLINE u8v subtract_above(u8v sum, u8v a, u8v b) { return sum - min8(subs8(a, b), (u8v){0} + 1); }
#endif

/* Adds |a - b| to a sum; those of eight neighbouring bytes go to the four lanes in their place, in any order. */
INLINE u16v add_distance(u16v sum, u8v a, u8v b) {
#if defined(__AVX512BW__)
  return sum + (u16v)_mm512_sad_epu8((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return sum + (u16v)_mm256_sad_epu8((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return sum + (u16v)_mm_sad_epu8((__m128i)a, (__m128i)b);
#elif defined(__wasm_simd128__)
  return sum + (u16v)wasm_u16x8_extadd_pairwise_u8x16((v128_t)distance8(a, b));
#else
  u16v pairs = (u16v)distance8(a, b);
  return sum + (pairs & 255) + (pairs >> 8);
#endif
}

/* Adds the bytes of v to the lanes of a sum. */
INLINE u32v add_bytes(u32v sum, u8v v) {
#if defined(__AVX512BW__)
  return sum + (u32v)_mm512_sad_epu8((__m512i)v, _mm512_setzero_si512());
#elif defined(__AVX2__)
  return sum + (u32v)_mm256_sad_epu8((__m256i)v, _mm256_setzero_si256());
#elif defined(__SSE2__)
  return sum + (u32v)_mm_sad_epu8((__m128i)v, _mm_setzero_si128());
#elif defined(__wasm_simd128__)
  return sum + (u32v)wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16((v128_t)v));
#else
  for (int i = 0; i < LANES32; i++) sum[i] += (uint32_t)v[4 * i] + v[4 * i + 1] + v[4 * i + 2] + v[4 * i + 3];
  return sum;
#endif
}

/*
 * Bytes of each 16-byte lane in the order of a table; entries of 128 and more give 0. A table is 16 bytes, and the same
 * for all lanes. Without such an instruction HAS_LOOKUP is not defined.
 */
#if defined(__AVX512BW__)
#define HAS_LOOKUP
INLINE u8v lookup(u8v v, const uint8_t table[16]) {
  return (u8v)_mm512_shuffle_epi8((__m512i)v, _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)));
}
/* 16 bytes from each of p, p + 48, p + 96, ... */
INLINE u8v load_lanes48(const uint8_t *p) {
  __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)p));
  v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + 48)), 1);
  v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + 96)), 2);
  return (u8v)_mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(p + 144)), 3);
}
#elif defined(__AVX2__)
#define HAS_LOOKUP
INLINE u8v lookup(u8v v, const uint8_t table[16]) {
  return (u8v)_mm256_shuffle_epi8((__m256i)v, _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)));
}
INLINE u8v load_lanes48(const uint8_t *p) {
  __m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p));
  return (u8v)_mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(p + 48)), 1);
}
#elif defined(__wasm_simd128__)
#define HAS_LOOKUP
INLINE u8v lookup(u8v v, const uint8_t table[16]) { return (u8v)wasm_i8x16_swizzle((v128_t)v, wasm_v128_load(table)); }
INLINE u8v load_lanes48(const uint8_t *p) { return load8(p); }
#elif defined(__aarch64__)
#define HAS_LOOKUP
INLINE u8v lookup(u8v v, const uint8_t table[16]) { return (u8v)vqtbl1q_u8((uint8x16_t)v, vld1q_u8(table)); }
INLINE u8v load_lanes48(const uint8_t *p) { return load8(p); }
#endif

/* Words as bytes that stop at -128 and 127, those of both vectors in an order of their own. */
INLINE i8v narrow16(i16v a, i16v b) {
#if defined(__AVX512BW__)
  return (i8v)_mm512_packs_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (i8v)_mm256_packs_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (i8v)_mm_packs_epi16((__m128i)a, (__m128i)b);
#elif defined(__wasm_simd128__)
  return (i8v)wasm_i8x16_narrow_i16x8((v128_t)a, (v128_t)b);
#elif defined(__aarch64__)
  return (i8v)vcombine_s8(vqmovn_s16((int16x8_t)a), vqmovn_s16((int16x8_t)b));
#else
  i8v bytes;
  for (int i = 0; i < LANES16; i++) {
    bytes[i] = (int8_t)(a[i] < -128 ? -128 : a[i] > 127 ? 127 : a[i]);
    bytes[LANES16 + i] = (int8_t)(b[i] < -128 ? -128 : b[i] > 127 ? 127 : b[i]);
  }
  return bytes;
#endif
}

/* Of bytes above -128. */
INLINE i8v abs8(i8v v) {
#if defined(__AVX512BW__)
  return (i8v)_mm512_abs_epi8((__m512i)v);
#elif defined(__AVX2__)
  return (i8v)_mm256_abs_epi8((__m256i)v);
#elif defined(__SSE2__)
  return (i8v)_mm_min_epu8((__m128i)v, (__m128i)-v);
#elif defined(__wasm_simd128__)
  return (i8v)wasm_i8x16_abs((v128_t)v);
#else
  const i8v sign = v < 0;
  return (v ^ sign) - sign;
#endif
}

INLINE i16v abs16(i16v v) {
  i16v sign = v >> 15;
  return (v ^ sign) - sign;
}

INLINE uint64_t sum_lanes_u32(u32v v) {
  uint64_t sum = 0;
  for (int i = 0; i < LANES32; i++) sum += v[i];
  return sum;
}

INLINE int64_t sum_lanes(i32v v) {
  int64_t sum = 0;
  for (int i = 0; i < LANES32; i++) sum += v[i];
  return sum;
}

INLINE uint32_t sum_lanes_u16(u16v v) {
  uint32_t sum = 0;
  for (int i = 0; i < LANES16; i++) sum += v[i];
  return sum;
}

#endif
