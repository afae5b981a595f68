/* Times each kernel on one frame read from a file: thread CPU milliseconds, medians, one "name value" a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core.h"

enum { RUNS = 41 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return (d > 0) - (d < 0);
}

#define TIME(name, call)                                                                                               \
  do {                                                                                                                 \
    double times[RUNS];                                                                                                \
    for (int run = 0; run < RUNS; run++) {                                                                             \
      double start = now();                                                                                            \
      call;                                                                                                            \
      times[run] = now() - start;                                                                                      \
    }                                                                                                                  \
    qsort(times, RUNS, sizeof *times, ascending);                                                                      \
    printf("%s %.4f\n", name, times[RUNS / 2]);                                                                        \
  } while (0)

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  size_t width = (size_t)atol(argv[2]), height = (size_t)atol(argv[3]), bytes = width * height * 3;
  uint8_t *data = malloc(bytes), *copy = malloc(bytes);
  FILE *file = fopen(argv[1], "rb");
  if (file == NULL || fread(data, 1, bytes, file) != bytes) return 2;
  size_t size = (stopline_scratch_size(width, height) + 63) & ~(size_t)63;
  uint8_t *scratch = aligned_alloc(64, size);
  memset(scratch, 0, size);
  double *out = calloc(stopline_out_size(), sizeof *out);
  uint8_t *luma = scratch + STOPLINE_PAD;
  void *rest = scratch + ((width * height + 2 * STOPLINE_PAD + 63) & ~(size_t)63);
  TIME("memcpy", memcpy(copy, data, bytes));
  TIME("colour", stopline_colour(data, width, height, 3, luma, out));
  TIME("gradient", stopline_gradient(luma, width, height, rest, out));
  TIME("scales", stopline_scales(luma, width, height, rest, out));
  TIME("naturalness", stopline_naturalness(luma, width, height, rest, out));
  TIME("lattice", stopline_lattice(luma, width, height, rest, out));
  TIME("local", stopline_local(luma, width, height, rest, out));
  TIME("tint", stopline_tint(data, width, height, 3, luma, out));
  TIME("residuals", stopline_residuals(data, width, height, 3, luma, rest, out));
  TIME("all", stopline_measure(data, width, height, 3, scratch, out));
  return copy[bytes - 1] != data[bytes - 1];
}
