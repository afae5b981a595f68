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
  const u16v rest = times16(r, 139) + times16(g, 70) + times16(b, 47);
  return (times16(r, 76) + times16(g, 150) + times16(b, 29) + (rest >> 8) + 128) >> 8;
}

/* In 16 bits by turns: even bytes, then odd ones, so that none have to change their lane. */
INLINE u8v luma_of(u8v r, u8v g, u8v b) {
  const u16v even = luma_words((u16v)r & 255, (u16v)g & 255, (u16v)b & 255);
  const u16v odd = luma_words((u16v)r >> 8, (u16v)g >> 8, (u16v)b >> 8);
  return (u8v)(even | odd << 8);
}

/* Pixels that are not dark, and light ones, of at most 255 vectors. */
typedef struct {
  u8v visible, light;
} extremes;

INLINE void count_extremes(u8v most, extremes *restrict sum) {
  const u8v zero = {0};
  sum->visible = add_above(sum->visible, most, zero + 4), sum->light = add_above(sum->light, most, zero + 250);
}

INLINE uint64_t count_bytes(u8v counts) {
  const u32v none = {0};
  return sum_lanes_u32(add_bytes(none, counts));
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
    count_extremes(max8(max8(rgb[0], rgb[1]), rgb[2]), &sum);
  }
#endif
  /* The rest lies in planes, with black behind it. */
  const size_t rest = n - i;
  split(at->r, at->g, at->b, data + i * channels, rest, channels);
  for (size_t k = 0; k < rest; k += VECTOR_BYTES) {
    const u8v r = load8(at->r + k), g = load8(at->g + k), b = load8(at->b + k);
    store8(at->luma + k, luma_of(r, g, b));
    count_extremes(max8(max8(r, g), b), &sum);
  }
  if (rest > 0) __builtin_memcpy(luma + i, at->luma, rest);
  total->low += n - count_bytes(sum.visible), total->high += count_bytes(sum.light);
}

/* Of one row: at most CHUNK / 8 = 256 additions of 255 to a lane of words, and half as many of 1 to one of bytes. */
typedef struct {
  u16v r, g, b;
  i32v rg2, yb2;
  u32v saturation;
  extremes of;
  /* Pixels that are not grey. */
  u8v coloured;
} row_lanes;

/* Of at most BLOCK rows: sums of squares stay below 2^31. */
typedef struct {
  u32v r, g, b, rg2, yb2, saturation, visible, light, coloured;
} tile_lanes;

INLINE void add_colour_words(i16v r, i16v g, i16v b, row_lanes *restrict sum) {
  const i16v rg = r - g, yb = r + g - b - b;
  sum->r += (u16v)r, sum->g += (u16v)g, sum->b += (u16v)b;
  sum->rg2 += pair_dot(rg, rg), sum->yb2 += pair_dot(yb, yb);
}

/*
 * (max - min) / max in 1/4096 of every fourth byte. Added to 2048, a float has its last place at 1/4096: the sum rounds, and its bits
 * count. The quotient is exact IEEE and, with max below 256, never halfway between two results: every build agrees.
 */
INLINE u32v saturation(u32v chroma, u32v most) {
  const f32v share = __builtin_convertvector((i32v)chroma, f32v) / __builtin_convertvector((i32v)most, f32v) + 2048.0f;
  return (u32v)share - 0x45000000;
}

INLINE void add_pixels(planes *restrict at, size_t i, uint8_t *restrict dark, row_lanes *restrict sum) {
  const u8v r = load8(at->r + i), g = load8(at->g + i), b = load8(at->b + i), zero = {0};
  store8(at->luma + i, luma_of(r, g, b));
  add_colour_words((i16v)((u16v)r & 255), (i16v)((u16v)g & 255), (i16v)((u16v)b & 255), sum);
  add_colour_words((i16v)((u16v)r >> 8), (i16v)((u16v)g >> 8), (i16v)((u16v)b >> 8), sum);
  const u8v most = max8(max8(r, g), b), least = min8(min8(r, g), b), chroma = most - least;
  store8(dark + i, min8(load8(dark + i), least));
  count_extremes(most, &sum->of);
  sum->coloured = add_above(sum->coloured, chroma, zero + 2);
  /* Black has no chroma, whatever it is divided by. */
  const u32v divided = (u32v)chroma, divisor = (u32v)max8(most, zero + 1);
  sum->saturation += saturation(divided & 255, divisor & 255) + saturation(divided >> 8 & 255, divisor >> 8 & 255) +
                     saturation(divided >> 16 & 255, divisor >> 16 & 255) + saturation(divided >> 24, divisor >> 24);
}

