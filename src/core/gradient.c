/*
 * One pass over the luma plane: the averages, spreads and quantiles that need a pixel and its 8 neighbours. The
 * one-pixel border is left out; "interior" is the rest, and its 8x8 blocks start at pixel (1, 1). Of large frames only
 * the bands of bands.h are read.
 *
 * Bands of 8 rows are walked in columns one vector wide, so that each row is loaded once and block sums stay in
 * registers; what only needs bytes is then walked row by row while the band is in the first cache.
 */
#include "bands.h"
#include "core.h"
#include "vector.h"

enum {
  BLOCK = 8,
  /* Columns between flushes: 32 * 8 rows * 255 fits the 16-bit sums, 32 * 8 rows * 2 * 1020^2 the 32-bit ones. */
  COLUMNS = 32,
  CHUNK = COLUMNS * LANES16,
  RESIDUALS = 2041, /* |r| <= 8 * 255 */
  /* Vectors between flushes of the steps in 16 bits. */
  SUMMED = 256,
  TILES_X = 8,
  TILES_Y = 6,
  IMPULSE = 40
};

/* Sums over the 8x8 blocks, one array per quantity, in scratch. */
typedef struct {
  size_t across, down;
  unsigned shift;
  uint32_t *residual2, *gradient2, *laplacian2, *luma;
  uint8_t *clipped;
} blocks;

typedef struct {
  blocks of;
  /* Columns of three pixels, sorted, for the median of nine. */
  uint8_t *least, *middle, *most;
  /* Room for a selection over blocks. */
  uint32_t *pick, *order;
} room;

typedef struct {
  int64_t laplacian, laplacian2, jxx, jxy, gradient2;
  uint64_t x[8], y[8], pixels_x[8], pixels_y[8], y2, moving_x, moving_y, impulses, interior;
  uint32_t residual[4][RESIDUALS + 7];
} sums;

static size_t align64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* Hands out the arrays; with base NULL it only measures them. */
static size_t lay_out(room *at, uint8_t *base, size_t width, size_t height) {
  size_t used = 0, across = width / BLOCK, count = across * (height / BLOCK), wide = width + CHUNK;
#define TAKE(pointer, type, n) (pointer = (type *)(base + used), used += align64((n) * sizeof(type)))
  at->of.across = across;
  at->of.down = height / BLOCK;
  TAKE(at->of.residual2, uint32_t, count);
  TAKE(at->of.gradient2, uint32_t, count);
  TAKE(at->of.laplacian2, uint32_t, count);
  TAKE(at->of.luma, uint32_t, count);
  TAKE(at->of.clipped, uint8_t, count);
  TAKE(at->least, uint8_t, wide);
  TAKE(at->middle, uint8_t, wide);
  TAKE(at->most, uint8_t, wide);
  TAKE(at->pick, uint32_t, count);
  TAKE(at->order, uint32_t, count);
  return used;
}

size_t stopline_gradient_scratch(size_t width, size_t height) {
  room ignored;
  return lay_out(&ignored, (uint8_t *)64, width, height);
}

/* |r| of one chunk of a band, to be counted. */
typedef struct {
  _Alignas(64) uint16_t residual[BLOCK][CHUNK];
} pending;

/* Totals of one chunk that stay in registers. */
typedef struct {
  i32v laplacian, laplacian2, jxx, jxy, gradient2;
} lanes;

/*
 * One column of a band: LANES16 pixels wide, `rows` high. `centre` points at its first pixel; `mask` clears the lanes
 * behind the interior, which then add nothing anywhere.
 */
