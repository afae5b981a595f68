/*
 * One pass over the pixels: the luma plane, its histogram, and everything that needs all three channels (exposure and
 * colour). Tiles of 8 rows by CHUNK columns are split into planes that stay in the first
 * cache; each loop then reads planes, which is what compilers vectorise well. Of bands that bands.h leaves out, only luma
 * and the clipped pixels are taken.
 */
#include "bands.h"
#include "core.h"
#include "planes.h"
#include "vector.h"

enum { CHUNK = 2048, BLOCK = 8 };

typedef struct {
  _Alignas(64) uint8_t r[CHUNK + 64], g[CHUNK + 64], b[CHUNK + 64];
  _Alignas(64) uint8_t luma[CHUNK];
  /* max, but at least 1, and max - min of 64 pixels. */
  _Alignas(64) uint8_t largest[64], chroma[64];
  /* Smallest channel of the rows of this tile so far. */
  _Alignas(64) uint8_t dark[CHUNK];
} planes;

typedef struct {
  uint64_t r, g, b, rg2, yb2, saturation, low, high, grey, dark, blocks;
} sums;

/*
 * With the coefficients split into high and low bytes, luma is exact in 16 bits:
 * 256 (76 R + 150 G + 29 B) + (139 R + 70 G + 47 B) = 19595 R + 38470 G + 7471 B, and neither bracket exceeds 65,280.
 */
INLINE u16v luma_words(u16v r, u16v g, u16v b) {
  return (r * 76 + g * 150 + b * 29 + ((r * 139 + g * 70 + b * 47) >> 8) + 128) >> 8;
}

/* In 16 bits by turns: even bytes, then odd ones, so that none have to change their lane. */
INLINE u8v luma_of(u8v r, u8v g, u8v b) {
  const u16v even = luma_words((u16v)r & 255, (u16v)g & 255, (u16v)b & 255);
  const u16v odd = luma_words((u16v)r >> 8, (u16v)g >> 8, (u16v)b >> 8);
  return (u8v)(even | odd << 8);
}

/* Pixels that are not dark, and those that are light. */
typedef struct {
  u32v visible, light;
} extremes;

INLINE void count_extremes(u8v r, u8v g, u8v b, extremes *restrict sum) {
  const u8v zero = {0}, one = zero + 1, most = max8(max8(r, g), b);
  sum->visible = add_bytes(sum->visible, min8(subs8(most, zero + 4), one));
  sum->light = add_bytes(sum->light, min8(subs8(most, zero + 250), one));
}

/* Of n pixels of a row that is left out: luma, and the clipped pixels, which lie together and are few. */
static void add_luma(planes *restrict at, const uint8_t *restrict data, size_t n, size_t channels,
                     uint8_t *restrict luma, sums *restrict total) {
  extremes sum = {{0}, {0}};
  size_t i = 0;
#ifdef HAS_LOOKUP
  for (; channels == 3 && i + VECTOR_BYTES <= n; i += VECTOR_BYTES) {
    u8v rgb[3];
    split_vector(data + 3 * i, rgb);
    store8(luma + i, luma_of(rgb[0], rgb[1], rgb[2]));
    count_extremes(rgb[0], rgb[1], rgb[2], &sum);
  }
#endif
  /* The rest lies in planes, with black behind it. */
  const size_t rest = n - i;
  split(at->r, at->g, at->b, data + i * channels, rest, channels);
  for (size_t k = 0; k < rest; k += VECTOR_BYTES) {
    const u8v r = load8(at->r + k), g = load8(at->g + k), b = load8(at->b + k);
    store8(at->luma + k, luma_of(r, g, b));
    count_extremes(r, g, b, &sum);
  }
  __builtin_memcpy(luma + i, at->luma, rest);
  total->low += n - sum_lanes_u32(sum.visible), total->high += sum_lanes_u32(sum.light);
}

typedef struct {
  u16v r, g, b;
  i32v rg2, yb2;
} colour_lanes;

INLINE void add_colour_words(i16v r, i16v g, i16v b, colour_lanes *restrict sum) {
  const i16v rg = r - g, yb = r + g - b - b;
  /* At most CHUNK / 8 = 256 additions of 255 to a lane, and of 2 * 510^2. */
  sum->r += (u16v)r, sum->g += (u16v)g, sum->b += (u16v)b;
  sum->rg2 += pair_dot(rg, rg), sum->yb2 += pair_dot(yb, yb);
}

/* Luma and the sums of colours. */
static void add_colours(planes *restrict at, size_t padded, sums *restrict total) {
  colour_lanes sum = {{0}, {0}, {0}, {0}, {0}};
  for (size_t i = 0; i < padded; i += VECTOR_BYTES) {
    const u8v r = load8(at->r + i), g = load8(at->g + i), b = load8(at->b + i);
    store8(at->luma + i, luma_of(r, g, b));
    add_colour_words((i16v)((u16v)r & 255), (i16v)((u16v)g & 255), (i16v)((u16v)b & 255), &sum);
    add_colour_words((i16v)((u16v)r >> 8), (i16v)((u16v)g >> 8), (i16v)((u16v)b >> 8), &sum);
  }
  total->r += sum_lanes_u16(sum.r), total->g += sum_lanes_u16(sum.g), total->b += sum_lanes_u16(sum.b);
  total->rg2 += (uint64_t)sum_lanes(sum.rg2), total->yb2 += (uint64_t)sum_lanes(sum.yb2);
}

