/*
 * Stopline's compute kernels. One C11 source, two builds: native (Node-API) and WebAssembly SIMD.
 *
 * Rules: no libm, no allocation, no globals, no I/O. A kernel reads pixels, uses caller-owned scratch memory and writes
 * plain sums, counts and histograms into `out` (doubles; integers up to 2^53 are exact in them). Roots, logarithms and
 * ratios are taken in TypeScript (statistics.ts). Integer results are bit-identical in both builds; float kernels use an
 * explicit lane order (never a compiler-chosen reduction) and -ffp-contract=off, so that they agree too.
 *
 * No target attributes in the kernels: scripts/native.ts compiles every file once per instruction set and addon.c picks one at
 * load (target_clones needs ifunc, which musl lacks). To add a kernel: its fields in STOPLINE_OUT, its prototype and one
 * rename below, one line in measure.c, its file in scripts/native/kernels.ts, the same fields in layout.ts.
 */
#ifndef STOPLINE_CORE_H
#define STOPLINE_CORE_H

#include <stddef.h>
#include <stdint.h>

/* Native builds hold one copy of each kernel per instruction set: stopline_measure_avx2 and so on. */
#ifdef STOPLINE_VARIANT
#define STOPLINE_PASTE(name, variant) name##_##variant
#define STOPLINE_EXPAND(name, variant) STOPLINE_PASTE(name, variant)
#define STOPLINE_NAME(name) STOPLINE_EXPAND(name, STOPLINE_VARIANT)
#define stopline_measure STOPLINE_NAME(stopline_measure)
#define stopline_scratch_size STOPLINE_NAME(stopline_scratch_size)
#define stopline_out_size STOPLINE_NAME(stopline_out_size)
#define stopline_layout STOPLINE_NAME(stopline_layout)
#define stopline_colour STOPLINE_NAME(stopline_colour)
#define stopline_luma STOPLINE_NAME(stopline_luma)
#define stopline_gradient STOPLINE_NAME(stopline_gradient)
#define stopline_gradient_scratch STOPLINE_NAME(stopline_gradient_scratch)
#define stopline_scales STOPLINE_NAME(stopline_scales)
#define stopline_scales_scratch STOPLINE_NAME(stopline_scales_scratch)
#define stopline_naturalness STOPLINE_NAME(stopline_naturalness)
#define stopline_naturalness_scratch STOPLINE_NAME(stopline_naturalness_scratch)
#define stopline_lattice STOPLINE_NAME(stopline_lattice)
#define stopline_local STOPLINE_NAME(stopline_local)
#define stopline_local_scratch STOPLINE_NAME(stopline_local_scratch)
#define stopline_tint STOPLINE_NAME(stopline_tint)
#define stopline_residuals STOPLINE_NAME(stopline_residuals)
#define stopline_residuals_scratch STOPLINE_NAME(stopline_residuals_scratch)
#define stopline_lattice_scratch STOPLINE_NAME(stopline_lattice_scratch)
#define stopline_lattice_history STOPLINE_NAME(stopline_lattice_history)
#define stopline_history STOPLINE_NAME(stopline_history)
#define stopline_history_size STOPLINE_NAME(stopline_history_size)
#define stopline_resize STOPLINE_NAME(stopline_resize)
#define stopline_resize_scratch STOPLINE_NAME(stopline_resize_scratch)
#define stopline_train STOPLINE_NAME(stopline_train)
#define stopline_jpeg_pixels STOPLINE_NAME(stopline_jpeg_pixels)
#define stopline_jpeg_pixels_scratch STOPLINE_NAME(stopline_jpeg_pixels_scratch)
#endif

#if defined(__wasm__)
#define STOPLINE_EXPORT(name) __attribute__((export_name(#name), visibility("default")))
#else
#define STOPLINE_EXPORT(name)
#endif

/*
 * Fields of `out`, in order, with their number of doubles. layout.ts holds the same list; the loader compares the two
 * as text, so that a stale build is refused instead of misread. X(field, size)
 */
