/*
 * Natural-scene statistics (Mittal et al. 2012; NIQE 2013): MSCN coefficients n = (Y - mu) / (sigma + 1) under a 7x7 gaussian
 * window of standard deviation 7/6, at full scale and on the 2x2 means, and the products of neighbouring coefficients.
 *
 * Only positions whose whole window lies inside the frame count, so no border rule is needed. The maps are element-wise
 * float arithmetic; the sums run in eight explicit lanes, one row at a time, so every build adds in the same order.
 * On frames of more than DENSE_PIXELS pixels full scale is sampled in bands: BAND rows of every PERIOD. On 21 photographs
 * of 0.8 to 3 megapixels a statistic then moves by 0.003 to 0.02 of its standard deviation over the photographs (median;
 * at most 0.26, for the shape); eight rows meet every row of an 8x8 block grid equally often. Of large frames both scales are
 * taken from the bands of bands.h alone: at full scale the upper half of each, at half scale all of it.
 */
#include "bands.h"
#include "core.h"
#include "vector.h"

enum { WINDOW = 7, BORDER = 3, RING = 8, BAND = 8, PERIOD = 16, DENSE_PIXELS = 1 << 18, PAD = 32 };

/* Gaussian, standard deviation 7/6, 7 taps, sum 1. */
static const float G0 = 0.01256f, G1 = 0.078828f, G2 = 0.237296f, G3 = 0.342632f;

/* Luma minus 128: small numbers keep E[Y^2] - mu^2 exact to about 0.001 DN^2 in float. */
static void load_full(const uint8_t *restrict row, size_t n, float *restrict to) {
  for (size_t x = 0; x < n; x++) to[x] = (float)((int32_t)row[x] - 128);
}

static void load_half(const uint8_t *restrict upper, const uint8_t *restrict lower, size_t n,
                                      float *restrict to) {
  for (size_t x = 0; x < n; x++) {
    uint16_t p, q;
    __builtin_memcpy(&p, upper + 2 * x, 2);
    __builtin_memcpy(&q, lower + 2 * x, 2);
    uint16_t sum = (uint16_t)((p & 255) + (p >> 8) + (q & 255) + (q >> 8));
    to[x] = (float)(int32_t)sum * 0.25f - 128.0f;
  }
}

/* The window down the columns of seven rows: mean and mean square. */
static void window_columns(const float *const rows[WINDOW], size_t n, float *restrict mean,
                                           float *restrict square) {
  const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4], *f = rows[5], *g = rows[6];
  for (size_t x = 0; x < n; x++) {
    mean[x] = (a[x] + g[x]) * G0 + (b[x] + f[x]) * G1 + ((c[x] + e[x]) * G2 + d[x] * G3);
    square[x] = (a[x] * a[x] + g[x] * g[x]) * G0 + (b[x] * b[x] + f[x] * f[x]) * G1 +
          ((c[x] * c[x] + e[x] * e[x]) * G2 + d[x] * d[x] * G3);
  }
}

/* The window along the row, then the coefficient and the standard deviation at each of n positions. */
static void normalise_row(const float *restrict mean, const float *restrict square,
                                          const float *restrict luma, size_t n, float *restrict coefficient,
                                          float *restrict deviation) {
  for (size_t x = 0; x < n; x++) {
    float mu = (mean[x] + mean[x + 6]) * G0 + (mean[x + 1] + mean[x + 5]) * G1 +
                   ((mean[x + 2] + mean[x + 4]) * G2 + mean[x + 3] * G3);
    float sq = (square[x] + square[x + 6]) * G0 + (square[x + 1] + square[x + 5]) * G1 +
                   ((square[x + 2] + square[x + 4]) * G2 + square[x + 3] * G3);
    float variance = sq - mu * mu;
    float sigma = __builtin_sqrtf(__builtin_fabsf(variance)); /* rounding can leave -0.001 where the truth is 0 */
    deviation[x] = sigma;
    coefficient[x] = (luma[x] - mu) / (sigma + 1.0f);
  }
}

/*
 * Sums run in eight lanes whatever the width of a vector: PARTS vectors a product, or two products a vector. GCC lowers
 * vectors that the instruction set lacks lane by lane, hence never wider ones.
 */
#define FLOATS (VECTOR_BYTES / 4 < 8 ? VECTOR_BYTES / 4 : 8)
#define PARTS (8 / FLOATS)
typedef float lanes __attribute__((vector_size(4 * FLOATS)));
typedef int32_t words __attribute__((vector_size(4 * FLOATS)));

