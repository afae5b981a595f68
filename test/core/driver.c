/*
 * Runs every kernel over frames of many sizes, and over JPEGs, with exactly as much memory as it asks for; built with
 * -fsanitize=address,undefined by sanitize.test.ts, which turns one byte too far or one overflow into a failure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

static uint32_t state = 1;
static uint8_t any(void) { return (uint8_t)((state = state * 1664525u + 1013904223u) >> 24); }

/* Taps of one axis: sizes and starts that lie inside, at random. */
static size_t any_taps(int32_t *taps, size_t count, size_t side) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) {
    size_t n = 1 + any() % (side < 20 ? side : 20);
    taps[2 * i] = (int32_t)((any() * (size_t)257) % (side - n + 1)), taps[2 * i + 1] = (int32_t)n;
    total += n;
  }
  return total;
}

/* 0 when the resize of one frame does what it should; `data` holds exactly the pixels. */
static int resize(const uint8_t *data, size_t width, size_t height, size_t channels) {
  size_t across = 1 + any() % 9, down = 1 + any() % 9, depth = any() & 1 ? 3 : 1;
  size_t plan_size = 5 + 2 * (across + down), out_size = across * down * depth;
  int32_t *plan = malloc(plan_size * sizeof *plan);
  int32_t head[5] = {(int32_t)across, (int32_t)down, (int32_t)depth, any() & 1, any() & 1};
  memcpy(plan, head, sizeof head);
  size_t taps = any_taps(plan + 5, across, width) + any_taps(plan + 5 + 2 * across, down, height);
  float *weights = malloc((6 + taps) * sizeof *weights), *out = malloc(out_size * sizeof *out);
  for (size_t i = 0; i < 6 + taps; i++) weights[i] = (float)any();
  void *scratch = malloc(stopline_resize_scratch(width, channels));
  int code = stopline_resize(data, width, height, channels, plan, plan_size, weights, 6 + taps, scratch, out, out_size);
  int ok = code == (channels == 2 ? -1 : 0);
  plan[5 + 2 * (any() % across)] += (int32_t)width;
  ok = ok && stopline_resize(data, width, height, channels, plan, plan_size, weights, 6 + taps, scratch, out, out_size) == -1;
  free(plan), free(weights), free(out), free(scratch);
  return ok ? 0 : 1;
}

/* 0 when the JPEGs of a file, each behind its size, width and height, are read or refused within their memory. */
static int read_jpegs(const char *path, size_t *read) {
  FILE *file = fopen(path, "rb");
  uint32_t head[3];
  if (file == NULL) return 1;
  while (fread(head, sizeof *head, 3, file) == 3) {
    uint8_t *bytes = malloc(head[0]), *pixels = malloc((size_t)head[1] * head[2] * 3);
    void *scratch = aligned_alloc(64, (stopline_jpeg_pixels_scratch(head[1]) + 63) & ~(size_t)63);
    if (fread(bytes, 1, head[0], file) != head[0]) return 1;
    *read += stopline_jpeg_pixels(bytes, head[0], head[1], head[2], pixels, scratch) == 0;
    free(bytes), free(pixels), free(scratch);
  }
  return fclose(file);
}

int main(int argc, char **argv) {
  static const size_t sides[] = {1, 2, 3, 4, 8, 9, 10, 16, 17, 18, 33, 64, 66, 67, 130, 257, 1030};
  const size_t count = sizeof sides / sizeof *sides;
  size_t frames = 0;
  double *out = malloc(stopline_out_size() * sizeof *out), *history = malloc(stopline_history_size() * sizeof *history);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < count; j++) {
      size_t width = sides[i], height = sides[j];
      /* The largest is read in bands. */
      if (width * height > 40000 && width * height < (size_t)1 << 20) continue;
      size_t size = stopline_scratch_size(width, height), wanted = (size + 63) & ~(size_t)63;
      for (size_t channels = 1; channels <= 4; channels++) {
        uint8_t *data = malloc(width * height * channels), *scratch = aligned_alloc(64, wanted);
        size_t kind = (i + j + channels) % 3;
        for (size_t k = 0; k < width * height * channels; k++)
          data[k] = kind == 0 ? any() : kind == 1 ? (any() & 1 ? 255 : 0) : 200;
        memset(scratch, 0xa5, wanted);
        int code = stopline_measure(data, width, height, channels, scratch, out);
        if (code != (channels == 2 ? -1 : 0)) return 1;
        if (stopline_history(data, width, height, channels, scratch, history) != code) return 1;
        if (resize(data, width, height, channels) != 0) return 1;
        frames++;
        free(data);
        free(scratch);
      }
    }
  if (stopline_measure(NULL, 0, 5, 3, NULL, out) != -1 || stopline_measure(NULL, 5, 0, 3, NULL, out) != -1) return 1;
  free(out);
  free(history);
  size_t jpegs = 0;
  if (argc > 1 && read_jpegs(argv[1], &jpegs) != 0) return 1;
  printf("%zu frames, %zu JPEGs\n", frames, jpegs);
  return 0;
}
