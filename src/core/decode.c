/*
 * JPEGs into memory that the caller keeps, by the libvips that sharp has loaded into this process: its functions are looked up, so
 * there is no second decoder. sharp runs the same loader, but plans, allocates and reports around it, which takes a third of the time
 * of a small image.
 *
 * Of libvips only exported functions are called, whose declarations have not changed since 8.15; none of its structures is read, save
 * VipsRect, which is written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <node_api.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct vips_image vips_image;
typedef struct vips_region vips_region;
typedef struct {
  int left, top, width, height;
} vips_rect;

/* VIPS_ACCESS_SEQUENTIAL, VIPS_FAIL_ON_WARNING, VIPS_FORMAT_UCHAR, VIPS_INTERPRETATION_sRGB */
enum { SEQUENTIAL = 1, ON_WARNING = 3, UCHAR = 0, SRGB = 22 };

/* Rows that are asked for at a time: two of the units of 4:2:0, and still in the second cache when they are copied. */
enum { STRIP = 16, CHANNELS = 3 };

/* FUNCTION(result, name, arguments) */
#define STOPLINE_VIPS(FUNCTION)                                                                                        \
  FUNCTION(const char *, vips_version_string, (void))                                                                  \
  FUNCTION(int, vips_thread_execute, (const char *, void (*)(void *, void *), void *))                                 \
  FUNCTION(int, vips_jpegload_buffer, (void *, size_t, vips_image **, ...))                                            \
  FUNCTION(vips_image *, vips_image_new_from_memory, (const void *, size_t, int, int, int, int))                       \
  FUNCTION(int, vips_image_get_width, (const vips_image *))                                                            \
  FUNCTION(int, vips_image_get_height, (const vips_image *))                                                           \
  FUNCTION(int, vips_image_get_bands, (const vips_image *))                                                            \
  FUNCTION(int, vips_image_get_format, (const vips_image *))                                                           \
  FUNCTION(int, vips_image_get_interpretation, (const vips_image *))                                                   \
  FUNCTION(vips_region *, vips_region_new, (vips_image *))                                                             \
  FUNCTION(int, vips_region_image, (vips_region *, const vips_rect *))                                                 \
  FUNCTION(int, vips_region_prepare_to, (vips_region *, vips_region *, const vips_rect *, int, int))                   \
  FUNCTION(void, vips_error_clear, (void))                                                                             \
  FUNCTION(void, g_object_unref, (void *))

typedef struct {
#define FIELD(result, name, arguments) result(*name) arguments;
  STOPLINE_VIPS(FIELD)
} library;

/* What is asked of dl_iterate_phdr: the libvips of a version, where several are loaded. */
typedef struct {
  const char *version;
  library found;
  int is_found;
} search;

