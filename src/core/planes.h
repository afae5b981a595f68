/* Interleaved pixels to one plane for each channel, for the kernels that read colours. */
#ifndef STOPLINE_PLANES_H
#define STOPLINE_PLANES_H

#include <stddef.h>

#include "vector.h"

#ifdef HAS_LOOKUP
/* Where the bytes of one channel go: from the first, second and third 16 of every 48; 16 pixels a lane. */
#define NONE 128
static const uint8_t places[3][3][16] = {
    {{0, 3, 6, 9, 12, 15, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
     {NONE, NONE, NONE, NONE, NONE, NONE, 2, 5, 8, 11, 14, NONE, NONE, NONE, NONE, NONE},
     {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 1, 4, 7, 10, 13}},
    {{1, 4, 7, 10, 13, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
     {NONE, NONE, NONE, NONE, NONE, 0, 3, 6, 9, 12, 15, NONE, NONE, NONE, NONE, NONE},
     {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 2, 5, 8, 11, 14}},
    {{2, 5, 8, 11, 14, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE},
     {NONE, NONE, NONE, NONE, NONE, 1, 4, 7, 10, 13, NONE, NONE, NONE, NONE, NONE, NONE},
     {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 0, 3, 6, 9, 12, 15}}};

/* VECTOR_BYTES interleaved RGB pixels as a vector for each channel. */
INLINE void split_vector(const uint8_t *p, u8v planes[3]) {
  u8v first = load_lanes48(p), second = load_lanes48(p + 16), third = load_lanes48(p + 32);
  for (int k = 0; k < 3; k++)
    planes[k] = lookup(first, places[k][0]) | lookup(second, places[k][1]) | lookup(third, places[k][2]);
}
#endif

/* Interleaved pixels to planes; behind them black up to a multiple of 64, so that the loops need no tail. */
static void split(uint8_t *restrict r, uint8_t *restrict g, uint8_t *restrict b, const uint8_t *restrict p, size_t n,
                  size_t channels) {
  size_t i = 0;
  if (channels == 1) {
    __builtin_memcpy(r, p, n);
    __builtin_memcpy(g, p, n);
    __builtin_memcpy(b, p, n);
    i = n;
  } else if (channels == 3) {
#ifdef HAS_LOOKUP
    for (; i + VECTOR_BYTES <= n; i += VECTOR_BYTES) {
      u8v planes[3];
      split_vector(p + 3 * i, planes);
      store8(r + i, planes[0]), store8(g + i, planes[1]), store8(b + i, planes[2]);
    }
#endif
    for (; i < n; i++) r[i] = p[3 * i], g[i] = p[3 * i + 1], b[i] = p[3 * i + 2];
  } else {
    for (; i < n; i++) r[i] = p[4 * i], g[i] = p[4 * i + 1], b[i] = p[4 * i + 2];
  }
  for (size_t end = (n + 63) & ~(size_t)63; i < end; i++) r[i] = g[i] = b[i] = 0;
}

#endif
