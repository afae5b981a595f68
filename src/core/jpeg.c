/*
 * What JPEG leaves of pixels, for `image/jpegloss.ts`: coded and decoded again without the file between, which loses nothing. The
 * arithmetic is that of libjpeg (jccolor.c, jcsample.c, jfdctint.c, jcdctmgr.c, jidctint.c, jdsample.c, jdcolor.c, version 6b, as
 * libjpeg-turbo and mozjpeg have it), integers throughout, so that the pixels are those of every such library, to the bit. Only in the
 * WebAssembly build, where what is simulated is the same on every machine.
 *
 * Four blocks are transformed side by side, one in each lane of a vector.
 */
#include <wasm_simd128.h>

#include "core.h"
#include "dct.h"
#include "floats.h"

typedef uint8_t u8x8 __attribute__((vector_size(8)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

#define SAMPLES 64
#define LANES 4

INLINE i32x4 descale(i32x4 v, int bits) { return (v + (1 << (bits - 1))) >> bits; }

/* The odd half of both transforms: four numbers in, their products out. */
INLINE void turn_odd(i32x4 *a, i32x4 *b, i32x4 *c, i32x4 *d) {
  i32x4 z1 = *a + *d, z2 = *b + *c, z3 = *a + *c, z4 = *b + *d;
  const i32x4 z5 = (z3 + z4) * F_1_175875602;
  z1 *= -F_0_899976223, z2 *= -F_2_562915447;
  z3 = z3 * -F_1_961570560 + z5, z4 = z4 * -F_0_390180644 + z5;
  *a = *a * F_0_298631336 + z1 + z3;
  *b = *b * F_2_053119869 + z2 + z4;
  *c = *c * F_3_072711026 + z2 + z3;
  *d = *d * F_1_501321110 + z1 + z4;
}

/* One pass over eight numbers that lie `step` apart: the first one scales up by PASS_BITS, the second one back. */
INLINE void forward(i32x4 *v, const int step, const int is_first) {
  i32x4 s0 = v[0] + v[7 * step], s1 = v[step] + v[6 * step], s2 = v[2 * step] + v[5 * step],
        s3 = v[3 * step] + v[4 * step];
  i32x4 d0 = v[0] - v[7 * step], d1 = v[step] - v[6 * step], d2 = v[2 * step] - v[5 * step],
        d3 = v[3 * step] - v[4 * step];
  const int bits = is_first ? CONST_BITS - PASS_BITS : CONST_BITS + PASS_BITS;
  const i32x4 outer = s0 + s3, inner = s1 + s2, outside = s0 - s3, inside = s1 - s2;
  v[0] = is_first ? (outer + inner) << PASS_BITS : descale(outer + inner, PASS_BITS);
  v[4 * step] = is_first ? (outer - inner) << PASS_BITS : descale(outer - inner, PASS_BITS);
  const i32x4 z = (inside + outside) * F_0_541196100;
  v[2 * step] = descale(z + outside * F_0_765366865, bits);
  v[6 * step] = descale(z - inside * F_1_847759065, bits);
  turn_odd(&d3, &d2, &d1, &d0);
  v[7 * step] = descale(d3, bits);
  v[5 * step] = descale(d2, bits);
  v[3 * step] = descale(d1, bits);
  v[step] = descale(d0, bits);
}

INLINE void inverse(i32x4 *v, const int step, const int bits) {
  const i32x4 z = (v[2 * step] + v[6 * step]) * F_0_541196100;
  const i32x4 low = z - v[6 * step] * F_1_847759065, high = z + v[2 * step] * F_0_765366865;
  const i32x4 sum = (v[0] + v[4 * step]) << CONST_BITS, difference = (v[0] - v[4 * step]) << CONST_BITS;
  const i32x4 e0 = sum + high, e3 = sum - high, e1 = difference + low, e2 = difference - low;
  i32x4 o3 = v[7 * step], o2 = v[5 * step], o1 = v[3 * step], o0 = v[step];
  turn_odd(&o3, &o2, &o1, &o0);
  v[0] = descale(e0 + o0, bits), v[7 * step] = descale(e0 - o0, bits);
  v[step] = descale(e1 + o1, bits), v[6 * step] = descale(e1 - o1, bits);
  v[2 * step] = descale(e2 + o2, bits), v[5 * step] = descale(e2 - o2, bits);
  v[3 * step] = descale(e3 + o3, bits), v[4 * step] = descale(e3 - o3, bits);
}

/* Division by a step of the quantiser, rounded: a product and a shift, as compute_reciprocal of jcdctmgr.c finds them. */
typedef struct {
  int32_t step;
  uint32_t reciprocal, correction;
  int shift;
} quantiser;

static quantiser find_reciprocal(uint32_t step) {
  /* Transformed numbers are eight times too large. */
  const uint32_t divisor = step << 3;
  const int high = 31 - __builtin_clz(divisor);
  int shift = 16 + high;
  uint32_t product = (1u << shift) / divisor, correction = divisor / 2;
  const uint32_t rest = (1u << shift) % divisor;
  if (rest == 0)
    product >>= 1, shift--;
  else if (rest <= divisor / 2)
    correction++;
  else
    product++;
  return (quantiser){(int32_t)step, product, correction, shift};
}

INLINE i32x4 quantise(i32x4 v, const quantiser *q) {
  const i32x4 sign = v >> 31;
  const u32x4 magnitude = (u32x4)((v ^ sign) - sign);
  const i32x4 level = (i32x4)(((magnitude + q->correction) * q->reciprocal) >> q->shift);
  return ((level ^ sign) - sign) * q->step;
}

INLINE i32x4 clip(i32x4 v) {
  v = (v & ~(v >> 31));
  const i32x4 over = v > 255;
  return (v & ~over) | (over & 255);
}

#define PICK(v, w, n)                                                                                                  \
  (((i32x4)__builtin_shufflevector(v, w, n, 0, 0, 0, n + 8, 0, 0, 0, n + 16, 0, 0, 0, n + 24, 0, 0, 0) & 255) - 128)

/* Codes and decodes four blocks that lie side by side. */
static void lose_blocks(uint8_t *plane, size_t stride, const quantiser *table) {
  i32x4 v[SAMPLES];
  for (int y = 0; y < 8; y++) {
    u8x16 a, b;
    __builtin_memcpy(&a, plane + (size_t)y * stride, 16);
    __builtin_memcpy(&b, plane + (size_t)y * stride + 16, 16);
    i32x4 *row = v + 8 * y;
    row[0] = PICK(a, b, 0), row[1] = PICK(a, b, 1), row[2] = PICK(a, b, 2), row[3] = PICK(a, b, 3);
    row[4] = PICK(a, b, 4), row[5] = PICK(a, b, 5), row[6] = PICK(a, b, 6), row[7] = PICK(a, b, 7);
    forward(row, 1, 1);
  }
  for (int x = 0; x < 8; x++) {
    forward(v + x, 8, 0);
    for (int y = 0; y < 8; y++) v[8 * y + x] = quantise(v[8 * y + x], table + 8 * y + x);
    inverse(v + x, 8, CONST_BITS - PASS_BITS);
  }
  for (int y = 0; y < 8; y++) {
    i32x4 *row = v + 8 * y;
    inverse(row, 1, CONST_BITS + PASS_BITS + 3);
    for (int x = 0; x < 8; x++) row[x] = clip(row[x] + 128);
    const i32x4 left = row[0] | row[1] << 8 | row[2] << 16 | row[3] << 24;
    const i32x4 right = row[4] | row[5] << 8 | row[6] << 16 | row[7] << 24;
    const i32x4 first = __builtin_shufflevector(left, right, 0, 4, 1, 5);
    const i32x4 second = __builtin_shufflevector(left, right, 2, 6, 3, 7);
    __builtin_memcpy(plane + (size_t)y * stride, &first, 16);
    __builtin_memcpy(plane + (size_t)y * stride + 16, &second, 16);
  }
}

static void lose_plane(uint8_t *plane, size_t stride, size_t width, size_t height, const quantiser *table) {
  for (size_t y = 0; y < height; y += 8)
    for (size_t x = 0; x < width; x += 8 * LANES) lose_blocks(plane + y * stride + x, stride, table);
}

/* Sums of products of neighbouring pairs. */
INLINE i32x4 pair_dot(i16x8 v, int16_t even, int16_t odd) {
  return (i32x4)wasm_i32x4_dot_i16x8((v128_t)v, (v128_t)(i16x8){even, odd, even, odd, even, odd, even, odd});
}

INLINE u8x16 narrow(i32x4 a, i32x4 b, i32x4 c, i32x4 d) {
  return (u8x16)wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b),
                                        wasm_i16x8_narrow_i32x4((v128_t)c, (v128_t)d));
}

