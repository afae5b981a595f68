/*
 * JPEG history from pixels. The orthonormal 8x8 DCT of a decoded JPEG lies near multiples of the quantiser steps, so for
 * the right step s the mean of cos(2 pi c / s) over coefficients |c| > s / 2 is near 1, and near 0 for pixels that were
 * never quantised (compare Fan and de Queiroz 2003). Summed over the first 20 AC frequencies for the luma table of every IJG
 * quality, the most significant mean names the quality. Needs 20 coefficients a frequency and 100 in all.
 *
 * Blocks are taken in a fixed pseudo-random order over the frame, leaving out flat ones (range below 4 DN, nothing to learn)
 * and those that touch 0 or 255 (clipping moves them off the lattice).
 */
#include "core.h"
#include "vector.h"

enum {
  FREQUENCIES = 20,
  LANES = 8,
  STANDARD_BLOCKS = 800,
  HISTORY_BLOCKS = 2000,
  STANDARD_CANDIDATES = 4000,
  HISTORY_CANDIDATES = 20000,
  LOWEST_QUALITY = 5,
  HIGHEST_QUALITY = 98,
  QUALITIES = 101,
  LEAST_RANGE = 4,
  LEAST_SAMPLES = 20,
  LEAST_TOTAL = 100,
  COUNT_BINS = 128,
  STEPS_PER_DN = 4, /* resolution of coefficient magnitudes */
  MAGNITUDES = 4224 /* above 4 * 1024, the largest orthonormal coefficient of luma */
};

typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));

/* The first 20 AC frequencies in zigzag order: row, column, and the step of the IJG luma table at quality 50. */
static const uint8_t zigzag[FREQUENCIES][3] = {
    {0, 1, 11}, {1, 0, 12}, {2, 0, 14}, {1, 1, 12}, {0, 2, 10}, {0, 3, 16}, {1, 2, 14}, {2, 1, 13}, {3, 0, 14}, {4, 0, 18},
    {3, 1, 17}, {2, 2, 16}, {1, 3, 19}, {0, 4, 24}, {0, 5, 40}, {1, 4, 26}, {2, 3, 24}, {3, 2, 22}, {4, 1, 22}, {5, 0, 24},
};

/* Orthonormal DCT-II, frequencies 0 to 5. */
static const float basis[6][8] = {
    {0.353553391f, 0.353553391f, 0.353553391f, 0.353553391f, 0.353553391f, 0.353553391f, 0.353553391f, 0.353553391f},
    {0.49039264f, 0.415734806f, 0.277785117f, 0.097545161f, -0.097545161f, -0.277785117f, -0.415734806f, -0.49039264f},
    {0.461939766f, 0.191341716f, -0.191341716f, -0.461939766f, -0.461939766f, -0.191341716f, 0.191341716f, 0.461939766f},
    {0.415734806f, -0.097545161f, -0.49039264f, -0.277785117f, 0.277785117f, 0.49039264f, 0.097545161f, -0.415734806f},
    {0.353553391f, -0.353553391f, -0.353553391f, 0.353553391f, 0.353553391f, -0.353553391f, -0.353553391f, 0.353553391f},
    {0.277785117f, -0.49039264f, 0.097545161f, 0.415734806f, -0.415734806f, -0.097545161f, 0.49039264f, -0.277785117f},
};

enum {
  PATCH = 15, /* every 8x8 block of 64 phases lies in one patch of 15 x 15 pixels */
  PATCHES = 96,          /* for every image, */
  HISTORY_PATCHES = 384, /* and for the history of one */
  PATCH_FREQUENCIES = 6, /* the first ones, rows and columns 0 to 3 */
  PATCH_BASES = 4,
  PATCH_LOWEST = 35,
  PATCH_HIGHEST = 95,
  PATCH_QUALITIES = 26, /* every third one */
  TOGETHER = 3, /* steps that are looked at side by side */
  HISTORY_LOWEST = 20,
  KINDS = 3,          /* of phases beside 0: shifted along both axes, along rows, along columns. Of each kind a history looks */
  FINE_BOTH = 6,      /* at so many in full */
  FINE_ONE = 2,
  LEAST_OTHER = 15,   /* and at all where one is this significant, and by so much more than the next in halves: then it may */
  STANDS_OUT = 5      /* be the grid of an earlier pass (otherGrid in jpeghistory.ts, which asks for no less) */
};

