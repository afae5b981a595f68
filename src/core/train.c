/*
 * One step of training a network of one hidden layer, for `fit/network.ts`: what it computes is said there. Additions,
 * multiplications, divisions and roots of 32-bit floats, in the order written here whatever the width of a vector: the WebAssembly build
 * and every native one give the same bits.
 *
 * Rows of all matrices are padded with zeros to a multiple of eight floats, so that no loop has a rest. Matrices of a batch
 * have three rows more than it has: their sums are computed, and read by nobody.
 */
#include "core.h"
#include "floats.h"

typedef float f32x8 __attribute__((vector_size(32)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

/* Vectors of eight floats that are summed side by side, as many as registers hold: a sum waits for the one before it. */
#if defined(__AVX2__)
#define SIDE_BY_SIDE 2
#else
#define SIDE_BY_SIDE 1
#endif

/* Weights, their gradient, and the running means of it and of its square: `rows` x `width`. */
typedef struct {
  float *values, *gradient, *mean, *square;
  uint32_t rows, width;
} parameters;

typedef struct {
  uint32_t values, gradient, mean, square, rows, width;
} parameter_places;

/* As `core/training.ts` lays it out: pointers are bytes from the beginning of the memory. */
typedef struct {
  parameter_places hidden, output;
  uint32_t features, units, classes, noise_mask;
  uint32_t x, weights, y, noise, batch, offsets, luck, inputs, active, errors, deltas;
  uint32_t dropped_below;
  float kept_scale;
  /* Of this step of AdamW. */
  float size, root, shrink;
} record;

typedef struct {
  parameters hidden, output;
  uint32_t features, units, classes, noise_mask;
  /* Of the whole set: rows of `hidden.width`, with a one behind the features; what they weigh; their class. */
  const float *x, *weights;
  const uint32_t *y;
  const float *noise;
  /* Of this batch: which rows, where each begins in the noise, the luck of each hidden unit. */
  const uint32_t *batch, *offsets, *luck;
  float *inputs, *active, *errors, *deltas;
  uint32_t dropped_below;
  float kept_scale;
  float size, root, shrink;
} training;

/* Units of a row of `active`: the hidden ones, and one that is always 1, for the bias. */
#define BIAS 8

/* By address: as an argument such a vector is passed in other ways with and without AVX. */
INLINE void load8(f32x8 *v, const float *p) { __builtin_memcpy(v, p, sizeof *v); }
INLINE void store8(float *p, const f32x8 *v) { __builtin_memcpy(p, v, sizeof *v); }

#define JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#define LOW(v) __builtin_shufflevector(v, v, 0, 1, 2, 3)
#define HIGH(v) __builtin_shufflevector(v, v, 4, 5, 6, 7)

/* The sums of the lanes of four vectors. */
INLINE f32x4 sum_lanes4(f32x4 a, f32x4 b, f32x4 c, f32x4 d) {
  const f32x4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const f32x4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/* out[r][u] = a[r] . b[u], both of `width`: two rows, one in each half of a vector, by four at a time. */
static void multiply_rows(const float *restrict a, size_t rows, const float *restrict b, size_t units, size_t width,
                          float *restrict out, size_t stride) {
  for (size_t r = 0; r < rows; r += 2) {
    const float *x = a + r * width, *y = x + width;
    for (size_t u = 0; u < units; u += 4) {
      const float *p = b + u * width, *q = p + width, *s = q + width, *t = s + width;
      f32x8 sum0 = {0}, sum1 = {0}, sum2 = {0}, sum3 = {0};
      for (size_t j = 0; j < width; j += 4) {
        const f32x4 v = load(x + j), w = load(y + j);
        const f32x4 p4 = load(p + j), q4 = load(q + j), s4 = load(s + j), t4 = load(t + j);
        const f32x8 both = JOIN(v, w);
        sum0 += JOIN(p4, p4) * both, sum1 += JOIN(q4, q4) * both;
        sum2 += JOIN(s4, s4) * both, sum3 += JOIN(t4, t4) * both;
      }
      store(out + r * stride + u, sum_lanes4(LOW(sum0), LOW(sum1), LOW(sum2), LOW(sum3)));
      store(out + (r + 1) * stride + u, sum_lanes4(HIGH(sum0), HIGH(sum1), HIGH(sum2), HIGH(sum3)));
    }
  }
}

/* `count` times eight columns of four rows of out[i][k] = the sum over n of a[n * step + i * apart] b[n][k]. */
INLINE void mix_columns(const float *restrict a, size_t step, size_t apart, size_t terms, const float *restrict b,
                        size_t width, float *restrict out, const int count) {
  f32x8 sums[4][SIDE_BY_SIDE];
  for (int i = 0; i < 4; i++)
    for (int c = 0; c < count; c++) sums[i][c] = (f32x8){0};
  for (size_t n = 0; n < terms; n++) {
    for (int c = 0; c < count; c++) {
      f32x8 v;
      load8(&v, b + n * width + 8 * c);
      for (int i = 0; i < 4; i++) sums[i][c] += a[n * step + (size_t)i * apart] * v;
    }
  }
  for (int i = 0; i < 4; i++)
    for (int c = 0; c < count; c++) store8(out + (size_t)i * width + 8 * c, &sums[i][c]);
}

INLINE void mix_four(const float *restrict a, size_t step, size_t apart, size_t terms, const float *restrict b,
                     size_t width, float *restrict out) {
  size_t k = 0;
  for (; k + 8 * SIDE_BY_SIDE <= width; k += 8 * SIDE_BY_SIDE)
    mix_columns(a, step, apart, terms, b + k, width, out + k, SIDE_BY_SIDE);
  for (; k < width; k += 8) mix_columns(a, step, apart, terms, b + k, width, out + k, 1);
}

/* out[r] = the sum over u of a[r][u] b[u]. */
static void mix_rows(const float *restrict a, size_t rows, size_t units, const float *restrict b, size_t width,
                     float *restrict out) {
  for (size_t r = 0; r < rows; r += 4) mix_four(a + r * units, 1, units, units, b, width, out + r * width);
}

/* out[u] = the sum over rows of a[r][u] b[r]. */
static void sum_products(const float *restrict a, size_t units, const float *restrict b, size_t width, size_t rows,
                         float *restrict out) {
  for (size_t u = 0; u < units; u += 4) mix_four(a + u, units, 1, rows, b, width, out + u * width);
}

/* e^x of x at most 0, to a millionth, by 2^k and a Taylor polynomial within half a doubling. */
INLINE f32x4 exponential(f32x4 x) {
  const i32x4 low = (i32x4)(x < -80.0f);
  x = (f32x4)((low & (i32x4)((f32x4){0} - 80.0f)) | (~low & (i32x4)x));
  const i32x4 k = __builtin_convertvector(0.5f - x * 1.44269504f, i32x4);
  const f32x4 doublings = __builtin_convertvector(k, f32x4);
  /* ln 2 in two parts, of which the first has few digits, so that the product is exact. */
  const f32x4 r = (x + doublings * 0.693359375f) - doublings * 2.12194440e-4f;
  const f32x4 high = 1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720));
  return (1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * high)))) * (f32x4)((127 - k) << 23);
}

