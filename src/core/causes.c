/*
 * What simulated causes do to every pixel, for `image/corruptions/`, which says what it is. Only in the WebAssembly build, as
 * simulate.c. Sums are of doubles in the order written, and kept as floats where they are stored as floats: the same bits as in plain
 * JavaScript with typed arrays. Pixels are interleaved 8-bit RGB, `count` of them; planes are floats.
 */
#include "core.h"
#include "floats.h"

/* As a Uint8Array keeps a number. */
INLINE uint8_t cut(double v) { return (uint8_t)(int32_t)v; }

INLINE uint8_t clip(double v) { return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(int32_t)v; }

/* Rounded, halves upwards, and clipped. */
INLINE uint8_t nearest(double v) {
  if (!(v > 0)) return 0;
  if (v >= 255) return 255;
  const int32_t whole = (int32_t)v;
  return (uint8_t)(whole + (v - whole >= 0.5));
}

INLINE double least(double a, double b) { return a < b ? a : b; }
INLINE double most(double a, double b) { return a > b ? a : b; }
INLINE double within(double v) { return v < 0 ? 0 : v > 1 ? 1 : v; }
INLINE double smoothstep(double low, double high, double v) {
  const double t = within((v - low) / (high - low));
  return t * t * (3 - 2 * t);
}
INLINE double luma(const uint8_t *p) { return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]; }

INLINE uint32_t rotate(uint32_t word, int by) { return word << by | word >> (32 - by); }

/* xoshiro128**, as image/corruptions/random.ts has it: for each word `index` from 0 on, `then`. */
#define EACH_WORD(words, then)                                                                                         \
  {                                                                                                                    \
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];                                                   \
    for (size_t index = 0; index < (words); index++) {                                                                 \
      const uint32_t word = rotate(b * 5, 7) * 9, t = b << 9;                                                          \
      c ^= a, d ^= b, b ^= c, a ^= d, c ^= t, d = rotate(d, 11);                                                       \
      then                                                                                                             \
    }                                                                                                                  \
    state[0] = a, state[1] = b, state[2] = c, state[3] = d;                                                            \
  }

#define KERNEL(name, ...)                                                                                              \
  STOPLINE_EXPORT(name) void name(__VA_ARGS__);                                                                        \
  void name(__VA_ARGS__)

KERNEL(stopline_words, uint32_t *restrict state, size_t count, uint32_t *restrict out) {
  EACH_WORD(count, out[index] = word;)
}

/* Even noise from -1 to 1. */
KERNEL(stopline_even, uint32_t *restrict state, size_t count, float *restrict out) {
  EACH_WORD(count, out[index] = (float)(word / 2147483648.0 - 1);)
}

/* Normal draws, two from each word, by a table of 65536 quantiles. */
KERNEL(stopline_normals, uint32_t *restrict state, const float *restrict table, size_t count, double mean,
       double deviation, float *restrict out) {
  EACH_WORD((count + 1) / 2, {
    out[2 * index] = (float)(mean + deviation * table[word & 0xffff]);
    if (2 * index + 1 < count) out[2 * index + 1] = (float)(mean + deviation * table[word >> 16]);
  })
}

/* Adds to each of `samples` a normal draw, with the deviation of its value. */
KERNEL(stopline_noise, uint8_t *restrict data, size_t samples, const float *restrict deviation,
       const float *restrict table, uint32_t *restrict state) {
  EACH_WORD((samples + 1) / 2, {
    uint8_t *p = data + 2 * index;
    p[0] = clip(p[0] + (double)deviation[p[0]] * table[word & 0xffff] + 0.5);
    if (2 * index + 1 < samples) p[1] = clip(p[1] + (double)deviation[p[1]] * table[word >> 16] + 0.5);
  })
}

/* Each sample becomes one of the 4096 quantiles of its value. */
KERNEL(stopline_shot, uint8_t *restrict data, size_t samples, const uint8_t *restrict table, uint32_t *restrict state) {
  EACH_WORD((samples + 1) / 2, {
    uint8_t *p = data + 2 * index;
    p[0] = table[p[0] << 12 | (word & 4095)];
    if (2 * index + 1 < samples) p[1] = table[p[1] << 12 | (word >> 16 & 4095)];
  })
}

KERNEL(stopline_impulses, uint8_t *restrict data, size_t samples, uint32_t limit, uint32_t *restrict state) {
  EACH_WORD(samples, data[index] = word >> 1 < limit ? (word & 1 ? 255 : 0) : data[index];)
}