static int bind_functions(void *handle, library *to) {
#define BIND(result, name, arguments)                                                                                  \
  *(void **)&to->name = dlsym(handle, #name);                                                                          \
  if (to->name == NULL) return 0;
  STOPLINE_VIPS(BIND)
  return 1;
}

static int look_at(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  search *wanted = data;
  if (object->dlpi_name == NULL || strstr(object->dlpi_name, "libvips-cpp") == NULL) return 0;
  void *handle = dlopen(object->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == NULL) return 0;
  /* The handle is not closed: sharp is never unloaded, and neither must be what is called here. */
  wanted->is_found = bind_functions(handle, &wanted->found) &&
                     strcmp(wanted->found.vips_version_string(), wanted->version) == 0;
  return wanted->is_found;
}

typedef struct {
  library vips;
  uint8_t *bytes, *pixels;
  size_t size;
  int width, height;
  /* 0 for no limit. */
  double seconds;
  int is_done;
  sem_t finished;
  napi_ref held[2];
  napi_deferred promise;
  napi_async_work work;
} job;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Whether libvips sees in the bytes what the caller has read in their header. */
static int is_expected(const job *own, const vips_image *source) {
  const library *vips = &own->vips;
  return vips->vips_image_get_width(source) == own->width && vips->vips_image_get_height(source) == own->height &&
         vips->vips_image_get_bands(source) == CHANNELS && vips->vips_image_get_format(source) == UCHAR &&
         vips->vips_image_get_interpretation(source) == SRGB;
}

static int decode_rows(const job *own, vips_region *from, vips_region *to) {
  const double end = own->seconds > 0 ? now() + own->seconds : 0;
  const vips_rect all = {0, 0, own->width, own->height};
  if (from == NULL || to == NULL || own->vips.vips_region_image(to, &all) != 0) return 0;
  for (int top = 0; top < own->height; top += STRIP) {
    const int left_over = own->height - top;
    const vips_rect strip = {0, top, own->width, left_over < STRIP ? left_over : STRIP};
    if (end > 0 && now() > end) return 0;
    if (own->vips.vips_region_prepare_to(from, to, &strip, 0, top) != 0) return 0;
  }
  return 1;
}

static int decode(const job *own) {
  const library *vips = &own->vips;
  vips_image *source = NULL, *target = NULL;
  vips_region *from = NULL, *to = NULL;
  int is_done = 0;
  const int is_open = vips->vips_jpegload_buffer(own->bytes, own->size, &source, "access", SEQUENTIAL, "fail_on",
                                                 ON_WARNING, (void *)NULL) == 0;
  if (is_open && is_expected(own, source)) {
    const size_t size = (size_t)own->width * (size_t)own->height * CHANNELS;
    target = vips->vips_image_new_from_memory(own->pixels, size, own->width, own->height, CHANNELS, UCHAR);
    if (target != NULL) {
      from = vips->vips_region_new(source);
      to = vips->vips_region_new(target);
      is_done = decode_rows(own, from, to);
    }
  }
  if (from != NULL) vips->g_object_unref(from);
  if (to != NULL) vips->g_object_unref(to);
  if (target != NULL) vips->g_object_unref(target);
  if (source != NULL) vips->g_object_unref(source);
  /* Its words are for nobody: the caller asks sharp, which finds the same fault. */
  if (!is_done) vips->vips_error_clear();
  return is_done;
}

static void decode_in_thread(void *data, void *unused) {
  (void)unused;
  job *own = data;
  own->is_done = decode(own);
  sem_post(&own->finished);
}

/* libvips keeps its buffers in threads of its own alone: in others every strip is given fresh memory, which it clears. */
static void execute(napi_env env, void *data) {
  (void)env;
  job *own = data;
  if (sem_init(&own->finished, 0, 0) != 0) return;
  if (own->vips.vips_thread_execute("stopline", decode_in_thread, own) != 0) decode_in_thread(own, NULL);
  while (sem_wait(&own->finished) != 0) {
  }
  sem_destroy(&own->finished);
}

static void free_job(napi_env env, job *own) {
  for (int i = 0; i < 2; i++)
    if (own->held[i] != NULL) napi_delete_reference(env, own->held[i]);
  if (own->work != NULL) napi_delete_async_work(env, own->work);
  free(own);
}

static void complete(napi_env env, napi_status status, void *data) {
  job *own = data;
  napi_value is_done;
  napi_get_boolean(env, status == napi_ok && own->is_done, &is_done);
  napi_resolve_deferred(env, own->promise, is_done);
  free_job(env, own);
}

static napi_value fail(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

/* (bytes: Uint8Array, pixels: Uint8Array, width: number, height: number, seconds: number): Promise<boolean> */
static napi_value decode_jpeg(napi_env env, napi_callback_info info) {
  size_t argc = 5, size, room;
  napi_value argv[5], promise, name;
  void *data, *bytes, *pixels;
  napi_typedarray_type types[2];
  int32_t width, height;
  double seconds;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, &data) != napi_ok || argc < 5)
    return fail(env, "Expected five arguments: bytes, pixels, width, height, seconds");
  if (napi_get_typedarray_info(env, argv[0], &types[0], &size, &bytes, NULL, NULL) != napi_ok ||
      napi_get_typedarray_info(env, argv[1], &types[1], &room, &pixels, NULL, NULL) != napi_ok ||
      types[0] != napi_uint8_array || types[1] != napi_uint8_array || size == 0)
    return fail(env, "Expected a Uint8Array for bytes and for pixels");
  if (napi_get_value_int32(env, argv[2], &width) != napi_ok || napi_get_value_int32(env, argv[3], &height) != napi_ok ||
      napi_get_value_double(env, argv[4], &seconds) != napi_ok || width < 1 || height < 1 ||
      room != (uint64_t)width * (uint64_t)height * CHANNELS)
    return fail(env, "Expected width * height * 3 bytes for pixels");
  job *own = calloc(1, sizeof *own);
  if (own == NULL) return fail(env, "Out of memory");
  own->vips = *(const library *)data;
  own->bytes = bytes, own->size = size, own->pixels = pixels, own->width = width, own->height = height;
  own->seconds = seconds;
  if (napi_create_reference(env, argv[0], 1, &own->held[0]) != napi_ok ||
      napi_create_reference(env, argv[1], 1, &own->held[1]) != napi_ok ||
      napi_create_string_utf8(env, "stopline decode", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, own, &own->work) != napi_ok ||
      napi_create_promise(env, &own->promise, &promise) != napi_ok ||
      napi_queue_async_work(env, own->work) != napi_ok) {
    free_job(env, own);
    return fail(env, "Expected a thread that decodes");
  }
  return promise;
}

static void release(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  free(data);
}

/* (version: string): the function that decodes by the libvips of that version; undefined where none is loaded. */
static napi_value open_library(napi_env env, napi_callback_info info) {
  size_t argc = 1, length;
  napi_value argv[1], function;
  char version[64];
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < 1 ||
      napi_get_value_string_utf8(env, argv[0], version, sizeof version, &length) != napi_ok)
    return fail(env, "Expected a version");
  search wanted = {.version = version};
  dl_iterate_phdr(look_at, &wanted);
  if (!wanted.is_found) return NULL;
  library *kept = malloc(sizeof *kept);
  if (kept == NULL) return fail(env, "Out of memory");
  *kept = wanted.found;
  if (napi_create_function(env, "decodeJpeg", NAPI_AUTO_LENGTH, decode_jpeg, kept, &function) != napi_ok ||
      napi_add_finalizer(env, function, kept, release, NULL, NULL) != napi_ok) {
    free(kept);
    return fail(env, "Expected a function");
  }
  return function;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_library, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, "open", function);
  return exports;
}