#define STOPLINE_OUT(X)                                                                                                \
  X(pixels, 1)              /* colour.c: pixels counted, all or those in bands (bands.h) */                            \
  X(width, 1)                                                                                                          \
  X(height, 1)                                                                                                         \
  X(lumaHistogram, 256)     /* colour.c: counts of Y */                                                                \
  X(sumR, 1)                                                                                                           \
  X(sumG, 1)                                                                                                           \
  X(sumB, 1)                                                                                                           \
  X(sumRg2, 1)              /* (R - G)^2 */                                                                            \
  X(sumYb2, 1)              /* (R + G - 2 B)^2 */                                                                      \
  X(sumSaturation, 1)       /* (max - min) / max, in 1/4096 */                                                         \
  X(clippedLow, 1)          /* of all: pixels with max(R, G, B) <= 4 */                                                \
  X(clippedHigh, 1)         /* of all: pixels with max(R, G, B) >= 251 */                                              \
  X(grey, 1)                /* pixels with max - min <= 2 */                                                           \
  X(darkSum, 1)             /* least channel of each whole 8x8 block */                                                \
  X(darkBlocks, 1)                                                                                                     \
  X(interior, 1)            /* gradient.c: pixels with 8 neighbours, all or those in bands, as what follows */         \
  X(sumLaplacian, 1)                                                                                                   \
  X(sumLaplacian2, 1)       /* 4-neighbour Laplacian */                                                                \
  X(jxx, 1)                 /* (Y[x+1] - Y[x-1])^2 */                                                                  \
  X(jyy, 1)                                                                                                            \
  X(jxy, 1)                                                                                                            \
  X(residualHistogram, 2041)/* counts of |Y * [1 -2 1]' [1 -2 1]| */                                                   \
  X(stepsX, 8)              /* sum of |Y[x+1] - Y[x]| by (x + 1) mod 8 */                                              \
  X(stepsY, 8)              /* the same downwards */                                                                   \
  X(stepsPixelsX, 8)        /* how many pixels had a step, by the same */                                              \
  X(stepsPixelsY, 8)                                                                                                   \
  X(stepsY2, 1)             /* sum of |Y[y+1] - Y[y-1]| */                                                             \
  X(movingX, 1)             /* pixels that differ from the one on their right */                                       \
  X(movingY, 1)             /* pixels that differ from the one below */                                                \
  X(impulses, 1)            /* pixels over 40 away from their 3x3 median */                                            \
  X(noiseEnergy, 1)         /* tenth percentile of the squared residual of unclipped 8x8 blocks */                     \
  X(noiseBlocks, 1)                                                                                                    \
  X(sharpRatio, 1)          /* Laplacian to gradient energy, summed over textured 16x16 blocks */                      \
  X(sharpBlocks, 1)                                                                                                    \
  X(flatResidual2, 1)       /* squared residual over the flattest tenth of 16x16 blocks */                             \
  X(flatPixels, 1)                                                                                                     \
  X(tileGradient2, 48)      /* 4 (gx^2 + gy^2) on 8 x 6 tiles, row by row */                                           \
  X(tileLuma, 48)                                                                                                      \
  X(tilePixels, 48)                                                                                                    \
  X(haarSquares, 12)        /* scales.c: squares of LH, HL and HH of each level, times 4 * 16^level */                 \
  X(haarCounts, 4)          /* blocks of each level */                                                                 \
  X(laplacianMoments, 12)   /* samples, squares and fourth powers of each band, 1 DN = 16 */                           \
  X(haarDiagonal, 512)      /* counts of |a - b - c + d| at level 0 */                                                 \
  X(mscn, 24) /* naturalness.c: n, |n|, n^2, sigma; for each of four products n, n < 0, |P|, P^2 < 0, P^2 >= 0 */      \
  X(mscnHalf, 24)           /* the same on 2x2 means */                                                                \
  X(latticeScore, 1)        /* lattice.c: largest mean cosine over the IJG qualities */                                \
  X(latticeQuality, 1)      /* and the quality it belongs to, 0 when there are too few coefficients */                 \
  X(latticeCounts, 2560)    /* counts of |coefficient| in DN, 0 to 127, of the first 20 AC frequencies in zigzag order */ \
  X(latticePhases, 64)      /* for each grid phase x + 8 y the significance n mean^2 of its best quality from 35 to 95 */ \
  X(aloneBright, 1) /* local.c, all of the frame: pixels above all 8 neighbours by more than their range */                              \
  X(aloneDark, 1) /* and below */                                                                                      \
  X(rowSigns, 2) /* |sum of signs of second differences| along interior rows: total and largest */                     \
  X(columnSigns, 2) /* and columns */                                                                                  \
  X(deadRows, 1) /* interior rows that are constant or equal the next */                                               \
  X(deadColumns, 1)                                                                                                    \
  X(rowBanding, 1) /* sum of (2 S[y] - S[y-1] - S[y+1])^2 over sums S of interior rows */                              \
  X(columnBanding, 1)                                                                                                  \
  X(blockHoles, 3) /* 8x8 blocks with less than 1/2, 1/4, 1/8 of the energy around them */                             \
  X(blockPeaks, 3) /* more than 2, 4, 8 times */                                                                       \
  X(blockBright, 3) /* brighter than all around by more than 12, 24, 48 DN */                                          \
  X(blockDark, 3) /* darker */                                                                                         \
  X(blocksCompared, 1)                                                                                                 \
  X(tintTop, 4) /* tint.c: upper half: pixels, Y, R - G, R + G - 2 B */                                                \
  X(tintBottom, 4) /* lower half */                                                                                    \
  X(tintProducts, 6) /* Y Y, rg rg, yb yb, Y rg, Y yb, rg yb */                                                        \
  X(saturationHistogram, 16) /* 16 (max - min) / (max + 1) */                                                          \
  X(residualPairs, 36) /* residuals.c: pairs of each class, of each of four families */                                \
  X(residualProducts, 16) /* of each family a a, and a times the next, the one after it, the one across */             \
  X(residualColours, 3) /* |a t|, a a, t t of luma and R - B along rows */