/* Swaps every pixel, from the last on, with one at most `delta` away. */
KERNEL(stopline_shuffle, float *restrict image, int32_t width, int32_t height, int32_t delta,
       const uint32_t *restrict words) {
  const uint32_t span = 2 * (uint32_t)delta;
  for (int32_t y = height - 1; y >= 0; y--)
    for (int32_t x = width - 1; x >= 0; x--) {
      const uint32_t word = words[y * width + x];
      const int32_t nx = x + (int32_t)((word & 0xffff) * span >> 16) - delta;
      const int32_t ny = y + (int32_t)((word >> 16) * span >> 16) - delta;
      if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
      float *a = image + (size_t)(y * width + x) * 3, *b = image + (size_t)(ny * width + nx) * 3;
      for (int c = 0; c < 3; c++) {
        const float kept = a[c];
        a[c] = b[c], b[c] = kept;
      }
    }
}

/* Into 0 to limit - 1, mirrored at the ends. What is taken off is exact. */
INLINE double reflect(double v, double limit) {
  if (v >= 0 && v <= limit - 1) return v;
  if (limit == 1) return 0;
  const double period = 2 * (limit - 1);
  v = v < 0 ? -v : v;
  while (v >= period) v -= period;
  return v < limit ? v : period - v;
}

/*
 * Bilinear samples, each at the sum of what its column and its row say, and of what `moved_x` and `moved_y` say of the pixel where they
 * are given.
 */
KERNEL(stopline_warp, const uint8_t *restrict data, size_t width, size_t height, const double *restrict columns_x,
       const double *restrict columns_y, const double *restrict rows_x, const double *restrict rows_y,
       const float *restrict moved_x, const float *restrict moved_y, uint8_t *restrict out) {
  const size_t stride = width * 3;
  for (size_t y = 0, p = 0; y < height; y++)
    for (size_t x = 0; x < width; x++, p++) {
      double sx = columns_x[x] + rows_x[y], sy = columns_y[x] + rows_y[y];
      if (moved_x) sx += moved_x[p], sy += moved_y[p];
      sx = reflect(sx, width), sy = reflect(sy, height);
      const size_t left = (size_t)(int32_t)sx, top = (size_t)(int32_t)sy;
      const double u = sx - left, v = sy - top;
      const uint8_t *above = data + top * stride + left * 3, *below = above + (top + 1 < height ? stride : 0);
      const size_t right = left + 1 < width ? 3 : 0;
      const double w11 = u * v, w10 = v - w11, w01 = u - w11, w00 = 1 - u - v + w11;
      for (size_t c = 0; c < 3; c++)
        out[p * 3 + c] =
            cut(w00 * above[c] + w01 * above[right + c] + w10 * below[c] + w11 * below[right + c] + 0.5);
    }
}

KERNEL(stopline_scale, float *restrict plane, size_t size, double factor) {
  for (size_t i = 0; i < size; i++) plane[i] = (float)(plane[i] * factor);
}

KERNEL(stopline_add_scaled, float *restrict plane, size_t size, const float *restrict other, double factor) {
  for (size_t i = 0; i < size; i++) plane[i] = (float)(plane[i] + factor * other[i]);
}

/* Halfway between two; a mean of floats is rounded once either way. */
KERNEL(stopline_average, float *restrict plane, size_t size, const float *restrict other) {
  for (size_t i = 0; i < size; i++) plane[i] = (plane[i] + other[i]) * 0.5f;
}

/* Brings a plane to 0 to 1. */
KERNEL(stopline_spread, float *restrict plane, size_t size) {
  float low = plane[0], high = plane[0];
  for (size_t i = 1; i < size; i++) {
    low = plane[i] < low ? plane[i] : low;
    high = plane[i] > high ? plane[i] : high;
  }
  const double scale = high > low ? 1 / ((double)high - low) : 0;
  for (size_t i = 0; i < size; i++) plane[i] = (float)(((double)plane[i] - low) * scale);
}

/* Floors to a whole number within `from` to `to`. */
INLINE int32_t floor_within(double v, int32_t from, int32_t to) {
  if (!(v > from)) return from;
  if (v >= to) return to;
  const int32_t whole = (int32_t)v;
  return whole - (whole > v);
}

INLINE int32_t ceil_within(double v, int32_t from, int32_t to) { return -floor_within(-v, -to, -from); }

