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
#include "vector.h"

enum {
  SIDE = 64,
  ACROSS = 4, /* at most so many windows side by side, and as many below each other */
  FAMILIES = 4, /* luma, its surroundings, sums of 2x2, colours */
  CLASSES = 9,
  PRODUCTS = 4, /* a a, with the next, with the one after it, with the one across */
  COLOURS = 3,
  /* A residual is at most 2040, a sum of two products 2^23: so many rows of at most eight vectors stay below 2^31. */
  FLUSH = 16,
  /* Loads reach two rows and a vector beyond the last pixel, and one row before the first. */
  PLANE = (SIDE + 4) * SIDE
};

typedef struct {
  _Alignas(64) int16_t luma[PLANE], red[PLANE], blue[PLANE], half[PLANE]; /* luma, R - Y, B - Y, sums of 2x2 luma */
  int16_t along[3][PLANE], residual[PLANE];
  int16_t mask[SIDE]; /* -1 in columns whose pairs are counted */
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

/* Twice the sum of the four next neighbours less the four at corners less four times the pixel. */
static void surround(const int16_t *restrict plane, size_t rows, int16_t *restrict residual) {
  for (size_t i = 0; i < rows * SIDE; i += LANES16) {
    const int16_t *at = plane + i;
    i16v next = load_words(at - 1) + load_words(at + 1) + load_words(at - SIDE) + load_words(at + SIDE);
    i16v corners = load_words(at - SIDE - 1) + load_words(at - SIDE + 1) + load_words(at + SIDE - 1) + load_words(at + SIDE + 1);
    i16v middle = load_words(at);
    store_words(residual + i, next + next - corners - 4 * middle);
  }
}

/* -2 to 2: below one half of two DN, below three halves, and above. */
INLINE i16v round_residual(i16v v, int16_t unit) {
  const i16v one = (i16v){0} + unit, two = (i16v){0} + (int16_t)(3 * unit);
  return (i16v)(v <= -one) + (i16v)(v <= -two) - (i16v)(v >= one) - (i16v)(v >= two);
}

/*
 * |a + b| + 5 |a - b| of a pair (a, b) of levels is the same for (b, a) and (-a, -b), and differs otherwise. These are all
 * such classes: the pairs 0 0, 1 0, 1 1, 1 -1, 2 0, 2 1, 2 -1, 2 2 and 2 -2.
 */
static const int16_t classes[CLASSES] = {0, 6, 2, 10, 12, 8, 16, 4, 20};

typedef struct {
  uint64_t counts[CLASSES];
  int64_t products[PRODUCTS];
} sums;

/* Counts pairs `step` apart and adds products with the next, the one after it and the one across. */
static void add_pairs(const window *restrict at, const int16_t *restrict residual, ptrdiff_t step, size_t columns,
                      size_t rows, int16_t unit, sums *restrict family) {
  const ptrdiff_t across = step == 1 ? SIDE : 1;
  const i16v none = {0};
  u16v count[CLASSES] = {{0}};
  for (size_t first = 1; first + 3 < rows; first += FLUSH) {
    i32v product[PRODUCTS] = {{0}};
    for (size_t y = first; y < first + FLUSH && y + 3 < rows; y++) {
      for (size_t x = 0; x + 3 < columns; x += LANES16) {
        const int16_t *p = residual + y * SIDE + x;
        const i16v mask = load_words(at->mask + x), a = load_words(p) & mask, b = load_words(p + step);
        product[0] += pair_dot(a, a), product[1] += pair_dot(a, b);
        product[2] += pair_dot(a, load_words(p + 2 * step)), product[3] += pair_dot(a, load_words(p + across));
        const i16v one = round_residual(a, unit), two = round_residual(b, unit);
        const i16v code = (abs16(one + two) + 5 * abs16(one - two)) | ~mask;
        for (int k = 0; k < CLASSES; k++) count[k] -= (u16v)(code == none + classes[k]);
      }
    }
    for (int k = 0; k < PRODUCTS; k++) family->products[k] += sum_lanes(product[k]);
  }
  for (int k = 0; k < CLASSES; k++) family->counts[k] += sum_lanes_u16(count[k]);
}

/* Of second differences along rows of luma and of R - B: |a t|, a^2, t^2. */
static void add_colours(const window *restrict at, size_t columns, size_t rows, int64_t colours[COLOURS]) {
  for (size_t first = 1; first + 3 < rows; first += FLUSH) {
    i32v sum[COLOURS] = {{0}};
    for (size_t y = first; y < first + FLUSH && y + 3 < rows; y++) {
      for (size_t x = 0; x + 3 < columns; x += LANES16) {
        const size_t i = SIDE + y * SIDE + x;
        const i16v mask = load_words(at->mask + x), a = load_words(at->along[0] + i) & mask;
        const i16v t = (load_words(at->along[1] + i) - load_words(at->along[2] + i)) & mask;
        sum[0] += pair_dot(abs16(a), abs16(t)), sum[1] += pair_dot(a, a), sum[2] += pair_dot(t, t);
      }
    }
    for (int k = 0; k < COLOURS; k++) colours[k] += sum_lanes(sum[k]);
  }
}

static void mask_columns(window *restrict at, size_t columns) {
  for (size_t x = 0; x < SIDE; x++) at->mask[x] = x > 0 && x + 3 < columns ? -1 : 0;
}

static void read_window(window *restrict at, const uint8_t *restrict data, const uint8_t *restrict luma, size_t stride,
                        size_t channels, size_t columns, size_t rows) {
  const size_t last = channels > 1 ? 2 : 0;
  for (size_t y = 0; y < rows; y++) {
    const size_t i = SIDE + y * SIDE;
    for (size_t x = 0; x < columns; x++) {
      const uint8_t *p = data + (y * stride + x) * channels;
      const int16_t value = luma[y * stride + x];
      at->luma[i + x] = value, at->red[i + x] = (int16_t)(p[0] - value), at->blue[i + x] = (int16_t)(p[last] - value);
    }
  }
  for (size_t y = 0; y < rows / 2; y++) {
    const int16_t *upper = PIXELS(at->luma) + 2 * y * SIDE, *lower = upper + SIDE;
    int16_t *half = PIXELS(at->half) + y * SIDE;
    for (size_t x = 0; x < columns / 2; x++)
      half[x] = (int16_t)(upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]);
  }
}

/* One plane, along rows and down columns; what is found along rows stays in `along`. */
static void add_plane(window *restrict at, const int16_t *restrict plane, size_t columns, size_t rows, int16_t unit,
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
  surround(PIXELS(at->luma), rows, PIXELS(at->residual));
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
