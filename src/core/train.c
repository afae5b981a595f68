/*
 * One step of training a network of one hidden layer, for `fit/network.ts`: what it computes is said there. Only in the
 * WebAssembly build, whose arithmetic is the same to the bit wherever it runs; sums are added up in the order written here.
 *
 * Rows of all matrices are padded with zeros to a multiple of eight floats, so that no loop has a rest. Matrices of a batch
 * have three rows more than it has: their sums are computed, and read by nobody.
 */
#include "core.h"
#include "floats.h"

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

/* Weights, their gradient, and the running means of it and of its square: `rows` x `width`. */
typedef struct {
  float *values, *gradient, *mean, *square;
  uint32_t rows, width;
} parameters;

/* As `core/training.ts` lays it out. */
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
  /* Of this step of AdamW. */
  float size, root, shrink;
} training;

/* Units of a row of `active`: the hidden ones, and one that is always 1, for the bias. */
#define BIAS 8

/* The sums of the lanes of four vectors. */
INLINE f32x4 sum_lanes4(f32x4 a, f32x4 b, f32x4 c, f32x4 d) {
  const f32x4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const f32x4 cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/* out[r][u] = a[r] . b[u], both of `width`: two rows by four at a time, which is what fits into registers. */
static void multiply_rows(const float *restrict a, size_t rows, const float *restrict b, size_t units, size_t width,
                          float *restrict out, size_t stride) {
  for (size_t r = 0; r < rows; r += 2) {
    const float *x = a + r * width, *y = x + width;
    for (size_t u = 0; u < units; u += 4) {
      const float *p = b + u * width, *q = p + width, *s = q + width, *t = s + width;
      f32x4 a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0}, b0 = {0}, b1 = {0}, b2 = {0}, b3 = {0};
      for (size_t j = 0; j < width; j += 4) {
        const f32x4 v = load(x + j), w = load(y + j);
        const f32x4 p4 = load(p + j), q4 = load(q + j), s4 = load(s + j), t4 = load(t + j);
        a0 += p4 * v, a1 += q4 * v, a2 += s4 * v, a3 += t4 * v;
        b0 += p4 * w, b1 += q4 * w, b2 += s4 * w, b3 += t4 * w;
      }
      store(out + r * stride + u, sum_lanes4(a0, a1, a2, a3));
      store(out + (r + 1) * stride + u, sum_lanes4(b0, b1, b2, b3));
    }
  }
}

/* out[r] = the sum over u of a[r][u] b[u]. */
static void mix_rows(const float *restrict a, size_t rows, size_t units, const float *restrict b, size_t width,
                     float *restrict out) {
  for (size_t r = 0; r < rows; r += 4) {
    const float *w = a + r * units, *x = w + units, *y = x + units, *z = y + units;
    for (size_t k = 0; k < width; k += 8) {
      f32x4 w0 = {0}, w1 = {0}, x0 = {0}, x1 = {0}, y0 = {0}, y1 = {0}, z0 = {0}, z1 = {0};
      for (size_t u = 0; u < units; u++) {
        const f32x4 b0 = load(b + u * width + k), b1 = load(b + u * width + k + 4);
        w0 += w[u] * b0, w1 += w[u] * b1, x0 += x[u] * b0, x1 += x[u] * b1;
        y0 += y[u] * b0, y1 += y[u] * b1, z0 += z[u] * b0, z1 += z[u] * b1;
      }
      float *to = out + r * width + k;
      store(to, w0), store(to + 4, w1), store(to + width, x0), store(to + width + 4, x1);
      to += 2 * width;
      store(to, y0), store(to + 4, y1), store(to + width, z0), store(to + width + 4, z1);
    }
  }
}

/* out[u] = the sum over rows of a[r][u] b[r]. */
static void sum_products(const float *restrict a, size_t units, const float *restrict b, size_t width, size_t rows,
                         float *restrict out) {
  for (size_t k = 0; k < width; k += 8) {
    for (size_t u = 0; u < units; u += 4) {
      f32x4 w0 = {0}, w1 = {0}, x0 = {0}, x1 = {0}, y0 = {0}, y1 = {0}, z0 = {0}, z1 = {0};
      for (size_t r = 0; r < rows; r++) {
        const float *s = a + r * units + u;
        const f32x4 b0 = load(b + r * width + k), b1 = load(b + r * width + k + 4);
        w0 += s[0] * b0, w1 += s[0] * b1, x0 += s[1] * b0, x1 += s[1] * b1;
        y0 += s[2] * b0, y1 += s[2] * b1, z0 += s[3] * b0, z1 += s[3] * b1;
      }
      float *to = out + u * width + k;
      store(to, w0), store(to + 4, w1), store(to + width, x0), store(to + width + 4, x1);
      to += 2 * width;
      store(to, y0), store(to + 4, y1), store(to + width, z0), store(to + width + 4, z1);
    }
  }
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

void stopline_train(const training *t, size_t rows);

/* Looks at a batch and moves the weights against the gradient of its mean loss. */
STOPLINE_EXPORT(stopline_train) void stopline_train(const training *t, size_t rows) {
  read_inputs(t, rows);
  activate(t, rows);
  answer(t, rows);
  learn(t, rows);
  update(t, &t->hidden);
  update(t, &t->output);
}
