/*
 * Scales: orthonormal Haar pyramid and Laplacian pyramid (Burt and Adelson 1983) of the luma plane, levels 0 to 3.
 *
 * The Haar sums are exact integers. The Laplacian pyramid is built in 16-bit integers at a scale of 16 (1 DN = 16), rounded
 * after each separable pass; its moments are summed in eight explicit float lanes, one row at a time, so every build adds
 * in the same order. On frames of more than DENSE_PIXELS pixels the diagonal histogram takes every second row of blocks: on
 * 21 photographs of 0.8 to 3 megapixels its median moves by 0.2 % (at most 0.8 %). Sampling the finest band the same way
 * would halve its energy on single frames, so every row counts there. Of large frames each pyramid is
 * taken from the same bands (bands.h) on all its levels, so that scales are compared on one content.
 */
#include "bands.h"
#include "core.h"
#include "vector.h"

enum {
  LEVELS = 4,
  DENSE_PIXELS = 1 << 18,
  DIAGONAL_BINS = 512,
  SMALLEST_SIDE = 4,
  HAAR_CHUNK = 4096, /* 4096 * 510^2 < 2^31 */
  PAD = 32
};

typedef float v8f __attribute__((vector_size(32), aligned(4)));
typedef int32_t v8i __attribute__((vector_size(32), aligned(4)));
typedef int16_t v8s __attribute__((vector_size(16), aligned(2)));

INLINE void store_words(uint16_t *p, u16v words) { __builtin_memcpy(p, &words, sizeof words); }

INLINE u16v load_words(const uint16_t *p) {
  u16v words;
  __builtin_memcpy(&words, p, sizeof words);
  return words;
}

/* -1 in the first n lanes. */
INLINE i16v first_lanes(size_t n) {
  i16v mask = {0};
  for (size_t i = 0; i < LANES16 && i < n; i++) mask[i] = -1;
  return mask;
}

/*
 * One row of 2x2 blocks of bytes: squares of the three details, |diagonal|, and the block sums for the next level. Two neighbouring
 * bytes are one lane: no shuffles (all targets are little-endian). Up to a vector is read and written beyond the last.
 */
static void haar_bytes(const uint8_t *restrict upper, const uint8_t *restrict lower, size_t blocks,
                                       uint16_t *restrict next, uint16_t *restrict diagonal, uint64_t sums[3]) {
  for (size_t start = 0; start < blocks; start += HAAR_CHUNK) {
    size_t end = blocks - start < HAAR_CHUNK ? blocks : start + HAAR_CHUNK;
    i32v lh = {0}, hl = {0}, hh = {0};
    for (size_t i = start; i < end; i += LANES16) {
      const u16v p = (u16v)load8(upper + 2 * i), q = (u16v)load8(lower + 2 * i);
      const i16v a = (i16v)(p & 255), b = (i16v)(p >> 8), c = (i16v)(q & 255), d = (i16v)(q >> 8);
      const i16v s0 = a + c, s1 = b + d, d0 = a - c, d1 = b - d;
      i16v x = s0 - s1, y = d0 + d1, z = d0 - d1;
      if (end - i < LANES16) {
        const i16v mask = first_lanes(end - i);
        x &= mask, y &= mask, z &= mask;
      }
      lh += pair_dot(x, x), hl += pair_dot(y, y), hh += pair_dot(z, z);
      store_words(next + i, (u16v)(s0 + s1));
      store_words(diagonal + i, (u16v)abs16(z));
    }
    sums[0] += sum_lanes_u32((u32v)lh), sums[1] += sum_lanes_u32((u32v)hl), sums[2] += sum_lanes_u32((u32v)hh);
  }
}