#define COLOUR_HALF (1 << (COLOUR_BITS - 1))
#define COLOUR_MIDDLE ((128 << COLOUR_BITS) + COLOUR_HALF - 1)

/*
 * jccolor.c: Y = .299 R + .587 G + .114 B, Cb = -.16874 R - .33126 G + .5 B, Cr = .5 R - .41869 G - .08131 B. The weight of green in Y
 * does not fit 16 bits, so it is added in two parts.
 */
static void convert_row(const uint8_t *restrict rgb, size_t width, uint8_t *restrict luma, uint8_t *restrict blue,
                        uint8_t *restrict red) {
  size_t x = 0;
  for (; x + 16 + 2 <= width; x += 16) {
    i32x4 y[4], cb[4], cr[4];
    for (int k = 0; k < 4; k++) {
      u8x16 v;
      __builtin_memcpy(&v, rgb + 3 * (x + 4 * (size_t)k), 16);
      const u8x16 zero = {0};
      const i16x8 rg = (i16x8)__builtin_shufflevector(v, zero, 0, 16, 1, 16, 3, 16, 4, 16, 6, 16, 7, 16, 9, 16, 10, 16);
      const i16x8 bg =
          (i16x8)__builtin_shufflevector(v, zero, 2, 16, 1, 16, 5, 16, 4, 16, 8, 16, 7, 16, 11, 16, 10, 16);
      y[k] = (pair_dot(rg, 19595, 22086) + pair_dot(bg, 7471, 16384) + COLOUR_HALF) >> COLOUR_BITS;
      cb[k] = (pair_dot(rg, -11059, -21709) + (((i32x4)bg & 255) << 15) + COLOUR_MIDDLE) >> COLOUR_BITS;
      cr[k] = (pair_dot(bg, -5329, -27439) + (((i32x4)rg & 255) << 15) + COLOUR_MIDDLE) >> COLOUR_BITS;
    }
    const u8x16 lumas = narrow(y[0], y[1], y[2], y[3]), blues = narrow(cb[0], cb[1], cb[2], cb[3]),
                reds = narrow(cr[0], cr[1], cr[2], cr[3]);
    __builtin_memcpy(luma + x, &lumas, 16);
    __builtin_memcpy(blue + x, &blues, 16);
    __builtin_memcpy(red + x, &reds, 16);
  }
  for (; x < width; x++) {
    const int32_t r = rgb[3 * x], g = rgb[3 * x + 1], b = rgb[3 * x + 2];
    luma[x] = (uint8_t)((19595 * r + 38470 * g + 7471 * b + COLOUR_HALF) >> COLOUR_BITS);
    blue[x] = (uint8_t)((-11059 * r - 21709 * g + 32768 * b + COLOUR_MIDDLE) >> COLOUR_BITS);
    red[x] = (uint8_t)((32768 * r - 27439 * g - 5329 * b + COLOUR_MIDDLE) >> COLOUR_BITS);
  }
}

