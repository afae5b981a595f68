/*
 * What JPEG leaves of pixels, for `image/jpegloss.ts`: coded and decoded again without the file between, which loses nothing. The
 * arithmetic is that of libjpeg (jccolor.c, jcsample.c, jfdctint.c, jcdctmgr.c, jidctint.c, jdsample.c, jdcolor.c, version 6b, as
 * libjpeg-turbo and mozjpeg have it), integers throughout, so that the pixels are those of every such library, to the bit. Only in the
 * WebAssembly build, where what is simulated is the same on every machine.
 *
 * Four blocks are transformed side by side, one in each lane of a vector.
 */
#include "core.h"
#include "floats.h"

typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

#define SAMPLES 64
#define LANES 4
/* Fractional bits of colours, of the constants of a DCT, and of what is kept between its passes. */
#define COLOUR_BITS 16
#define CONST_BITS 13
#define PASS_BITS 2

#define F_0_298631336 2446
#define F_0_390180644 3196
#define F_0_541196100 4433
#define F_0_765366865 6270
#define F_0_899976223 7373
#define F_1_175875602 9633
#define F_1_501321110 12299
#define F_1_847759065 15137
#define F_1_961570560 16069
#define F_2_053119869 16819
#define F_2_562915447 20995
#define F_3_072711026 25172

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

/* jccolor.c */
static void convert_row(const uint8_t *restrict rgb, size_t width, uint8_t *restrict luma, uint8_t *restrict blue,
                        uint8_t *restrict red) {
  const int32_t half = 1 << (COLOUR_BITS - 1), middle = (128 << COLOUR_BITS) + half - 1;
  for (size_t x = 0; x < width; x++) {
    const int32_t r = rgb[3 * x], g = rgb[3 * x + 1], b = rgb[3 * x + 2];
    luma[x] = (uint8_t)((19595 * r + 38470 * g + 7471 * b + half) >> COLOUR_BITS);
    blue[x] = (uint8_t)((-11059 * r - 21709 * g + 32768 * b + middle) >> COLOUR_BITS);
    red[x] = (uint8_t)((32768 * r - 27439 * g - 5329 * b + middle) >> COLOUR_BITS);
  }
}

/* jdcolor.c */
static void show_row(const uint8_t *restrict luma, const uint8_t *restrict blue, const uint8_t *restrict red,
                     size_t width, uint8_t *restrict rgb) {
  const int32_t half = 1 << (COLOUR_BITS - 1);
  for (size_t x = 0; x < width; x++) {
    const int32_t y = luma[x], cb = blue[x] - 128, cr = red[x] - 128;
    const int32_t r = y + ((91881 * cr + half) >> COLOUR_BITS);
    const int32_t g = y + ((-22554 * cb - 46802 * cr + half) >> COLOUR_BITS);
    const int32_t b = y + ((116130 * cb + half) >> COLOUR_BITS);
    rgb[3 * x] = (uint8_t)(r < 0 ? 0 : r > 255 ? 255 : r);
    rgb[3 * x + 1] = (uint8_t)(g < 0 ? 0 : g > 255 ? 255 : g);
    rgb[3 * x + 2] = (uint8_t)(b < 0 ? 0 : b > 255 ? 255 : b);
  }
}

/* Means of two by two, rounded down and up in turn (jcsample.c, h2v2_downsample). */
static void halve_rows(const uint8_t *restrict above, const uint8_t *restrict below, size_t width,
                       uint8_t *restrict out) {
  for (size_t x = 0; x < width; x++)
    out[x] = (uint8_t)((above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1] + 1 + (x & 1)) >> 2);
}

/* Twice as wide and high, three quarters of the nearer and one of the farther (jdsample.c, h2v2_fancy_upsample). */
static void double_row(const uint8_t *restrict near, const uint8_t *restrict far, size_t width, int16_t *restrict sums,
                       uint8_t *restrict out) {
  if (width <= 2) {
    /* Too narrow for it, says libjpeg. */
    for (size_t x = 0; x < width; x++) out[2 * x] = out[2 * x + 1] = near[x];
    return;
  }
  for (size_t x = 0; x < width; x++) sums[x] = (int16_t)(3 * near[x] + far[x]);
  out[0] = (uint8_t)((4 * sums[0] + 8) >> 4);
  for (size_t x = 1; x < width; x++) out[2 * x] = (uint8_t)((3 * sums[x] + sums[x - 1] + 8) >> 4);
  for (size_t x = 0; x + 1 < width; x++) out[2 * x + 1] = (uint8_t)((3 * sums[x] + sums[x + 1] + 7) >> 4);
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
  int16_t *sums = (int16_t *)(void *)(lines + 4 * stride);
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