/* A soft line into a mask, by the larger of both: see `drawLine`. */
KERNEL(stopline_line, float *restrict mask, int32_t width, int32_t height, double x0, double y0, double x1, double y1,
       double radius, double alpha, double radius_end) {
  const double dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy, length2 = squared == 0 ? 1e-6 : squared;
  const double reach = most(radius, radius_end) + 1, rise = dy < 0 ? -dy : dy;
  const int32_t top = floor_within(least(y0, y1) - reach, 0, height);
  const int32_t bottom = ceil_within(most(y0, y1) + reach, -1, height - 1);
  const int is_steep = rise > 1e-6;
  const double extent = is_steep ? reach * __builtin_sqrt(length2) / rise : 0;
  const double lowest = least(x0, x1) - reach, highest = most(x0, x1) + reach;
  for (int32_t y = top; y <= bottom; y++) {
    const double centre = is_steep ? x0 + dx * (y - y0) / dy : x0;
    const int32_t left = floor_within(is_steep ? most(lowest, centre - extent) : lowest, 0, width);
    const int32_t right = ceil_within(is_steep ? least(highest, centre + extent) : highest, -1, width - 1);
    for (int32_t x = left; x <= right; x++) {
      const double t = within(((x - x0) * dx + (y - y0) * dy) / length2);
      const double ex = x - x0 - t * dx, ey = y - y0 - t * dy;
      const double cover = radius + t * (radius_end - radius) + 0.5 - __builtin_sqrt(ex * ex + ey * ey);
      if (cover <= 0) continue;
      const double value = alpha * least(1, cover);
      float *to = mask + (size_t)y * (size_t)width + x;
      if (value > *to) *to = (float)value;
    }
  }
}

INLINE void blend_pixel(uint8_t *p, double m, const double *colour) {
  for (int c = 0; c < 3; c++) p[c] = cut(p[c] + m * (colour[c] - p[c]) + 0.5);
}

KERNEL(stopline_blend, uint8_t *restrict data, size_t count, const float *restrict mask, double red, double green,
       double blue) {
  const double colour[3] = {red, green, blue};
  for (size_t i = 0; i < count; i++) blend_pixel(data + 3 * i, within(mask[i]), colour);
}

/* How many values of a plane, which are 0 to 1, lie in each thousandth. */
KERNEL(stopline_thousandths, const float *restrict plane, size_t size, uint32_t *restrict counts) {
  for (size_t i = 0; i <= 1000; i++) counts[i] = 0;
  for (size_t i = 0; i < size; i++) counts[(int32_t)(plane[i] * 1000.0)]++;
}

/* A plane becomes the mask of what lies above `threshold`, with a soft edge. */
KERNEL(stopline_above, float *restrict plane, size_t size, double low, double high, double opacity) {
  for (size_t i = 0; i < size; i++) plane[i] = (float)(opacity * smoothstep(low, high, plane[i]));
}

KERNEL(stopline_frost, uint8_t *restrict data, int32_t width, int32_t height, const float *restrict film,
       const float *restrict crystals, const float *restrict milky, double reach, double opacity) {
  const double colour[3] = {226, 236, 246};
  for (int32_t y = 0; y < height; y++)
    for (int32_t x = 0; x < width; x++) {
      const size_t p = (size_t)y * (size_t)width + (size_t)x;
      const int32_t across = x < width - 1 - x ? x : width - 1 - x, down = y < height - 1 - y ? y : height - 1 - y;
      const double border = (across < down ? across : down) / reach;
      const double thickness = within(1.15 - border + 1.1 * (film[p] - 0.5));
      const double scatter = 0.85 * thickness;
      const double white = opacity * least(1, 0.55 * thickness + crystals[p] * (0.35 + 0.5 * thickness));
      uint8_t *to = data + p * 3;
      for (int c = 0; c < 3; c++) {
        const double behind = to[c] + scatter * (milky[p * 3 + c] - (double)to[c]);
        to[c] = cut(behind + white * (colour[c] - behind) + 0.5);
      }
    }
}

/* One row under fog: `transmission` by 256th parts of optical depth. */
KERNEL(stopline_fog, uint8_t *restrict row, size_t width, const float *restrict patches,
       const float *restrict transmission, double optical) {
  for (size_t x = 0; x < width; x++) {
    const int32_t depth = (int32_t)(optical * (0.6 + 0.8 * patches[x]));
    const double t = transmission[depth < 2047 ? depth : 2047], air = 206 * (1 - t) + 0.5;
    uint8_t *p = row + 3 * x;
    p[0] = cut(p[0] * t + air);
    p[1] = cut(p[1] * t + air);
    p[2] = cut(p[2] * t + air * 1.015);
  }
}

