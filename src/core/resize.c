/*
 * A frame as the input tensor of a model: resized by separable filters, its colours ordered and normalised. The filters
 * are tables of weights that TypeScript makes (embedding/preprocess.ts), so that every resize kernel is the same code.
 *
 * Rows first, because their sums run along memory; each sum adds its taps in order, whatever the width of the vectors,
 * so that all builds give the same bits.
 */
#include "core.h"
#include "vector.h"

typedef float f32x4 __attribute__((vector_size(16)));
#if !defined(__SSE2__) && !defined(__wasm_simd128__)
typedef uint8_t u8quarter __attribute__((vector_size(VECTOR_BYTES / 4)));
#endif

/* Indices of `plan`. */
enum { OUT_WIDTH, OUT_HEIGHT, OUT_CHANNELS, INTERLEAVED, REVERSED, TAPS };
/* Indices of `weights`: what each output channel is multiplied by and then has added, then the taps. */
enum { GAIN, OFFSET = 3, COLUMN_WEIGHTS = 6 };
/* Output rows filtered along at once: their sums do not wait for each other. */
enum { GROUP = 4 };

/* LANES32 bytes as floats. The compilers widen bytes to 32 bits one by one when left alone. */
INLINE f32v to_float(const uint8_t *p) {
#if defined(__AVX512BW__)
  return (f32v)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif defined(__AVX2__)
  return (f32v)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#elif defined(__SSE2__)
  int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  const __m128i zero = _mm_setzero_si128(), bytes = _mm_unpacklo_epi8(_mm_cvtsi32_si128(word), zero);
  return (f32v)_mm_cvtepi32_ps(_mm_unpacklo_epi16(bytes, zero));
#elif defined(__wasm_simd128__)
  const v128_t bytes = wasm_v128_load32_zero(p);
  return (f32v)wasm_f32x4_convert_u32x4(wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(bytes)));
#else
  u8quarter bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(__builtin_convertvector(bytes, i32v), f32v);
#endif
}

/* sum[i] = the weighted sum over `taps` rows of n bytes, `stride` apart. */
static void sum_rows(const uint8_t *restrict rows, size_t stride, const float *restrict weights, size_t taps,
                     float *restrict sum, size_t n) {
  size_t i = 0;
  for (; i + 4 * LANES32 <= n; i += 4 * LANES32) {
    f32v a = {0}, b = {0}, c = {0}, d = {0};
    /* Too many rows side by side for the processor to see what comes: those that only the next sum reads are half of them. */
    for (size_t k = 0; k < taps; k += 2) __builtin_prefetch(rows + (taps + k / 2) * stride + i);
    for (size_t k = 0; k < taps; k++) {
      const uint8_t *p = rows + k * stride + i;
      const f32v w = (f32v){0} + weights[k];
      a += w * to_float(p), b += w * to_float(p + LANES32);
      c += w * to_float(p + 2 * LANES32), d += w * to_float(p + 3 * LANES32);
    }
    __builtin_memcpy(sum + i, &a, sizeof a);
    __builtin_memcpy(sum + i + LANES32, &b, sizeof b);
    __builtin_memcpy(sum + i + 2 * LANES32, &c, sizeof c);
    __builtin_memcpy(sum + i + 3 * LANES32, &d, sizeof d);
  }
  for (; i < n; i++) {
    float a = 0;
    for (size_t k = 0; k < taps; k++) a += weights[k] * (float)rows[k * stride + i];
    sum[i] = a;
  }
}

/* Whether all taps of an axis lie inside it; adds their number. */
static int check_taps(const int32_t *restrict taps, size_t count, size_t side, size_t *restrict total) {
  for (size_t i = 0; i < count; i++) {
    const int32_t first = taps[2 * i], n = taps[2 * i + 1];
    if (first < 0 || n < 1 || (size_t)first + (size_t)n > side) return 0;
    *total += (size_t)n;
  }
  return 1;
}

STOPLINE_EXPORT(stopline_resize_scratch)
size_t stopline_resize_scratch(size_t width, size_t channels) {
  return GROUP * (width * channels + 16) * sizeof(float);
}

