/* Vectors of four floats. */
#ifndef STOPLINE_FLOATS_H
#define STOPLINE_FLOATS_H

#define INLINE static inline __attribute__((always_inline))

typedef float f32x4 __attribute__((vector_size(16)));

INLINE f32x4 load(const float *p) {
  f32x4 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, f32x4 v) { __builtin_memcpy(p, &v, sizeof v); }

#endif
