/*
 * Residual pairs: how what a pixel's neighbours do not foretell goes with that of the next pixel. After the rich models of
 * steganalysis (Fridrich and Kodovsky 2012): residuals are rounded to five levels, and pairs of neighbours counted. Optics,
 * noise reduction, sharpening and encoders each leave their own counts, nearly whatever the picture shows.
 *
 * Read in at most WINDOWS windows of SIDE x SIDE pixels, spread over the frame and aligned to the 8x8 grid of JPEG. Residuals
 * are second differences along rows and along columns of luma, of sums of 2x2 luma, and of R - Y and B - Y, and four times
 * luma less its neighbours in 3x3. All are integers, so every build agrees.
 */
#include "core.h"
#include "planes.h"
#include "vector.h"

enum {
  SIDE = 64,
  ACROSS = 4, /* at most so many windows side by side, and as many below each other */
  FAMILIES = 4, /* luma, its surroundings, sums of 2x2, colours */
  CLASSES = 9,
  PRODUCTS = 4, /* a a, with the next, with the one after it, with the one across */
  COLOURS = 3,
  /* Loads reach two rows and a vector beyond the last pixel, and one row before the first. */
  PLANE = (SIDE + 4) * SIDE
};

/*
 * Columns of pixels are walked two vectors of words wide, which make one of bytes. A residual is at most 2040, a sum of two
 * products 2^23: both words of a lane in all rows stay below 2^31. A count in bytes is at most SIDE times SIDE / VECTOR_BYTES
 * less the border.
 */
typedef struct {
  _Alignas(64) int16_t luma[PLANE], red[PLANE], blue[PLANE], half[PLANE]; /* luma, R - Y, B - Y, sums of 2x2 luma */
  int16_t along[3][PLANE], residual[PLANE];
  int16_t mask[SIDE]; /* -1 in columns whose pairs are counted */
  _Alignas(64) uint8_t channel[3][SIDE];
} window;

/* Where the pixels of a plane begin: a row of room lies before them. */
#define PIXELS(plane) ((plane) + SIDE)

INLINE i16v load_words(const int16_t *p) {
  i16v words;
  __builtin_memcpy(&words, p, sizeof words);
  return words;
}

INLINE void store_words(int16_t *p, i16v words) { __builtin_memcpy(p, &words, sizeof words); }

/* Second differences over `step`; what has no neighbour within the window is never read. */
static void differ(const int16_t *restrict plane, ptrdiff_t step, size_t rows, int16_t *restrict residual) {
  for (size_t i = 0; i < rows * SIDE; i += LANES16) {
    i16v middle = load_words(plane + i);
    store_words(residual + i, load_words(plane + i - step) + load_words(plane + i + step) - middle - middle);
  }
}

/* Two vectors of residuals as levels, -2 to 2: below one half of two DN, below three halves, and above. */
INLINE i8v round_residuals(i16v a, i16v b, int8_t unit) {
  const i8v v = narrow16(a, b), one = (i8v){0} + unit, two = (i8v){0} + (int8_t)(3 * unit);
  return (i8v)(v <= -one) + (i8v)(v <= -two) - (i8v)(v >= one) - (i8v)(v >= two);
}

/*
 * |a + b| + 5 |a - b| of a pair (a, b) of levels is the same for (b, a) and (-a, -b), and differs otherwise. These are all
 * such classes: the pairs 0 0, 1 0, 1 1, 1 -1, 2 0, 2 1, 2 -1, 2 2 and 2 -2.
 */
static const int8_t classes[CLASSES] = {0, 6, 2, 10, 12, 8, 16, 4, 20};

typedef struct {
  uint64_t counts[CLASSES];
  int64_t products[PRODUCTS];
} sums;

/* Counts pairs `step` apart and adds products with the next, the one after it and the one across. */
static void add_pairs(const window *restrict at, const int16_t *restrict residual, ptrdiff_t step, size_t columns,
                      size_t rows, int8_t unit, sums *restrict family) {
  const ptrdiff_t across = step == 1 ? SIDE : 1;
  u8v count[CLASSES] = {{0}};
  for (size_t x = 0; x + 3 < columns; x += 2 * LANES16) {
    const i16v masks[2] = {load_words(at->mask + x), load_words(at->mask + x + LANES16)};
    const i8v left_out = ~narrow16(masks[0], masks[1]);
    i32v product[PRODUCTS] = {{0}};
    for (size_t y = 1; y + 3 < rows; y++) {
      i16v a[2], b[2];
      for (int k = 0; k < 2; k++) {
        const int16_t *p = residual + y * SIDE + x + (size_t)k * LANES16;
        a[k] = load_words(p) & masks[k], b[k] = load_words(p + step);
        product[0] += pair_dot(a[k], a[k]), product[1] += pair_dot(a[k], b[k]);
        product[2] += pair_dot(a[k], load_words(p + 2 * step)), product[3] += pair_dot(a[k], load_words(p + across));
      }
      const i8v one = round_residuals(a[0], a[1], unit), two = round_residuals(b[0], b[1], unit);
      const i8v sum = abs8(one + two), difference = abs8(one - two);
      const i8v code = (sum + difference + 4 * difference) | left_out;
      for (int k = 0; k < CLASSES; k++) count[k] -= (u8v)(code == (i8v){0} + classes[k]);
    }
    for (int k = 0; k < PRODUCTS; k++) family->products[k] += sum_lanes(product[k]);
  }
  for (int k = 0; k < CLASSES; k++) family->counts[k] += sum_lanes_u32(add_bytes((u32v){0}, count[k]));
}