#define STOPLINE_FIELD(field, size) AT_##field, AT_##field##_last = AT_##field + (size)-1,
/* AT_<field> is the index of the first double of a field; OUT_SIZE the number of doubles in `out`. */
enum stopline_field { STOPLINE_OUT(STOPLINE_FIELD) OUT_SIZE };

enum stopline_history_field {
  HISTORY_PHASE = 0,       /* grid phase x + 8 y whose lattice is the most significant */
  HISTORY_SCORE = 1,       /* mean cosine of the best quality there, NaN without enough coefficients */
  HISTORY_QUALITY = 2,     /* that quality, or 0 */
  HISTORY_USED = 3,        /* blocks that were sampled */
  HISTORY_PHASES = 4,      /* for each of 64 phases the significance n mean^2 of its best quality up to 95, */
  HISTORY_QUALITIES = HISTORY_PHASES + 64, /* and that quality, to the next third */
  HISTORY_BINS = 1024,     /* counts of |coefficient| in quarters of a DN */
  HISTORY_MAGNITUDES = HISTORY_QUALITIES + 64, /* for each of the first 20 AC frequencies in zigzag order */
  HISTORY_SIZE = HISTORY_MAGNITUDES + 20 * HISTORY_BINS
};

/* Luma planes are readable this many bytes before and behind their pixels, so that vector loads may overhang. */
#define STOPLINE_PAD 128

/*
 * Runs every kernel over one frame of interleaved 8-bit pixels: width * height * channels bytes, 1 (grey), 3 (RGB) or
 * 4 (RGB and an ignored alpha) channels. `scratch` holds stopline_scratch_size() bytes aligned to 64, `out` OUT_SIZE
 * doubles. A field that the frame is too small for is NaN or has a count of 0. Returns 0, or -1 for a frame without
 * pixels or another number of channels (then `out` is untouched).
 */
