#include "core.h"
void stopline_colour(const uint8_t *restrict data, size_t width, size_t height, size_t channels, uint8_t *restrict luma,
                     double *restrict out) {
  uint64_t sr = 0, sg = 0, sb = 0;
  uint32_t histogram[256] = {0};
  for (size_t i = 0; i < width * height; i++) {
    const uint8_t *p = data + i * channels;
    uint32_t r = p[0], g = channels == 1 ? r : p[1], b = channels == 1 ? r : p[2];
    uint32_t y = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
    luma[i] = (uint8_t)y;
    histogram[y]++;
    sr += r, sg += g, sb += b;
  }
  for (int i = 0; i < 256; i++) out[AT_lumaHistogram + i] = histogram[i];
  out[AT_sumR] = (double)sr, out[AT_sumG] = (double)sg, out[AT_sumB] = (double)sb;
}
