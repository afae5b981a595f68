/*
 * The dear loops of simulated causes, for `image/corruptions/`: what they are is said there. Only in the WebAssembly build: a
 * cause has to give the same pixels on every machine, or Profiles would differ with it.
 *
 * Images are interleaved floats, rows of `width * channels` without gaps.
 */
#include "core.h"
#include "floats.h"

typedef float f32x2 __attribute__((vector_size(8)));
typedef double f64x2 __attribute__((vector_size(16)));

INLINE f64x2 widen_low(f32x4 v) { return __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1), f64x2); }
INLINE f64x2 widen_high(f32x4 v) { return __builtin_convertvector(__builtin_shufflevector(v, v, 2, 3), f64x2); }

INLINE ptrdiff_t clamp(ptrdiff_t i, ptrdiff_t count) { return i < 0 ? 0 : i < count ? i : count - 1; }

typedef struct {
  ptrdiff_t radius;
  /* Weight of the two fractional ends, 0 to 1. */
  float edge, scale;
} box;

/* One pass of the extended box along a row: the channels side by side, so that none waits for the sum of another. */
INLINE void box_row(const float *restrict source, float *restrict target, ptrdiff_t from, ptrdiff_t until,
                    ptrdiff_t count, const ptrdiff_t channels, box b, double *sum) {
  for (ptrdiff_t x = from; x < until; x++) {
    const float *next = source + clamp(x + b.radius + 1, count) * channels;
    const float *past = source + clamp(x - b.radius - 1, count) * channels;
    const float *leave = source + clamp(x - b.radius, count) * channels;
    for (ptrdiff_t c = 0; c < channels; c++) {
      target[x * channels + c] = (float)(b.scale * (sum[c] + b.edge * (next[c] + past[c])));
      sum[c] += next[c] - leave[c];
    }
  }
}

/* The same of three channels away from the ends of the row, in vectors of four: the last lane is of the next pixel, and written over. */
static void box_middle(const float *restrict source, float *restrict target, ptrdiff_t from, ptrdiff_t until, box b,
                       double *sum) {
  f64x2 low = {sum[0], sum[1]}, high = {sum[2], 0};
  const f64x2 scale = {b.scale, b.scale};
  for (ptrdiff_t x = from; x < until; x++) {
    const f32x4 next = load(source + (x + b.radius + 1) * 3), leave = load(source + (x - b.radius) * 3);
    const f32x4 ends = b.edge * (next + load(source + (x - b.radius - 1) * 3)), step = next - leave;
    const f32x2 first = __builtin_convertvector(scale * (low + widen_low(ends)), f32x2);
    const f32x2 second = __builtin_convertvector(scale * (high + widen_high(ends)), f32x2);
    store(target + x * 3, __builtin_shufflevector(first, second, 0, 1, 2, 3));
    low += widen_low(step);
    high += widen_high(step);
  }
  sum[0] = low[0], sum[1] = low[1], sum[2] = high[0];
}

INLINE void box_line(const float *restrict source, float *restrict target, ptrdiff_t count, const ptrdiff_t channels,
                     box b) {
  double sum[3] = {0};
  for (ptrdiff_t k = -b.radius; k <= b.radius; k++)
    for (ptrdiff_t c = 0; c < channels; c++) sum[c] += source[clamp(k, count) * channels + c];
  /* Where nothing is clamped, and no vector reaches beyond the row. */
  const ptrdiff_t from = b.radius + 1, until = count - b.radius - 2;
  const int has_middle = channels == 3 && from < until;
  box_row(source, target, 0, has_middle ? from : count, count, channels, b, sum);
  if (!has_middle) return;
  box_middle(source, target, from, until, b, sum);
  box_row(source, target, until, count, count, channels, b, sum);
}

static void box_rows(const float *restrict source, float *restrict target, ptrdiff_t width, ptrdiff_t height,
                     ptrdiff_t channels, box b) {
  for (ptrdiff_t y = 0; y < height; y++) {
    const float *from = source + y * width * channels;
    float *to = target + y * width * channels;
    if (channels == 1)
      box_line(from, to, width, 1, b);
    else
      box_line(from, to, width, 3, b);
  }
}

