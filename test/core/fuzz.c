/*
 * Entry of libFuzzer: any bytes are a frame, its size and its scratch memory, or a plan of the resize, or a JPEG; every buffer is
 * exactly as long as the kernel asks for. `npm run fuzz:core` builds it with the address and undefined-behaviour sanitizers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

static size_t rounded(size_t size) { return (size + 63) & ~(size_t)63; }

/* Pixels: the input, over and over, then turned a little each time so that rows are not all alike. */
static uint8_t *pixels_of(const uint8_t *data, size_t size, size_t count) {
  uint8_t *pixels = malloc(count ? count : 1);
  for (size_t i = 0; i < count; i++) pixels[i] = size ? (uint8_t)(data[i % size] + i / size) : (uint8_t)i;
  return pixels;
}

static void measure(const uint8_t *data, size_t size, size_t width, size_t height, size_t channels) {
  uint8_t *pixels = pixels_of(data, size, width * height * channels);
  uint8_t *scratch = aligned_alloc(64, rounded(stopline_scratch_size(width, height)) + 64);
  double *out = malloc(stopline_out_size() * sizeof *out), *history = malloc(stopline_history_size() * sizeof *history);
  int code = stopline_measure(pixels, width, height, channels, scratch, out);
  int good = width > 0 && height > 0 && (channels == 1 || channels == 3 || channels == 4);
  if (code != (good ? 0 : -1)) abort();
  if (stopline_history(pixels, width, height, channels, scratch, history) != code) abort();
  if (good) {
    double counted = 0;
    for (size_t i = AT_lumaHistogram; i <= AT_lumaHistogram_last; i++) counted += out[i];
    /* What can be said of any frame: every pixel is counted once, and nothing is infinite. */
    if (counted != out[AT_pixels] || out[AT_width] != (double)width || out[AT_height] != (double)height) abort();
    for (size_t i = 0; i < stopline_out_size(); i++) if (isinf(out[i])) abort();
  }
  free(pixels), free(scratch), free(out), free(history);
}

static void resize(const uint8_t *data, size_t size, size_t width, size_t height, size_t channels) {
  size_t plan_size = size > 4 ? data[0] % 64 : 0, weight_count = size > 4 ? data[1] % 64 : 0;
  size_t out_size = size > 4 ? data[2] : 0;
  int32_t *plan = calloc(plan_size + 1, sizeof *plan);
  float *weights = calloc(weight_count + 1, sizeof *weights);
  for (size_t i = 0; i < plan_size; i++)
    /* Mostly small, so that some plans fit, and sometimes any number at all. */
    plan[i] = size > i + 3 && data[i + 3] < 250 ? data[i + 3] % 8 : (int32_t)(0x80000000u >> (i % 32));
  memcpy(weights, data, size < weight_count * sizeof *weights ? size : weight_count * sizeof *weights);
  uint8_t *pixels = pixels_of(data, size, width * height * channels);
  void *scratch = malloc(stopline_resize_scratch(width, channels) + 1);
  float *out = malloc((out_size + 1) * sizeof *out);
  stopline_resize(pixels, width, height, channels, plan, plan_size, weights, weight_count, scratch, out, out_size);
  free(plan), free(weights), free(pixels), free(scratch), free(out);
}

/* Any bytes as a JPEG of the size that its first frame header says. */
static void jpeg(const uint8_t *data, size_t size) {
  size_t at = 0;
  while (at + 9 < size && (data[at] != 0xff || (data[at + 1] != 0xc0 && data[at + 1] != 0xc1))) at++;
  if (at + 9 >= size) return;
  size_t height = (size_t)data[at + 5] << 8 | data[at + 6], width = (size_t)data[at + 7] << 8 | data[at + 8];
  if (width * height > 100000) return;
  uint8_t *bytes = malloc(size), *pixels = malloc(width * height * 3);
  memcpy(bytes, data, size);
  void *scratch = aligned_alloc(64, rounded(stopline_jpeg_pixels_scratch(width)));
  if (stopline_jpeg_pixels(bytes, size, width, height, pixels, scratch) == 0 && (width < 8 || height < 1)) abort();
  free(bytes), free(pixels), free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  if (data[0] == 0xff && data[1] == 0xd8) {
    jpeg(data, size);
    return 0;
  }
  size_t width = data[0] % 128, height = data[1] % 128, channels = data[2] % 6, kind = data[3];
  /* One in sixteen is long and thin, as a frame of many bands is. */
  if (kind % 16 == 1) width = width * 20 + 1, height %= 24;
  if (kind % 16 == 2) height = height * 20 + 1, width %= 24;
  if (kind & 128) resize(data + 4, size - 4, width % 64 + 1, height % 64 + 1, channels);
  else measure(data + 4, size - 4, width, height, channels);
  return 0;
}