INLINE i16x8 weigh_pairs(i16x8 low, i16x8 high, int16_t blue, int16_t red) {
  const i32x4 a = (pair_dot(low, blue, red) + COLOUR_HALF) >> COLOUR_BITS;
  const i32x4 b = (pair_dot(high, blue, red) + COLOUR_HALF) >> COLOUR_BITS;
  return (i16x8)wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b);
}

INLINE i16x8 widen(const uint8_t *p) {
  u8x8 bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, i16x8);
}

/*
 * jdcolor.c: R = Y + 1.402 Cr, G = Y - .34414 Cb - .71414 Cr, B = Y + 1.772 Cb. What of a weight does not fit 16 bits is a whole multiple,
 * which is added apart.
 */
static void show_row(const uint8_t *restrict luma, const uint8_t *restrict blue, const uint8_t *restrict red,
                     size_t width, uint8_t *restrict rgb) {
  size_t x = 0;
  for (; x + 8 + 3 <= width; x += 8) {
    const i16x8 y = widen(luma + x), cb = widen(blue + x) - 128, cr = widen(red + x) - 128;
    const i16x8 low = __builtin_shufflevector(cb, cr, 0, 8, 1, 9, 2, 10, 3, 11);
    const i16x8 high = __builtin_shufflevector(cb, cr, 4, 12, 5, 13, 6, 14, 7, 15);
    const i16x8 r = y + cr + weigh_pairs(low, high, 0, 91881 - 65536);
    const i16x8 g = y - cr + weigh_pairs(low, high, -22554, 65536 - 46802);
    const i16x8 b = y + cb + cb + weigh_pairs(low, high, 116130 - 131072, 0);
    const u8x16 rg = (u8x16)wasm_u8x16_narrow_i16x8((v128_t)r, (v128_t)g);
    const u8x16 bb = (u8x16)wasm_u8x16_narrow_i16x8((v128_t)b, (v128_t)b);
    const u8x16 first = __builtin_shufflevector(rg, bb, 0, 8, 16, 1, 9, 17, 2, 10, 18, 3, 11, 19, 4, 12, 20, 5);
    const u8x16 rest = __builtin_shufflevector(rg, bb, 13, 21, 6, 14, 22, 7, 15, 23, 0, 0, 0, 0, 0, 0, 0, 0);
    __builtin_memcpy(rgb + 3 * x, &first, 16);
    /* Eight bytes more than these pixels have: the next ones are written after them. */
    __builtin_memcpy(rgb + 3 * x + 16, &rest, 16);
  }
  for (; x < width; x++) {
    const int32_t y = luma[x], cb = blue[x] - 128, cr = red[x] - 128;
    const int32_t r = y + ((91881 * cr + COLOUR_HALF) >> COLOUR_BITS);
    const int32_t g = y + ((-22554 * cb - 46802 * cr + COLOUR_HALF) >> COLOUR_BITS);
    const int32_t b = y + ((116130 * cb + COLOUR_HALF) >> COLOUR_BITS);
    rgb[3 * x] = (uint8_t)(r < 0 ? 0 : r > 255 ? 255 : r);
    rgb[3 * x + 1] = (uint8_t)(g < 0 ? 0 : g > 255 ? 255 : g);
    rgb[3 * x + 2] = (uint8_t)(b < 0 ? 0 : b > 255 ? 255 : b);
  }
}