/* Counts of clipped and grey pixels and the dark channel of 64 pixels; leaves what their saturation needs. */
INLINE void add_extremes(planes *restrict at, size_t first, sums *restrict total) {
  uint8_t low = 0, high = 0, grey = 0;
  const uint8_t *restrict r = at->r + first, *restrict g = at->g + first, *restrict b = at->b + first;
  uint8_t *restrict dark = at->dark + first;
  for (size_t i = 0; i < 64; i++) {
    uint8_t up = r[i] > g[i] ? r[i] : g[i], down = r[i] > g[i] ? g[i] : r[i];
    up = up > b[i] ? up : b[i], down = down < b[i] ? down : b[i];
    dark[i] = dark[i] < down ? dark[i] : down;
    uint8_t difference = (uint8_t)(up - down);
    at->largest[i] = up | (up == 0), at->chroma[i] = difference;
    low = (uint8_t)(low + (up <= 4)), high = (uint8_t)(high + (up >= 251)), grey = (uint8_t)(grey + (difference <= 2));
  }
  total->low += low, total->high += high, total->grey += grey;
}

/*
 * (max - min) / max in 1/4096. Added to 2048, a float has its last place at 1/4096: the sum rounds, and its bits count.
 * The quotient is exact IEEE and, with max below 256, never halfway between two results: every build agrees.
 */
INLINE uint32_t saturation(const planes *restrict at) {
  const uint32_t bits_of_2048 = 0x45000000;
  uint32_t sum = 0;
  for (size_t i = 0; i < 64; i++) {
    float share = (float)(int32_t)at->chroma[i] / (float)(int32_t)at->largest[i] + 2048.0f;
    uint32_t bits;
    __builtin_memcpy(&bits, &share, sizeof bits);
    sum += bits - bits_of_2048;
  }
  return sum;
}

INLINE void count(uint32_t histogram[4][256], const uint8_t *restrict luma, size_t n) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    __builtin_memcpy(&word, luma + i, 8);
    /* Four tables: equal neighbours would otherwise wait for each other's store. */
    histogram[0][word & 255]++, histogram[1][word >> 8 & 255]++;
    histogram[2][word >> 16 & 255]++, histogram[3][word >> 24 & 255]++;
    histogram[0][word >> 32 & 255]++, histogram[1][word >> 40 & 255]++;
    histogram[2][word >> 48 & 255]++, histogram[3][word >> 56]++;
  }
  for (; i < n; i++) histogram[0][luma[i]]++;
}

static void add_dark(const uint8_t *restrict dark, size_t n, sums *restrict total) {
  for (size_t i = 0; i + BLOCK <= n; i += BLOCK, total->blocks++) {
    uint8_t least = dark[i];
    for (size_t k = 1; k < BLOCK; k++) least = least < dark[i + k] ? least : dark[i + k];
    total->dark += least;
  }
}

void stopline_luma(const uint8_t *restrict data, size_t width, size_t height, size_t channels, uint8_t *restrict luma) {
  planes tile;
  sums ignored = {0};
  for (size_t y = 0; y < height; y++)
    for (size_t left = 0; left < width; left += CHUNK) {
      const size_t start = y * width + left, n = width - left < CHUNK ? width - left : CHUNK;
      add_luma(&tile, data + start * channels, n, channels, luma + start, &ignored);
    }
}

void stopline_colour(const uint8_t *restrict data, size_t width, size_t height, size_t channels, uint8_t *restrict luma,
                     double *restrict out) {
  planes tile;
  sums total = {0};
  uint32_t histogram[4][256] = {{0}};
  const unsigned shift = band_shift(width, height);
  const size_t step = shift == 0 ? CHUNK : BAND_COLUMNS;
  size_t counted = 0;
  for (size_t top = 0; top < height; top += BLOCK) {
    size_t rows = height - top < BLOCK ? height - top : BLOCK;
    for (size_t left = 0; left < width; left += step) {
      size_t n = width - left < step ? width - left : step, padded = (n + 63) & ~(size_t)63;
      if (!band_is_read(top / BAND_ROWS, left / BAND_COLUMNS, shift)) {
        for (size_t start = top * width + left; start < (top + rows) * width; start += width)
          add_luma(&tile, data + start * channels, n, channels, luma + start, &total);
        continue;
      }
      counted += rows * n;
      for (size_t i = 0; i < padded; i++) tile.dark[i] = 255;
      for (size_t y = top; y < top + rows; y++) {
        size_t start = y * width + left;
        split(tile.r, tile.g, tile.b, data + start * channels, n, channels);
        add_colours(&tile, padded, &total);
        /* By turns, so that the processor counts (stores) while it divides (vectors). */
        for (size_t i = 0; i < n; i += 64) {
          add_extremes(&tile, i, &total);
          count(histogram, tile.luma + i, n - i < 64 ? n - i : 64);
          total.saturation += saturation(&tile);
        }
        /* The padding is black, and so counted as clipped and as grey. */
        total.low -= padded - n, total.grey -= padded - n;
        __builtin_memcpy(luma + start, tile.luma, n);
      }
      if (rows == BLOCK) add_dark(tile.dark, n, &total);
    }
  }
  out[AT_pixels] = (double)counted;
  for (int i = 0; i < 256; i++)
    out[AT_lumaHistogram + i] = (double)histogram[0][i] + histogram[1][i] + histogram[2][i] + histogram[3][i];
  out[AT_sumR] = (double)total.r, out[AT_sumG] = (double)total.g, out[AT_sumB] = (double)total.b;
  out[AT_sumRg2] = (double)total.rg2, out[AT_sumYb2] = (double)total.yb2;
  out[AT_sumSaturation] = (double)total.saturation;
  out[AT_clippedLow] = (double)total.low, out[AT_clippedHigh] = (double)total.high, out[AT_grey] = (double)total.grey;
  out[AT_darkSum] = (double)total.dark, out[AT_darkBlocks] = (double)total.blocks;
}
