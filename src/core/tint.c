/*
 * How colour goes with brightness and with height in the frame: what a swapped, tinted or faded picture changes even
 * where its averages stay. Sampled on about 128 to 255 whole rows, because these are smooth quantities.
 */
#include "core.h"
#include "planes.h"
#include "vector.h"

enum {
  ROWS = 128,
  SATURATIONS = 16,
  /* Pixels between flushes: at most 255 vectors for counts in bytes, and 256 times 2 * 510^2 fits 32 bits. */
  CHUNK = 2048
};

typedef struct {
  _Alignas(64) uint8_t r[CHUNK], g[CHUNK], b[CHUNK], luma[CHUNK], saturation[CHUNK];
} planes;

typedef struct {
  int64_t luma, rg, yb, products[6];
} sums;

static void add_products(const planes *restrict at, size_t padded, sums *restrict total) {
  const i16v ones = (i16v){0} + 1;
  i32v sum[3] = {{0}}, product[6] = {{0}};
  for (size_t i = 0; i < padded; i += LANES16) {
    i16v r = widen(at->r + i), g = widen(at->g + i), b = widen(at->b + i), y = widen(at->luma + i);
    i16v rg = r - g, yb = r + g - b - b;
    sum[0] += pair_dot(y, ones), sum[1] += pair_dot(rg, ones), sum[2] += pair_dot(yb, ones);
    product[0] += pair_dot(y, y), product[1] += pair_dot(rg, rg), product[2] += pair_dot(yb, yb);
    product[3] += pair_dot(y, rg), product[4] += pair_dot(y, yb), product[5] += pair_dot(rg, yb);
  }
  total->luma += sum_lanes(sum[0]), total->rg += sum_lanes(sum[1]), total->yb += sum_lanes(sum[2]);
  for (int k = 0; k < 6; k++) total->products[k] += sum_lanes(product[k]);
}

/* 16 (max - min) / (max + 1), by four steps of long division in bytes: 2 rest >= max + 1 where rest > max - rest. */
static void saturate(planes *restrict at, size_t padded) {
  for (size_t i = 0; i < padded; i += VECTOR_BYTES) {
    u8v r = load8(at->r + i), g = load8(at->g + i), b = load8(at->b + i);
    u8v most = max8(max8(r, g), b), rest = most - min8(min8(r, g), b), quotient = {0};
    for (int bit = 0; bit < 4; bit++) {
      u8v digit = (u8v)(rest > most - rest);
      quotient = quotient + quotient - digit;
      rest = rest + rest - (digit & (most + 1));
    }
    __builtin_memcpy(at->saturation + i, &quotient, sizeof quotient);
  }
}

static void count(const planes *restrict at, size_t padded, uint64_t *restrict histogram) {
  for (uint8_t k = 1; k < SATURATIONS; k++) {
    const u8v wanted = (u8v){0} + k;
    const u32v none = {0};
    u8v found = {0};
    for (size_t i = 0; i < padded; i += VECTOR_BYTES) found -= (u8v)(load8(at->saturation + i) == wanted);
    histogram[k] += sum_lanes_u32(add_bytes(none, found));
  }
}

void stopline_tint(const uint8_t *restrict data, size_t width, size_t height, size_t channels,
                   const uint8_t *restrict luma, double *restrict out) {
  const size_t step = height < 2 * ROWS ? 1 : height / ROWS;
  planes chunk;
  uint64_t histogram[SATURATIONS] = {0};
  for (size_t y = 0; y < height; y += step) {
    sums row = {0};
    for (size_t left = 0; left < width; left += CHUNK) {
      const size_t n = width - left < CHUNK ? width - left : CHUNK, padded = (n + 63) & ~(size_t)63;
      split(chunk.r, chunk.g, chunk.b, data + (y * width + left) * channels, n, channels);
      __builtin_memcpy(chunk.luma, luma + y * width + left, n);
      for (size_t i = n; i < padded; i++) chunk.luma[i] = 0;
      add_products(&chunk, padded, &row);
      saturate(&chunk, padded);
      count(&chunk, padded, histogram);
    }
    double *half = out + (2 * y < height ? AT_tintTop : AT_tintBottom);
    half[0] += (double)width, half[1] += (double)row.luma, half[2] += (double)row.rg, half[3] += (double)row.yb;
    for (size_t i = 0; i < 6; i++) out[AT_tintProducts + i] += (double)row.products[i];
  }
  /* Those left over have the least; the black padding is not among them. */
  double rest = out[AT_tintTop] + out[AT_tintBottom];
  for (size_t i = 1; i < SATURATIONS; i++) out[AT_saturationHistogram + i] = (double)histogram[i], rest -= (double)histogram[i];
  out[AT_saturationHistogram] = rest;
}