INLINE u32v add_words(u32v sum, u16v words) { return sum + ((u32v)words & 65535) + ((u32v)words >> 16); }

static void add_row(const row_lanes *restrict row, tile_lanes *restrict sum) {
  sum->r = add_words(sum->r, row->r), sum->g = add_words(sum->g, row->g), sum->b = add_words(sum->b, row->b);
  sum->rg2 += (u32v)row->rg2, sum->yb2 += (u32v)row->yb2, sum->saturation += row->saturation;
  sum->visible = add_bytes(sum->visible, row->of.visible), sum->light = add_bytes(sum->light, row->of.light);
  sum->coloured = add_bytes(sum->coloured, row->coloured);
}

static void add_tile(const tile_lanes *restrict sum, size_t pixels, sums *restrict total) {
  total->r += sum_lanes_u32(sum->r), total->g += sum_lanes_u32(sum->g), total->b += sum_lanes_u32(sum->b);
  total->rg2 += sum_lanes_u32(sum->rg2), total->yb2 += sum_lanes_u32(sum->yb2);
  total->saturation += sum_lanes_u32(sum->saturation);
  total->low += pixels - sum_lanes_u32(sum->visible), total->high += sum_lanes_u32(sum->light);
  total->grey += pixels - sum_lanes_u32(sum->coloured);
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

/* n pixels of a row that is read; `dark` has what is the least in their columns. Behind them is black, which adds nothing. */
static void add_segment(planes *restrict at, const uint8_t *restrict data, size_t n, size_t channels,
                        uint8_t *restrict luma, uint8_t *restrict dark, uint32_t histogram[4][256],
                        tile_lanes *restrict total) {
  row_lanes sum = {0};
  split(at->r, at->g, at->b, data, n, channels);
  /* By turns, so that the processor counts (stores) while it divides (vectors). */
  for (size_t i = 0; i < n; i += 64) {
    for (size_t k = i; k < i + 64; k += VECTOR_BYTES) add_pixels(at, k, dark, &sum);
    count(histogram, at->luma + i, n - i < 64 ? n - i : 64);
  }
  add_row(&sum, total);
  __builtin_memcpy(luma, at->luma, n);
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
  const size_t step = segment_columns(CHUNK, shift);
  size_t counted = 0;
  for (size_t top = 0; top < height; top += BLOCK)
    for (size_t left = 0; left < width; left += CHUNK) {
      const size_t rows = height - top < BLOCK ? height - top : BLOCK, wide = width - left < CHUNK ? width - left : CHUNK;
      uint8_t is_read[CHUNK / BAND_COLUMNS];
      tile_lanes sum = {0};
      size_t pixels = 0;
      for (size_t x = 0; x < wide; x += step) {
        is_read[x / step] = band_is_read(top / BAND_ROWS, (left + x) / BAND_COLUMNS, shift) != 0;
        if (is_read[x / step]) pixels += rows * (wide - x < step ? wide - x : step);
      }
      __builtin_memset(tile.dark, 255, sizeof tile.dark);
      /* Along whole rows, as memory is read fastest. */
      for (size_t y = top; y < top + rows; y++)
        for (size_t x = 0, n; x < wide; x += n) {
          const size_t start = y * width + left + x, first = x / step;
          n = wide - x < step ? wide - x : step;
          if (is_read[first]) {
            add_segment(&tile, data + start * channels, n, channels, luma + start, tile.dark + x, histogram, &sum);
            continue;
          }
          while (x + n < wide && !is_read[(x + n) / step]) n += wide - x - n < step ? wide - x - n : step;
          add_luma(&tile, data + start * channels, n, channels, luma + start, &total);
        }
      add_tile(&sum, pixels, &total);
      counted += pixels;
      for (size_t x = 0; rows == BLOCK && x < wide; x += step)
        if (is_read[x / step]) add_dark(tile.dark + x, wide - x < step ? wide - x : step, &total);
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