/* Means of two by two, rounded down and up in turn (jcsample.c, h2v2_downsample). `width` is a multiple of eight. */
static void halve_rows(const uint8_t *restrict above, const uint8_t *restrict below, size_t width,
                       uint8_t *restrict out) {
  for (size_t x = 0; x < width; x += 8) {
    u16x8 a, b;
    __builtin_memcpy(&a, above + 2 * x, 16);
    __builtin_memcpy(&b, below + 2 * x, 16);
    const u16x8 sum = (a & 255) + (a >> 8) + (b & 255) + (b >> 8) + (u16x8){1, 2, 1, 2, 1, 2, 1, 2};
    const u8x8 means = __builtin_convertvector(sum >> 2, u8x8);
    __builtin_memcpy(out + x, &means, 8);
  }
}

/* Twice as wide and high, three quarters of the nearer and one of the farther (jdsample.c, h2v2_fancy_upsample). */
static void double_row(const uint8_t *restrict near, const uint8_t *restrict far, size_t width, uint16_t *restrict sums,
                       uint8_t *restrict out) {
  if (width <= 2) {
    /* Too narrow for it, says libjpeg. */
    for (size_t x = 0; x < width; x++) out[2 * x] = out[2 * x + 1] = near[x];
    return;
  }
  for (size_t x = 0; x < width; x++) sums[x] = (uint16_t)(3 * near[x] + far[x]);
  out[0] = (uint8_t)((4 * sums[0] + 8) >> 4);
  size_t x = 0;
  for (; x + 9 <= width; x += 8) {
    u16x8 own, next;
    __builtin_memcpy(&own, sums + x, 16);
    __builtin_memcpy(&next, sums + x + 1, 16);
    /* The right half of each sample, and the left one of the next. */
    const u16x8 pairs = ((3 * own + next + 7) >> 4) | ((3 * next + own + 8) >> 4) << 8;
    __builtin_memcpy(out + 2 * x + 1, &pairs, 16);
  }
  for (; x + 1 < width; x++) {
    out[2 * x + 1] = (uint8_t)((3 * sums[x] + sums[x + 1] + 7) >> 4);
    out[2 * x + 2] = (uint8_t)((3 * sums[x + 1] + sums[x] + 8) >> 4);
  }
  out[2 * width - 1] = (uint8_t)((4 * sums[width - 1] + 7) >> 4);
}