/* The same on a plane of block sums (at most 255 * 64), wider accumulators. */
static void haar_words(const uint16_t *restrict upper, const uint16_t *restrict lower, size_t blocks,
                                       uint16_t *restrict next, uint64_t sums[3]) {
  uint64_t lh = 0, hl = 0, hh = 0;
  for (size_t i = 0; i < blocks; i++) {
    int32_t a = upper[2 * i], b = upper[2 * i + 1], c = lower[2 * i], d = lower[2 * i + 1];
    int32_t x = a - b + c - d, y = a + b - c - d, z = a - b - c + d;
    lh += (uint32_t)(x * x);
    hl += (uint32_t)(y * y);
    hh += (uint32_t)(z * z);
    next[i] = (uint16_t)(a + b + c + d);
  }
  sums[0] += lh;
  sums[1] += hl;
  sums[2] += hh;
}

static void count_magnitudes(const uint16_t *magnitudes, size_t n, uint32_t *histogram) {
  size_t i = 0;
  for (; i + 4 <= n; i += 4) { /* four tables: equal neighbours do not wait for each other */
    histogram[magnitudes[i]]++;
    histogram[DIAGONAL_BINS + magnitudes[i + 1]]++;
    histogram[2 * DIAGONAL_BINS + magnitudes[i + 2]]++;
    histogram[3 * DIAGONAL_BINS + magnitudes[i + 3]]++;
  }
  for (; i < n; i++) histogram[magnitudes[i]]++;
}

typedef struct {
  uint32_t *histogram;
  uint16_t *diagonal, *plane;
  /* Every so manieth row of blocks is counted. */
  size_t step;
  uint64_t sums[LEVELS][3];
  size_t counts[LEVELS];
} haar_room;

/*
 * `high` rows of `wide` columns on all levels. A whole band is a single row of blocks at the last level, so that no block
 * reaches beyond it, and what a level leaves for the next stays in the first cache.
 */
static void haar_band(const uint8_t *luma, size_t width, size_t wide, size_t high, haar_room *at) {
  for (size_t level = 0; level < LEVELS; level++) {
    const size_t columns = wide >> (level + 1), source = wide >> level, rows = high >> (level + 1);
    at->counts[level] += columns * rows;
    for (size_t y = 0; y < rows; y++) {
      /* in place: row y is written after source rows 2y and 2y + 1 are read, never before */
      if (level == 0) {
        const uint8_t *upper = luma + 2 * y * width;
        haar_bytes(upper, upper + width, columns, at->plane + y * columns, at->diagonal, at->sums[0]);
        if (y % at->step == 0) count_magnitudes(at->diagonal, columns, at->histogram);
      } else {
        haar_words(at->plane + 2 * y * source, at->plane + (2 * y + 1) * source, columns, at->diagonal, at->sums[level]);
        __builtin_memcpy(at->plane + y * columns, at->diagonal, columns * sizeof *at->diagonal);
      }
    }
  }
}

static void haar_pyramid(const uint8_t *luma, size_t width, size_t height, uint8_t *scratch, double *out) {
  haar_room at;
  __builtin_memset(&at, 0, sizeof at);
  uint32_t *histogram = at.histogram = (uint32_t *)scratch;
  at.diagonal = (uint16_t *)(histogram + 4 * DIAGONAL_BINS);
  at.plane = at.diagonal + width / 2 + PAD;
  at.step = width * height > DENSE_PIXELS ? 2 : 1;
  /* Twice as much as others read: a block is one sample, ratios of octaves are steep, and this costs little. */
  const unsigned full = band_shift(width, height), shift = full > 0 ? full - 1 : 0;
  const size_t segment = segment_columns(width, shift);
  __builtin_memset(histogram, 0, 4 * DIAGONAL_BINS * sizeof *histogram);
  for (size_t top = 0; top < height; top += BAND_ROWS)
    for (size_t left = 0; left < width; left += segment) {
      if (!band_is_read(top / BAND_ROWS, left / segment, shift)) continue;
      const size_t wide = width - left < segment ? width - left : segment;
      haar_band(luma + top * width + left, width, wide, height - top < BAND_ROWS ? height - top : BAND_ROWS, &at);
    }
  for (size_t level = 0; level < LEVELS; level++) {
    out[AT_haarCounts + level] = (double)at.counts[level];
    for (size_t k = 0; k < 3; k++) out[AT_haarSquares + 3 * level + k] = (double)at.sums[level][k];
  }
  for (size_t bin = 0; bin < DIAGONAL_BINS; bin++) {
    out[AT_haarDiagonal + bin] = (double)histogram[bin] + histogram[DIAGONAL_BINS + bin] +
                                  histogram[2 * DIAGONAL_BINS + bin] + histogram[3 * DIAGONAL_BINS + bin];
  }
}