KERNEL(stopline_rain, uint8_t *restrict data, size_t count, const float *restrict streaks, double light, double veil) {
  for (size_t p = 0; p < count; p++)
    for (size_t i = 3 * p; i < 3 * p + 3; i++) {
      const double dimmed = light * data[i] + veil * (165 - light * data[i]);
      const double brighter = least(235, dimmed * 0.5 + 150);
      data[i] = cut(dimmed + streaks[p] * most(0, brighter - dimmed) + 0.5);
    }
}

/* What is below becomes 0, and the rest is cut at 1. */
KERNEL(stopline_flakes, float *restrict plane, size_t size, double threshold) {
  for (size_t i = 0; i < size; i++) plane[i] = plane[i] < threshold ? 0 : plane[i] > 1 ? 1 : plane[i];
}

KERNEL(stopline_snow, uint8_t *restrict data, size_t count, const float *restrict fall, double keep) {
  for (size_t p = 0; p < count; p++) {
    uint8_t *to = data + 3 * p;
    const double white = luma(to) * 1.5 + 127.5, layer = 255 * ((double)fall[p] + fall[count - 1 - p]) + 0.5;
    for (int c = 0; c < 3; c++) {
      const double v = to[c];
      to[c] = cut(least(keep * v + (1 - keep) * most(v, white) + layer, 255));
    }
  }
}

/* Splashed water: light on the slopes of a film that is deeper than `threshold`. */
KERNEL(stopline_splash, uint8_t *restrict data, size_t width, size_t height, const float *restrict liquid,
       double threshold, double spread, double sigma, double amount) {
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width; x++) {
      const size_t p = y * width + x;
      const double depth = within((liquid[p] - threshold) / (0.7 * spread));
      const double before = liquid[p - (x > 0) - (y > 0 ? width : 0)];
      const double after = liquid[p + (x + 1 < width) + (y + 1 < height ? width : 0)];
      const double slope = 0.5 * (after - before) * sigma / spread;
      const double shine = amount * least(1, depth * most(0, 0.35 + slope) * 1.4);
      uint8_t *to = data + p * 3;
      to[0] = cut(least(255, to[0] + 175 * shine + 0.5));
      to[1] = cut(least(255, to[1] + 238 * shine + 0.5));
      to[2] = cut(least(255, to[2] + 238 * shine + 0.5));
    }
}

/* Light of the sun: bloom and rays by distance, in `bins` steps. */
KERNEL(stopline_glare, float *restrict light, size_t width, size_t height, double sun_x, double sun_y, double ray_x,
       double ray_y, const float *restrict bloom, const float *restrict ray, int32_t bins, double bins_per_pixel) {
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width; x++) {
      const double dx = x - sun_x, dy = y - sun_y, distance = __builtin_sqrt(dx * dx + dy * dy);
      const double r = distance == 0 ? 1 : distance;
      const int32_t step = (int32_t)(r * bins_per_pixel), bin = step < bins - 1 ? step : bins - 1;
      const double cosine = (dx * ray_x + dy * ray_y) / r, triple = (4 * cosine * cosine - 3) * cosine;
      const double squared = triple * triple, fourth = squared * squared;
      const double amount = bloom[bin] + ray[bin] * fourth * fourth * fourth * fourth * fourth * fourth;
      float *to = light + (y * width + x) * 3;
      to[0] = (float)(255 * amount);
      to[1] = (float)(244 * amount);
      to[2] = (float)(214 * amount);
    }
}

/* Pixels and light together. */
KERNEL(stopline_lighten, uint8_t *restrict data, size_t samples, const float *restrict light) {
  for (size_t i = 0; i < samples; i++) data[i] = clip((double)((float)data[i] + light[i]) + 0.5);
}

/* Every row of samples times the gains of its columns, and their offsets. */
KERNEL(stopline_gains, uint8_t *restrict data, size_t samples, size_t height, const float *restrict gains,
       const float *restrict offsets) {
  for (size_t y = 0; y < height; y++)
    for (size_t i = 0; i < samples; i++) {
      uint8_t *to = data + y * samples + i;
      *to = clip(*to * (double)gains[i] + offsets[i] + 0.5);
    }
}

