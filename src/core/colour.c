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
INLINE void luma_of(i16v r, i16v g, i16v b, uint8_t *restrict to) {
  u16v high = (u16v)r * 76 + (u16v)g * 150 + (u16v)b * 29;
  u16v low = (u16v)r * 139 + (u16v)g * 70 + (u16v)b * 47;
  u16v y = (high + (low >> 8) + 128) >> 8;
  u8half bytes = __builtin_convertvector(y, u8half);
  __builtin_memcpy(to, &bytes, sizeof bytes);
}

/* Of rows that are left out: luma, and the clipped pixels, which lie together and are few. */
static void add_luma(planes *restrict at, size_t padded, sums *restrict total) {
  const u8v zero = {0}, one = zero + 1;
  u32v dark = {0}, light = {0};
  for (size_t i = 0; i < padded; i += LANES16)
    luma_of(widen(at->r + i), widen(at->g + i), widen(at->b + i), at->luma + i);
  for (size_t i = 0; i < padded; i += VECTOR_BYTES) {
    u8v most = max8(max8(load8(at->r + i), load8(at->g + i)), load8(at->b + i));
    dark = add_bytes(dark, min8(subs8(most, zero + 4), one));
    light = add_bytes(light, min8(subs8(most, zero + 250), one));
  }
  total->low += padded - sum_lanes_u32(dark), total->high += sum_lanes_u32(light);
}

/* Luma and the sums of colours. */
static void add_colours(planes *restrict at, size_t padded, sums *restrict total) {
  u16v r16 = {0}, g16 = {0}, b16 = {0};
  i32v rg2 = {0}, yb2 = {0};
  for (size_t i = 0; i < padded; i += LANES16) {
    i16v r = widen(at->r + i), g = widen(at->g + i), b = widen(at->b + i);
    luma_of(r, g, b, at->luma + i);
    /* At most CHUNK / 8 = 256 additions of 255 to a lane. */
    r16 += (u16v)r, g16 += (u16v)g, b16 += (u16v)b;
    i16v rg = r - g, yb = r + g - b - b;
    /* At most 256 additions of 2 * 510^2 to a lane. */
    rg2 += pair_dot(rg, rg);
    yb2 += pair_dot(yb, yb);
  }
  total->r += sum_lanes_u16(r16), total->g += sum_lanes_u16(g16), total->b += sum_lanes_u16(b16);
  total->rg2 += (uint64_t)sum_lanes(rg2), total->yb2 += (uint64_t)sum_lanes(yb2);
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

void stopline_colour(const uint8_t *restrict data, size_t width, size_t height, size_t channels, uint8_t *restrict luma,
                     double *restrict out) {
  planes tile;
  sums total = {0};
  uint32_t histogram[4][256] = {{0}};
  const int sparse = has_bands(width, height);
  size_t counted = 0;
  for (size_t top = 0; top < height; top += BLOCK) {
    size_t rows = height - top < BLOCK ? height - top : BLOCK;
    const int is_read = !sparse || band_is_read(top / BAND_ROWS);
    if (is_read) counted += rows * width;
    for (size_t left = 0; left < width; left += CHUNK) {
      size_t n = width - left < CHUNK ? width - left : CHUNK, padded = (n + 63) & ~(size_t)63;
      for (size_t i = 0; i < padded; i++) tile.dark[i] = 255;
      for (size_t y = top; y < top + rows; y++) {
        size_t start = y * width + left;
        split(tile.r, tile.g, tile.b, data + start * channels, n, channels);
        if (!is_read) {
          add_luma(&tile, padded, &total);
          total.low -= padded - n;
          __builtin_memcpy(luma + start, tile.luma, n);
          continue;
        }
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
      if (is_read && rows == BLOCK) add_dark(tile.dark, n, &total);
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