/* Scratch of the phase search, instead of `workspace`. */
typedef struct {
  v8f pixels[PATCH][PATCH];                                            /* eight patches, one lane each */
  v8f rows[PATCH][8][PATCH_BASES];                                     /* after the pass along the rows at eight phases */
  v8f magnitudes[64][PATCH_FREQUENCIES][HISTORY_PATCHES / LANES];
} phase_workspace;

typedef struct {
  v8f pixels[64];                        /* eight blocks side by side, one lane each */
  v8f rows[8][6];                        /* after the pass along the rows */
  float magnitudes[FREQUENCIES][HISTORY_BLOCKS + LANES];
  float values[HISTORY_BLOCKS + LANES];  /* distinct magnitudes of one frequency, largest first, */
  float weights[HISTORY_BLOCKS + LANES]; /* and how often each occurs */
  uint16_t counts[MAGNITUDES];           /* all zero between calls of score_qualities */
  double sums[QUALITIES], totals[QUALITIES];
} workspace;

/* Quantiser step of the IJG luma table at a quality (libjpeg's jpeg_quality_scaling). */
static int32_t ijg_step(int32_t base, int32_t quality) {
  int32_t scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  int32_t step = (base * scale + 50) / 100;
  return step < 1 ? 1 : step > 255 ? 255 : step;
}

typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16)));

/* Eight bytes from each of two addresses, or from one and none; by way of memory the second load would wait for the store. */
INLINE u8x16 load_two(const uint8_t *first, const uint8_t *second) {
  u64x2 words;
  uint64_t a, b;
  __builtin_memcpy(&a, first, 8);
  __builtin_memcpy(&b, second, 8);
  words[0] = a, words[1] = b;
  return (u8x16)words;
}

INLINE u8x16 load_row(const uint8_t *row) {
  uint64_t word;
  __builtin_memcpy(&word, row, 8);
  return (u8x16)(u64x2){word, 0};
}

