/*
 * How colour goes with brightness and with height in the frame: what a swapped, tinted or faded picture changes even
 * where its averages stay. Sampled on about 128 to 255 whole rows, because these are smooth quantities.
 */
#include "core.h"

enum { ROWS = 128, SATURATIONS = 16 };

void stopline_tint(const uint8_t *restrict data, size_t width, size_t height, size_t channels,
                   const uint8_t *restrict luma, double *restrict out) {
  const size_t step = height < 2 * ROWS ? 1 : height / ROWS;
  uint64_t histogram[SATURATIONS] = {0};
  for (size_t y = 0; y < height; y += step) {
    const uint8_t *pixel = data + y * width * channels, *row = luma + y * width;
    int64_t sum_y = 0, sum_rg = 0, sum_yb = 0, y2 = 0, rg2 = 0, yb2 = 0, y_rg = 0, y_yb = 0, rg_yb = 0;
    for (size_t x = 0; x < width; x++, pixel += channels) {
      const int r = pixel[0], g = channels == 1 ? r : pixel[1], b = channels == 1 ? r : pixel[2];
      const int value = row[x], rg = r - g, yb = r + g - 2 * b;
      sum_y += value, sum_rg += rg, sum_yb += yb;
      y2 += value * value, rg2 += rg * rg, yb2 += yb * yb;
      y_rg += value * rg, y_yb += value * yb, rg_yb += rg * yb;
      const int most = r > g ? (r > b ? r : b) : (g > b ? g : b), least = r < g ? (r < b ? r : b) : (g < b ? g : b);
      histogram[(most - least) * SATURATIONS / (most + 1)]++;
    }
    double *half = out + (2 * y < height ? AT_tintTop : AT_tintBottom);
    half[0] += (double)width, half[1] += (double)sum_y, half[2] += (double)sum_rg, half[3] += (double)sum_yb;
    const int64_t products[6] = {y2, rg2, yb2, y_rg, y_yb, rg_yb};
    for (size_t i = 0; i < 6; i++) out[AT_tintProducts + i] += (double)products[i];
  }
  for (size_t i = 0; i < SATURATIONS; i++) out[AT_saturationHistogram + i] = (double)histogram[i];
}