static size_t clamp_row(ptrdiff_t y, size_t rows) { return y < 0 ? 0 : (size_t)y >= rows ? rows - 1 : (size_t)y; }

/*
 * Vertical (1 4 6 4 1) of five rows; bytes come out at scale 16, words (already at 16) are rounded back to it. Of bytes, two neighbours are
 * one lane: n even columns and the odd ones come out apart, and up to a vector is read and written beyond the last.
 */
static void reduce_column_bytes(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
                        const uint8_t *e, size_t n, uint16_t *restrict even, uint16_t *restrict odd) {
  for (size_t x = 0; x < n; x += LANES16) {
    const u16v p = (u16v)load8(a + 2 * x), q = (u16v)load8(b + 2 * x), r = (u16v)load8(c + 2 * x);
    const u16v s = (u16v)load8(d + 2 * x), t = (u16v)load8(e + 2 * x);
    const u16v middle = r & 255, middle2 = r >> 8;
    store_words(even + x, (p & 255) + (t & 255) + (((q & 255) + (s & 255) + middle) << 2) + middle + middle);
    store_words(odd + x, (p >> 8) + (t >> 8) + (((q >> 8) + (s >> 8) + middle2) << 2) + middle2 + middle2);
  }
}

static void reduce_column_words(const uint16_t *a, const uint16_t *b, const uint16_t *c, const uint16_t *d,
                        const uint16_t *e, size_t n, uint16_t *restrict to) {
  for (size_t x = 0; x < n; x++) {
    uint16_t sum = (uint16_t)(a[x] + e[x] + (uint16_t)(4 * (b[x] + d[x])) + (uint16_t)(6 * c[x]) + 8);
    to[x] = sum >> 4;
  }
}

/*
 * Horizontal (1 4 6 4 1) at even columns: sums of sixteen times 4080 fit 16 bits. Both have a readable sample on either side, and up to
 * a vector is read and written beyond the last.
 */
static void reduce_row_bytes(const uint16_t *restrict even, const uint16_t *restrict odd, size_t n, uint16_t *restrict to) {
  for (size_t x = 0; x < n; x += LANES16) {
    const u16v middle = load_words(even + x), sides = load_words(odd + x - 1) + load_words(odd + x);
    const u16v sum = load_words(even + x - 1) + load_words(even + x + 1) + ((sides + middle) << 2) + middle + middle;
    store_words(to + x, (sum + 8) >> 4);
  }
}

/* The same of words, `from` has two readable samples on either side. */
static void reduce_row_words(const uint16_t *restrict from, size_t n, uint16_t *restrict to) {
  for (size_t x = 0; x < n; x++) {
    uint32_t p, q, r; /* sample pairs (2x - 2, 2x - 1), (2x, 2x + 1), (2x + 2, 2x + 3) */
    __builtin_memcpy(&p, from + 2 * x - 2, 4);
    __builtin_memcpy(&q, from + 2 * x, 4);
    __builtin_memcpy(&r, from + 2 * x + 2, 4);
    uint32_t sum = (p & 65535) + 4 * (p >> 16) + 6 * (q & 65535) + 4 * (q >> 16) + (r & 65535) + 8;
    to[x] = (uint16_t)(sum >> 4);
  }
}

/* Vertical half of EXPAND: even rows (1 6 1)/8, odd rows (4 4)/8. */
static void expand_column(const uint16_t *a, const uint16_t *b, const uint16_t *c, int odd, size_t n,
                                          uint16_t *restrict to) {
  if (odd) {
    for (size_t x = 0; x < n; x++) to[x] = (uint16_t)((b[x] + c[x] + 1) >> 1);
  } else {
    for (size_t x = 0; x < n; x++) to[x] = (uint16_t)((uint16_t)(a[x] + c[x] + 6 * b[x] + 4) >> 3);
  }
}

