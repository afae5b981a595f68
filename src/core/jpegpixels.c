/*
 * The pixels of a plain JPEG: 8 bits, Huffman codes, one scan, grey or YCbCr at 4:4:4, 4:2:2 or 4:2:0. What is
 * anything else, or has anything about it that libjpeg would warn of, is refused, so that whoever calls asks sharp.
 *
 * The arithmetic is that of libjpeg (jidctint.c, jdsample.c, jdcolor.c, version 6b, as libjpeg-turbo and mozjpeg have it), integers
 * throughout, so that the pixels are those of every such library, to the bit. Their vectors keep 16 bits between steps; a block
 * whose numbers could leave these (MOST_OF_COLUMNS) is refused, too.
 *
 * Time is bounded by the size: a block takes at most 64 codes, and nothing is looked at twice.
 */
#include "core.h"
#include "dct.h"
#include "vector.h"

/*
 * Sum of the magnitudes of the coefficients in the even columns of a block, and in the odd ones. A pass yields at most 4 * 1.4 times
 * that, and only numbers of one kind are added up before they are multiplied: all stay below 2^15.
 */
#define MOST_OF_COLUMNS 5800
/* Differences of means have at most 11 bits, and the means themselves; other coefficients at most 10. */
#define MOST_OF_MEAN 2047

/* Codes up to this long are looked up. */
#define LOOK_BITS 10
#define END_OF_BLOCK 128

typedef struct {
  /* value << 16 | zeros ahead of it << 8 | bits in all, where LOOK_BITS hold a code and its value; else 0. */
  int32_t whole[1 << LOOK_BITS];
  /* symbol << 8 | bits, where LOOK_BITS hold a code; else 0. */
  uint16_t codes[1 << LOOK_BITS];
  /* Of each length: the first 16 bits that are no code of it or of a shorter one, and what leads from codes to symbols. */
  uint32_t limits[17];
  int32_t offsets[17];
  const uint8_t *symbols;
} huffman;

typedef struct {
  const uint8_t *at, *end;
  /* The next ones on top; behind `count` of them there are zeros. Negative: more were taken than there are. */
  uint64_t bits;
  int count;
  /* Whether luma has twice as many columns as colours have, and twice as many rows. */
  int is_wide, is_high;
} reader;

typedef struct {
  int id, horizontal, vertical, quantisation;
  int mean_table, table;
  int mean;
  uint8_t *plane;
  size_t stride;
} component;

typedef struct {
  huffman means[4], others[4];
  int16_t block[64] __attribute__((aligned(64)));
  /* In zigzag order. */
  int32_t steps[4][64];
  component components[3];
  int count;
  /* Whether luma has twice as many columns as colours have, and twice as many rows. */
  int is_wide, is_high;
  /* As they lie in the file, and where the file ends; four for means, then four for others. */
  const uint8_t *huffman[8];
  int has_steps[4], is_built[8];
  size_t interval;
} state;

/* ---- Bits ---- */

INLINE void refill(reader *from) {
  if (from->count >= 32) return;
  if (from->count >= 0 && from->end - from->at >= 8) {
    uint64_t next;
    __builtin_memcpy(&next, from->at, 8);
    const uint64_t ones = UINT64_C(0x0101010101010101), rest = ~next;
    /* Without a byte of 255, which is stuffed or begins a marker. */
    if (((rest - ones) & next & (ones << 7)) == 0) {
      from->bits |= __builtin_bswap64(next) >> from->count;
      from->at += (63 - from->count) >> 3;
      from->count |= 56;
      return;
    }
  }
  while (from->count >= 0 && from->count <= 56 && from->at < from->end) {
    const uint64_t byte = *from->at;
    if (byte == 255) {
      if (from->end - from->at < 2 || from->at[1] != 0) return;
      from->at++;
    }
    from->at++;
    from->bits |= byte << (56 - from->count);
    from->count += 8;
  }
}

INLINE int take(reader *from, int count) {
  const int value = (int)(from->bits >> 32 >> (32 - count));
  from->bits <<= count, from->count -= count;
  return value;
}

/* A value of so many bits as T.81 has it: those that begin with 0 are negative. */
INLINE int signed_value(int value, int bits) { return value < 1 << bits >> 1 ? value - (1 << bits) + 1 : value; }

/* The next symbol; -1 where there is none. */
INLINE int read_symbol(reader *from, const huffman *table) {
  const int known = table->codes[from->bits >> (64 - LOOK_BITS)];
  if (known != 0) {
    from->bits <<= known & 255, from->count -= known & 255;
    return known >> 8;
  }
  const uint32_t next = (uint32_t)(from->bits >> 48);
  for (int length = LOOK_BITS + 1; length <= 16; length++) {
    if (next >= table->limits[length]) continue;
    from->bits <<= length, from->count -= length;
    return table->symbols[table->offsets[length] + (int32_t)(next >> (16 - length))];
  }
  return -1;
}

