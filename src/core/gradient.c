#include "core.h"
size_t stopline_gradient_scratch(size_t width, size_t height) { return width + height; }
void stopline_gradient(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                       double *restrict out) {
  (void)luma, (void)width, (void)height, (void)scratch, (void)out;
}