INLINE void walk_column(const uint8_t *centre, size_t stride, size_t rows, i16v mask, size_t i, lanes *restrict sum,
                        pending *restrict to, size_t x, size_t band, const room *restrict at) {
  i16v first = {0};
  i16v laplacian = first, clipped = first;
  i32v residual2 = {0}, gradient2 = {0}, laplacian2 = {0};
  u16v luma = {0};
  i16v c0 = widen(centre - stride) & mask, s0 = (widen(centre - stride - 1) + widen(centre - stride + 1)) & mask;
  i16v c1 = widen(centre) & mask, l1 = widen(centre - 1) & mask, r1 = widen(centre + 1) & mask;
  for (size_t j = 0; j < rows; j++) {
    const uint8_t *next = centre + (j + 1) * stride;
    i16v c2 = widen(next) & mask, l2 = widen(next - 1) & mask, r2 = widen(next + 1) & mask;
    i16v s2 = l2 + r2, near = c0 + c2 + l1 + r1, lap = near - (c1 << 2);
    /* r = corners - 2 near + 4 centre */
    i16v r = s0 + s2 - near - lap;
    i16v gx = r1 - l1, gy = c2 - c0;
    laplacian += lap;
    laplacian2 += pair_dot(lap, lap);
    residual2 += pair_dot(r, r);
    i32v gx2 = pair_dot(gx, gx);
    sum->jxx += gx2;
    sum->jxy += pair_dot(gx, gy);
    gradient2 += gx2 + pair_dot(gy, gy);
    luma += (u16v)c1;
    clipped |= (c1 - 5) | (250 - c1);
    i16v size = abs16(r);
    __builtin_memcpy(to->residual[j] + i, &size, sizeof size);
    c0 = c1, s0 = l1 + r1, c1 = c2, l1 = l2, r1 = r2;
  }
  sum->laplacian2 += laplacian2;
  sum->gradient2 += gradient2;
  const i16v ones = first + 1;
  /* Eight rows fit 16 bits, a chunk of static does not. */
  sum->laplacian += pair_dot(laplacian, ones);
  if (rows < BLOCK) return;
  /* Through memory: four neighbouring 32-bit lanes make a block, and loads are cheaper than moving lanes about. */
  i32v parts[5] = {residual2, gradient2, laplacian2, pair_dot((i16v)luma, ones), (i32v)clipped};
  int32_t lane[5][LANES32];
  __builtin_memcpy(lane, parts, sizeof lane);
  for (size_t k = 0; k < LANES16 / BLOCK && x / BLOCK + k < at->of.across; k++) {
    size_t b = band * at->of.across + x / BLOCK + k, w = 4 * k;
    at->of.residual2[b] = (uint32_t)(lane[0][w] + lane[0][w + 1] + lane[0][w + 2] + lane[0][w + 3]);
    at->of.gradient2[b] = (uint32_t)(lane[1][w] + lane[1][w + 1] + lane[1][w + 2] + lane[1][w + 3]);
    at->of.laplacian2[b] = (uint32_t)(lane[2][w] + lane[2][w + 1] + lane[2][w + 2] + lane[2][w + 3]);
    at->of.luma[b] = (uint32_t)(lane[3][w] + lane[3][w + 1] + lane[3][w + 2] + lane[3][w + 3]);
    /* The signs of both halves of a lane. */
    uint32_t signs = (uint32_t)(lane[4][w] | lane[4][w + 1] | lane[4][w + 2] | lane[4][w + 3]);
    at->of.clipped[b] = (signs & 0x80008000u) != 0;
  }
}

static void count(const pending *restrict at, size_t rows, size_t n, sums *restrict total) {
  for (size_t j = 0; j < rows; j++) {
    const uint16_t *residual = at->residual[j];
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
      uint64_t word;
      __builtin_memcpy(&word, residual + i, 8);
      total->residual[0][word & 65535]++, total->residual[1][word >> 16 & 65535]++;
      total->residual[2][word >> 32 & 65535]++, total->residual[3][word >> 48]++;
    }
    for (; i < n; i++) total->residual[0][residual[i]]++;
  }
}

/* Adds the low and then the high bytes of 16-bit pairs to two vectors in memory. */
INLINE void add_pairs(uint16_t *at, u8v bytes) {
  u16v sum[2];
  __builtin_memcpy(sum, at, sizeof sum);
  sum[0] += (u16v)bytes & 255, sum[1] += (u16v)bytes >> 8;
  __builtin_memcpy(at, sum, sizeof sum);
}

/* Column k of a vector is at x = 1 + k (mod 8); its step to x + 1 belongs to the grid whose lines lie before x + 1. */
static void flush_steps(uint16_t steps[VECTOR_BYTES], sums *restrict total) {
  for (size_t k = 0; k < LANES16; k++) {
    total->x[(2 * k + 2) & 7] += steps[k], total->x[(2 * k + 3) & 7] += steps[LANES16 + k];
    steps[k] = 0, steps[LANES16 + k] = 0;
  }
}

