/* Runs the kernels one after the other over one frame. */
#include "core.h"

/* Kernels that read the luma plane, in the order in which they run. K(name) */
#define STOPLINE_KERNELS(K)                                                                                            \
  K(gradient)                                                                                                          \
  K(scales)                                                                                                            \
  K(local)                                                                                                             \
  K(naturalness)                                                                                                       \
  K(lattice)

static size_t align64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

STOPLINE_EXPORT(stopline_scratch_size)
size_t stopline_scratch_size(size_t width, size_t height) {
  size_t largest = 0;
#define LARGEST(name)                                                                                                  \
  {                                                                                                                    \
    size_t size = stopline_##name##_scratch(width, height);                                                            \
    if (size > largest) largest = size;                                                                                \
  }
  STOPLINE_KERNELS(LARGEST)
  if (stopline_residuals_scratch() > largest) largest = stopline_residuals_scratch();
  return align64(width * height + 2 * STOPLINE_PAD) + align64(largest);
}

STOPLINE_EXPORT(stopline_out_size)
size_t stopline_out_size(void) { return OUT_SIZE; }

STOPLINE_EXPORT(stopline_layout)
const char *stopline_layout(void) {
#define TEXT(field, size) "," #field ":" #size
  return &(STOPLINE_OUT(TEXT))[1];
}

STOPLINE_EXPORT(stopline_measure)
int stopline_measure(const uint8_t *restrict data, size_t width, size_t height, size_t channels, void *restrict scratch,
                     double *restrict out) {
  if (width == 0 || height == 0 || (channels != 1 && channels != 3 && channels != 4)) return -1;
  uint8_t *luma = (uint8_t *)scratch + STOPLINE_PAD;
  void *rest = (uint8_t *)scratch + align64(width * height + 2 * STOPLINE_PAD);
  for (size_t i = 0; i < OUT_SIZE; i++) out[i] = 0;
  /* The overhang is read but never counted; clearing it keeps memory checkers quiet. */
  for (size_t i = 0; i < STOPLINE_PAD; i++) luma[width * height + i] = 0;
  for (size_t i = 0; i < STOPLINE_PAD; i++) ((uint8_t *)scratch)[i] = 0;
  out[AT_width] = (double)width, out[AT_height] = (double)height;
  stopline_colour(data, width, height, channels, luma, out);
  stopline_tint(data, width, height, channels, luma, out);
  stopline_residuals(data, width, height, channels, luma, rest, out);
#define RUN(name) stopline_##name(luma, width, height, rest, out);
  STOPLINE_KERNELS(RUN)
  return 0;
}

STOPLINE_EXPORT(stopline_history_size)
size_t stopline_history_size(void) { return HISTORY_SIZE; }

STOPLINE_EXPORT(stopline_history)
int stopline_history(const uint8_t *restrict data, size_t width, size_t height, size_t channels, void *restrict scratch,
                     double *restrict out) {
  if (width == 0 || height == 0 || (channels != 1 && channels != 3 && channels != 4)) return -1;
  uint8_t *luma = (uint8_t *)scratch + STOPLINE_PAD;
  stopline_luma(data, width, height, channels, luma);
  stopline_lattice_history(luma, width, height, (uint8_t *)scratch + align64(width * height + 2 * STOPLINE_PAD), out);
  return 0;
}