/* From the 16 counts of a segment on; 0 where it is none. */
static int build_table(huffman *table, const uint8_t *counts, int is_mean) {
  uint32_t code = 0;
  int32_t index = 0;
  table->symbols = counts + 16;
  __builtin_memset(table->codes, 0, sizeof table->codes);
  __builtin_memset(table->whole, 0, sizeof table->whole);
  for (int length = 1; length <= 16; length++) {
    table->offsets[length] = index - (int32_t)code;
    for (int i = 0; i < counts[length - 1]; i++, code++, index++) {
      const int symbol = table->symbols[index];
      /* A code of ones alone is none; and what libjpeg refuses in a symbol that is never used, is refused. */
      if (code + 1 >= 1u << length || (is_mean && symbol > 15)) return 0;
      if (length > LOOK_BITS) continue;
      const int left = LOOK_BITS - length;
      for (uint32_t rest = 0; rest < 1u << left; rest++) {
        const uint32_t at = (code << left) + rest;
        table->codes[at] = (uint16_t)(symbol << 8 | length);
        const int bits = symbol & 15, zeros = symbol >> 4;
        if (is_mean) continue;
        if (symbol == 0)
          table->whole[at] = END_OF_BLOCK << 8 | length;
        else if (bits > 0 && bits <= left)
          table->whole[at] =
              signed_value((int)(rest >> (left - bits)), bits) * (1 << 16) + (zeros << 8 | (length + bits));
      }
    }
    table->limits[length] = code << (16 - length);
    code <<= 1;
  }
  return 1;
}

/* ---- Blocks ---- */

static const uint8_t natural[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

static int fits_columns(const int16_t *block) {
  int sums[2] = {0, 0};
  for (int i = 0; i < 64; i++) sums[i & 1] += block[i] < 0 ? -block[i] : block[i];
  return sums[0] <= MOST_OF_COLUMNS && sums[1] <= MOST_OF_COLUMNS;
}

/* Position of the last coefficient that is not 0, in zigzag order; -1 where the block is refused. `block` is all 0 before. */
static int read_block(reader *from, component *own, const huffman *means, const huffman *others, const int32_t *steps,
                      int16_t *restrict block) {
  reader local = *from;
  refill(&local);
  const int bits = read_symbol(&local, means);
  if (bits < 0 || bits > 11) return -1;
  if (bits > 0) own->mean += signed_value(take(&local, bits), bits);
  if (own->mean > MOST_OF_MEAN || own->mean < -MOST_OF_MEAN - 1) return -1;
  const int mean = own->mean * steps[0];
  block[0] = (int16_t)mean;
  int sum = mean < 0 ? -mean : mean, last = 0;
  for (int k = 1; k < 64; k++) {
    refill(&local);
    int value;
    const int32_t known = others->whole[local.bits >> (64 - LOOK_BITS)];
    if (known != 0) {
      local.bits <<= known & 63, local.count -= known & 63;
      k += known >> 8 & 255;
      if (k >= 64) {
        if (k < END_OF_BLOCK) return -1;
        break;
      }
      value = known >> 16;
    } else {
      const int symbol = read_symbol(&local, others);
      const int size = symbol & 15;
      if (symbol < 0) return -1;
      if (symbol == 0) break;
      k += symbol >> 4;
      if (size == 0) {
        if (symbol != 0xf0 || k >= 64) return -1;
        continue;
      }
      if (k >= 64 || size > 10) return -1;
      value = signed_value(take(&local, size), size);
    }
    value *= steps[k];
    block[natural[k]] = (int16_t)value;
    sum += value < 0 ? -value : value;
    last = k;
  }
  *from = local;
  if (local.count < 0 || sum > 2 * MOST_OF_COLUMNS) return -1;
  return sum <= MOST_OF_COLUMNS || fits_columns(block) ? last : -1;
}

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));

/* Numbers of a row that are worked on side by side, and how often that is done. */
#if defined(__AVX2__)
typedef int32_t lanes __attribute__((vector_size(32)));
#define HALVES 1
#else
typedef i32x4 lanes;
#define HALVES 2
#endif

/* Both fit 16 bits: the product of pairs of which one is 0 takes less time than that of 32 bits. */
INLINE lanes times(lanes v, int weight) {
#if defined(__AVX2__)
  return (lanes)_mm256_madd_epi16((__m256i)v, _mm256_set1_epi32(weight & 0xffff));
#elif defined(__SSE2__)
  return (lanes)_mm_madd_epi16((__m128i)v, _mm_set1_epi32(weight & 0xffff));
#elif defined(__wasm_simd128__)
  return (lanes)wasm_i32x4_dot_i16x8((v128_t)v, wasm_i32x4_splat(weight & 0xffff));
#else
  return v * weight;
#endif
}

INLINE lanes descale(lanes v, int bits) { return (v + (1 << (bits - 1))) >> bits; }