/* Of second differences along rows of luma and of R - B: |a t|, a^2, t^2. */
static void add_colours(const window *restrict at, size_t columns, size_t rows, int64_t colours[COLOURS]) {
  for (size_t x = 0; x + 3 < columns; x += LANES16) {
    const i16v mask = load_words(at->mask + x);
    i32v sum[COLOURS] = {{0}};
    for (size_t y = 1; y + 3 < rows; y++) {
      const size_t i = SIDE + y * SIDE + x;
      const i16v a = load_words(at->along[0] + i) & mask;
      const i16v t = (load_words(at->along[1] + i) - load_words(at->along[2] + i)) & mask;
      sum[0] += pair_dot(abs16(a), abs16(t)), sum[1] += pair_dot(a, a), sum[2] += pair_dot(t, t);
    }
    for (int k = 0; k < COLOURS; k++) colours[k] += sum_lanes(sum[k]);
  }
}

static void mask_columns(window *restrict at, size_t columns) {
  for (size_t x = 0; x < SIDE; x++) at->mask[x] = x > 0 && x + 3 < columns ? -1 : 0;
}

/* Whole rows are read: what lies behind the window is never counted. */
static void read_window(window *restrict at, const uint8_t *restrict data, const uint8_t *restrict luma, size_t stride,
                        size_t channels, size_t columns, size_t rows) {
  for (size_t y = 0; y < rows; y++) {
    const uint8_t *row = luma + y * stride;
    split(at->channel[0], at->channel[1], at->channel[2], data + y * stride * channels, columns, channels);
    for (size_t x = 0; x < SIDE; x += LANES16) {
      const size_t i = SIDE + y * SIDE + x;
      const i16v value = widen(row + x);
      store_words(at->luma + i, value);
      store_words(at->red + i, widen(at->channel[0] + x) - value);
      store_words(at->blue + i, widen(at->channel[2] + x) - value);
    }
  }
  for (size_t y = 0; y < rows / 2; y++)
    for (size_t x = 0; x < SIDE / 2; x += LANES16) {
      const u16v upper = (u16v)load8(luma + 2 * y * stride + 2 * x), lower = (u16v)load8(luma + (2 * y + 1) * stride + 2 * x);
      store_words(PIXELS(at->half) + y * SIDE + x, (i16v)((upper & 255) + (upper >> 8) + (lower & 255) + (lower >> 8)));
    }
}

/* One plane, along rows and down columns; what is found along rows stays in `along`. */
static void add_plane(window *restrict at, const int16_t *restrict plane, size_t columns, size_t rows, int8_t unit,
                      int16_t *restrict along, sums *restrict family) {
  differ(PIXELS(plane), 1, rows, PIXELS(along));
  add_pairs(at, PIXELS(along), 1, columns, rows, unit, family);
  differ(PIXELS(plane), SIDE, rows, PIXELS(at->residual));
  add_pairs(at, PIXELS(at->residual), SIDE, columns, rows, unit, family);
}

static void add_window(window *restrict at, size_t columns, size_t rows, sums families[FAMILIES],
                       int64_t colours[COLOURS]) {
  mask_columns(at, columns / 2);
  add_plane(at, at->half, columns / 2, rows / 2, 4, at->along[0], families + 2);
  mask_columns(at, columns);
  add_plane(at, at->luma, columns, rows, 1, at->along[0], families);
  add_plane(at, at->red, columns, rows, 1, at->along[1], families + 3);
  add_plane(at, at->blue, columns, rows, 1, at->along[2], families + 3);
  add_colours(at, columns, rows, colours);
  /* The surroundings with their sign turned, which nothing here tells apart. */
  differ(PIXELS(at->along[0]), SIDE, rows, PIXELS(at->residual));
  add_pairs(at, PIXELS(at->residual), 1, columns, rows, 4, families + 1);
  add_pairs(at, PIXELS(at->residual), SIDE, columns, rows, 4, families + 1);
}

size_t stopline_residuals_scratch(void) { return sizeof(window); }

/* How many windows lie along an axis of so many pixels, and where the i-th of them begins. */
static size_t count_windows(size_t pixels) {
  return pixels < 2 * SIDE ? 1 : pixels / SIDE < ACROSS ? pixels / SIDE : ACROSS;
}

static size_t place_window(size_t i, size_t windows, size_t pixels) {
  return pixels < SIDE ? 0 : (2 * i + 1) * (pixels - SIDE) / (2 * windows) & ~(size_t)7;
}

/* A frame of fewer than five pixels along an axis has counts of 0. */
void stopline_residuals(const uint8_t *restrict data, size_t width, size_t height, size_t channels,
                        const uint8_t *restrict luma, void *restrict scratch, double *restrict out) {
  const size_t across = count_windows(width), below = count_windows(height);
  const size_t columns = width < SIDE ? width : SIDE, rows = height < SIDE ? height : SIDE;
  sums families[FAMILIES] = {{{0}, {0}}};
  int64_t colours[COLOURS] = {0};
  __builtin_memset(scratch, 0, sizeof(window));
  for (size_t i = 0; i < across * below; i++) {
    const size_t first = place_window(i / across, below, height) * width + place_window(i % across, across, width);
    read_window(scratch, data + first * channels, luma + first, width, channels, columns, rows);
    add_window(scratch, columns, rows, families, colours);
  }
  for (size_t f = 0; f < FAMILIES; f++) {
    for (size_t k = 0; k < CLASSES; k++) out[AT_residualPairs + CLASSES * f + k] = (double)families[f].counts[k];
    for (size_t k = 0; k < PRODUCTS; k++) out[AT_residualProducts + PRODUCTS * f + k] = (double)families[f].products[k];
  }
  for (size_t k = 0; k < COLOURS; k++) out[AT_residualColours + k] = (double)colours[k];
}
