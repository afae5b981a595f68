/*
 * Node-API binding. Context-aware: all state hangs on the environment, so every worker thread has its own. It checks
 * types and lengths only; what a frame means is checked in TypeScript.
 */
#if defined(__linux__)
#include <malloc.h>
#endif
#include <node_api.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

/* Of the record that train.c reads. */
#define TRAINING_BYTES 192

#if defined(__GLIBC__)
/* Built on glibc the add-on runs on musl too, which has no such function and needs none. */
#pragma weak mallopt
#endif

typedef int measure_function(const uint8_t *restrict, size_t, size_t, size_t, void *restrict, double *restrict);

typedef struct {
  const char *simd;
  measure_function *measure, *history;
  size_t (*scratch_size)(size_t, size_t);
  size_t (*out_size)(void), (*history_size)(void);
  const char *(*layout)(void);
  int (*resize)(const uint8_t *restrict, size_t, size_t, size_t, const int32_t *restrict, size_t, const float *restrict,
                size_t, void *restrict, float *restrict, size_t);
  size_t (*resize_scratch)(size_t, size_t);
  void (*train)(uint8_t *, size_t, size_t);
  int (*jpeg_pixels)(const uint8_t *restrict, size_t, size_t, size_t, uint8_t *restrict, void *restrict);
  size_t (*jpeg_pixels_scratch)(size_t);
} variant;

#define DECLARE(name)                                                                                                  \
  measure_function stopline_measure_##name, stopline_history_##name;                                                   \
  size_t stopline_scratch_size_##name(size_t, size_t);                                                                 \
  size_t stopline_out_size_##name(void);                                                                               \
  size_t stopline_history_size_##name(void);                                                                           \
  const char *stopline_layout_##name(void);                                                                            \
  int stopline_resize_##name(const uint8_t *restrict, size_t, size_t, size_t, const int32_t *restrict, size_t,         \
                             const float *restrict, size_t, void *restrict, float *restrict, size_t);                  \
  size_t stopline_resize_scratch_##name(size_t, size_t);                                                               \
  void stopline_train_##name(uint8_t *, size_t, size_t);                                                               \
  int stopline_jpeg_pixels_##name(const uint8_t *restrict, size_t, size_t, size_t, uint8_t *restrict, void *restrict); \
  size_t stopline_jpeg_pixels_scratch_##name(size_t);                                                                  \
  static const variant name = {#name,                                                                                  \
                               stopline_measure_##name,                                                                \
                               stopline_history_##name,                                                                \
                               stopline_scratch_size_##name,                                                           \
                               stopline_out_size_##name,                                                               \
                               stopline_history_size_##name,                                                           \
                               stopline_layout_##name,                                                                 \
                               stopline_resize_##name,                                                                 \
                               stopline_resize_scratch_##name,                                                         \
                               stopline_train_##name,                                                                  \
                               stopline_jpeg_pixels_##name,                                                            \
                               stopline_jpeg_pixels_scratch_##name};
DECLARE(baseline)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

/* Scratch memory is kept between calls: allocating and touching it costs as much as a kernel. */
typedef struct {
  void *block;
  uint8_t *scratch;
  size_t size;
} state;

static void release(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  free(((state *)data)->block);
  free(data);
}

static napi_value fail(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

/* Scratch memory of at least `need` bytes, aligned to 64; NULL with an exception pending. */
static uint8_t *reserve(napi_env env, size_t need) {
  void *kept;
  if (napi_get_instance_data(env, &kept) != napi_ok || kept == NULL) {
    fail(env, "Expected a live environment");
    return NULL;
  }
  state *own = kept;
  if (own->size < need) {
    int64_t ignored;
    free(own->block);
    own->block = malloc(need + 63);
    napi_adjust_external_memory(env, (own->block ? (int64_t)need : 0) - (int64_t)own->size, &ignored);
    own->size = own->block ? need : 0;
    if (own->block == NULL) {
      napi_throw_range_error(env, NULL, "Out of memory for the scratch of this frame");
      return NULL;
    }
    own->scratch = (uint8_t *)(((uintptr_t)own->block + 63) & ~(uintptr_t)63);
  }
  return own->scratch;
}

/* (data: Uint8Array, width: number, height: number, channels: number, out: Float64Array): undefined */
static napi_value run(napi_env env, napi_callback_info info, int is_history) {
  size_t argc = 5;
  napi_value argv[5];
  void *data;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, &data) != napi_ok) return fail(env, "Expected a call");
  const variant *chosen = data;
  if (argc < 5) return fail(env, "Expected five arguments: data, width, height, channels, out");
  napi_typedarray_type type;
  size_t bytes, doubles;
  void *pixels, *out;
  if (napi_get_typedarray_info(env, argv[0], &type, &bytes, &pixels, NULL, NULL) != napi_ok ||
      (type != napi_uint8_array && type != napi_uint8_clamped_array))
    return fail(env, "Expected a Uint8Array for data");
  uint32_t width, height, channels;
  if (napi_get_value_uint32(env, argv[1], &width) != napi_ok || napi_get_value_uint32(env, argv[2], &height) != napi_ok ||
      napi_get_value_uint32(env, argv[3], &channels) != napi_ok)
    return fail(env, "Expected numbers for width, height and channels");
  if (napi_get_typedarray_info(env, argv[4], &type, &doubles, &out, NULL, NULL) != napi_ok || type != napi_float64_array ||
      doubles != (is_history ? chosen->history_size() : chosen->out_size()))
    return fail(env, "Expected a Float64Array of outSize (historySize) values for out");
  uint64_t area = (uint64_t)width * height;
  if (channels == 0 || channels > 4 || area == 0 || area > UINT64_C(1) << 40 || bytes != area * channels)
    return fail(env, "Expected width * height * channels bytes of data");

  uint8_t *scratch = reserve(env, chosen->scratch_size(width, height));
  if (scratch == NULL) return NULL;
  measure_function *function = is_history ? chosen->history : chosen->measure;
  if (function(pixels, width, height, channels, scratch, out) != 0)
    return fail(env, "Expected 1, 3 or 4 channels and at least one pixel");
  return NULL;
}