/* One pass over eight numbers, of which the upper four are 0 where `is_low`. */
INLINE void inverse(lanes *v, const int bits, const int is_low) {
  lanes low, high, even, odd, o0, o1, o2, o3;
  if (is_low) {
    low = times(v[2], F_0_541196100), high = times(v[2], F_0_541196100 + F_0_765366865);
    even = odd = v[0] * (1 << CONST_BITS);
    const lanes z5 = times(v[1] + v[3], F_1_175875602);
    const lanes z3 = z5 - times(v[3], F_1_961570560), z4 = z5 - times(v[1], F_0_390180644);
    o0 = times(v[1], F_1_501321110 - F_0_899976223) + z4, o1 = times(v[3], F_3_072711026 - F_2_562915447) + z3;
    o2 = z4 - times(v[3], F_2_562915447), o3 = z3 - times(v[1], F_0_899976223);
  } else {
    const lanes z = times(v[2] + v[6], F_0_541196100);
    low = z - times(v[6], F_1_847759065), high = z + times(v[2], F_0_765366865);
    even = (v[0] + v[4]) * (1 << CONST_BITS), odd = (v[0] - v[4]) * (1 << CONST_BITS);
    const lanes z1 = times(v[7] + v[1], F_0_899976223), z2 = times(v[5] + v[3], F_2_562915447);
    const lanes z5 = times(v[7] + v[3] + v[5] + v[1], F_1_175875602);
    const lanes z3 = z5 - times(v[7] + v[3], F_1_961570560), z4 = z5 - times(v[5] + v[1], F_0_390180644);
    o3 = times(v[7], F_0_298631336) - z1 + z3, o2 = times(v[5], F_2_053119869) - z2 + z4;
    o1 = times(v[3], F_3_072711026) - z2 + z3, o0 = times(v[1], F_1_501321110) - z1 + z4;
  }
  const lanes e0 = even + high, e3 = even - high, e1 = odd + low, e2 = odd - low;
  v[0] = descale(e0 + o0, bits), v[7] = descale(e0 - o0, bits);
  v[1] = descale(e1 + o1, bits), v[6] = descale(e1 - o1, bits);
  v[2] = descale(e2 + o2, bits), v[5] = descale(e2 - o2, bits);
  v[3] = descale(e3 + o3, bits), v[4] = descale(e3 - o3, bits);
}

#define CLIP(v) ((v) < 0 ? 0 : (v) > 255 ? 255 : (v))