STOPLINE_EXPORT(stopline_resize)
int stopline_resize(const uint8_t *restrict data, size_t width, size_t height, size_t channels,
                    const int32_t *restrict plan, size_t plan_size, const float *restrict weights, size_t weight_count,
                    void *restrict scratch, float *restrict out, size_t out_size) {
  if (width == 0 || height == 0 || (channels != 1 && channels != 3 && channels != 4) || plan_size < TAPS) return -1;
  if (plan[OUT_WIDTH] < 1 || plan[OUT_HEIGHT] < 1 || plan[OUT_WIDTH] > 1 << 14 || plan[OUT_HEIGHT] > 1 << 14) return -1;
  const size_t across = (size_t)plan[OUT_WIDTH], down = (size_t)plan[OUT_HEIGHT], depth = (size_t)plan[OUT_CHANNELS];
  if ((depth != 1 && depth != 3) || plan_size != TAPS + 2 * (across + down) || out_size != across * down * depth)
    return -1;
  const int32_t *columns = plan + TAPS, *rows = columns + 2 * across;
  size_t column_taps = 0, row_taps = 0;
  if (!check_taps(columns, across, width, &column_taps) || !check_taps(rows, down, height, &row_taps) ||
      weight_count != COLUMN_WEIGHTS + column_taps + row_taps)
    return -1;

  /* A crop reads only some of the columns. */
  size_t left = width, right = 0;
  for (size_t x = 0; x < across; x++) {
    const size_t first = (size_t)columns[2 * x], end = first + (size_t)columns[2 * x + 1];
    if (first < left) left = first;
    if (end > right) right = end;
  }
  const size_t span = (right - left) * channels;
  const size_t pitch = width * channels + 16;
  float *sums[GROUP];
  for (size_t g = 0; g < GROUP; g++) {
    sums[g] = (float *)scratch + g * pitch;
    /* Each pixel is read as four floats: behind the last one there are none. */
    for (size_t i = 0; i < 4; i++) sums[g][span + i] = 0;
  }

  const size_t plane = plan[INTERLEAVED] ? 1 : across * down, step = plan[INTERLEAVED] ? depth : 1;
  const size_t red = depth == 3 && plan[REVERSED] ? 2 : 0, blue = 2 - red;
  const float *row_weights = weights + COLUMN_WEIGHTS + column_taps;
  for (size_t y = 0; y < down; y += GROUP) {
    const size_t group = down - y < GROUP ? down - y : GROUP;
    const float *from[GROUP];
    for (size_t g = 0; g < GROUP; g++) {
      from[g] = sums[g < group ? g : 0];
      if (g >= group) continue;
      const size_t first = (size_t)rows[2 * (y + g)], taps = (size_t)rows[2 * (y + g) + 1];
      sum_rows(data + (first * width + left) * channels, width * channels, row_weights, taps, sums[g], span);
      row_weights += taps;
    }
    const float *column_weights = weights + COLUMN_WEIGHTS;
    for (size_t x = 0; x < across; x++) {
      const size_t first = ((size_t)columns[2 * x] - left) * channels, taps = (size_t)columns[2 * x + 1];
      f32x4 pixels[GROUP] = {{0}};
      for (size_t k = 0, i = first; k < taps; k++, i += channels) {
        const f32x4 w = (f32x4){0} + column_weights[k];
        for (size_t g = 0; g < GROUP; g++) {
          f32x4 value;
          __builtin_memcpy(&value, from[g] + i, sizeof value);
          pixels[g] += value * w;
        }
      }
      column_weights += taps;
      for (size_t g = 0; g < group; g++) {
        f32x4 pixel = pixels[g];
        if (channels == 1) pixel[1] = pixel[2] = pixel[0];
        float *to = out + ((y + g) * across + x) * step;
        if (depth == 1) {
          /* Luma as of ITU-R BT.601. */
          to[0] = (0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2]) * weights[GAIN] + weights[OFFSET];
        } else {
          to[red * plane] = pixel[0] * weights[GAIN + red] + weights[OFFSET + red];
          to[plane] = pixel[1] * weights[GAIN + 1] + weights[OFFSET + 1];
          to[blue * plane] = pixel[2] * weights[GAIN + blue] + weights[OFFSET + blue];
        }
      }
    }
  }
  return 0;
}