/* The same down all columns at once. */
static void box_columns(const float *restrict source, float *restrict target, float *restrict sums, ptrdiff_t stride,
                        ptrdiff_t height, box b) {
  for (ptrdiff_t x = 0; x < stride; x++) sums[x] = 0;
  for (ptrdiff_t k = -b.radius; k <= b.radius; k++) {
    const float *from = source + clamp(k, height) * stride;
    for (ptrdiff_t x = 0; x < stride; x++) sums[x] += from[x];
  }
  for (ptrdiff_t y = 0; y < height; y++) {
    const float *next = source + clamp(y + b.radius + 1, height) * stride;
    const float *past = source + clamp(y - b.radius - 1, height) * stride;
    const float *leave = source + clamp(y - b.radius, height) * stride;
    float *to = target + y * stride;
    for (ptrdiff_t x = 0; x < stride; x++) {
      to[x] = b.scale * (sums[x] + b.edge * (next[x] + past[x]));
      sums[x] += next[x] - leave[x];
    }
  }
}

/* Three extended boxes along rows and three along columns, in place. `scratch` holds one row more than the image; channels are 1 or 3. */
STOPLINE_EXPORT(stopline_blur)
void stopline_blur(float *restrict image, size_t width, size_t height, size_t channels, size_t radius, float edge,
                   float scale, float *restrict scratch);
void stopline_blur(float *restrict image, size_t width, size_t height, size_t channels, size_t radius, float edge,
                   float scale, float *restrict scratch) {
  const box b = {(ptrdiff_t)radius, edge, scale};
  const ptrdiff_t w = (ptrdiff_t)width, h = (ptrdiff_t)height, c = (ptrdiff_t)channels, stride = w * c;
  float *sums = scratch + stride * h;
  box_rows(image, scratch, w, h, c, b);
  box_rows(scratch, image, w, h, c, b);
  box_rows(image, scratch, w, h, c, b);
  box_columns(scratch, image, sums, stride, h, b);
  box_columns(image, scratch, sums, stride, h, b);
  box_columns(scratch, image, sums, stride, h, b);
}

/* Bytes as floats, and floats as bytes: rounded and clipped. */
STOPLINE_EXPORT(stopline_floats)
void stopline_floats(const uint8_t *restrict bytes, size_t count, float *restrict out);
void stopline_floats(const uint8_t *restrict bytes, size_t count, float *restrict out) {
  for (size_t i = 0; i < count; i++) out[i] = bytes[i];
}

STOPLINE_EXPORT(stopline_bytes)
void stopline_bytes(const float *restrict values, size_t count, uint8_t *restrict out);
void stopline_bytes(const float *restrict values, size_t count, uint8_t *restrict out) {
  for (size_t i = 0; i < count; i++) {
    const float v = values[i] < 0 ? 0 : values[i] > 255 ? 255 : values[i];
    const int32_t whole = (int32_t)v;
    /* Not v + 0.5, which as a float may be rounded up. */
    out[i] = (uint8_t)(whole + (v - (float)whole >= 0.5f));
  }
}

/*
 * out[y][i] = the sum over taps of weight * source[y][i + offset]. Rows of `source` are `stride` apart and begin where offset 0
 * reads; `samples` is what a row of `out` has.
 */
STOPLINE_EXPORT(stopline_trail)
void stopline_trail(const float *source, size_t stride, size_t samples, size_t height, const int32_t *offsets,
                    const float *weights, size_t taps, float *restrict out);
void stopline_trail(const float *source, size_t stride, size_t samples, size_t height, const int32_t *offsets,
                    const float *weights, size_t taps, float *restrict out) {
  for (size_t y = 0; y < height; y++) {
    const float *from = source + y * stride;
    float *to = out + y * samples;
    size_t i = 0;
    for (; i + 16 <= samples; i += 16) {
      f32x4 a = {0}, b = {0}, c = {0}, d = {0};
      for (size_t k = 0; k < taps; k++) {
        const float *p = from + i + offsets[k];
        const float w = weights[k];
        a += w * load(p), b += w * load(p + 4), c += w * load(p + 8), d += w * load(p + 12);
      }
      store(to + i, a), store(to + i + 4, b), store(to + i + 8, c), store(to + i + 12, d);
    }
    for (; i < samples; i++) {
      float sum = 0;
      for (size_t k = 0; k < taps; k++) sum += weights[k] * from[(ptrdiff_t)i + offsets[k]];
      to[i] = sum;
    }
  }
}

