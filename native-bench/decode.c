/*
 * Decodes a JPEG into a buffer that is kept, as an add-on bound to libjpeg would: `decode FILE ROUNDS` prints the median of the
 * milliseconds of processor time and writes the pixels of the last round to standard output after that line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int rounds = atoi(argv[2]);
  FILE *file = fopen(argv[1], "rb");
  if (file == NULL || rounds < 1) return 2;
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  unsigned char *bytes = malloc((size_t)size), *pixels = NULL;
  if (fread(bytes, 1, (size_t)size, file) != (size_t)size) return 2;
  double *times = malloc((size_t)rounds * sizeof *times);
  size_t row = 0, height = 0;
  for (int round = 0; round < rounds; round++) {
    double started = now();
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, bytes, (unsigned long)size);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg);
    row = (size_t)jpeg.output_width * 3, height = jpeg.output_height;
    if (pixels == NULL) pixels = malloc(row * height);
    while (jpeg.output_scanline < jpeg.output_height) {
      JSAMPROW at = pixels + row * jpeg.output_scanline;
      jpeg_read_scanlines(&jpeg, &at, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    times[round] = now() - started;
  }
  qsort(times, (size_t)rounds, sizeof *times, compare);
  printf("%.3f\n", times[rounds / 2]);
  return fwrite(pixels, 1, row * height, stdout) != row * height;
}