/* Band samples of one row: even columns into band[0..n), odd ones into band[stride..stride + n). */
static void band_row_bytes(const uint8_t *restrict source, const uint16_t *restrict coarse, size_t n,
                                           int16_t *restrict even, int16_t *restrict odd) {
  const uint16_t *before = coarse - 1;
  for (size_t x = 0; x < n; x++) {
    uint16_t pair;
    __builtin_memcpy(&pair, source + 2 * x, 2);
    uint16_t smooth = (uint16_t)((uint16_t)(before[x] + coarse[x + 1] + 6 * coarse[x] + 4) >> 3);
    uint16_t between = (uint16_t)((uint16_t)(coarse[x] + coarse[x + 1] + 1) >> 1);
    even[x] = (int16_t)((uint16_t)((pair & 255) << 4) - smooth);
    odd[x] = (int16_t)((uint16_t)((pair >> 8) << 4) - between);
  }
}

static void band_row_words(const uint16_t *restrict source, const uint16_t *restrict coarse, size_t n,
                                           int16_t *restrict even, int16_t *restrict odd) {
  const uint16_t *before = coarse - 1;
  for (size_t x = 0; x < n; x++) {
    uint16_t smooth = (uint16_t)((uint16_t)(before[x] + coarse[x + 1] + 6 * coarse[x] + 4) >> 3);
    uint16_t between = (uint16_t)((uint16_t)(coarse[x] + coarse[x + 1] + 1) >> 1);
    even[x] = (int16_t)(source[2 * x] - smooth);
    odd[x] = (int16_t)(source[2 * x + 1] - between);
  }
}

/* Adds sum x^2 and sum x^4 of n samples (padded with zeros to a multiple of 8) in fixed lanes. */
static void add_moments(const int16_t *samples, size_t n, double moments[2]) {
  v8f second = {0}, fourth = {0};
  for (size_t x = 0; x < n; x += 8) {
    v8s words;
    __builtin_memcpy(&words, samples + x, sizeof words);
    v8i value = __builtin_convertvector(words, v8i);
    v8f square = __builtin_convertvector(value * value, v8f); /* below 2^24: exact */
    second += square;
    fourth += square * square;
  }
  for (size_t lane = 0; lane < 8; lane++) {
    moments[0] += (double)second[lane];
    moments[1] += (double)fourth[lane];
  }
}

typedef struct {
  const uint8_t *bytes; /* level 0 */
  const uint16_t *words; /* coarser levels */
  size_t width, height;
} plane;

static void reduce_plane(const plane *from, uint16_t *row, uint16_t *to, size_t columns, size_t rows) {
  uint16_t *even = row + PAD, *odd = even + columns + 2 * PAD, *middle = row + PAD;
  for (size_t y = 0; y < rows; y++, to += columns) {
    size_t at[5];
    for (ptrdiff_t k = 0; k < 5; k++) at[k] = clamp_row(2 * (ptrdiff_t)y + k - 2, from->height) * from->width;
    /* What lies beyond the border is as the border. */
    if (from->bytes) {
      const uint8_t *p = from->bytes;
      reduce_column_bytes(p + at[0], p + at[1], p + at[2], p + at[3], p + at[4], columns, even, odd);
      even[-1] = odd[-1] = even[0];
      if (from->width % 2 != 0) odd[columns - 1] = even[columns - 1];
      even[columns] = odd[columns - 1];
      reduce_row_bytes(even, odd, columns, to);
    } else {
      const uint16_t *p = from->words;
      reduce_column_words(p + at[0], p + at[1], p + at[2], p + at[3], p + at[4], from->width, middle);
      middle[-1] = middle[-2] = middle[0];
      for (size_t k = 0; k < 4; k++) middle[from->width + k] = middle[from->width - 1];
      reduce_row_words(middle, columns, to);
    }
  }
}