static napi_value measure(napi_env env, napi_callback_info info) { return run(env, info, 0); }

static napi_value history(napi_env env, napi_callback_info info) { return run(env, info, 1); }

/*
 * (data: Uint8Array, width: number, height: number, channels: number, plan: Int32Array, weights: Float32Array,
 * out: Float32Array): undefined
 */
static napi_value resize(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  void *data;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, &data) != napi_ok) return fail(env, "Expected a call");
  const variant *chosen = data;
  if (argc < 7) return fail(env, "Expected seven arguments: data, width, height, channels, plan, weights, out");
  napi_typedarray_type type;
  size_t bytes, plan_size, weight_count, out_size;
  void *pixels, *plan, *weights, *out;
  if (napi_get_typedarray_info(env, argv[0], &type, &bytes, &pixels, NULL, NULL) != napi_ok ||
      (type != napi_uint8_array && type != napi_uint8_clamped_array))
    return fail(env, "Expected a Uint8Array for data");
  uint32_t width, height, channels;
  if (napi_get_value_uint32(env, argv[1], &width) != napi_ok || napi_get_value_uint32(env, argv[2], &height) != napi_ok ||
      napi_get_value_uint32(env, argv[3], &channels) != napi_ok)
    return fail(env, "Expected numbers for width, height and channels");
  if (napi_get_typedarray_info(env, argv[4], &type, &plan_size, &plan, NULL, NULL) != napi_ok || type != napi_int32_array)
    return fail(env, "Expected an Int32Array for plan");
  if (napi_get_typedarray_info(env, argv[5], &type, &weight_count, &weights, NULL, NULL) != napi_ok ||
      type != napi_float32_array)
    return fail(env, "Expected a Float32Array for weights");
  if (napi_get_typedarray_info(env, argv[6], &type, &out_size, &out, NULL, NULL) != napi_ok || type != napi_float32_array)
    return fail(env, "Expected a Float32Array for out");
  uint64_t area = (uint64_t)width * height;
  if (channels == 0 || channels > 4 || area == 0 || area > UINT64_C(1) << 40 || bytes != area * channels)
    return fail(env, "Expected width * height * channels bytes of data");
  uint8_t *scratch = reserve(env, chosen->resize_scratch(width, channels));
  if (scratch == NULL) return NULL;
  if (chosen->resize(pixels, width, height, channels, plan, plan_size, weights, weight_count, scratch, out, out_size) != 0)
    return fail(env, "Expected a plan that fits the frame, the weights and the output");
  return NULL;
}

/* (memory: Uint8Array, record: number, rows: number): undefined. What the record says of the memory is trusted, as in WebAssembly. */
static napi_value train(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  void *data;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, &data) != napi_ok) return fail(env, "Expected a call");
  if (argc < 3) return fail(env, "Expected three arguments: memory, record, rows");
  napi_typedarray_type type;
  size_t bytes;
  void *memory;
  if (napi_get_typedarray_info(env, argv[0], &type, &bytes, &memory, NULL, NULL) != napi_ok || type != napi_uint8_array)
    return fail(env, "Expected a Uint8Array for memory");
  uint32_t at, rows;
  if (napi_get_value_uint32(env, argv[1], &at) != napi_ok || napi_get_value_uint32(env, argv[2], &rows) != napi_ok)
    return fail(env, "Expected numbers for record and rows");
  if (at % 64 != 0 || (uint64_t)at + TRAINING_BYTES > bytes) return fail(env, "Expected a record inside the memory");
  ((const variant *)data)->train(memory, at, rows);
  return NULL;
}