/* Probabilities from the first `count` logits of a row; what is behind them becomes 0. */
static void soften(float *restrict row, size_t count, size_t width) {
  float most = row[0], sum = 0;
  for (size_t k = 1; k < count; k++) most = row[k] > most ? row[k] : most;
  for (size_t k = 0; k < count; k += 4) store(row + k, exponential(load(row + k) - most));
  for (size_t k = 0; k < count; k++) sum += row[k];
  for (size_t k = 0; k < count; k++) row[k] /= sum;
  for (size_t k = count; k < width; k++) row[k] = 0;
}

static void read_inputs(const training *t, size_t rows) {
  const size_t width = t->hidden.width;
  for (size_t r = 0; r < rows; r++) {
    const float *from = t->x + t->batch[r] * width;
    float *to = t->inputs + r * width;
    for (size_t j = 0; j < width; j++) to[j] = from[j];
    for (size_t j = 0; j < t->features; j++) to[j] += t->noise[(t->offsets[r] + j) & t->noise_mask];
  }
}

/* What is left of the hidden units: those above 0 that are not silenced. */
static void activate(const training *t, size_t rows) {
  const size_t units = t->units, stride = units + BIAS;
  multiply_rows(t->inputs, rows, t->hidden.values, units, t->hidden.width, t->active, stride);
  for (size_t r = 0; r < rows; r++) {
    float *row = t->active + r * stride;
    for (size_t u = 0; u < units; u++)
      row[u] = row[u] > 0 && t->luck[r * units + u] >= t->dropped_below ? row[u] * t->kept_scale : 0;
    for (size_t u = units; u < stride; u++) row[u] = u == units;
  }
}

