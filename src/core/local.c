/*
 * What sticks out of its surroundings, where averages over the frame see little: single hot and dead pixels, rows and
 * columns that are offset against their neighbours, and 8x8 blocks that are flatter, busier, brighter or darker than
 * all that lies around them (drops, dirt, glare, a covered corner).
 */
#include "core.h"
#include "vector.h"

enum {
  BLOCK = 8,
  /* Blocks between a block and the ring it is compared with. */
  RING = 2,
  /* A pixel stands alone when it leaves the range of its 8 neighbours by more than that range and by more than this. */
  ALONE = 12,
  /* DN per pixel added to block energies, so that flat blocks compare as equal. */
  FLOOR = BLOCK * BLOCK
};

typedef struct {
  int16_t *column_sign;
  /* Column sums of one band of blocks: luma, and absolute differences to the right and below. */
  uint16_t *band_luma, *band_energy;
  uint32_t *luma, *energy;
} room;

static size_t align64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static size_t lay_out(room *at, uint8_t *base, size_t width, size_t height) {
  size_t used = 0, wide = width + 2 * LANES16 + 64, count = (width / BLOCK) * (height / BLOCK);
#define TAKE(pointer, type, n) (pointer = (type *)(base + used), used += align64((n) * sizeof(type)))
  TAKE(at->column_sign, int16_t, wide);
  TAKE(at->band_luma, uint16_t, wide);
  TAKE(at->band_energy, uint16_t, wide);
  TAKE(at->luma, uint32_t, count + 1);
  TAKE(at->energy, uint32_t, count + 1);
#undef TAKE
  return used;
}

size_t stopline_local_scratch(size_t width, size_t height) {
  room at;
  return lay_out(&at, (uint8_t *)0, width, height);
}

/* Pixels of one interior row that stand alone, brighter and darker. */
static void alone(const uint8_t *row, size_t width, uint64_t *bright, uint64_t *dark) {
  const uint8_t *up = row - width, *down = row + width;
  u32v sum_bright = {0}, sum_dark = {0};
  const u8v least = (u8v){0} + ALONE, one = (u8v){0} + 1;
  size_t x = 1;
  for (; x + VECTOR_BYTES <= width - 1; x += VECTOR_BYTES) {
    u8v a = load8(up + x - 1), b = load8(up + x), c = load8(up + x + 1), d = load8(row + x - 1);
    u8v e = load8(row + x + 1), f = load8(down + x - 1), g = load8(down + x), h = load8(down + x + 1);
    u8v most = max8(max8(max8(a, b), max8(c, d)), max8(max8(e, f), max8(g, h)));
    u8v fewest = min8(min8(min8(a, b), min8(c, d)), min8(min8(e, f), min8(g, h)));
    u8v pixel = load8(row + x), margin = max8(most - fewest, least);
    sum_bright = add_bytes(sum_bright, (u8v)(subs8(pixel, most) > margin) & one);
    sum_dark = add_bytes(sum_dark, (u8v)(subs8(fewest, pixel) > margin) & one);
  }
  *bright += sum_lanes_u32(sum_bright);
  *dark += sum_lanes_u32(sum_dark);
  for (; x < width - 1; x++) {
    int most = 0, fewest = 255, pixel = row[x];
    for (int i = 0; i < 9; i++) {
      if (i == 4) continue;
      int value = (i < 3 ? up : i < 6 ? row : down)[x + (size_t)(i % 3) - 1];
      if (value > most) most = value;
      if (value < fewest) fewest = value;
    }
    int margin = most - fewest > ALONE ? most - fewest : ALONE;
    *bright += pixel - most > margin;
    *dark += fewest - pixel > margin;
  }
}

/*
 * Signs of the second differences. In a scene they cancel along a row or column, because edges go either way; an offset
 * of a whole row or column, however small against the texture, has one sign all along it.
 */
static int32_t signs(const uint8_t *row, size_t width, int16_t *column_sign) {
  const uint8_t *up = row - width, *down = row + width;
  int32_t total = 0;
  size_t x = 1;
  i16v along = {0};
  for (; x + LANES16 <= width - 1; x += LANES16) {
    i16v pixel = widen(row + x) * 2;
    i16v across = pixel - widen(row + x - 1) - widen(row + x + 1);
    i16v beside = pixel - widen(up + x) - widen(down + x);
    i16v sum;
    __builtin_memcpy(&sum, column_sign + x, sizeof sum);
    sum += (i16v)(across < 0) - (i16v)(across > 0);
    __builtin_memcpy(column_sign + x, &sum, sizeof sum);
    along += (i16v)(beside < 0) - (i16v)(beside > 0);
  }
  for (int i = 0; i < LANES16; i++) total += along[i];
  for (; x < width - 1; x++) {
    int across = 2 * row[x] - row[x - 1] - row[x + 1], beside = 2 * row[x] - up[x] - down[x];
    column_sign[x] += (int16_t)((across > 0) - (across < 0));
    total += (beside > 0) - (beside < 0);
  }
  return total;
}