/* What needs only bytes: one interior row of n pixels, `row` pointing at the pixel left of the first. */
static void walk_row(const uint8_t *restrict row, size_t stride, size_t n, size_t y, room *restrict at,
                     sums *restrict total) {
  for (size_t x = 0; x < n + 2; x += VECTOR_BYTES) {
    u8v up = load8(row + x - stride), mid = load8(row + x), down = load8(row + x + stride);
    u8v low = min8(up, mid), high = max8(up, mid), rest = max8(low, down);
    low = min8(low, down);
    u8v middle = min8(high, rest);
    high = max8(high, rest);
    __builtin_memcpy(at->least + x, &low, sizeof low);
    __builtin_memcpy(at->middle + x, &middle, sizeof middle);
    __builtin_memcpy(at->most + x, &high, sizeof high);
  }
  u32v step = {0}, step2 = {0}, moving_x = {0}, moving_y = {0}, impulses = {0};
  const u8v zero = {0}, one = zero + 1, limit = zero + IMPULSE;
  uint16_t steps[VECTOR_BYTES] = {0};
  for (size_t x = 0; x < n; x += VECTOR_BYTES) {
    u8v mask = zero - 1;
    if (n - x < VECTOR_BYTES)
      for (size_t k = n - x; k < VECTOR_BYTES; k++) mask[k] = 0;
    const uint8_t *p = row + 1 + x;
    u8v e = load8(p) & mask, f = load8(p + 1) & mask, b = load8(p - stride) & mask, h = load8(p + stride) & mask;
    u8v right = distance8(e, f), below = distance8(e, h);
    add_pairs(steps, right);
    if (x / VECTOR_BYTES % SUMMED == SUMMED - 1) flush_steps(steps, total);
    step = add_bytes(step, below);
    step2 = add_bytes(step2, distance8(b, h));
    moving_x = add_bytes(moving_x, min8(right, one));
    moving_y = add_bytes(moving_y, min8(below, one));
    /* Median of nine: the middle of (largest least, middle middle, smallest most) over three sorted columns. */
    u8v l0 = load8(at->least + x), l1 = load8(at->least + x + 1), l2 = load8(at->least + x + 2);
    u8v m0 = load8(at->middle + x), m1 = load8(at->middle + x + 1), m2 = load8(at->middle + x + 2);
    u8v h0 = load8(at->most + x), h1 = load8(at->most + x + 1), h2 = load8(at->most + x + 2);
    u8v l = max8(l0, max8(l1, l2)), t = min8(h0, min8(h1, h2));
    u8v m = max8(min8(m0, m1), min8(max8(m0, m1), m2));
    u8v median = max8(min8(l, t), min8(max8(l, t), m)) & mask;
    impulses = add_bytes(impulses, min8(subs8(distance8(e, median), limit), one));
  }
  flush_steps(steps, total);
  /* A step between rows y and y + 1 belongs to the grid whose lines lie before row y + 1. */
  total->y[(y + 1) & 7] += sum_lanes_u32(step), total->pixels_y[(y + 1) & 7] += n;
  total->y2 += sum_lanes_u32(step2);
  total->moving_x += sum_lanes_u32(moving_x), total->moving_y += sum_lanes_u32(moving_y);
  total->impulses += sum_lanes_u32(impulses);
}

/* The k-th smallest of n values, k from 0: rounds of counting on 11 bits, from the highest that is set in any value. */
static uint32_t kth(const uint32_t *restrict values, size_t n, size_t k) {
  uint32_t any = 1, prefix = 0, known = 0;
  for (size_t i = 0; i < n; i++) any |= values[i];
  for (int shift = 32 - __builtin_clz(any); shift > 0;) {
    uint32_t counts[2048] = {0};
    const int bits = shift < 11 ? shift : 11;
    const uint32_t digits = (1u << bits) - 1;
    shift -= bits;
    for (size_t i = 0; i < n; i++)
      if ((values[i] & known) == prefix) counts[values[i] >> shift & digits]++;
    uint32_t digit = 0;
    while (k >= counts[digit]) k -= counts[digit++];
    prefix |= digit << shift;
    known |= digits << shift;
  }
  return prefix;
}

/* The smallest but k + 1, where `value` is the k-th. */
static uint32_t following(const uint32_t *restrict values, size_t n, size_t k, uint32_t value) {
  uint32_t up_to = 0, least = UINT32_MAX;
  for (size_t i = 0; i < n; i++) {
    uint32_t above = values[i] > value ? values[i] : UINT32_MAX;
    up_to += values[i] <= value;
    least = above < least ? above : least;
  }
  return up_to > k + 1 ? value : least;
}

/* How many blocks beside one another, from column x of blocks on, were walked or left out alike. */
static size_t count_alike(const blocks *of, size_t x) {
  const size_t span = segment_columns(of->across * BLOCK, of->shift) / BLOCK, left = span - x % span;
  return of->across - x < left ? of->across - x : left;
}

/* Whether a block was walked. Two rows of blocks make a band, so that blocks of 16x16 are read whole. */
static int is_walked(const blocks *of, size_t x, size_t y) {
  return band_is_read(y * BLOCK / BAND_ROWS, x * BLOCK / BAND_COLUMNS, of->shift);
}

