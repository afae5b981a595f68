/*
 * One step of training a network of one hidden layer, for `fit/network.ts`: what it computes is said there. Additions,
 * multiplications, divisions and roots of 32-bit floats, in the order written here whatever the width of a vector: the WebAssembly build
 * and every native one give the same bits.
 *
 * Rows of all matrices are padded with zeros to a multiple of sixteen floats, so that no loop has a rest. Matrices of a batch
 * have three rows more than it has: their sums are computed, and read by nobody.
 */
#include "core.h"
#include "floats.h"

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

/* Floats of the widest vector of the build, and vectors that are summed side by side: a sum waits for the one before it. */
#if defined(__AVX512F__)
#define LANES 16
#define SIDE_BY_SIDE 4
#elif defined(__AVX2__)
#define LANES 8
#define SIDE_BY_SIDE 8
#else
#define LANES 4
#define SIDE_BY_SIDE 8
#endif
typedef float wide __attribute__((vector_size(4 * LANES)));

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
  uint32_t x, weights, y, noise, batch, inputs, active, errors, deltas;
  uint32_t turned_hidden, turned_output, lists, counts, chosen;
  uint32_t dropped_below;
  float kept_scale;
  /* Of this step of AdamW. */
  float size, root, shrink;
  /* Of the generator: four words of xoshiro128**, as image/corruptions/random.ts has them. */
  uint32_t random[4];
} record;

typedef struct {
  parameters hidden, output;
  uint32_t features, units, classes, noise_mask;
  /* Of the whole set: rows of `hidden.width`, with a one behind the features; what they weigh; their class. */
  const float *x, *weights;
  const uint32_t *y;
  const float *noise;
  /* Which rows of the set are those of this batch. */
  const uint32_t *batch;
  float *inputs, *active, *errors, *deltas;
  /* The weights with rows for columns, so that the sums of neighbouring units stand side by side. */
  float *turned_hidden, *turned_output;
  /* For each unit, the one that is always 1 included, the rows of the batch in which it is not 0, and how many. */
  uint32_t *lists, *counts;
  /* Units that are not 0 in one row. */
  uint32_t *chosen;
  uint32_t dropped_below;
  float kept_scale;
  float size, root, shrink;
  uint32_t *random;
} training;

/* Units of a row of `active`: the hidden ones, and one that is always 1, for the bias. */
#define BIAS 8
/* Rows of a batch, at most. */
#define MOST_ROWS 256

#define LOAD(v, from) __builtin_memcpy(&(v), from, sizeof(v))
#define STORE(to, v) __builtin_memcpy(to, &(v), sizeof(v))

/*
 * Four rows by two vectors of units of out[r][u] = the sum over j of a[r][j] b[j][u]. Every fourth term goes into one of four sums
 * s0 to s3, which are (s0 + s2) + (s1 + s3): the order in which vectors of four floats along j would be summed.
 */