/* Moves a plane of pixels towards its luma: `colour` of the difference stays. */
KERNEL(stopline_pale, float *restrict image, size_t count, double colour) {
  for (size_t p = 0; p < count; p++) {
    float *to = image + 3 * p;
    const double grey = 0.299 * to[0] + 0.587 * to[1] + 0.114 * to[2];
    for (int c = 0; c < 3; c++) to[c] = (float)(grey + colour * (to[c] - grey));
  }
}

/* Pixels further from what is blurred of them, by `amount`; in the place of the latter. */
KERNEL(stopline_sharpen, const float *restrict image, float *restrict blurred, size_t size, double amount) {
  for (size_t i = 0; i < size; i++) blurred[i] = (float)(image[i] + amount * ((double)image[i] - blurred[i]));
}

KERNEL(stopline_night, uint8_t *restrict data, size_t count, const float *restrict linear,
       const uint8_t *restrict encoded, double scale) {
  for (size_t p = 0; p < count; p++) {
    uint8_t *to = data + 3 * p;
    const double red = linear[to[0]], green = linear[to[1]], blue = linear[to[2]];
    const double grey = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    to[0] = encoded[(int32_t)(scale * 0.78 * (0.65 * red + 0.35 * grey))];
    to[1] = encoded[(int32_t)(scale * 0.9 * (0.65 * green + 0.35 * grey))];
    to[2] = encoded[(int32_t)least(4095, scale * 1.25 * (0.65 * blue + 0.35 * grey))];
  }
}

KERNEL(stopline_desaturate, uint8_t *restrict data, size_t count, double lost) {
  for (size_t p = 0; p < count; p++) {
    uint8_t *to = data + 3 * p;
    const double grey = luma(to);
    for (int c = 0; c < 3; c++) to[c] = cut(to[c] + lost * (grey - to[c]) + 0.5);
  }
}

KERNEL(stopline_saturate, uint8_t *restrict data, size_t count, double factor, double add) {
  for (size_t p = 0; p < count; p++) {
    uint8_t *to = data + 3 * p;
    const int32_t red = to[0], green = to[1], blue = to[2];
    const int32_t high = red > green ? red : green, low = red < green ? red : green;
    const int32_t value = high > blue ? high : blue, range = value - (low < blue ? low : blue);
    if (range == 0) {
      to[1] = to[2] = cut(value * (1 - add) + 0.5);
      continue;
    }
    const double share = (double)range / value, ratio = least(1, share * factor + add) / share;
    for (int c = 0; c < 3; c++) to[c] = cut(value - (value - to[c]) * ratio + 0.5);
  }
}

KERNEL(stopline_range, uint8_t *restrict data, size_t count, double fixed, double light, double colour) {
  for (size_t p = 0; p < count; p++) {
    uint8_t *to = data + 3 * p;
    const double y = luma(to), base = fixed + light * (y - fixed);
    for (int c = 0; c < 3; c++) to[c] = nearest(base + colour * (to[c] - y));
  }
}

/* Prefix sums of every row, whose ends are repeated `radius` times, as `stopline_disk` reads them. */
KERNEL(stopline_prefix, const uint8_t *restrict data, int32_t width, int32_t height, int32_t radius,
       int32_t *restrict out) {
  for (int32_t y = 0; y < height; y++, data += 3 * width) {
    int32_t red = 0, green = 0, blue = 0;
    *out++ = 0, *out++ = 0, *out++ = 0;
    for (int32_t x = -radius; x < width + radius; x++) {
      const uint8_t *p = data + 3 * (x < 0 ? 0 : x >= width ? width - 1 : x);
      *out++ = red += p[0], *out++ = green += p[1], *out++ = blue += p[2];
    }
  }
}

/* Sums of the pixels of every cell; `cells` says which column each belongs to. Whole numbers, which floats hold. */
KERNEL(stopline_cells, const uint8_t *restrict data, size_t width, size_t height, const int32_t *restrict columns,
       const int32_t *restrict rows, size_t wide, float *restrict sums, float *restrict counts) {
  for (size_t y = 0; y < height; y++)
    for (size_t x = 0; x < width; x++, data += 3) {
      const size_t cell = (size_t)rows[y] * wide + (size_t)columns[x];
      counts[cell]++;
      for (size_t c = 0; c < 3; c++) sums[cell * 3 + c] += data[c];
    }
}