/*
 * Means over a disk. `sums` has the prefix sums of every row, whose ends are repeated `radius` times, one entry more than it has
 * pixels; `halves` says for each row of the disk, from its middle on, how far it reaches.
 */
STOPLINE_EXPORT(stopline_disk)
void stopline_disk(const int32_t *restrict sums, size_t width, size_t height, size_t radius,
                   const int32_t *restrict halves, int32_t *restrict line, float *restrict out);
void stopline_disk(const int32_t *restrict sums, size_t width, size_t height, size_t radius,
                   const int32_t *restrict halves, int32_t *restrict line, float *restrict out) {
  const size_t samples = width * 3, stride = (width + 2 * radius + 1) * 3;
  int32_t area = 0;
  for (size_t k = 0; k <= radius; k++) area += (k == 0 ? 1 : 2) * (2 * halves[k] + 1);
  const float share = 1.0f / (float)area;
  for (size_t y = 0; y < height; y++) {
    for (size_t k = 0; k <= radius; k++) {
      const size_t left = (radius - (size_t)halves[k]) * 3, span = (2 * (size_t)halves[k] + 1) * 3;
      const int32_t *above = sums + stride * (size_t)clamp((ptrdiff_t)y - (ptrdiff_t)k, (ptrdiff_t)height) + left;
      const int32_t *below = sums + stride * (size_t)clamp((ptrdiff_t)(y + k), (ptrdiff_t)height) + left;
      if (k == 0)
        for (size_t i = 0; i < samples; i++) line[i] = above[span + i] - above[i];
      else
        for (size_t i = 0; i < samples; i++)
          line[i] += above[span + i] - above[i] + below[span + i] - below[i];
    }
    for (size_t i = 0; i < samples; i++) out[y * samples + i] = (float)line[i] * share;
  }
}

/* Separable bilinear resampling: `from` is the left (upper) neighbour of each column (row), `share` that of the right one. */
INLINE void resample(const float *restrict image, size_t image_width, size_t image_height, const size_t channels,
                     size_t width, size_t height, const int32_t *restrict columns, const float *restrict column_shares,
                     const int32_t *restrict rows, const float *restrict row_shares, float *restrict line,
                     float *restrict out) {
  const size_t stride = image_width * channels;
  const size_t right = image_width > 1 ? channels : 0, below = image_height > 1 ? stride : 0;
  for (size_t j = 0; j < height; j++) {
    const float *top = image + (size_t)rows[j] * stride;
    const float v = row_shares[j];
    for (size_t i = 0; i < stride; i++) line[i] = top[i] + v * (top[below + i] - top[i]);
    float *to = out + j * width * channels;
    for (size_t i = 0; i < width; i++) {
      const float *left = line + (size_t)columns[i] * channels;
      for (size_t c = 0; c < channels; c++)
        to[i * channels + c] = left[c] + column_shares[i] * (left[c + right] - left[c]);
    }
  }
}

STOPLINE_EXPORT(stopline_resample)
void stopline_resample(const float *restrict image, size_t image_width, size_t image_height, size_t channels,
                       size_t width, size_t height, const int32_t *restrict columns,
                       const float *restrict column_shares, const int32_t *restrict rows,
                       const float *restrict row_shares, float *restrict line, float *restrict out);
void stopline_resample(const float *restrict image, size_t image_width, size_t image_height, size_t channels,
                       size_t width, size_t height, const int32_t *restrict columns,
                       const float *restrict column_shares, const int32_t *restrict rows,
                       const float *restrict row_shares, float *restrict line, float *restrict out) {
  if (channels == 1)
    resample(image, image_width, image_height, 1, width, height, columns, column_shares, rows, row_shares, line, out);
  else
    resample(image, image_width, image_height, 3, width, height, columns, column_shares, rows, row_shares, line, out);
}