/* sigQ10: the tenth percentile of the residual energy of the 8x8 blocks in which nothing is clipped. */
static double noise_energy(const room *at, double *restrict out) {
  size_t n = 0;
  for (size_t y = 0; y < at->of.down; y++)
    for (size_t x = 0, alike; x < at->of.across; x += alike) {
      alike = count_alike(&at->of, x);
      if (!is_walked(&at->of, x, y)) continue;
      for (size_t b = y * at->of.across + x, end = b + alike; b < end; b++) {
        at->pick[n] = at->of.residual2[b];
        n += !at->of.clipped[b];
      }
    }
  out[AT_noiseBlocks] = (double)n;
  if (n == 0) return 0;
  size_t k = (n - 1) / 10, tenths = (n - 1) % 10;
  uint32_t value = kth(at->pick, n, k);
  double low = value, high = tenths ? following(at->pick, n, k, value) : value;
  return low + (high - low) * ((double)tenths / 10);
}

/* Four 8x8 blocks make one of 16x16. */
static uint32_t four(const uint32_t *restrict of, size_t b, size_t across) {
  return of[b] + of[b + 1] + of[b + across] + of[b + across + 1];
}

/* Sharpness of the 16x16 blocks with most gradient, and noise of those with least. */
static void textured_and_flat(const room *at, double noise2, double *restrict out) {
  size_t across = at->of.across, n = 0;
  for (size_t y = 0; y + 2 <= at->of.down; y += 2)
    for (size_t left = 0, alike; left < across; left += alike) {
      alike = count_alike(&at->of, left);
      if (!is_walked(&at->of, left, y)) continue;
      for (size_t x = left; x + 2 <= left + alike; x += 2, n++) {
        at->order[n] = (uint32_t)(y * across + x);
        at->pick[n] = four(at->of.gradient2, y * across + x, across);
      }
    }
  if (n == 0) return;
  uint32_t textured = kth(at->pick, n, (n - 1) - (n - 1) / 5);
  double ratios = 0, blocks16 = 0;
  for (size_t i = 0; i < n; i++) {
    if (at->pick[i] < textured) continue;
    /* White noise of variance s2 adds 20 s2 to the squared Laplacian and s2 to the squared central differences. */
    double laplacian2 = four(at->of.laplacian2, at->order[i], across) / 256.0 - 20 * noise2;
    double gradient2 = at->pick[i] / 1024.0 - noise2;
    ratios += (laplacian2 > .01 ? laplacian2 : .01) / (gradient2 > .01 ? gradient2 : .01);
    blocks16++;
  }
  out[AT_sharpRatio] = ratios, out[AT_sharpBlocks] = blocks16;

  size_t open = 0;
  for (size_t i = 0; i < n; i++) {
    size_t b = at->order[i];
    const uint8_t *c = at->of.clipped + b;
    at->pick[open] = at->pick[i], at->order[open] = at->order[i];
    open += !(c[0] | c[1] | c[across] | c[across + 1]);
  }
  if (open == 0) return;
  uint32_t flat = kth(at->pick, open, (open - 1) / 10);
  double residual2 = 0, pixels = 0;
  for (size_t i = 0; i < open; i++)
    if (at->pick[i] <= flat) residual2 += four(at->of.residual2, at->order[i], across), pixels += 256;
  out[AT_flatResidual2] = residual2, out[AT_flatPixels] = pixels;
}

/* Where tile t of n begins among so many blocks: block b is in tile b n / blocks, rounded down. */
static size_t tile_start(size_t t, size_t n, size_t blocks) { return (t * blocks + n - 1) / n; }

/* Gradient energy and luma on a grid of tiles; a frame with fewer blocks than tiles has none. */
static void add_tiles(const blocks *of, double *restrict out) {
  if (of->across < TILES_X || of->down < TILES_Y) return;
  for (size_t tile = 0; tile < TILES_X * TILES_Y; tile++) {
    const size_t column = tile % TILES_X, line = tile / TILES_X;
    const size_t left = tile_start(column, TILES_X, of->across), right = tile_start(column + 1, TILES_X, of->across);
    const size_t top = tile_start(line, TILES_Y, of->down), bottom = tile_start(line + 1, TILES_Y, of->down);
    uint64_t gradient2 = 0, luma = 0, count = 0;
    for (size_t y = top; y < bottom; y++)
      for (size_t x = left, alike; x < right; x += alike) {
        alike = count_alike(of, x);
        if (alike > right - x) alike = right - x;
        if (!is_walked(of, x, y)) continue;
        count += alike;
        for (size_t b = y * of->across + x, end = b + alike; b < end; b++)
          gradient2 += of->gradient2[b], luma += of->luma[b];
      }
    out[AT_tileGradient2 + tile] = (double)gradient2;
    out[AT_tileLuma + tile] = (double)luma;
    out[AT_tilePixels + tile] = (double)(count * BLOCK * BLOCK);
  }
}

