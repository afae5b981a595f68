/*
 * Stands in for Node where there is none to be had, on musl and on an emulated processor: loads the add-on as Node does, by
 * napi_register_module_v1, and prints what each of its instruction sets measures of one frame, and a hash of the pixels that it reads
 * from a JPEG of the size of that frame.
 */
#include <dlfcn.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 131, HEIGHT = 77, CHANNELS = 3, MOST_VARIANTS = 4 };

typedef struct {
  const char *simd;
  double out_size;
  napi_callback measure, read_jpeg;
  void *data;
} variant;

static variant variants[MOST_VARIANTS];
static size_t variant_count;
static uint8_t frame[WIDTH * HEIGHT * CHANNELS], pixels[sizeof frame], jpeg[1 << 16];
static size_t jpeg_size;
static int is_reading, is_read;
static double *measured;
static void *instance;
/* Values are addresses of these, or of what they stand for. */
static variant *described;
static struct { const char *text; double number; napi_callback function; void *data; } last;
static int arguments[5];

static void give_up(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

napi_status napi_throw_type_error(napi_env env, const char *code, const char *message) {
  (void)env, (void)code;
  give_up(message);
  return napi_ok;
}
napi_status napi_throw_range_error(napi_env env, const char *code, const char *message) {
  return napi_throw_type_error(env, code, message);
}
napi_status napi_set_instance_data(napi_env env, void *data, napi_finalize finalize, void *hint) {
  (void)env, (void)finalize, (void)hint;
  instance = data;
  return napi_ok;
}
napi_status napi_get_instance_data(napi_env env, void **data) {
  (void)env;
  *data = instance;
  return napi_ok;
}
napi_status napi_adjust_external_memory(napi_env env, int64_t change, int64_t *result) {
  (void)env;
  *result = change;
  return napi_ok;
}
napi_status napi_create_array(napi_env env, napi_value *result) {
  (void)env;
  *result = (napi_value)variants;
  return napi_ok;
}
napi_status napi_create_object(napi_env env, napi_value *result) {
  (void)env;
  described = &variants[variant_count];
  *result = (napi_value)described;
  return napi_ok;
}
napi_status napi_create_string_utf8(napi_env env, const char *text, size_t length, napi_value *result) {
  (void)env, (void)length;
  last.text = text;
  *result = (napi_value)&last;
  return napi_ok;
}
napi_status napi_create_double(napi_env env, double number, napi_value *result) {
  (void)env;
  last.number = number;
  *result = (napi_value)&last;
  return napi_ok;
}
napi_status napi_create_function(napi_env env, const char *name, size_t length, napi_callback function, void *data,
                                 napi_value *result) {
  (void)env, (void)name, (void)length;
  last.function = function;
  last.data = data;
  *result = (napi_value)&last;
  return napi_ok;
}
napi_status napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value) {
  (void)env, (void)value;
  variant *to = (variant *)object;
  if (strcmp(name, "simd") == 0) to->simd = last.text;
  if (strcmp(name, "outSize") == 0) to->out_size = last.number;
  if (strcmp(name, "measure") == 0) to->measure = last.function, to->data = last.data;
  if (strcmp(name, "readJpeg") == 0) to->read_jpeg = last.function;
  return napi_ok;
}
napi_status napi_set_element(napi_env env, napi_value list, uint32_t index, napi_value value) {
  (void)env, (void)list, (void)value;
  if (index + 1 >= MOST_VARIANTS) give_up("more instruction sets than expected");
  variant_count = index + 1;
  return napi_ok;
}
/* The arguments of a call are the addresses of `arguments`, in order. */
napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc, napi_value *argv, napi_value *self,
                             void **data) {
  (void)env, (void)self;
  for (size_t i = 0; i < 5; i++) argv[i] = (napi_value)&arguments[i];
  *argc = 5;
  *data = ((variant *)info)->data;
  return napi_ok;
}
napi_status napi_get_typedarray_info(napi_env env, napi_value value, napi_typedarray_type *type, size_t *length,
                                     void **data, napi_value *buffer, size_t *offset) {
  (void)env, (void)buffer, (void)offset;
  int is_frame = value == (napi_value)&arguments[0];
  if (is_reading) {
    *type = napi_uint8_array;
    *length = is_frame ? jpeg_size : sizeof pixels;
    *data = is_frame ? jpeg : pixels;
    return napi_ok;
  }
  *type = is_frame ? napi_uint8_array : napi_float64_array;
  *length = is_frame ? sizeof frame : (size_t)described->out_size;
  *data = is_frame ? (void *)frame : (void *)measured;
  return napi_ok;
}
napi_status napi_get_value_uint32(napi_env env, napi_value value, uint32_t *result) {
  (void)env;
  *result = (uint32_t)*(int *)value;
  return napi_ok;
}

napi_status napi_get_boolean(napi_env env, bool value, napi_value *result) {
  (void)env;
  is_read = value;
  *result = (napi_value)&last;
  return napi_ok;
}

int main(int argc, char **argv) {
  if (argc != 3) give_up("Expected the paths of an add-on and of a JPEG");
  FILE *file = fopen(argv[2], "rb");
  if (file == NULL) give_up("no such JPEG");
  jpeg_size = fread(jpeg, 1, sizeof jpeg, file);
  void *library = dlopen(argv[1], RTLD_NOW);
  if (library == NULL) give_up(dlerror());
  napi_value (*init)(napi_env, napi_value);
  *(void **)&init = dlsym(library, "napi_register_module_v1");
  if (init == NULL) give_up("no napi_register_module_v1");
  init(NULL, (napi_value)variants);
  uint32_t state = 1;
  for (uint32_t i = 0; i < sizeof frame; i++) {
    state = state * 1664525u + 1013904223u;
    frame[i] = (uint8_t)(((i * 5 >> 3) & 127) + (state >> 26));
  }
  arguments[1] = WIDTH, arguments[2] = HEIGHT, arguments[3] = CHANNELS;
  for (size_t i = 0; i < variant_count; i++) {
    described = &variants[i];
    measured = calloc((size_t)described->out_size, sizeof *measured);
    described->measure(NULL, (napi_callback_info)described);
    printf("%s", described->simd);
    for (size_t k = 0; k < (size_t)described->out_size; k++) printf(" %.17g", measured[k]);
    free(measured);
    is_reading = 1;
    described->read_jpeg(NULL, (napi_callback_info)described);
    is_reading = 0;
    if (!is_read) give_up("the JPEG is not read");
    uint32_t hash = 0;
    for (size_t k = 0; k < sizeof pixels; k++) hash = hash * 31 + pixels[k];
    printf(" %u\n", hash);
  }
  return variant_count == 0;
}