INLINE lanes load_lanes(const float *p) {
  lanes v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

/* sums: |n|, n^2, sigma. Rows are padded with zeros to a multiple of eight. */
static void add_row(const float *coefficient, const float *deviation, size_t n, double sums[3]) {
  lanes absolute[PARTS] = {{0}}, square[PARTS] = {{0}}, sigma[PARTS] = {{0}};
  const words magnitude = (words){0} + 0x7fffffff;
  for (size_t x = 0; x < n; x += 8)
    for (size_t part = 0; part < PARTS; part++) {
      lanes a = load_lanes(coefficient + x + part * FLOATS);
      absolute[part] += (lanes)((words)a & magnitude);
      square[part] += a * a;
      sigma[part] += load_lanes(deviation + x + part * FLOATS);
    }
  for (size_t k = 0; k < 8; k++) {
    sums[0] += (double)absolute[k / FLOATS][k % FLOATS];
    sums[1] += (double)square[k / FLOATS][k % FLOATS];
    sums[2] += (double)sigma[k / FLOATS][k % FLOATS];
  }
}

#if !defined(__AVX512BW__)
/* sums of the products P = a b: number below zero, |P|, P^2 below zero, P^2. */
static void add_products(const float *a, const float *b, size_t n, double sums[4]) {
  lanes absolute[PARTS] = {{0}}, square[PARTS] = {{0}}, left[PARTS] = {{0}};
  words negative[PARTS] = {{0}};
  const words magnitude = (words){0} + 0x7fffffff;
  const lanes zero = {0};
  for (size_t x = 0; x < n; x += 8)
    for (size_t part = 0; part < PARTS; part++) {
      lanes product = load_lanes(a + x + part * FLOATS) * load_lanes(b + x + part * FLOATS);
      lanes power = product * product;
      words below = product < zero;
      negative[part] -= below;
      absolute[part] += (lanes)((words)product & magnitude);
      square[part] += power;
      left[part] += (lanes)((words)power & below);
    }
  for (size_t k = 0; k < 8; k++) {
    sums[0] += (double)negative[k / FLOATS][k % FLOATS];
    sums[1] += (double)absolute[k / FLOATS][k % FLOATS];
    sums[2] += (double)left[k / FLOATS][k % FLOATS];
    sums[3] += (double)square[k / FLOATS][k % FLOATS];
  }
}

/* The products a b and c d. */
static void add_two_products(const float *a, const float *b, const float *c, const float *d, size_t n,
                             double sums[2][4]) {
  add_products(a, b, n, sums[0]);
  add_products(c, d, n, sums[1]);
}
#else
INLINE __m512 load_two(const float *a, const float *b) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(a)), _mm256_loadu_ps(b), 1);
}

/* sums of the products P = a b and P = c d: number below zero, |P|, P^2 below zero, P^2. */
static void add_two_products(const float *a, const float *b, const float *c, const float *d, size_t n,
                             double sums[2][4]) {
  const __m512 zero = _mm512_setzero_ps();
  __m512 absolute = zero, square = zero, left = zero;
  __m512i negative = _mm512_setzero_si512();
  for (size_t x = 0; x < n; x += 8) {
    const __m512 product = _mm512_mul_ps(load_two(a + x, c + x), load_two(b + x, d + x));
    const __m512 power = _mm512_mul_ps(product, product);
    const __mmask16 below = _mm512_cmp_ps_mask(product, zero, _CMP_LT_OQ);
    negative = _mm512_mask_add_epi32(negative, below, negative, _mm512_set1_epi32(1));
    absolute = _mm512_add_ps(absolute, _mm512_abs_ps(product));
    square = _mm512_add_ps(square, power);
    left = _mm512_mask_add_ps(left, below, left, power);
  }
  for (size_t k = 0; k < 16; k++) {
    sums[k / 8][0] += (double)((i32v)negative)[k];
    sums[k / 8][1] += (double)absolute[k];
    sums[k / 8][2] += (double)left[k];
    sums[k / 8][3] += (double)square[k];
  }
}
#endif

typedef struct {
  float *ring[RING];
  float *mean, *square, *deviation, *coefficients[2];
} rows;

static void load_row(const uint8_t *luma, size_t stride, int half, size_t y, size_t n, float *to) {
  if (half) load_half(luma + 2 * y * stride, luma + (2 * y + 1) * stride, n, to);
  else load_full(luma + y * stride, n, to);
}