INLINE void repeat_last(uint8_t *row, size_t width, size_t until) {
  if (until > width) __builtin_memset(row + width, row[width - 1], until - width);
}

INLINE void repeat_row(uint8_t *plane, size_t stride, size_t height, size_t until) {
  for (size_t y = height; y < until; y++) __builtin_memcpy(plane + y * stride, plane + (height - 1) * stride, stride);
}

INLINE size_t whole(size_t count, size_t of) { return (count + of - 1) / of * of; }

/* Bytes of `scratch` for stopline_jpeg. */
STOPLINE_EXPORT(stopline_jpeg_scratch)
size_t stopline_jpeg_scratch(size_t width, size_t height);
size_t stopline_jpeg_scratch(size_t width, size_t height) {
  return 3 * whole(width, 64) * whole(height, 16) + 8 * whole(width, 64);
}

/*
 * Interleaved 8-bit RGB, in place. `tables` are 64 steps of the quantiser for luma, then as many for colours, row by row, each 1 to 255;
 * colours are halved along both axes where `is_halved`.
 */
STOPLINE_EXPORT(stopline_jpeg)
void stopline_jpeg(uint8_t *restrict rgb, size_t width, size_t height, const int32_t *restrict tables, int is_halved,
                   uint8_t *restrict scratch);
void stopline_jpeg(uint8_t *restrict rgb, size_t width, size_t height, const int32_t *restrict tables, int is_halved,
                   uint8_t *restrict scratch) {
  const size_t stride = whole(width, 64), rows = whole(height, 16);
  const size_t w = is_halved ? (width + 1) / 2 : width, h = is_halved ? (height + 1) / 2 : height;
  uint8_t *luma = scratch, *blue = luma + stride * rows, *red = blue + stride * rows;
  uint8_t *lines = red + stride * rows;
  quantiser table[2 * SAMPLES];
  for (int i = 0; i < 2 * SAMPLES; i++) table[i] = find_reciprocal((uint32_t)tables[i]);
  for (size_t y = 0; y < height; y++) {
    uint8_t *to_blue = is_halved ? lines + (y & 1) * 2 * stride : blue + y * stride;
    uint8_t *to_red = is_halved ? to_blue + stride : red + y * stride;
    convert_row(rgb + 3 * y * width, width, luma + y * stride, to_blue, to_red);
    repeat_last(luma + y * stride, width, stride);
    repeat_last(to_blue, width, stride);
    repeat_last(to_red, width, stride);
    if (!is_halved || !(y & 1 || y + 1 == height)) continue;
    const size_t below = y & 1 ? 2 * stride : 0;
    halve_rows(lines, lines + below, stride / 2, blue + y / 2 * stride);
    halve_rows(lines + stride, lines + below + stride, stride / 2, red + y / 2 * stride);
  }
  repeat_row(luma, stride, height, whole(height, 8));
  repeat_row(blue, stride, h, whole(h, 8));
  repeat_row(red, stride, h, whole(h, 8));
  lose_plane(luma, stride, width, height, table);
  lose_plane(blue, stride, w, h, table + SAMPLES);
  lose_plane(red, stride, w, h, table + SAMPLES);
  uint16_t *sums = (uint16_t *)(void *)(lines + 4 * stride);
  for (size_t y = 0; y < height; y++) {
    const uint8_t *own_blue = blue + y * stride, *own_red = red + y * stride;
    if (is_halved) {
      const size_t near = y / 2, far = y & 1 ? (near + 1 < h ? near + 1 : near) : near ? near - 1 : 0;
      double_row(blue + near * stride, blue + far * stride, w, sums, lines);
      double_row(red + near * stride, red + far * stride, w, sums, lines + 2 * stride);
      own_blue = lines, own_red = lines + 2 * stride;
    }
    show_row(luma + y * stride, own_blue, own_red, width, rgb + 3 * y * width);
  }
}