/* Whether bytes between the smallest and the largest vary and touch neither end. */
static int is_between(u8x16 low, u8x16 high) {
  low = min16(low, __builtin_shufflevector(low, low, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
  high = max16(high, __builtin_shufflevector(high, high, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
  low = min16(low, __builtin_shufflevector(low, low, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7));
  high = max16(high, __builtin_shufflevector(high, high, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7));
  low = min16(low, __builtin_shufflevector(low, low, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3));
  high = max16(high, __builtin_shufflevector(high, high, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3));
  uint8_t least = low[0] < low[1] ? low[0] : low[1], most = high[0] > high[1] ? high[0] : high[1];
  return most - least >= LEAST_RANGE && least > 0 && most < 255;
}

static int is_usable(const uint8_t *block, size_t width) {
  u8x16 low = (u8x16){0} - 1, high = {0};
  for (size_t y = 0; y < 8; y += 2) {
    const u8x16 rows = load_two(block + y * width, block + (y + 1) * width); /* two of eight pixels */
    low = min16(low, rows);
    high = max16(high, rows);
  }
  return is_between(low, high);
}

#define LOW8(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH8(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define LOW16(a, b) __builtin_shufflevector((u16x8)a, (u16x8)b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH16(a, b) __builtin_shufflevector((u16x8)a, (u16x8)b, 4, 12, 5, 13, 6, 14, 7, 15)
#define LOW32(a, b) (u8x16) __builtin_shufflevector((u32x4)a, (u32x4)b, 0, 4, 1, 5)
#define HIGH32(a, b) (u8x16) __builtin_shufflevector((u32x4)a, (u32x4)b, 2, 6, 3, 7)

/* Two columns of eight blocks, one lane a block. */
static void widen_columns(u8x16 columns, v8f *pixels) {
  const v8f middle = (v8f){0} + 128;
#if VECTOR_BYTES > 16
  /* GCC would widen them one by one. */
  pixels[0] = (v8f)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32((__m128i)columns)) - middle;
  pixels[1] = (v8f)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128((__m128i)columns, 8))) - middle;
#else
  /* GCC takes these lanes apart one by one. */
  const u8x16 none = {0};
  u8x16 halves[2] = {LOW8(columns, none), HIGH8(columns, none)};
  for (size_t k = 0; k < 2; k++) {
    u16x8 left = LOW16(halves[k], none), right = HIGH16(halves[k], none);
    v8i lanes;
    __builtin_memcpy(&lanes, &left, sizeof left);
    __builtin_memcpy((uint8_t *)&lanes + sizeof left, &right, sizeof right);
    pixels[k] = __builtin_convertvector(lanes, v8f) - middle;
  }
#endif
}

/* Eight pixels of each of eight rows, which lie anywhere, as eight vectors with a lane for each row. */
static void load_lanes(const uint8_t *const *at, size_t offset, v8f *pixels) {
  u8x16 a = LOW8(load_row(at[0] + offset), load_row(at[1] + offset)), b = LOW8(load_row(at[2] + offset), load_row(at[3] + offset));
  u8x16 c = LOW8(load_row(at[4] + offset), load_row(at[5] + offset)), d = LOW8(load_row(at[6] + offset), load_row(at[7] + offset));
  u16x8 left = LOW16(a, b), right = HIGH16(a, b), left2 = LOW16(c, d), right2 = HIGH16(c, d);
  widen_columns(LOW32(left, left2), pixels);
  widen_columns(HIGH32(left, left2), pixels + 2);
  widen_columns(LOW32(right, right2), pixels + 4);
  widen_columns(HIGH32(right, right2), pixels + 6);
}

/* DCT of eight blocks at once; magnitudes of the 20 frequencies to column `at` on. */
static void transform(workspace *w, const uint8_t *const *blocks, size_t width, size_t at) {
  for (size_t y = 0; y < 8; y++) load_lanes(blocks, y * width, w->pixels + 8 * y);
  for (size_t y = 0; y < 8; y++) {
    for (size_t u = 0; u < 6; u++) {
      v8f sum = w->pixels[8 * y] * basis[u][0];
      for (size_t x = 1; x < 8; x++) sum += w->pixels[8 * y + x] * basis[u][x];
      w->rows[y][u] = sum;
    }
  }
  const v8i magnitude = (v8i){0} + 0x7fffffff;
  for (size_t f = 0; f < FREQUENCIES; f++) {
    const float *column = basis[zigzag[f][0]];
    v8f sum = w->rows[0][zigzag[f][1]] * column[0];
    for (size_t y = 1; y < 8; y++) sum += w->rows[y][zigzag[f][1]] * column[y];
    sum = (v8f)((v8i)sum & magnitude);
    __builtin_memcpy(&w->magnitudes[f][at], &sum, sizeof sum);
  }
}

static size_t common_divisor(size_t a, size_t b) {
  while (b != 0) {
    size_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* Fills w->magnitudes from at most `most` usable blocks of the grid that starts at (x0, y0); returns their number. */
static size_t sample_blocks(const uint8_t *luma, size_t width, size_t height, size_t x0, size_t y0, size_t most,
                            size_t candidates, workspace *w) {
  if (width < x0 + 8 || height < y0 + 8) return 0;
  size_t columns = (width - x0) / 8, grid = columns * ((height - y0) / 8), found = 0;
  const uint8_t *blocks[LANES];
  size_t stride = grid * 5 / 8 | 1; /* near the golden section, coprime with the grid: a spread permutation */
  while (common_divisor(stride, grid) != 1) stride += 2;
  if (candidates > grid) candidates = grid;
  for (size_t k = 0, at = 0; k < candidates && found < most; k++, at = (at + stride) % grid) {
    const uint8_t *block = luma + (y0 + at / columns * 8) * width + x0 + at % columns * 8;
    if (!is_usable(block, width)) continue;
    blocks[found % LANES] = block;
    if (++found % LANES == 0) transform(w, blocks, width, found - LANES);
  }
  if (found % LANES != 0) {
    for (size_t k = found % LANES; k < LANES; k++) blocks[k] = blocks[0]; /* of lanes that nobody reads */
    transform(w, blocks, width, found - found % LANES);
  }
  return found;
}

/* Distinct magnitudes of one frequency at a quarter DN, largest first, into w->values and w->weights; returns how many. */
static size_t sort_magnitudes(workspace *w, size_t frequency, size_t blocks) {
  size_t largest = 0, distinct = 0;
  for (size_t k = 0; k < blocks; k += LANES) {
    v8f magnitudes;
    __builtin_memcpy(&magnitudes, &w->magnitudes[frequency][k], sizeof magnitudes);
    v8i group = __builtin_convertvector(magnitudes * STEPS_PER_DN + 0.5f, v8i);
    for (size_t lane = 0; lane < LANES && k + lane < blocks; lane++) {
      size_t bin = (size_t)group[lane];
      if (bin >= MAGNITUDES) bin = MAGNITUDES - 1;
      if (bin > largest) largest = bin;
      w->counts[bin]++;
    }
  }
  for (size_t bin = largest + 1; bin-- > STEPS_PER_DN;) { /* |c| <= 1 says nothing about any step of 2 or more */
    if (w->counts[bin] == 0) continue;
    w->values[distinct] = (float)(int32_t)bin / STEPS_PER_DN;
    w->weights[distinct++] = (float)(int32_t)w->counts[bin];
    w->counts[bin] = 0;
  }
  for (size_t bin = 0; bin <= STEPS_PER_DN; bin++) w->counts[bin] = 0;
  for (size_t k = 0; k < LANES; k++) w->values[distinct + k] = w->weights[distinct + k] = 0;
  return distinct;
}

/* Sum of cos(2 pi c / step) over the sorted magnitudes above step / 2, and their number. */
static void add_step(const workspace *w, size_t distinct, int32_t step, double *sum, double *total) {
  const float half = (float)step / 2, inverse = 1 / (float)step, round = 12582912.0f; /* 1.5 * 2^23 */
  v8f cosines = {0}, used = {0};
  for (size_t k = 0; k < distinct && w->values[k] > half; k += LANES) {
    v8f value, weight;
    __builtin_memcpy(&value, w->values + k, sizeof value);
    __builtin_memcpy(&weight, w->weights + k, sizeof weight);
    weight = (v8f)((v8i)weight & (v8i)(value > half));
    v8f turns = value * inverse;
    turns -= (turns + round) - round; /* -0.5 to 0.5 */
    /* cos(2 pi t) = 1 - 2 sin^2(pi t), the sine by its series to x^9: error below 1e-5 */
    v8f x = turns * 3.14159265f, square = x * x;
    v8f sine = x * (1 + square * (square * (1 / 120.0f + square * (square * (1 / 362880.0f) - 1 / 5040.0f)) - 1 / 6.0f));
    cosines += weight * (1 - 2 * sine * sine);
    used += weight;
  }
  double cosine = 0, count = 0;
  for (size_t k = 0; k < LANES; k++) {
    cosine += (double)cosines[k];
    count += (double)used[k];
  }
  *sum = count < LEAST_SAMPLES ? 0 : cosine;
  *total = count < LEAST_SAMPLES ? 0 : count;
}

/* Fills w->sums and w->totals for every `stride`-th quality. */
static void score_qualities(workspace *w, size_t blocks, int32_t lowest, int32_t stride) {
  for (size_t q = 0; q < QUALITIES; q++) w->sums[q] = w->totals[q] = 0;
  if (blocks < LEAST_SAMPLES) return;
  for (size_t f = 0; f < FREQUENCIES; f++) {
    size_t distinct = sort_magnitudes(w, f, blocks);
    int32_t previous = 0;
    double sum = 0, total = 0;
    for (int32_t q = lowest; q <= HIGHEST_QUALITY; q += stride) {
      int32_t step = ijg_step(zigzag[f][2], q);
      if (step < 2) break;
      if (step != previous) add_step(w, distinct, step, &sum, &total);
      previous = step;
      w->sums[q] += sum;
      w->totals[q] += total;
    }
  }
}

/*
 * The most significant quality and its mean cosine; 0 and NaN when none has enough coefficients. Significance is the mean
 * times the root of the number: the mean alone takes one frequency at quality 98 (step 2) for all of quality 95 (step 4).
 */
static int32_t best_quality(const workspace *w, double *score) {
  int32_t best = 0;
  double most = 0;
  *score = __builtin_nan("");
  for (int32_t q = 1; q < QUALITIES; q++) {
    if (w->totals[q] < LEAST_TOTAL) continue;
    double sum = w->sums[q], significance = (sum < 0 ? -sum : sum) * sum / w->totals[q];
    if (best == 0 || significance > most) {
      best = q;
      most = significance;
      *score = sum / w->totals[q];
    }
  }
  return best;
}

static workspace *prepare(void *scratch) {
  workspace *w = scratch;
  for (size_t k = 0; k < MAGNITUDES; k++) w->counts[k] = 0;
  return w;
}

size_t stopline_lattice_scratch(size_t width, size_t height) {
  (void)width, (void)height;
  return sizeof(workspace) > sizeof(phase_workspace) ? sizeof(workspace) : sizeof(phase_workspace);
}

/* Magnitudes of eight patches at all phases; the rows are transformed once for all phases of a column. */
static void transform_patches(phase_workspace *w, const uint8_t *const *patches, size_t width, size_t group) {
  for (size_t y = 0; y < PATCH; y++) {
    load_lanes(patches, y * width + 7, w->pixels[y] + 7);
    load_lanes(patches, y * width, w->pixels[y]);
  }
  for (size_t y = 0; y < PATCH; y++)
    for (size_t x = 0; x < 8; x++)
      for (size_t u = 0; u < PATCH_BASES; u++) {
        v8f sum = w->pixels[y][x] * basis[u][0];
        for (size_t k = 1; k < 8; k++) sum += w->pixels[y][x + k] * basis[u][k];
        w->rows[y][x][u] = sum;
      }
  const v8i magnitude = (v8i){0} + 0x7fffffff;
  for (size_t phase = 0; phase < 64; phase++)
    for (size_t f = 0; f < PATCH_FREQUENCIES; f++) {
      const float *column = basis[zigzag[f][0]];
      size_t x = phase % 8, y = phase / 8, u = zigzag[f][1];
      v8f sum = w->rows[y][x][u] * column[0];
      for (size_t k = 1; k < 8; k++) sum += w->rows[y + k][x][u] * column[k];
      w->magnitudes[phase][f][group] = (v8f)((v8i)sum & magnitude);
    }
}

static int is_usable_patch(const uint8_t *patch, size_t width) {
  u8x16 low = (u8x16){0} - 1, high = {0};
  for (size_t y = 0; y < PATCH; y++) {
    const u8x16 row = load_two(patch + y * width, patch + y * width + 7); /* fifteen pixels, the middle one twice */
    low = min16(low, row);
    high = max16(high, row);
  }
  return is_between(low, high);
}

/* What there is to look for at one frequency: the steps of every third quality, each once. */
typedef struct {
  size_t steps;
  float half[PATCH_QUALITIES + TOGETHER], inverse[PATCH_QUALITIES + TOGETHER];
  /* The step of a quality; not below `steps` where it is too small. */
  uint8_t place[PATCH_QUALITIES];
} step_list;

static void list_steps(int32_t base, int32_t lowest, step_list *list) {
  int32_t previous = 0;
  list->steps = 0;
  for (size_t k = 0; lowest + 3 * (int32_t)k <= PATCH_HIGHEST; k++) {
    const int32_t step = ijg_step(base, lowest + 3 * (int32_t)k);
    list->place[k] = PATCH_QUALITIES;
    if (step < 2) continue;
    if (step != previous) list->half[list->steps] = (float)step / 2, list->inverse[list->steps++] = 1 / (float)step;
    list->place[k] = (uint8_t)(list->steps - 1);
    previous = step;
  }
}

/* Vectors no wider than the instruction set has them: PARTS make eight lanes. */
#define FLOATS (VECTOR_BYTES / 4 < LANES ? VECTOR_BYTES / 4 : LANES)
#define PARTS (LANES / FLOATS)
#define CHAINS (PARTS * TOGETHER)
typedef float part __attribute__((vector_size(4 * FLOATS)));
typedef int32_t ipart __attribute__((vector_size(4 * FLOATS)));

/*
 * A step for all chains, and then the next: each waits for its own step before, and processors look too little ahead to see that
 * chains do not wait for each other. The compilers would put them one after the other.
 */
#if defined(__wasm__)
#define EACH(value, what) for (size_t k = 0; k < CHAINS; k++) { value[k] = what; __asm__ volatile("" : "+r"(value[k])); }
#elif defined(__SSE2__)
#define EACH(value, what) for (size_t k = 0; k < CHAINS; k++) { value[k] = what; __asm__ volatile("" : "+x"(value[k])); }
#else
#define EACH(value, what) for (size_t k = 0; k < CHAINS; k++) value[k] = what;
#endif

/* Adds the cosines of turns, or triangles, which cost half, where `used` is set. */
INLINE void fit(const part *turns, const ipart *used, int is_triangle, part *sums) {
  const float round = 12582912.0f; /* 1.5 * 2^23 */
  part x[CHAINS], square[CHAINS], sine[CHAINS];
  if (is_triangle) {
    for (size_t k = 0; k < CHAINS; k++) {
      const part off = (part)((ipart)(turns[k] - ((turns[k] + round) - round)) & 0x7fffffff);
      sums[k] += (part)((ipart)(1.0f - 4.0f * off) & used[k]);
    }
    return;
  }
  EACH(x, turns[k] + round)
  EACH(x, x[k] - round)
  EACH(x, turns[k] - x[k]) /* -0.5 to 0.5 */
  /* cos(2 pi t) = 1 - 2 sin^2(pi t), the sine by its series to x^9: error below 1e-5 */
  EACH(x, x[k] * 3.14159265f)
  EACH(square, x[k] * x[k])
  EACH(sine, square[k] * (1 / 362880.0f))
  EACH(sine, sine[k] - 1 / 5040.0f)
  EACH(sine, sine[k] * square[k])
  EACH(sine, sine[k] + 1 / 120.0f)
  EACH(sine, sine[k] * square[k])
  EACH(sine, sine[k] - 1 / 6.0f)
  EACH(sine, sine[k] * square[k])
  EACH(sine, sine[k] + 1)
  EACH(sine, sine[k] * x[k])
  EACH(x, 2 * sine[k])
  EACH(sine, x[k] * sine[k])
  EACH(sine, 1 - sine[k])
  EACH(sums, sums[k] + (part)((ipart)sine[k] & used[k]))
}

/* For each step the sum of fits over the magnitudes above half of it, and their number. */
INLINE void add_patch_steps(const v8f *magnitudes, size_t groups, const step_list *list, int is_triangle, float *sums,
                            float *totals) {
  part fits[PATCH_QUALITIES + TOGETHER][PARTS];
  ipart used[PATCH_QUALITIES + TOGETHER][PARTS];
  for (size_t s = 0; s < list->steps; s += TOGETHER) {
    part sum[CHAINS] = {{0}};
    ipart count[CHAINS] = {{0}};
    for (size_t g = 0; g < groups; g++) {
      part magnitude[PARTS], turns[CHAINS];
      ipart above[CHAINS];
      __builtin_memcpy(magnitude, magnitudes + g, sizeof magnitude);
      for (size_t k = 0; k < CHAINS; k++) {
        turns[k] = magnitude[k % PARTS] * list->inverse[s + k / PARTS];
        above[k] = magnitude[k % PARTS] > list->half[s + k / PARTS];
        count[k] -= above[k];
      }
      fit(turns, above, is_triangle, sum);
    }
    __builtin_memcpy(fits + s, sum, sizeof sum);
    __builtin_memcpy(used + s, count, sizeof count);
  }
  for (size_t s = 0; s < list->steps; s++) {
    int32_t total = 0;
    sums[s] = 0;
    for (size_t k = 0; k < LANES; k++) sums[s] += fits[s][k / FLOATS][k % FLOATS], total += used[s][k / FLOATS][k % FLOATS];
    totals[s] = (float)total;
  }
}

/* Magnitudes of at most `most` patches at 64 grid phases; returns the number of groups of eight. */
static size_t sample_patches(const uint8_t *restrict luma, size_t width, size_t height, size_t most, phase_workspace *w) {
  if (width < PATCH + 1 || height < PATCH + 1) return 0;
  size_t columns = (width - PATCH) / 8 + 1, grid = columns * ((height - PATCH) / 8 + 1), found = 0;
  size_t stride = grid * 5 / 8 | 1;
  while (common_divisor(stride, grid) != 1) stride += 2;
  size_t candidates = grid < 8 * most ? grid : 8 * most;
  const uint8_t *patches[LANES];
  for (size_t k = 0, at = 0; k < candidates && found < most; k++, at = (at + stride) % grid) {
    const uint8_t *patch = luma + at / columns * 8 * width + at % columns * 8;
    if (!is_usable_patch(patch, width)) continue;
    patches[found % LANES] = patch;
    if (++found % LANES == 0) transform_patches(w, patches, width, found / LANES - 1);
  }
  return found / LANES;
}

/* How significant the best lattice of each of 64 grid phases is, of every third quality from `lowest` on. */
INLINE void score_phases(const phase_workspace *w, size_t groups, int32_t lowest, int is_triangle, double *phases) {
  const size_t qualities = (size_t)(PATCH_HIGHEST - lowest) / 3 + 1;
  step_list lists[PATCH_FREQUENCIES];
  __builtin_memset(lists, 0, sizeof lists);
  for (size_t f = 0; f < PATCH_FREQUENCIES; f++) list_steps(zigzag[f][2], lowest, lists + f);
  for (size_t phase = 0; phase < 64; phase++) {
    float sums[PATCH_QUALITIES] = {0}, totals[PATCH_QUALITIES] = {0};
    for (size_t f = 0; f < PATCH_FREQUENCIES; f++) {
      float sum[PATCH_QUALITIES], total[PATCH_QUALITIES];
      add_patch_steps(w->magnitudes[phase][f], groups, lists + f, is_triangle, sum, total);
      for (size_t q = 0; q < qualities && lists[f].place[q] < PATCH_QUALITIES; q++)
        sums[q] += sum[lists[f].place[q]], totals[q] += total[lists[f].place[q]];
    }
    phases[phase] = 0;
    for (size_t q = 0; q < qualities; q++) {
      if (totals[q] < LEAST_SAMPLES || sums[q] <= 0) continue;
      double significance = (double)sums[q] * (double)sums[q] / (double)totals[q];
      if (significance > phases[phase]) phases[phase] = significance;
    }
  }
}

void stopline_lattice(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                      double *restrict out) {
  size_t groups = sample_patches(luma, width, height, PATCHES, scratch);
  score_phases(scratch, groups, PATCH_LOWEST, 0, out + AT_latticePhases);
  workspace *w = prepare(scratch);
  size_t blocks = sample_blocks(luma, width, height, 0, 0, STANDARD_BLOCKS, STANDARD_CANDIDATES, w);
  double *counts = out + AT_latticeCounts;
  for (size_t k = 0; k < FREQUENCIES * COUNT_BINS; k++) counts[k] = 0;
  for (size_t f = 0; f < FREQUENCIES; f++, counts += COUNT_BINS) {
    for (size_t k = 0; k < blocks; k++) {
      size_t bin = (size_t)(int32_t)(w->magnitudes[f][k] + 0.5f);
      if (bin < COUNT_BINS) counts[bin]++;
    }
  }
  score_qualities(w, blocks, LOWEST_QUALITY, 1);
  out[AT_latticeQuality] = best_quality(w, &out[AT_latticeScore]);
}

static void count_bins(const workspace *w, size_t blocks, double *bins) {
  for (size_t k = 0; k < FREQUENCIES * HISTORY_BINS; k++) bins[k] = 0;
  for (size_t f = 0; f < FREQUENCIES; f++) {
    for (size_t k = 0; k < blocks; k++) {
      size_t bin = (size_t)(int32_t)(w->magnitudes[f][k] * STEPS_PER_DN + 0.5f);
      if (bin < HISTORY_BINS) bins[f * HISTORY_BINS + bin]++;
    }
  }
}

static size_t name_kind(size_t phase) { return phase % 8 != 0 && phase / 8 != 0 ? 0 : phase / 8 == 0 ? 1 : 2; }

/* The strongest two phases of a kind beside 0, of those whose bit is set; returns a bit for each. */
static uint64_t find_strongest(const double *significance, size_t kind, uint64_t among, size_t first_two[2]) {
  first_two[0] = first_two[1] = 0;
  for (size_t phase = 1; phase < 64; phase++) {
    if (name_kind(phase) != kind || !(among >> phase & 1)) continue;
    if (first_two[0] == 0 || significance[phase] > significance[first_two[0]]) {
      first_two[1] = first_two[0];
      first_two[0] = phase;
    } else if (first_two[1] == 0 || significance[phase] > significance[first_two[1]]) {
      first_two[1] = phase;
    }
  }
  return UINT64_C(1) << first_two[0] | UINT64_C(1) << first_two[1];
}

/* Which phases a history looks at in full: phase 0, and of each kind those with the strongest lattice in patches. */
static uint64_t choose_phases(const double *coarse) {
  uint64_t chosen = 1;
  size_t two[2];
  for (size_t kind = 0; kind < KINDS; kind++)
    for (size_t n = 0; n < (kind == 0 ? FINE_BOTH : FINE_ONE); n += 2) chosen |= find_strongest(coarse, kind, ~chosen, two);
  return chosen;
}

/* All phases of each kind of which one stands out of those that were looked at. */
static uint64_t choose_rest(const double *significance, uint64_t seen) {
  uint64_t chosen = 0;
  size_t two[2];
  for (size_t kind = 0; kind < KINDS; kind++) {
    find_strongest(significance, kind, seen, two);
    double most = significance[two[0]];
    if (two[0] == 0 || most < LEAST_OTHER || 2 * most < STANDS_OUT * (significance[two[1]] + 1)) continue;
    for (size_t phase = 1; phase < 64; phase++)
      if (name_kind(phase) == kind) chosen |= UINT64_C(1) << phase;
  }
  return chosen & ~seen;
}

typedef struct {
  const uint8_t *luma;
  size_t width, height;
  workspace *w;
  double *out;
  size_t best;
  double most; /* its significance */
} phase_search;

/* Significance and quality of the phases whose bits are set, and the best of all so far. */
static void look_at_phases(phase_search *s, uint64_t chosen) {
  for (size_t phase = 0; phase < 64; phase++) {
    if (!(chosen >> phase & 1)) continue;
    workspace *w = s->w;
    double score;
    size_t blocks =
        sample_blocks(s->luma, s->width, s->height, phase % 8, phase / 8, STANDARD_BLOCKS, STANDARD_CANDIDATES, w);
    score_qualities(w, blocks, HISTORY_LOWEST, 3);
    int32_t quality = best_quality(w, &score);
    double significance = quality == 0 ? 0 : score * w->sums[quality];
    if (score > 0 && significance > s->most) {
      s->best = phase;
      s->most = significance;
    }
    w->totals[HIGHEST_QUALITY] = 0; /* fits smooth pixels by chance: one frequency with a step of 2 */
    quality = best_quality(w, &score);
    s->out[HISTORY_PHASES + phase] = quality != 0 && score > 0 ? score * w->sums[quality] : 0;
    s->out[HISTORY_QUALITIES + phase] = quality;
  }
}

/*
 * The whole history: of the 64 grid phases the one with the most significant lattice (every third quality from 20 on), then
 * its quality and histograms from more blocks. A JPEG file has its own lattice at phase 0; how significant the other phases
 * are says whether there was another grid before. All phases are looked at in patches, which share their work, and only the
 * most promising ones in full, which takes a third of the time: the others are left at 0.
 */
void stopline_lattice_history(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                              double *restrict out) {
  double coarse[64];
  size_t groups = sample_patches(luma, width, height, HISTORY_PATCHES, scratch);
  score_phases(scratch, groups, HISTORY_LOWEST, 1, coarse);
  phase_search search = {luma, width, height, prepare(scratch), out, 0, 0};
  for (size_t k = 0; k < 128; k++) out[HISTORY_PHASES + k] = 0;
  uint64_t chosen = choose_phases(coarse);
  look_at_phases(&search, chosen);
  if (search.best == 0) look_at_phases(&search, choose_rest(out + HISTORY_PHASES, chosen));
  workspace *w = search.w;
  size_t best = search.best;
  size_t blocks = sample_blocks(luma, width, height, best % 8, best / 8, HISTORY_BLOCKS, HISTORY_CANDIDATES, w);
  score_qualities(w, blocks, LOWEST_QUALITY, 1);
  out[HISTORY_PHASE] = (double)best;
  out[HISTORY_QUALITY] = best_quality(w, &out[HISTORY_SCORE]);
  out[HISTORY_USED] = (double)blocks;
  count_bins(w, blocks, out + HISTORY_MAGNITUDES);
}