/* `wide` times `rows` pixels of the interior, from its column `left` and its row `top` on; both are multiples of BLOCK. */
static void walk_chunk(const uint8_t *restrict luma, size_t width, size_t wide, size_t rows, size_t left, size_t top,
                       room *restrict at, sums *restrict total) {
  pending chunk;
  lanes sum = {0};
  for (size_t i = 0; i < wide; i += LANES16) {
    i16v mask = ~(i16v){0};
    if (wide - i < LANES16)
      for (size_t k = wide - i; k < LANES16; k++) mask[k] = 0;
    const uint8_t *centre = luma + (top + 1) * width + 1 + left + i;
    if (rows == BLOCK) walk_column(centre, width, BLOCK, mask, i, &sum, &chunk, left + i, top / BLOCK, at);
    else walk_column(centre, width, rows, mask, i, &sum, &chunk, left + i, top / BLOCK, at);
  }
  total->interior += rows * wide;
  total->laplacian += sum_lanes(sum.laplacian);
  total->laplacian2 += sum_lanes(sum.laplacian2);
  total->jxx += sum_lanes(sum.jxx), total->jxy += sum_lanes(sum.jxy), total->gradient2 += sum_lanes(sum.gradient2);
  /* Counting is the dearest step, and 8 of the 16 rows of a band meet every row of an 8x8 grid as often as all do. */
  if (at->of.shift == 0 || top / BLOCK % 2 == 0) count(&chunk, rows, wide, total);
  for (size_t k = 0; k < BLOCK && k < wide; k++)
    total->pixels_x[(k + 2) % 8] += rows * ((wide - k + BLOCK - 1) / BLOCK);
  for (size_t y = top + 1; y <= top + rows; y++) walk_row(luma + y * width + left, width, wide, y, at, total);
}

void stopline_gradient(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                       double *restrict out) {
  if (width < 3 || height < 3) return;
  size_t n = width - 2, m = height - 2;
  room at;
  lay_out(&at, scratch, width, height);
  at.of.across = n / BLOCK, at.of.down = m / BLOCK, at.of.shift = band_shift(width, height);

  sums total;
  __builtin_memset(&total, 0, sizeof total);
  const size_t step = at.of.shift == 0 ? CHUNK : BAND_COLUMNS;
  for (size_t top = 0; top < m; top += BLOCK)
    for (size_t left = 0; left < n; left += step) {
      if (!is_walked(&at.of, left / BLOCK, top / BLOCK)) continue;
      walk_chunk(luma, width, n - left < step ? n - left : step, m - top < BLOCK ? m - top : BLOCK, left, top, &at, &total);
    }

  out[AT_interior] = (double)total.interior;
  out[AT_sumLaplacian] = (double)total.laplacian, out[AT_sumLaplacian2] = (double)total.laplacian2;
  out[AT_jxx] = (double)total.jxx, out[AT_jyy] = (double)(total.gradient2 - total.jxx), out[AT_jxy] = (double)total.jxy;
  for (size_t i = 0; i < RESIDUALS; i++)
    out[AT_residualHistogram + i] =
        (double)total.residual[0][i] + total.residual[1][i] + total.residual[2][i] + total.residual[3][i];
  for (size_t i = 0; i < 8; i++) out[AT_stepsX + i] = (double)total.x[i], out[AT_stepsY + i] = (double)total.y[i];
  for (size_t i = 0; i < 8; i++)
    out[AT_stepsPixelsX + i] = (double)total.pixels_x[i], out[AT_stepsPixelsY + i] = (double)total.pixels_y[i];
  out[AT_stepsY2] = (double)total.y2;
  out[AT_movingX] = (double)total.moving_x, out[AT_movingY] = (double)total.moving_y;
  out[AT_impulses] = (double)total.impulses;
  double energy = noise_energy(&at, out);
  out[AT_noiseEnergy] = energy;
  /* sigma^2 = energy / (64 pixels * 36) / 0.7914^2, 0.7914 being what the same estimator gives on white noise of 1 DN. */
  textured_and_flat(&at, energy / (64.0 * 36.0 * 0.7914 * 0.7914), out);
  add_tiles(&at.of, out);
}
