/*
 * Which rows of a large frame are read for averages, spreads and quantiles over the whole of it. Above a megapixel these
 * hardly move when half of the rows is left out, so half of the bands of 16 rows is: one of every two neighbours, by the
 * Thue-Morse sequence, which has no period that a pattern in the picture could share. Whole bands keep neighbourhoods and
 * 8x8 grids as they are. What tells local damage (dead and offset rows and columns, stray pixels, spots) reads every row.
 */
#ifndef STOPLINE_BANDS_H
#define STOPLINE_BANDS_H

#include <stddef.h>

/* A frame of at most so many pixels, or of fewer rows than this, is read whole. */
#define BANDS_PIXELS ((size_t)1 << 20)
#define BANDS_HEIGHT 512
#define BAND_ROWS 16

static inline int has_bands(size_t width, size_t height) {
  return width * height > BANDS_PIXELS && height >= BANDS_HEIGHT;
}

/* Whether the band of BAND_ROWS rows with this number, from 0, is read. */
static inline int band_is_read(size_t band) { return !__builtin_parity((unsigned)band); }

#endif