/* What of a plane is read: `rows` of it are a band and `columns` a segment. */
typedef struct {
  size_t rows, columns;
  unsigned shift;
} sampling;

static void band_moments(const plane *fine, const uint16_t *coarse, size_t columns, size_t rows, sampling of,
                         uint16_t *row, double *out) {
  uint16_t *expanded = row + PAD;
  int16_t *even = (int16_t *)(row + columns + 3 * PAD), *odd = even + columns + 2 * PAD;
  size_t counted = 0;
  double moments[2] = {0, 0};
  for (size_t y = 0; y < fine->height; y++) {
    const size_t middle = y / 2;
    const uint16_t *above = coarse + clamp_row((ptrdiff_t)middle - 1, rows) * columns, *here = coarse + middle * columns;
    const uint16_t *below = coarse + clamp_row((ptrdiff_t)middle + 1, rows) * columns;
    for (size_t left = 0; left < fine->width; left += of.columns) {
      if (!band_is_read(y / of.rows, left / of.columns, of.shift)) continue;
      const size_t wide = fine->width - left < of.columns ? fine->width - left : of.columns;
      /* With a neighbour on either side, which is repeated at the border of the frame. */
      const size_t half = wide / 2, first = left / 2, from = first > 0 ? first - 1 : 0;
      const size_t end = first + half < columns ? first + half + 1 : columns;
      uint16_t *smooth = expanded + (first - from);
      expand_column(above + from, here + from, below + from, (int)(y & 1), end - from, expanded);
      if (first == 0) smooth[-1] = smooth[0];
      if (first + half == columns) smooth[half] = smooth[half - 1];
      if (fine->bytes) band_row_bytes(fine->bytes + y * fine->width + left, smooth, half, even, odd);
      else band_row_words(fine->words + y * fine->width + left, smooth, half, even, odd);
      __builtin_memset(even + half, 0, 8 * sizeof *even);
      __builtin_memset(odd + half, 0, 8 * sizeof *odd);
      add_moments(even, half, moments);
      add_moments(odd, half, moments);
      counted += 2 * half; /* the last column of an odd width is left out */
    }
  }
  out[0] = (double)counted;
  out[1] = moments[0];
  out[2] = moments[1];
}

static void laplacian_pyramid(const uint8_t *luma, size_t width, size_t height, uint8_t *scratch, double *out) {
  plane fine = {luma, 0, width, height};
  uint16_t *row = (uint16_t *)scratch;
  uint16_t *coarse = row + 2 * width + 8 * PAD;
  const unsigned shift = band_shift(width, height);
  for (size_t level = 0; level < LEVELS; level++) {
    size_t columns = (fine.width + 1) / 2, rows = (fine.height + 1) / 2;
    if (fine.width < SMALLEST_SIDE || fine.height < SMALLEST_SIDE) break;
    reduce_plane(&fine, row, coarse, columns, rows);
    const sampling of = {BAND_ROWS >> level, shift == 0 ? fine.width : BAND_COLUMNS >> level, shift};
    band_moments(&fine, coarse, columns, rows, of, row, out + 3 * level);
    fine = (plane){0, coarse, columns, rows};
    coarse += columns * rows;
  }
}

size_t stopline_scales_scratch(size_t width, size_t height) {
  size_t quarter = ((width + 1) / 2) * ((height + 1) / 2);
  size_t laplacian = 2 * (2 * width + 8 * PAD + quarter + quarter / 2 + width + height + 64);
  size_t haar = 4 * 4 * DIAGONAL_BINS + 2 * (width / 2 + PAD + BAND_ROWS / 2 * (width / 2) + PAD);
  return laplacian > haar ? laplacian : haar;
}

/* Levels whose side is below SMALLEST_SIDE keep a count of 0. */
void stopline_scales(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                     double *restrict out) {
  haar_pyramid(luma, width, height, scratch, out);
  laplacian_pyramid(luma, width, height, scratch, out + AT_laplacianMoments);
}