/* (bytes: Uint8Array, width: number, height: number, pixels: Uint8Array): boolean */
static napi_value read_jpeg(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4], is_read;
  void *data;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, &data) != napi_ok) return fail(env, "Expected a call");
  const variant *chosen = data;
  if (argc < 4) return fail(env, "Expected four arguments: bytes, width, height, pixels");
  napi_typedarray_type types[2];
  size_t size, room;
  void *bytes, *pixels;
  if (napi_get_typedarray_info(env, argv[0], &types[0], &size, &bytes, NULL, NULL) != napi_ok ||
      napi_get_typedarray_info(env, argv[3], &types[1], &room, &pixels, NULL, NULL) != napi_ok ||
      types[0] != napi_uint8_array || types[1] != napi_uint8_array)
    return fail(env, "Expected a Uint8Array for bytes and for pixels");
  uint32_t width, height;
  if (napi_get_value_uint32(env, argv[1], &width) != napi_ok || napi_get_value_uint32(env, argv[2], &height) != napi_ok ||
      width > 65535 || height > 65535 || room != (uint64_t)width * height * 3)
    return fail(env, "Expected width * height * 3 bytes for pixels");
  uint8_t *scratch = reserve(env, chosen->jpeg_pixels_scratch(width));
  if (scratch == NULL) return NULL;
  napi_get_boolean(env, chosen->jpeg_pixels(bytes, size, width, height, pixels, scratch) == 0, &is_read);
  return is_read;
}

static napi_value describe(napi_env env, const variant *chosen) {
  napi_value object, value;
  napi_create_object(env, &object);
  napi_create_string_utf8(env, chosen->simd, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, object, "simd", value);
  napi_create_string_utf8(env, chosen->layout(), NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, object, "layout", value);
  napi_create_double(env, (double)chosen->out_size(), &value);
  napi_set_named_property(env, object, "outSize", value);
  napi_create_function(env, "measure", NAPI_AUTO_LENGTH, measure, (void *)(uintptr_t)chosen, &value);
  napi_set_named_property(env, object, "measure", value);
  napi_create_double(env, (double)chosen->history_size(), &value);
  napi_set_named_property(env, object, "historySize", value);
  napi_create_function(env, "history", NAPI_AUTO_LENGTH, history, (void *)(uintptr_t)chosen, &value);
  napi_set_named_property(env, object, "history", value);
  napi_create_function(env, "resize", NAPI_AUTO_LENGTH, resize, (void *)(uintptr_t)chosen, &value);
  napi_set_named_property(env, object, "resize", value);
  napi_create_function(env, "trainStep", NAPI_AUTO_LENGTH, train, (void *)(uintptr_t)chosen, &value);
  napi_set_named_property(env, object, "trainStep", value);
  napi_create_function(env, "readJpeg", NAPI_AUTO_LENGTH, read_jpeg, (void *)(uintptr_t)chosen, &value);
  napi_set_named_property(env, object, "readJpeg", value);
  return object;
}

/* exports.variants: the builds that this processor can run, fastest first. */
NAPI_MODULE_INIT() {
#if defined(__GLIBC__)
  /*
   * By default glibc gives every thread an arena of its own and returns little of them: with libvips, libuv and workers
   * allocating frames side by side, resident memory then grows for thousands of images.
   */
  if (mallopt != NULL) mallopt(M_ARENA_MAX, 2);
#endif
  state *own = calloc(1, sizeof *own);
  if (own == NULL || napi_set_instance_data(env, own, release, NULL) != napi_ok) {
    free(own);
    return fail(env, "Out of memory");
  }
  napi_value list;
  uint32_t count = 0;
  napi_create_array(env, &list);
#if defined(__x86_64__)
  __builtin_cpu_init();
  int has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                 __builtin_cpu_supports("popcnt");
  if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    napi_set_element(env, list, count++, describe(env, &avx512));
  if (has_avx2) napi_set_element(env, list, count++, describe(env, &avx2));
#endif
  napi_set_element(env, list, count++, describe(env, &baseline));
  napi_set_named_property(env, exports, "variants", list);
  return exports;
}