#define MULTIPLY_TILE(name, vector, count)                                                                             \
  INLINE void name(const float *restrict a, size_t width, const float *restrict b, size_t units, size_t terms,         \
                   float *restrict out, size_t stride) {                                                               \
    vector even[4][count], odd[4][count];                                                                              \
    for (size_t phase = 0; phase < 4; phase++) {                                                                       \
      vector sums[4][count];                                                                                           \
      for (int i = 0; i < 4; i++)                                                                                      \
        for (int c = 0; c < count; c++) sums[i][c] = (vector){0};                                                      \
      for (size_t j = phase; j < terms; j += 4) {                                                                      \
        for (int c = 0; c < count; c++) {                                                                              \
          vector v;                                                                                                    \
          LOAD(v, b + j * units + (size_t)c * (sizeof v / 4));                                                         \
          for (int i = 0; i < 4; i++) sums[i][c] += a[(size_t)i * width + j] * v;                                      \
        }                                                                                                              \
      }                                                                                                                \
      for (int i = 0; i < 4; i++)                                                                                      \
        for (int c = 0; c < count; c++) {                                                                              \
          vector *kept = phase & 1 ? &odd[i][c] : &even[i][c];                                                         \
          *kept = phase < 2 ? sums[i][c] : *kept + sums[i][c];                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    for (int i = 0; i < 4; i++)                                                                                        \
      for (int c = 0; c < count; c++) {                                                                                \
        const vector sum = even[i][c] + odd[i][c];                                                                     \
        STORE(out + (size_t)i * stride + (size_t)c * (sizeof sum / 4), sum);                                           \
      }                                                                                                                \
  }

MULTIPLY_TILE(multiply_wide, wide, 2)
MULTIPLY_TILE(multiply_four, f32x4, 1)

/* out[r][u] = the sum over the first `terms` j of a[r][j] b[j][u]; rows are rounded up to four. */
static void multiply(const float *restrict a, size_t width, size_t rows, const float *restrict b, size_t units,
                     size_t terms, float *restrict out, size_t stride) {
  size_t u = 0;
  for (; u + 2 * LANES <= units; u += 2 * LANES)
    for (size_t r = 0; r < rows; r += 4)
      multiply_wide(a + r * width, width, b + u, units, terms, out + r * stride + u, stride);
  for (; u < units; u += 4)
    for (size_t r = 0; r < rows; r += 4)
      multiply_four(a + r * width, width, b + u, units, terms, out + r * stride + u, stride);
}

/* `count` vectors of out[k] = the sum over the n in the list of a[n * step] b[n][k]. */
INLINE void mix_vectors(const float *restrict a, size_t step, const uint32_t *restrict list, size_t terms,
                        const float *restrict b, size_t width, float *restrict out, const int count) {
  wide sums[SIDE_BY_SIDE];
  for (int c = 0; c < count; c++) sums[c] = (wide){0};
  for (size_t i = 0; i < terms; i++) {
    const float by = a[list[i] * step];
    const float *row = b + list[i] * width;
    for (int c = 0; c < count; c++) {
      wide v;
      LOAD(v, row + c * LANES);
      sums[c] += by * v;
    }
  }
  for (int c = 0; c < count; c++) STORE(out + c * LANES, sums[c]);
}

/* What is not in the list is 0, and would add nothing; at most SIDE_BY_SIDE vectors. */
static void mix_listed(const float *restrict a, size_t step, const uint32_t *restrict list, size_t terms,
                       const float *restrict b, size_t width, float *restrict out, size_t vectors) {
#define MIX(count)                                                                                                     \
  case count:                                                                                                          \
    mix_vectors(a, step, list, terms, b, width, out, count);                                                           \
    break;
  switch (vectors) {
    MIX(1)
    MIX(2)
    MIX(3)
    MIX(4)
#if SIDE_BY_SIDE == 8
    MIX(5)
    MIX(6)
    MIX(7)
    MIX(8)
#endif
  }
#undef MIX
}

/* How many of the vectors of a row come next. */
INLINE size_t count_next(size_t vectors, size_t from) {
  return vectors - from < SIDE_BY_SIDE ? vectors - from : SIDE_BY_SIDE;
}

INLINE size_t count_vectors(size_t floats) { return (floats + LANES - 1) / LANES; }

/* out[u][k] = the sum over the rows of the batch of a[r][u] b[r][k], for the first `columns` k. */
static void sum_products(const training *t, const float *restrict a, size_t step, size_t units, const float *restrict b,
                         size_t width, size_t columns, float *restrict out) {
  const size_t vectors = count_vectors(columns);
  /* Some columns of all rows stay near while all units go over them. */
  for (size_t v = 0; v < vectors; v += SIDE_BY_SIDE)
    for (size_t u = 0; u < units; u++)
      mix_listed(a + u, step, t->lists + u * MOST_ROWS, t->counts[u], b + v * LANES, width, out + u * width + v * LANES,
                 count_next(vectors, v));
}

/* to[k][u] = from[u][k]; both counts are multiples of four. */
static void turn(const float *restrict from, size_t rows, size_t width, float *restrict to) {
  for (size_t u = 0; u < rows; u += 4)
    for (size_t k = 0; k < width; k += 4) {
      const float *p = from + u * width + k;
      const f32x4 a = load(p), b = load(p + width), c = load(p + 2 * width), d = load(p + 3 * width);
      const f32x4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const f32x4 ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      store(to + k * rows + u, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
      store(to + (k + 1) * rows + u, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
      store(to + (k + 2) * rows + u, __builtin_shufflevector(ef, gh, 0, 1, 4, 5));
      store(to + (k + 3) * rows + u, __builtin_shufflevector(ef, gh, 2, 3, 6, 7));
    }
}

INLINE uint32_t rotate(uint32_t word, int by) { return word << by | word >> (32 - by); }

/* The next word of xoshiro128** (Blackman and Vigna 2018). */
INLINE uint32_t draw(uint32_t state[4]) {
  const uint32_t word = rotate(state[1] * 5, 7) * 9, t = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotate(state[3], 11);
  return word;
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

/* The rows of the batch, with noise: each reads the table from a place of its own on. */
static void read_inputs(const training *t, size_t rows) {
  const size_t width = t->hidden.width, table = (size_t)t->noise_mask + 1;
  uint32_t state[4], places[MOST_ROWS];
  __builtin_memcpy(state, t->random, sizeof state);
  for (size_t r = 0; r < rows; r++) places[r] = draw(state) & t->noise_mask;
  __builtin_memcpy(t->random, state, sizeof state);
  for (size_t r = 0; r < rows; r++) {
    const float *restrict from = t->x + t->batch[r] * width;
    float *restrict to = t->inputs + r * width;
#if !defined(__wasm__)
    /* Rows are taken in any order, so that no processor foresees which one comes next. */
    if (r + 2 < rows) {
      const float *next = t->x + t->batch[r + 2] * width, *noise = t->noise + places[r + 2];
      for (size_t i = 0; i < width; i += 16) {
        __builtin_prefetch(next + i);
        __builtin_prefetch(noise + i);
      }
    }
#endif
    size_t at = places[r], j = 0;
    while (j < t->features) {
      const size_t end = t->features - j < table - at ? t->features : j + (table - at);
      const float *restrict noise = t->noise + at;
      for (size_t i = j; i < end; i++) to[i] = from[i] + noise[i - j];
      j = end, at = 0;
    }
    for (; j < width; j++) to[j] = from[j];
  }
}

/* What is left of the hidden units, those above 0 that are not silenced, and where. */
static void activate(const training *t, size_t rows) {
  const size_t units = t->units, stride = units + BIAS;
  turn(t->hidden.values, units, t->hidden.width, t->turned_hidden);
  multiply(t->inputs, t->hidden.width, rows, t->turned_hidden, units, t->features + 1, t->active, stride);
  uint32_t state[4];
  __builtin_memcpy(state, t->random, sizeof state);
  for (size_t u = 0; u <= units; u++) t->counts[u] = 0;
  for (size_t r = 0; r < rows; r++) {
    float *restrict row = t->active + r * stride;
    uint32_t *restrict chosen = t->chosen, *restrict counts = t->counts;
    /* The words lie where the deltas of the row will: one loop for each step, without branches, since nobody can foresee them. */
    uint32_t *restrict luck = (uint32_t *)(void *)(t->deltas + r * units);
    for (size_t u = 0; u < units; u++) luck[u] = draw(state);
    for (size_t u = 0; u < units; u += 4) {
      const f32x4 value = load(row + u), scaled = value * t->kept_scale;
      u32x4 drawn;
      LOAD(drawn, luck + u);
      const i32x4 is_kept = (i32x4)(value > 0) & (i32x4)(drawn >= t->dropped_below);
      store(row + u, (f32x4)((i32x4)scaled & is_kept));
    }
    size_t count = 0;
    for (size_t u = 0; u < units; u++) {
      uint32_t bits;
      LOAD(bits, row + u);
      chosen[count] = (uint32_t)u;
      count += bits != 0;
    }
    for (size_t u = units; u < stride; u++) row[u] = u == units;
    chosen[count++] = (uint32_t)units;
    for (size_t i = 0; i < count; i++) {
      const size_t u = chosen[i];
      t->lists[u * MOST_ROWS + counts[u]++] = (uint32_t)r;
    }
    const size_t vectors = count_vectors(t->classes), width = t->output.width;
    for (size_t v = 0; v < vectors; v += SIDE_BY_SIDE)
      mix_listed(row, 1, chosen, count, t->output.values + v * LANES, width, t->errors + r * width + v * LANES,
                 count_next(vectors, v));
  }
  __builtin_memcpy(t->random, state, sizeof state);
}

/* Probabilities less the truth, weighted. */
static void answer(const training *t, size_t rows) {
  const size_t width = t->output.width;
  for (size_t r = 0; r < rows; r++) {
    float *row = t->errors + r * width;
    soften(row, t->classes, width);
    row[t->y[t->batch[r]]] -= 1;
    const float weight = t->weights[t->batch[r]] / (float)rows;
    for (size_t k = 0; k < t->classes; k++) row[k] *= weight;
  }
}

static void learn(const training *t, size_t rows) {
  const size_t units = t->units, stride = units + BIAS, across = t->output.width, width = t->hidden.width;
  sum_products(t, t->active, stride, units + 1, t->errors, across, t->classes, t->output.gradient);
  turn(t->output.values, units, across, t->turned_output);
  multiply(t->errors, across, rows, t->turned_output, units, t->classes, t->deltas, units);
  for (size_t i = 0; i < rows * units; i++) t->deltas[i] *= t->kept_scale;
  sum_products(t, t->deltas, units, units, t->inputs, width, t->features + 1, t->hidden.gradient);
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
  record *r = (record *)(void *)(memory + at);
#define FLOATS(field) (float *)(void *)(memory + r->field)
#define WORDS(field) (uint32_t *)(void *)(memory + r->field)
  const training all = {place(memory, &r->hidden), place(memory, &r->output), r->features, r->units, r->classes,
                        r->noise_mask, FLOATS(x), FLOATS(weights), WORDS(y), FLOATS(noise), WORDS(batch),
                        FLOATS(inputs), FLOATS(active), FLOATS(errors), FLOATS(deltas), FLOATS(turned_hidden),
                        FLOATS(turned_output), WORDS(lists), WORDS(counts), WORDS(chosen), r->dropped_below,
                        r->kept_scale, r->size, r->root, r->shrink, r->random};
  const training *t = &all;
  read_inputs(t, rows);
  activate(t, rows);
  answer(t, rows);
  learn(t, rows);
  update(t, &t->hidden);
  update(t, &t->output);
}