int stopline_measure(const uint8_t *restrict data, size_t width, size_t height, size_t channels, void *restrict scratch,
                     double *restrict out);
size_t stopline_scratch_size(size_t width, size_t height);
size_t stopline_out_size(void);
/*
 * JPEG history of one frame, on demand: the same arguments, `out` holds stopline_history_size() doubles at the indices of
 * enum stopline_history_field (src/image/jpeghistory.ts has the same numbers).
 */
int stopline_history(const uint8_t *restrict data, size_t width, size_t height, size_t channels, void *restrict scratch,
                     double *restrict out);
size_t stopline_history_size(void);
/*
 * One frame as the input of a model. `plan` is width, height and channels (1 or 3) of the output, whether its pixels are
 * interleaved, whether its colours are reversed, then first input column and number of taps of each output column, and
 * the same for the rows. `weights` is the gain of each of three output channels, then their offsets, then the weights of
 * all column taps, then those of all row taps. `scratch` holds stopline_resize_scratch() bytes, `out` width * height *
 * channels floats. Returns 0, or -1 when sizes do not fit together or a tap lies outside (then `out` is untouched).
 */
int stopline_resize(const uint8_t *restrict data, size_t width, size_t height, size_t channels,
                    const int32_t *restrict plan, size_t plan_size, const float *restrict weights, size_t weight_count,
                    void *restrict scratch, float *restrict out, size_t out_size);
size_t stopline_resize_scratch(size_t width, size_t channels);
/*
 * The pixels of a plain JPEG of that size, 3 * width * height bytes. `scratch` holds stopline_jpeg_pixels_scratch() bytes aligned to 64.
 * Returns 0, or -1 for a file that has to be decoded otherwise (then `pixels` mean nothing).
 */
int stopline_jpeg_pixels(const uint8_t *restrict bytes, size_t size, size_t width, size_t height,
                         uint8_t *restrict pixels, void *restrict scratch);
size_t stopline_jpeg_pixels_scratch(size_t width);
/* "field:size,field:size,..." */
const char *stopline_layout(void);

/*
 * Kernels. `luma` is the plane of Y = (19595 R + 38470 G + 7471 B + 32768) >> 16, rows of `width` bytes without gaps.
 * `scratch` is theirs alone while they run, <kernel>_scratch() bytes aligned to 64; `out` is the whole of it, so that a
 * kernel may read what an earlier one wrote (index with AT_<field>).
 */
void stopline_colour(const uint8_t *restrict data, size_t width, size_t height, size_t channels, uint8_t *restrict luma,
                     double *restrict out);
/* The luma plane alone. */
void stopline_luma(const uint8_t *restrict data, size_t width, size_t height, size_t channels, uint8_t *restrict luma);
void stopline_tint(const uint8_t *restrict data, size_t width, size_t height, size_t channels,
                   const uint8_t *restrict luma, double *restrict out);
void stopline_residuals(const uint8_t *restrict data, size_t width, size_t height, size_t channels,
                        const uint8_t *restrict luma, void *restrict scratch, double *restrict out);
size_t stopline_residuals_scratch(void);
void stopline_local(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                    double *restrict out);
size_t stopline_local_scratch(size_t width, size_t height);
void stopline_gradient(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                       double *restrict out);
size_t stopline_gradient_scratch(size_t width, size_t height);
void stopline_scales(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                     double *restrict out);
size_t stopline_scales_scratch(size_t width, size_t height);
void stopline_naturalness(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                          double *restrict out);
size_t stopline_naturalness_scratch(size_t width, size_t height);
void stopline_lattice(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                      double *restrict out);
size_t stopline_lattice_scratch(size_t width, size_t height);

void stopline_lattice_history(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                              double *restrict out);

#endif