/* Adds one row to the column sums of its band. The last column and row have no right or lower neighbour of their own. */
static void add_row(const uint8_t *row, const uint8_t *below, size_t width, room *at) {
  size_t x = 0;
  for (; x + LANES16 <= width - 1; x += LANES16) {
    i16v pixel = widen(row + x);
    i16v energy = abs16(pixel - widen(row + x + 1)) + abs16(pixel - widen(below + x));
    u16v sum;
    __builtin_memcpy(&sum, at->band_luma + x, sizeof sum);
    sum += (u16v)pixel;
    __builtin_memcpy(at->band_luma + x, &sum, sizeof sum);
    __builtin_memcpy(&sum, at->band_energy + x, sizeof sum);
    sum += (u16v)energy;
    __builtin_memcpy(at->band_energy + x, &sum, sizeof sum);
  }
  for (; x < width; x++) {
    int right = x + 1 < width ? row[x] - row[x + 1] : 0, lower = row[x] - below[x];
    at->band_luma[x] += row[x];
    at->band_energy[x] += (uint16_t)((right < 0 ? -right : right) + (lower < 0 ? -lower : lower));
  }
}

static void sum_band(room *at, size_t across, size_t band, size_t width) {
  for (size_t block = 0; block < across; block++) {
    uint32_t luma = 0, energy = 0;
    for (size_t x = block * BLOCK; x < (block + 1) * BLOCK; x++) luma += at->band_luma[x], energy += at->band_energy[x];
    at->luma[band * across + block] = luma;
    at->energy[band * across + block] = energy;
  }
  for (size_t x = 0; x < width; x++) at->band_luma[x] = at->band_energy[x] = 0;
}

/* Least and most of the sums over the four sides of the ring, each of 2 RING + 1 blocks. */
static void sides(const uint32_t *block, size_t across, uint32_t *least, uint32_t *most) {
  uint32_t side[4] = {0};
  for (int i = -RING; i <= RING; i++) {
    side[0] += block[-(ptrdiff_t)(RING * across) + i];
    side[1] += block[(ptrdiff_t)(RING * across) + i];
    side[2] += block[i * (ptrdiff_t)across - RING];
    side[3] += block[i * (ptrdiff_t)across + RING];
  }
  *least = *most = side[0];
  for (int i = 1; i < 4; i++) {
    if (side[i] < *least) *least = side[i];
    if (side[i] > *most) *most = side[i];
  }
}

/* Blocks that differ from all four sides around them, at three strengths. */
static void compare_blocks(const room *at, size_t across, size_t down, double *out) {
  const uint32_t per_side = 2 * RING + 1;
  for (size_t y = RING; y + RING < down; y++) {
    for (size_t x = RING; x + RING < across; x++) {
      const size_t i = y * across + x;
      uint32_t least, most, energy = (at->energy[i] + FLOOR) * per_side;
      sides(at->energy + i, across, &least, &most);
      least += per_side * FLOOR, most += per_side * FLOOR;
      for (uint32_t k = 0; k < 3; k++) {
        out[AT_blockHoles + k] += energy << (k + 1) < least;
        out[AT_blockPeaks + k] += energy > most << (k + 1);
      }
      uint32_t luma = at->luma[i] * per_side;
      sides(at->luma + i, across, &least, &most);
      for (uint32_t k = 0; k < 3; k++) {
        const uint32_t step = (12u << k) * BLOCK * BLOCK * per_side;
        out[AT_blockBright + k] += luma > most + step;
        out[AT_blockDark + k] += luma + step < least;
      }
      out[AT_blocksCompared] += 1;
    }
  }
}

void stopline_local(const uint8_t *restrict luma, size_t width, size_t height, void *restrict scratch,
                    double *restrict out) {
  room at;
  lay_out(&at, scratch, width, height);
  if (width < 3 || height < 3) return;
  for (size_t x = 0; x < width; x++) at.column_sign[x] = 0, at.band_luma[x] = at.band_energy[x] = 0;
  const size_t across = width / BLOCK, down = height / BLOCK;
  uint64_t bright = 0, dark = 0;
  for (size_t y = 0; y < height; y++) {
    const uint8_t *row = luma + y * width;
    if (y > 0 && y + 1 < height) {
      alone(row, width, &bright, &dark);
      const int32_t sign = signs(row, width, at.column_sign);
      const double size = sign < 0 ? -sign : sign;
      out[AT_rowSigns] += size;
      if (size > out[AT_rowSigns_last]) out[AT_rowSigns_last] = size;
    }
    if (y / BLOCK < down) {
      add_row(row, y + 1 < height ? row + width : row, width, &at);
      if (y % BLOCK == BLOCK - 1) sum_band(&at, across, y / BLOCK, width);
    }
  }
  for (size_t x = 1; x + 1 < width; x++) {
    const double size = at.column_sign[x] < 0 ? -at.column_sign[x] : at.column_sign[x];
    out[AT_columnSigns] += size;
    if (size > out[AT_columnSigns_last]) out[AT_columnSigns_last] = size;
  }
  out[AT_aloneBright] = (double)bright;
  out[AT_aloneDark] = (double)dark;
  compare_blocks(&at, across, down, out);
}
