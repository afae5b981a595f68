/*
 * Which parts of a large frame are read for averages, spreads and quantiles over the whole of it. About half a megapixel
 * tells these as well as more would: so a large frame is cut into segments of 256 columns, and each segment into bands of
 * 16 rows, of which one of every 2, 4 or 8 neighbours is read, by how large the frame is. Neighbouring segments read other
 * rows, so that a line across the frame is met in part and never missed. Which ones goes by the sequence whose multiples
 * spread most evenly over two dimensions (the powers of the plastic number); it has no period that a pattern in the
 * picture could share. Whole bands keep neighbourhoods and 8x8 grids as they are. What tells local damage (dead and offset
 * rows and columns, stray and clipped pixels, spots) reads every row.
 */
#ifndef STOPLINE_BANDS_H
#define STOPLINE_BANDS_H

#include <stddef.h>
#include <stdint.h>

/* At most so many pixels are read: 2^19 times the root of two, so that .37 to .74 megapixels are. */
#ifndef BANDS_PIXELS
#define BANDS_PIXELS ((size_t)741455)
#endif
#define BAND_ROWS 16
#define BAND_COLUMNS ((size_t)256)
/* At least so many bands of a segment are read: every tile of gradient.c then has one. */
#define BANDS_LEAST 16

/* Of every 2^shift bands one is read. */
static inline unsigned band_shift(size_t width, size_t height) {
  unsigned shift = 0;
  while (width * height >> shift > BANDS_PIXELS && height >> (shift + 1) >= BANDS_LEAST * BAND_ROWS) shift++;
  return shift;
}

/* Columns that are read alike: all of a frame that is read whole. */
static inline size_t segment_columns(size_t width, unsigned shift) { return shift == 0 ? width : BAND_COLUMNS; }

/* Whether of a segment, from 0, the band of BAND_ROWS rows with this number, from 0, is read. */
static inline int band_is_read(size_t band, size_t segment, unsigned shift) {
  const uint32_t down = 3242174889u, across = 2447445414u; /* 2^32 / 1.3247..., and once more divided by it */
  if (shift == 0) return 1;
  return (band & (((size_t)1 << shift) - 1)) == ((uint32_t)(band >> shift) * down + (uint32_t)segment * across) >> (32 - shift);
}

#endif