/* Probabilities less the truth, weighted. */
static void answer(const training *t, size_t rows) {
  const size_t width = t->output.width;
  mix_rows(t->active, rows, t->units + BIAS, t->output.values, width, t->errors);
  for (size_t r = 0; r < rows; r++) {
    float *row = t->errors + r * width;
    soften(row, t->classes, width);
    row[t->y[t->batch[r]]] -= 1;
    const float weight = t->weights[t->batch[r]] / (float)rows;
    for (size_t k = 0; k < t->classes; k++) row[k] *= weight;
  }
}

static void learn(const training *t, size_t rows) {
  const size_t units = t->units, stride = units + BIAS, width = t->output.width;
  multiply_rows(t->errors, rows, t->output.values, units, width, t->deltas, units);
  for (size_t r = 0; r < rows; r++)
    for (size_t u = 0; u < units; u++)
      t->deltas[r * units + u] = t->active[r * stride + u] > 0 ? t->deltas[r * units + u] * t->kept_scale : 0;
  sum_products(t->active, stride, t->errors, width, rows, t->output.gradient);
  sum_products(t->deltas, units, t->inputs, t->hidden.width, rows, t->hidden.gradient);
}

static void update(const training *t, const parameters *p) {
  const size_t count = (size_t)p->rows * p->width;
  float *restrict values = p->values, *restrict mean = p->mean, *restrict square = p->square;
  const float *restrict gradient = p->gradient;
  for (size_t i = 0; i < count; i++) {
    const float slope = gradient[i];
    mean[i] = 0.9f * mean[i] + 0.1f * slope;
    square[i] = 0.999f * square[i] + 0.001f * slope * slope;
    values[i] = values[i] * t->shrink - t->size * mean[i] / (__builtin_sqrtf(square[i] * t->root) + 1e-8f);
  }
}

static parameters place(uint8_t *memory, const parameter_places *p) {
  return (parameters){(float *)(void *)(memory + p->values), (float *)(void *)(memory + p->gradient),
                      (float *)(void *)(memory + p->mean), (float *)(void *)(memory + p->square), p->rows, p->width};
}

void stopline_train(uint8_t *memory, size_t at, size_t rows);

/* Looks at a batch and moves the weights against the gradient of its mean loss; the record of the training lies at `at`. */
STOPLINE_EXPORT(stopline_train) void stopline_train(uint8_t *memory, size_t at, size_t rows) {
  const record *r = (const record *)(const void *)(memory + at);
#define FLOATS(field) (float *)(void *)(memory + r->field)
#define WORDS(field) (const uint32_t *)(const void *)(memory + r->field)
  const training all = {place(memory, &r->hidden), place(memory, &r->output), r->features, r->units, r->classes,
                        r->noise_mask, FLOATS(x), FLOATS(weights), WORDS(y), FLOATS(noise), WORDS(batch),
                        WORDS(offsets), WORDS(luck), FLOATS(inputs), FLOATS(active), FLOATS(errors), FLOATS(deltas),
                        r->dropped_below, r->kept_scale, r->size, r->root, r->shrink};
  const training *t = &all;
  read_inputs(t, rows);
  activate(t, rows);
  answer(t, rows);
  learn(t, rows);
  update(t, &t->hidden);
  update(t, &t->output);
}