#if defined(__AVX2__)
INLINE void transpose(lanes v[1][8], const int is_low) {
  (void)is_low;
  lanes a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = __builtin_shufflevector(v[0][i], v[0][i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    a[i + 1] = __builtin_shufflevector(v[0][i], v[0][i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; k++) {
      b[i + k] = __builtin_shufflevector(a[i + k], a[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + k + 2] = __builtin_shufflevector(a[i + k], a[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    v[0][i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    v[0][i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/* Rows of eight bytes from eight columns of numbers, each clipped to 0 to 255. */
INLINE void write_columns(lanes v[1][8], uint8_t *restrict out, size_t stride) {
  const __m256i *const c = (const __m256i *)v[0];
  const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  __m256i left = _mm256_packus_epi16(_mm256_packs_epi32(c[0], c[1]), _mm256_packs_epi32(c[2], c[3]));
  __m256i right = _mm256_packus_epi16(_mm256_packs_epi32(c[4], c[5]), _mm256_packs_epi32(c[6], c[7]));
  left = _mm256_shuffle_epi8(left, order), right = _mm256_shuffle_epi8(right, order);
  const __m256i pairs[2] = {_mm256_unpacklo_epi32(left, right), _mm256_unpackhi_epi32(left, right)};
  /* Rows 0, 1, 4, 5, then 2, 3, 6, 7. */
  for (int y = 0; y < 8; y++)
    __builtin_memcpy(out + (size_t)y * stride, (const uint8_t *)&pairs[y / 2 % 2] + y / 4 * 16 + y % 2 * 8, 8);
}
#else
INLINE void transpose(lanes v[2][8], const int is_low) {
  lanes w[2][8];
  for (int g = 0; g < 2; g++)
    for (int h = 0; h < (is_low ? 1 : 2); h++) {
      const lanes *from = &v[h][4 * g];
      lanes *to = &w[g][4 * h];
      const lanes a = __builtin_shufflevector(from[0], from[1], 0, 4, 1, 5);
      const lanes b = __builtin_shufflevector(from[2], from[3], 0, 4, 1, 5);
      const lanes c = __builtin_shufflevector(from[0], from[1], 2, 6, 3, 7);
      const lanes d = __builtin_shufflevector(from[2], from[3], 2, 6, 3, 7);
      to[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5), to[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
      to[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5), to[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
    }
  for (int g = 0; g < 2; g++)
    for (int x = 0; x < (is_low ? 4 : 8); x++) v[g][x] = w[g][x];
}

/* Clipped to 0 to 255. */
INLINE u8x16 narrow(const lanes *v) {
#if defined(__SSE2__)
  return (u8x16)_mm_packus_epi16(_mm_packs_epi32((__m128i)v[0], (__m128i)v[1]),
                                 _mm_packs_epi32((__m128i)v[2], (__m128i)v[3]));
#elif defined(__wasm_simd128__)
  return (u8x16)wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4((v128_t)v[0], (v128_t)v[1]),
                                        wasm_i16x8_narrow_i32x4((v128_t)v[2], (v128_t)v[3]));
#elif defined(__aarch64__)
  const int16x8_t a = vqmovn_high_s32(vqmovn_s32((int32x4_t)v[0]), (int32x4_t)v[1]);
  const int16x8_t b = vqmovn_high_s32(vqmovn_s32((int32x4_t)v[2]), (int32x4_t)v[3]);
  return (u8x16)vqmovun_high_s16(vqmovun_s16(a), b);
#else
  u8x16 out;
  for (int i = 0; i < 16; i++) out[i] = (uint8_t)CLIP(v[i / 4][i % 4]);
  return out;
#endif
}

/* Rows of eight bytes from eight columns of numbers, each clipped to 0 to 255. */
INLINE void write_columns(lanes v[2][8], uint8_t *restrict out, size_t stride) {
  for (int half = 0; half < 2; half++) {
    u8x16 left = narrow(v[half]), right = narrow(v[half] + 4);
    left = __builtin_shufflevector(left, left, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    right = __builtin_shufflevector(right, right, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const i32x4 rows[2] = {__builtin_shufflevector((i32x4)left, (i32x4)right, 0, 4, 1, 5),
                           __builtin_shufflevector((i32x4)left, (i32x4)right, 2, 6, 3, 7)};
    for (int y = 0; y < 4; y++)
      __builtin_memcpy(out + (size_t)(4 * half + y) * stride, (const uint8_t *)&rows[y / 2] + y % 2 * 8, 8);
  }
}
#endif

INLINE void transform(const int16_t *restrict block, uint8_t *restrict out, size_t stride, const int is_low) {
  lanes v[HALVES][8];
  for (int y = 0; y < (is_low ? 4 : 8); y++) {
    i16x8 row;
    __builtin_memcpy(&row, block + 8 * y, 16);
#if HALVES == 1
    v[0][y] = __builtin_convertvector(row, lanes);
#else
    /* Each number to the upper half of its lane, and down again. */
    v[0][y] = (lanes)__builtin_shufflevector(row, row, 0, 0, 1, 1, 2, 2, 3, 3) >> 16;
    v[1][y] = (lanes)__builtin_shufflevector(row, row, 4, 4, 5, 5, 6, 6, 7, 7) >> 16;
#endif
  }
  for (int half = 0; half < (is_low ? 1 : HALVES); half++) inverse(v[half], CONST_BITS - PASS_BITS, is_low);
  transpose(v, is_low);
  for (int half = 0; half < HALVES; half++) {
    /* Samples are stored less 128. */
    v[half][0] += 128 << (PASS_BITS + 3);
    inverse(v[half], CONST_BITS + PASS_BITS + 3, is_low);
  }
  write_columns(v, out, stride);
}

static void transform_low(const int16_t *restrict block, uint8_t *restrict out, size_t stride) {
  transform(block, out, stride, 1);
}

static void transform_all(const int16_t *restrict block, uint8_t *restrict out, size_t stride) {
  transform(block, out, stride, 0);
}

/* Leaves `block` all 0. */
INLINE void write_block(int16_t *restrict block, int last, uint8_t *restrict out, size_t stride) {
  if (last == 0) {
    const int mean = (block[0] + 4) >> 3, value = mean + 128;
    const uint64_t bytes = (uint64_t)CLIP(value) * UINT64_C(0x0101010101010101);
    for (size_t y = 0; y < 8; y++) __builtin_memcpy(out + y * stride, &bytes, 8);
    block[0] = 0;
    return;
  }
  /* The first ten in zigzag order lie in the corner of four by four. */
  if (last < 10)
    transform_low(block, out, stride);
  else
    transform_all(block, out, stride);
  __builtin_memset(block, 0, 128);
}

/* ---- Rows ---- */

/* (v * weight + 2^14) >> 15 */
INLINE i16v scale15(i16v v, int16_t weight) {
#if defined(__AVX512BW__)
  return (i16v)_mm512_mulhrs_epi16((__m512i)v, _mm512_set1_epi16(weight));
#elif defined(__AVX2__)
  return (i16v)_mm256_mulhrs_epi16((__m256i)v, _mm256_set1_epi16(weight));
#elif defined(__SSE2__)
  return ((i16v)_mm_mulhi_epi16((__m128i)(v << 2), _mm_set1_epi16(weight)) + 1) >> 1;
#elif defined(__wasm_simd128__)
  return (i16v)wasm_i16x8_q15mulr_sat((v128_t)v, wasm_i16x8_splat(weight));
#elif defined(__aarch64__)
  return (i16v)vqrdmulhq_n_s16((int16x8_t)v, weight);
#else
  for (int i = 0; i < LANES16; i++) v[i] = (int16_t)((v[i] * weight + (1 << 14)) >> 15);
  return v;
#endif
}

/* 0 to 255. */
INLINE u16v clip16(i16v v) {
#if defined(__AVX512BW__)
  return (u16v)_mm512_min_epi16(_mm512_max_epi16((__m512i)v, _mm512_setzero_si512()), _mm512_set1_epi16(255));
#elif defined(__AVX2__)
  return (u16v)_mm256_min_epi16(_mm256_max_epi16((__m256i)v, _mm256_setzero_si256()), _mm256_set1_epi16(255));
#elif defined(__SSE2__)
  return (u16v)_mm_min_epi16(_mm_max_epi16((__m128i)v, _mm_setzero_si128()), _mm_set1_epi16(255));
#elif defined(__wasm_simd128__)
  return (u16v)wasm_i16x8_min(wasm_i16x8_max((v128_t)v, wasm_i16x8_const_splat(0)), wasm_i16x8_const_splat(255));
#else
  return (u16v)((((255 - v) >> 15) | v) & ~(v >> 15) & 255);
#endif
}

/* (-22554 cb + 18734 cr + 2^15) >> 16 */
INLINE i16v green(i16v cb, i16v cr) {
  const i16v weights = (i16v)((i32v){0} + (18734 * 65536 + (65536 - 22554)));
  const i32v even = pair_dot((i16v)(((i32v)cb & 0xffff) | (i32v)cr << 16), weights) + (1 << 15);
  const i32v odd = pair_dot((i16v)((i32v)((u32v)cb >> 16) | (i32v)((u32v)cr & 0xffff0000u)), weights) + (1 << 15);
  return (i16v)((i32v)((u32v)even >> 16) | (i32v)((u32v)odd & 0xffff0000u));
}

typedef struct {
  u16v r, g, b;
} colours;

/*
 * jdcolor.c: R = Y + 1.402 Cr, G = Y - .34414 Cb - .71414 Cr, B = Y + 1.772 Cb. What of a weight does not fit 16 bits is a whole multiple,
 * which is added apart; that of red is .40200, whose half of 26345 rounds the same with 13173 for all 256 values.
 */
INLINE void convert(u16v y, u16v blue, u16v red, colours *restrict out) {
  const i16v cb = (i16v)blue - 128, cr = (i16v)red - 128, luma = (i16v)y;
  out->r = clip16(luma + cr + scale15(cr, 13173));
  out->g = clip16(luma - cr + green(cb, cr));
  out->b = clip16(luma + cb + cb + scale15(cb, -7471));
}

#ifdef HAS_LOOKUP
/* Where the bytes of a colour stand among the 48 of sixteen pixels, by the third of these. */
#define NONE 255
static const uint8_t places[3][3][16] = {
    {{0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE, NONE, 5},
     {NONE, 0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE, NONE},
     {NONE, NONE, 0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE}},
    {{NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE, 10, NONE},
     {5, NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE, 10},
     {NONE, 5, NONE, NONE, 6, NONE, NONE, 7, NONE, NONE, 8, NONE, NONE, 9, NONE, NONE}},
    {{NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15, NONE, NONE},
     {NONE, NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15, NONE},
     {10, NONE, NONE, 11, NONE, NONE, 12, NONE, NONE, 13, NONE, NONE, 14, NONE, NONE, 15}}};
#endif

/* VECTOR_BYTES pixels, interleaved. */
INLINE void interleave(u8v r, u8v g, u8v b, uint8_t *out) {
#if defined(HAS_LOOKUP)
  for (int third = 0; third < 3; third++) {
    const u8v v = lookup(r, places[third][0]) | lookup(g, places[third][1]) | lookup(b, places[third][2]);
    for (size_t lane = 0; lane < VECTOR_BYTES / 16; lane++)
      __builtin_memcpy(out + 48 * lane + 16 * third, (const uint8_t *)&v + 16 * lane, 16);
  }
#else
  for (int i = 0; i < VECTOR_BYTES; i++) out[3 * i] = r[i], out[3 * i + 1] = g[i], out[3 * i + 2] = b[i];
#endif
}

/* One row of colour; reads and writes whole vectors. */
static void write_row(const uint8_t *restrict luma, const uint8_t *restrict blue, const uint8_t *restrict red,
                      size_t width, uint8_t *restrict out) {
  for (size_t x = 0; x < width; x += VECTOR_BYTES) {
    const u16v y = (u16v)load8(luma + x), cb = (u16v)load8(blue + x), cr = (u16v)load8(red + x);
    colours even, odd;
    convert(y & 255, cb & 255, cr & 255, &even);
    convert(y >> 8, cb >> 8, cr >> 8, &odd);
    interleave((u8v)(even.r | odd.r << 8), (u8v)(even.g | odd.g << 8), (u8v)(even.b | odd.b << 8), out + 3 * x);
  }
}

static void write_grey(const uint8_t *restrict luma, size_t width, uint8_t *restrict out) {
  for (size_t x = 0; x < width; x += VECTOR_BYTES) {
    const u8v y = load8(luma + x);
    interleave(y, y, y, out + 3 * x);
  }
}

INLINE u16v load16(const uint16_t *p) {
  u16v v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

/*
 * Twice as wide: of each sample its right half, and the left half of the next, three quarters of the nearer and one of the farther
 * (jdsample.c). `sums` has `width` numbers of `times` a sample, and is read one vector farther; `left` and `right` round.
 */
INLINE void widen_row(const uint16_t *restrict sums, size_t width, const int shift, uint8_t *restrict out) {
  const uint16_t left = shift == 4 ? 8 : 1, right = shift == 4 ? 7 : 2;
  for (size_t x = 0; x < width; x += LANES16) {
    const u16v own = load16(sums + x), next = load16(sums + x + 1);
    store8(out + 2 * x + 1, (u8v)(((3 * own + next + right) >> shift) | ((3 * next + own + left) >> shift) << 8));
  }
  out[0] = (uint8_t)((4 * sums[0] + left) >> shift);
  out[2 * width - 1] = (uint8_t)((4 * sums[width - 1] + right) >> shift);
}

/* ---- The file ---- */

INLINE size_t read16(const uint8_t *at) { return (size_t)at[0] << 8 | at[1]; }

static int starts_with(const uint8_t *at, size_t size, const char *text, size_t length) {
  if (size < length) return 0;
  for (size_t i = 0; i < length; i++)
    if (at[i] != (uint8_t)text[i]) return 0;
  return 1;
}

static int read_steps(state *own, const uint8_t *at, const uint8_t *end) {
  for (; at < end; at += 65) {
    if (*at > 3 || end - at < 65) return 0;
    for (int k = 0; k < 64; k++) own->steps[*at][k] = at[1 + k];
    own->has_steps[*at] = 1;
  }
  return 1;
}

static int read_huffman(state *own, const uint8_t *at, const uint8_t *end) {
  while (at < end) {
    if (end - at < 17 || (*at & ~0x13) != 0) return 0;
    size_t symbols = 0;
    for (int i = 1; i <= 16; i++) symbols += at[i];
    if (symbols > 256 || (size_t)(end - at) < 17 + symbols) return 0;
    const int place = (*at >> 4) * 4 + (*at & 3);
    own->huffman[place] = at + 1, own->is_built[place] = 0;
    at += 17 + symbols;
  }
  return 1;
}

static int read_frame(state *own, const uint8_t *at, size_t size, size_t width, size_t height) {
  if (size < 9 || at[0] != 8 || read16(at + 1) != height || read16(at + 3) != width) return 0;
  own->count = at[5];
  if ((own->count != 1 && own->count != 3) || size != 6 + 3 * (size_t)own->count) return 0;
  component *of = own->components;
  for (int i = 0; i < own->count; i++) {
    const uint8_t *given = at + 6 + 3 * i;
    of[i] = (component){
        .id = given[0], .horizontal = given[1] >> 4, .vertical = given[1] & 15, .quantisation = given[2]};
    if (of[i].quantisation > 3 || of[i].horizontal < 1 || of[i].vertical < 1) return 0;
  }
  if (own->count == 1) {
    /* Alone it is coded block by block, whatever its factors. */
    if (of[0].horizontal > 4 || of[0].vertical > 4) return 0;
    of[0].horizontal = of[0].vertical = 1;
    return 1;
  }
  if (of[0].id == of[1].id || of[0].id == of[2].id || of[1].id == of[2].id) return 0;
  if (of[1].horizontal != of[2].horizontal || of[1].vertical != of[2].vertical) return 0;
  if (of[0].horizontal > 2 || of[0].vertical > 2) return 0;
  /* A unit has ten blocks at most. */
  if (of[0].horizontal * of[0].vertical + 2 * of[1].horizontal * of[1].vertical > 10) return 0;
  own->is_wide = of[0].horizontal == 2 * of[1].horizontal, own->is_high = of[0].vertical == 2 * of[1].vertical;
  return (own->is_wide || of[0].horizontal == of[1].horizontal) &&
         (own->is_high ? own->is_wide : of[0].vertical == of[1].vertical);
}

static int read_scan(state *own, const uint8_t *at, size_t size) {
  const int count = own->count;
  const uint8_t *rest = at + 1 + 2 * count;
  if (size != 4 + 2 * (size_t)count || at[0] != count || rest[0] != 0 || rest[1] != 63 || rest[2] != 0) return 0;
  for (int i = 0; i < count; i++) {
    component *of = &own->components[i];
    of->mean_table = at[2 + 2 * i] >> 4, of->table = at[2 + 2 * i] & 15;
    if (at[1 + 2 * i] != of->id || of->mean_table > 3 || of->table > 3 || !own->has_steps[of->quantisation]) return 0;
    const int places[2] = {of->mean_table, 4 + of->table};
    for (int k = 0; k < 2; k++) {
      const int place = places[k];
      if (own->huffman[place] == NULL) return 0;
      huffman *table = k == 0 ? &own->means[place] : &own->others[place - 4];
      if (!own->is_built[place] && !build_table(table, own->huffman[place], k == 0)) return 0;
      own->is_built[place] = 1;
    }
  }
  return 1;
}

/* First byte of the coded data; NULL where the file is none of those that are decoded here. */
static const uint8_t *read_header(state *own, const uint8_t *bytes, size_t size, size_t width, size_t height) {
  if (size < 4 || bytes[0] != 0xff || bytes[1] != 0xd8) return NULL;
  const uint8_t *at = bytes + 2, *end = bytes + size;
  int has_frame = 0, has_jfif = 0, transform = -1;
  for (;;) {
    if (end - at < 4 || at[0] != 0xff) return NULL;
    const int type = at[1];
    const size_t length = read16(at + 2);
    if (length < 2 || (size_t)(end - at) < 2 + length) return NULL;
    const uint8_t *data = at + 4;
    const size_t rest = length - 2;
    at = data + rest;
    if (type == 0xdb) {
      if (!read_steps(own, data, at)) return NULL;
    } else if (type == 0xc4) {
      if (!read_huffman(own, data, at)) return NULL;
    } else if (type == 0xc0 || type == 0xc1) {
      if (has_frame || !read_frame(own, data, rest, width, height)) return NULL;
      has_frame = 1;
    } else if (type == 0xdd) {
      if (rest != 2) return NULL;
      own->interval = read16(data);
    } else if (type == 0xda) {
      const component *of = own->components;
      const int is_rgb = of[0].id == 'R' && of[1].id == 'G' && of[2].id == 'B';
      /* Of other transforms libjpeg warns. */
      const int is_ycbcr = own->count == 1 || has_jfif || (transform < 0 ? !is_rgb : transform == 1);
      return has_frame && is_ycbcr && read_scan(own, data, rest) ? at : NULL;
    } else if (type == 0xe0 && rest >= 14 && starts_with(data, rest, "JFIF", 5)) {
      if (data[5] != 1) return NULL;
      has_jfif = 1;
    } else if (type == 0xee && rest >= 12 && starts_with(data, rest, "Adobe", 5)) {
      transform = data[11];
    } else if (type < 0xe0 || (type > 0xef && type != 0xfe)) {
      return NULL;
    }
  }
}

/* ---- The picture ---- */

/* Whether the data ended at the last code, and a marker follows, which is read. */
static int read_marker(reader *from, int type) {
  refill(from);
  if (from->count < 0 || from->count >= 8 || from->end - from->at < 2 || from->at[0] != 255 || from->at[1] != type) return 0;
  from->at += 2, from->bits = 0, from->count = 0;
  return 1;
}

INLINE size_t whole(size_t count, size_t of) { return (count + of - 1) / of * of; }

/* Bytes from row to row of planes, which are read and written beyond their width. */
INLINE size_t stride_of(size_t width) { return whole(width, 64) + 2 * 64; }

/* Rows of a plane: the last one of the units above, up to sixteen, and one below. */
#define ROWS 18
/* Two upsampled rows, one of sums, which are twice as long, and one of pixels. */
#define LINES (2 + 2 + 3)

STOPLINE_EXPORT(stopline_jpeg_pixels_scratch)
size_t stopline_jpeg_pixels_scratch(size_t width) { return whole(sizeof(state), 64) + (3 * ROWS + LINES) * stride_of(width); }

typedef struct {
  size_t width, height;
  uint8_t *pixels, *lines;
} target;

/* One row of the picture; `y` counts in the planes, where the first row of units is row 1. */
static void write_pixels(const state *own, const target *to, size_t y, long in_planes) {
  const component *of = own->components;
  const size_t stride = of[0].stride, samples = (to->width + 1) / 2;
  const uint8_t *colours[2];
  for (int i = 0; i < own->count - 1; i++) {
    const component *colour = &of[i + 1];
    uint8_t *out = to->lines + (size_t)i * stride;
    uint16_t *sums = (uint16_t *)(void *)(to->lines + 2 * stride);
    if (!own->is_wide) {
      colours[i] = colour->plane + (size_t)(in_planes + 1) * stride;
      continue;
    }
    if (!own->is_high) {
      const uint8_t *row = colour->plane + (size_t)(in_planes + 1) * stride;
      for (size_t x = 0; x < samples; x++) sums[x] = row[x];
      widen_row(sums, samples, 2, out);
    } else {
      const uint8_t *near = colour->plane + (size_t)((in_planes >> 1) + 1) * stride;
      const uint8_t *far = in_planes & 1 ? near + stride : near - stride;
      for (size_t x = 0; x < samples; x++) sums[x] = (uint16_t)(3 * near[x] + far[x]);
      widen_row(sums, samples, 4, out);
    }
    colours[i] = out;
  }
  const uint8_t *luma = of[0].plane + (size_t)(in_planes + 1) * stride;
  const size_t row = 3 * to->width, end = row * to->height, padded = 3 * whole(to->width, VECTOR_BYTES);
  /* What is written beyond a row is written again, by the next ones. */
  const int has_room = row * y + padded <= end;
  uint8_t *out = has_room ? to->pixels + row * y : to->lines + 4 * stride;
  if (own->count == 1)
    write_grey(luma, to->width, out);
  else
    write_row(luma, colours[0], colours[1], to->width, out);
  if (!has_room) __builtin_memcpy(to->pixels + row * y, out, row);
}

INLINE void copy_row(const component *of, size_t to, size_t from) {
  __builtin_memcpy(of->plane + to * of->stride, of->plane + from * of->stride, of->stride);
}

static int read_units(state *own, reader *from, size_t count, size_t *restrict until_restart, int *restrict restarts) {
  for (size_t unit = 0; unit < count; unit++) {
    if (own->interval > 0 && *until_restart == 0) {
      if (!read_marker(from, 0xd0 + (*restarts)++ % 8)) return 0;
      *until_restart = own->interval;
      for (int i = 0; i < 3; i++) own->components[i].mean = 0;
    }
    --*until_restart;
    for (int i = 0; i < own->count; i++) {
      component *of = &own->components[i];
      const huffman *means = &own->means[of->mean_table], *others = &own->others[of->table];
      for (int y = 0; y < of->vertical; y++)
        for (int x = 0; x < of->horizontal; x++) {
          const int last = read_block(from, of, means, others, own->steps[of->quantisation], own->block);
          if (last < 0) return 0;
          uint8_t *out = of->plane + (size_t)(8 * y + 1) * of->stride + 8 * (unit * (size_t)of->horizontal + (size_t)x);
          write_block(own->block, last, out, of->stride);
        }
    }
  }
  return 1;
}

STOPLINE_EXPORT(stopline_jpeg_pixels)
int stopline_jpeg_pixels(const uint8_t *restrict bytes, size_t size, size_t width, size_t height,
                         uint8_t *restrict pixels, void *restrict scratch) {
  state *own = scratch;
  __builtin_memset(own->components, 0, sizeof *own - __builtin_offsetof(state, components));
  /* Of narrower ones libjpeg does not smooth the colours. */
  if (width < 8 || height < 1 || width > 65535 || height > 65535) return -1;
  const uint8_t *at = read_header(own, bytes, size, width, height);
  if (at == NULL) return -1;
  reader from = {.at = at, .end = bytes + size};
  const size_t stride = stride_of(width);
  uint8_t *planes = (uint8_t *)scratch + whole(sizeof(state), 64);
  for (int i = 0; i < 3; i++) {
    own->components[i].plane = planes + (size_t)i * ROWS * stride, own->components[i].stride = stride;
  }
  const target to = {width, height, pixels, planes + 3 * ROWS * stride};
  const size_t across = 8 * (size_t)own->components[0].horizontal, down = 8 * (size_t)own->components[0].vertical;
  __builtin_memset(own->block, 0, sizeof own->block);
  size_t until_restart = own->interval;
  int restarts = 0;
  for (size_t top = 0; top < height; top += down) {
    if (!read_units(own, &from, (width + across - 1) / across, &until_restart, &restarts)) return -1;
    const size_t rows = height - top < down ? height - top : down;
    const int is_last = top + down >= height;
    if (own->is_high) {
      for (int i = 1; i < 3; i++) {
        if (top == 0) copy_row(&own->components[i], 0, 1);
        const size_t samples = (rows + 1) / 2;
        if (is_last) copy_row(&own->components[i], samples + 1, samples);
      }
      /* The last row of units needs the colours below it. */
      const long first = top > 0 ? -1 : 0, end = is_last ? (long)rows : 15;
      for (long y = first; y < end; y++) write_pixels(own, &to, (size_t)((long)top + y), y);
      copy_row(&own->components[0], 0, 16);
      for (int i = 1; i < 3; i++) copy_row(&own->components[i], 0, 8);
    } else {
      for (size_t y = 0; y < rows; y++) write_pixels(own, &to, top + y, (long)y);
    }
  }
  return read_marker(&from, 0xd9) ? 0 : -1;
}