/* Of one segment of a frame with its border; what it measures is added to `out`. */
typedef struct {
  size_t width, height, number;
  int half, sparse;
  unsigned shift;
} segment;

static void measure_segment(const uint8_t *luma, size_t stride, const segment *of, rows r, double *out) {
  const size_t n = of->width - 2 * BORDER, last = of->height - BORDER;
  const size_t band_rows = of->half ? BAND_ROWS / 2 : BAND_ROWS;
  size_t loaded = 0;
  double sums[3] = {0}, products[4][4] = {{0}};
  double positions = 0, pairs_in_row = 0, pairs_in_column = 0, pairs_diagonal = 0;
  float *previous = 0;
  for (size_t y = BORDER; y < last; y++) {
    if ((of->sparse && (y - BORDER) % PERIOD >= BAND) || !band_is_read((y - BORDER) / band_rows, of->number, of->shift)) {
      previous = 0;
      continue;
    }
    if (loaded < y - BORDER) loaded = y - BORDER;
    for (; loaded <= y + BORDER; loaded++) load_row(luma, stride, of->half, loaded, of->width, r.ring[loaded % RING]);
    const float *window[WINDOW];
    for (size_t k = 0; k < WINDOW; k++) window[k] = r.ring[(y - BORDER + k) % RING];
    float *current = r.coefficients[y % 2];
    window_columns(window, of->width, r.mean, r.square);
    normalise_row(r.mean, r.square, window[BORDER] + BORDER, n, current, r.deviation);
    __builtin_memset(current + n, 0, 16 * sizeof *current);
    __builtin_memset(r.deviation + n, 0, 16 * sizeof *current);
    add_row(current, r.deviation, n, sums);
    positions += (double)n;
    pairs_in_row += (double)n - 1;
    /* Above the first row of a band there are zeros, which add nothing. */
    const int first = previous == 0;
    if (first) previous = __builtin_memset(r.coefficients[(y + 1) % 2], 0, (n + 16) * sizeof *current);
    add_two_products(current, current + 1, previous, current, n, products);
    add_two_products(previous, current + 1, previous + 1, current, n, products + 2);
    if (!first) {
      pairs_in_column += (double)n;
      pairs_diagonal += (double)n - 1;
    }
    previous = current;
  }
  out[0] += positions;
  for (size_t k = 0; k < 3; k++) out[1 + k] += sums[k];
  for (size_t k = 0; k < 4; k++) {
    double count = k == 0 ? pairs_in_row : k == 1 ? pairs_in_column : pairs_diagonal;
    double *field = out + 4 + 5 * k;
    field[0] += count;
    field[1] += products[k][0];
    field[2] += products[k][1];
    field[3] += products[k][2];
    field[4] += products[k][3] - products[k][2];
  }
}

/* Segments have borders of their own, which lie in their neighbours. */
static void measure_scale(const uint8_t *luma, size_t stride, size_t width, size_t height, int half, unsigned shift,
                          rows r, double *out) {
  const size_t step = shift == 0 ? width : half ? BAND_COLUMNS / 2 : BAND_COLUMNS;
  segment of = {0, height, 0, half, !half && width * height > DENSE_PIXELS, shift};
  for (size_t left = 0; left + 2 * BORDER + 1 < width; left += step, of.number++) {
    of.width = width - left < step + 2 * BORDER ? width - left : step + 2 * BORDER;
    measure_segment(luma + (half ? 2 * left : left), stride, &of, r, out);
  }
}

size_t stopline_naturalness_scratch(size_t width, size_t height) {
  (void)height;
  return (RING + 5) * (width + PAD) * sizeof(float);
}

/* A scale without two whole windows in either direction keeps a count of 0. */
void stopline_naturalness(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                          double *restrict out) {
  rows r;
  float *at = scratch;
  for (size_t k = 0; k < RING; k++, at += width + PAD) r.ring[k] = at;
  r.mean = at;
  r.square = at + (width + PAD);
  r.deviation = at + 2 * (width + PAD);
  r.coefficients[0] = at + 3 * (width + PAD);
  r.coefficients[1] = at + 4 * (width + PAD);
  for (int half = 0; half < 2; half++) {
    size_t columns = half ? width / 2 : width, lines = half ? height / 2 : height;
    if (columns <= 2 * BORDER + 1 || lines <= 2 * BORDER + 1) return;
    measure_scale(luma, width, columns, lines, half, band_shift(width, height), r, out + (half ? AT_mscnHalf : AT_mscn));
  }
}
